"""Functions before and behind a signature compute what they compute outside the model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, load
from smpatch.validator import Validator
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, encoded

DEFAULT = "serving_default"
CODE = Path(__file__).with_name("user_code.py")
Step = tuple[str, Mapping[str, Any]]
RNG = np.random.default_rng(11)
TEXT = np.array([b"b", b"a", b"zz"], object)


@dataclass(frozen=True)
class Case:
    """A request, and the same computation outside the model.

    Attributes:
        model: The name of the model.
        before: The functions before the signature.
        after: The functions behind the signature.
        feed: The values of the inputs of the new signature.
        steps: The computations outside the model, before and behind it.
        bind: Bound input to its values for the source; the edit binds the first row of each.
    """

    model: str
    before: Sequence[str]
    after: Sequence[str]
    feed: Mapping[str, Any]
    steps: tuple[Sequence[Step], Sequence[Step]]
    bind: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the name of the test."""
        return "-".join([self.model, *self.before, *self.after, *self.bind])


LEFT = {"left": RNG.random((3, 2), np.float32)}
RIGHT = {"right": RNG.random((3, 2), np.float32)}
WORDS: Step = ("words_to_left", {"given": ["text"]})
REPEATED: Step = ("repeated", {"given": ["wide", "times"]})
DOUBLED: Step = ("doubled", {"given": ["right"]})
SUMMED: Step = ("summed", {"given": ["score"], "takes": ["score"]})
NAMED: Step = ("named", {"given": ["both"], "takes": ["both"]})
WIDE = {"wide": RNG.random((3, 2)), "times": np.array(4, "i4")}
KERAS = "keras_functional"
CASES = [
    Case(KERAS, ["words_to_left"], [], {"text": TEXT, **RIGHT}, ([WORDS], []), {}),
    Case(KERAS, [], ["summed"], {**LEFT, **RIGHT}, ([], [SUMMED]), {}),
    Case(
        KERAS,
        [],
        ["beside"],
        {**LEFT, **RIGHT},
        ([], [("beside", {"given": ["score", "left"], "takes": ["score"]})]),
        {},
    ),
    Case(KERAS, [], ["named", "summed"], {**LEFT, **RIGHT}, ([], [NAMED, SUMMED]), {}),
    Case(
        KERAS,
        ["words_to_left", "repeated", "doubled"],
        ["named"],
        {"text": TEXT, **WIDE},
        ([WORDS, REPEATED, DOUBLED], [NAMED]),
        {},
    ),
    Case(
        KERAS,
        ["words_to_left"],
        ["summed"],
        {"text": TEXT},
        ([WORDS], [SUMMED]),
        {"right": np.array([[2.5, -1.0]] * 3, "f4")},
    ),
    *(
        Case(
            kind,
            ["lines"],
            ["logits_plus"],
            {"image_text": TEXT},
            (
                [("lines", {"given": ["image_text"]})],
                [("logits_plus", {"given": ["logits"], "alias": "logits", "takes": ["logits"]})],
            ),
            {},
        )
        for kind in ("images", "session_images")
    ),
]


def _asked(names: Sequence[str]) -> list[str]:
    return [f"{CODE}:{name}" for name in names]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_numbers_are_those_of_the_same_computation_outside(
    case: Case,
    composable: Mapping[str, Path],
    oracle: Oracle,
    quick: Validator,
    tmp_path: Path,
) -> None:
    source, model = composable[case.model], tmp_path / "model"
    shutil.copytree(source, model)
    receipt = smpatch.patch(
        model,
        smpatch.edits.Compose(
            DEFAULT,
            "new",
            smpatch.arguments.constants({a: v[0] for a, v in case.bind.items()}, "bind"),
            before=tuple(_asked(case.before)),  # type: ignore[arg-type] # texts are taken
            after=tuple(_asked(case.after)),  # type: ignore[arg-type] # texts are taken
        ),
        validator=quick,
    )
    made = load(model).signatures["new"]
    assert receipt.numbers == {"new": tuple(sorted(made.outputs))}
    assert set(made.inputs) == set(case.feed)
    feed = {alias: encoded(value) for alias, value in case.feed.items()}
    bound = {alias: encoded(value) for alias, value in case.bind.items()}
    wanted = oracle.ask(
        "outside",
        directory=source,
        tags=["serve"],
        key=DEFAULT,
        feed={**feed, **bound},
        before=case.steps[0],
        after=case.steps[1],
    )
    loaders = ["session", "python"]
    got = oracle.ask("tour", directory=model, tags=["serve"], feeds={"new": feed}, loaders=loaders)
    for loader in loaders:
        assert wanted[loader]["arrays"]
        assert got[loader]["new"] == wanted[loader]


def test_the_other_signatures_are_byte_for_byte_what_they_were(
    composable: Mapping[str, Path], quick: Validator, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(composable[KERAS], model)
    before = load(model).meta_graph()
    smpatch.patch(
        model,
        smpatch.edits.Compose(DEFAULT, "new", before=(f"{CODE}:words_to_left",)),  # type: ignore[arg-type] # as above
        validator=quick,
    )
    after = load(model).meta_graph()
    for key, entry in before.entries.items():
        assert after.entries[key].value == entry.value
    for name in before.graph:
        assert after.graph.raw(name) == before.graph.raw(name)
    for name, body in before.graph.function_bodies.items():
        assert after.graph.function_bodies[name] == body


def test_a_composition_is_taken_back_byte_for_byte(
    composable: Mapping[str, Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(composable[KERAS], model)
    data = (model / "saved_model.pb").read_bytes()
    options = Options(validate="runtime")

    def compose(options: Options) -> smpatch.Receipt:
        put = [f"{CODE}:words_to_left"], [f"{CODE}:summed"]
        return smpatch.compose_signature(
            model, DEFAULT, signature="new", before=put[0], after=put[1], options=options
        )

    first = compose(options)
    assert first.outcome == "added"
    made = (model / "saved_model.pb").read_bytes()
    twice = compose(Options(validate="runtime", overwrite=True))
    assert (twice.outcome, (model / "saved_model.pb").read_bytes()) == ("unchanged", made)
    smpatch.remove_signatures(model, "new", options=options)
    assert (model / "saved_model.pb").read_bytes() == data


def test_tracing_leaves_no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGraph writes the source that it makes of a function into a file."""
    (tmp_path / "pre.py").write_text(
        """
import tensorflow as tf

@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="left")])
def doubled(left):
    if tf.reduce_sum(left) > 0.0:
        left = left * 2.0
    return {"left": left}
"""
    )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    model = Path(shutil.copytree(FIXTURES / KERAS, tmp_path / "model"))
    before = [f"{tmp_path / 'pre.py'}:doubled"]
    smpatch.compose_signature(model, source=DEFAULT, signature="new", before=before)
    assert "new" in load(model).signatures
    assert list((tmp_path / "temporary").iterdir()) == []
