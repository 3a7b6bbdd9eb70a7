"""A function with effects runs once for each call of a signature, whichever tensors it exposes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import load
from tests.object_graph.conftest import UNPROVED
from tests.oracle.client import Oracle, decoded, encoded

FEED = {"x": encoded(np.array([[1.0, 2.0]], np.float32))}

EXPOSED = {
    "inner and existing": {"now": "now:0", "count": "count", "sum": "sum"},
    "existing by tensor": {"now": "now:0", "count": "{count}"},
    "existing alone": {"count": "count"},
    "without the count": {"tenfold": "tenfold:0"},
    "one tensor twice": {"b": "now:0", "a": "now:0", "c": "tenfold:0"},
}


@pytest.fixture(scope="module")
def counting(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose functions count their calls, with signatures of every kind."""
    directory = tmp_path_factory.mktemp("counter") / "model"
    oracle.ask("build", name="counter", directory=directory)
    signature = load(directory).signatures["serving_default"]
    tensors = {alias: each.tensors()[0].name for alias, each in signature.outputs.items()}
    for key, outputs in EXPOSED.items():
        chosen = {alias: each.format(**tensors) for alias, each in outputs.items()}
        smpatch.derive_signature(
            directory, "serving_default", outputs=chosen, signature=key, options=UNPROVED
        )
    smpatch.derive_signature(
        directory, "silent", outputs={"d": "doubled:0"}, signature="quiet", options=UNPROVED
    )
    (result,) = load(directory).signatures["silent"].outputs.values()
    node, _, _ = result.tensors()[0].name.rpartition(":")
    smpatch.derive_signature(
        directory,
        "silent",
        outputs={"d": "doubled:0", "s": node},
        signature="by node",
        options=UNPROVED,
    )
    smpatch.promote_function(directory, "silent", signature="promoted", options=UNPROVED)
    smpatch.add_predict(
        directory,
        inputs={"x": "serving_default_x:0"},
        outputs={"z": tensors["count"], "a": tensors["sum"]},
        signature="main",
        options=UNPROVED,
    )
    return directory


@pytest.mark.parametrize("loader", ["python", "session"])
@pytest.mark.parametrize("key", [*EXPOSED, "quiet", "by node", "promoted", "main"])
def test_the_counter_counts_one(oracle: Oracle, counting: Path, key: str, loader: str) -> None:
    feeds = {"serving_default": FEED, key: FEED, "read": {}}
    told = oracle.ask(
        "tour", directory=counting, tags=["serve"], feeds=feeds, times=3, loaders=[loader]
    )[loader]
    before = decoded(told["serving_default"]["arrays"]["count"])
    assert before == 3
    assert decoded(told["read"]["arrays"]["calls"]) == 6
    for alias in {"now", "count", "a", "b", "z"} & told[key]["arrays"].keys():
        value = decoded(told[key]["arrays"][alias])
        assert (value == 6).all() or (key == "main" and alias == "a"), alias


def test_the_counter_counts_one_after_it_was_saved_again(
    oracle: Oracle, counting: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert oracle.ask("save_again", directory=counting, tags=["serve"], to=again) == {}
    for key in (*EXPOSED, "quiet", "by node", "promoted", "main"):
        told = oracle.ask("tour", directory=again, tags=["serve"], feeds={key: FEED, "read": {}})[
            "python"
        ]
        assert decoded(told["read"]["arrays"]["calls"]) == 1, key
