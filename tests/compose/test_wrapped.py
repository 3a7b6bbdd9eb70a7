"""``wrap`` with functions before and behind the signature of a frozen graph, and constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, RefusedError, load
from tests.cli.conftest import Run
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, encoded

SOURCE = FIXTURES.parent / "exporters" / "tangled_session"
ROWS = np.random.default_rng(9).random((3, 2), np.float32)


@pytest.fixture
def graph(oracle: Oracle, tmp_path: Path) -> Path:
    """A frozen graph with an input that clients should not send."""
    file = tmp_path / "frozen.pb"
    oracle.ask("freeze_model", directory=SOURCE, file=file, outputs=["late", "TopKV2"])
    return file


def _wrapped(graph: Path, made: Path, **more: Any) -> smpatch.Receipt:  # noqa: ANN401 - of wrap_graph
    inputs, outputs = {"x": "x:0", "flag": "flag:0"}, {"late": "late:0", "top": "TopKV2:0"}
    return smpatch.wrap_graph(graph, made, inputs=inputs, outputs=outputs, **more)


@pytest.mark.parametrize("flag", [0, 1])
def test_a_bound_input_is_a_constant_of_the_new_model(
    graph: Path, oracle: Oracle, tmp_path: Path, flag: int
) -> None:
    made = tmp_path / "made"
    receipt = _wrapped(graph, made, before=["x=cast(float64)"], bind={"flag": bool(flag)})
    assert receipt.numbers == {"serving_default": ("late", "top")}
    assert [each.key for each in receipt.changes] == ["serving_default"]
    assert [*load(made).signatures] == ["serving_default"]
    assert [*load(made).signatures["serving_default"].inputs] == ["x"]
    feed = {"x": encoded(ROWS), "flag": encoded(np.array(bool(flag)))}
    alone, both = ["session"], ["session", "python"]
    feeds = {"switched": feed}
    wanted = oracle.ask("tour", directory=SOURCE, tags=["serve"], feeds=feeds, loaders=alone)
    given = {"serving_default": {"x": encoded(ROWS.astype("f8"))}}
    told = oracle.ask("tour", directory=made, tags=["serve"], feeds=given, loaders=both)
    assert wanted["session"]["switched"]["arrays"]
    for loader in ("session", "python"):
        assert told[loader]["serving_default"] == wanted["session"]["switched"]


def test_the_command_has_the_same_options(graph: Path, tmp_path: Path, call: Run) -> None:
    made = tmp_path / "made"
    done = call(
        *("wrap", graph, "--save-to", made),
        *("--inputs", "x:0,flag:0", "--outputs", "late:0", "--signature", "frozen_graph"),
        *("--bind", "flag=false", "--after", "late=softmax(late)"),
    )
    assert done.code == 0, done.err
    assert "run before and after the edit: 1 output gives the same, bit for bit" in done.out
    assert [*load(made).signatures] == ["frozen_graph"]
    shown = "composed of  signature: none is left; bound: flag; after: softmax"
    assert shown in call("show", made).out


def test_nothing_is_written_where_it_does_not_fit(graph: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(RefusedError, match="the signature has no output 'nothing'"):
        _wrapped(graph, made, after=["softmax(nothing)"])
    receipt = _wrapped(graph, made, bind={"flag": False}, options=Options(dry_run=True))
    assert receipt.dry_run
    assert sorted(tmp_path.iterdir()) == [graph]


def test_the_hint_repeats_the_options(graph: Path, tmp_path: Path, call: Run) -> None:
    done = call("wrap", graph, "--quiet", "--bind", "flag=false")
    assert done.code == 2
    assert "--bind flag=false" in done.err
    assert sorted(tmp_path.iterdir()) == [graph]
