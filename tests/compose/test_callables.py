"""Callables before and behind a signature, in a process that has imported TensorFlow."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import RefusedError, load
from tests.contract.models import FIXTURES
from tests.oracle import programs
from tests.oracle.client import Oracle, encoded

KERAS = FIXTURES / "keras_functional"
ROWS = np.random.default_rng(2).random((3, 2), np.float32)

PROGRAM = """
import json, sys
import numpy as np
import smpatch

models, code = sys.argv[1], sys.argv[2]
import tensorflow as tf
sys.path.insert(0, code)
from user_code import *
from user_code import _compiled

PAIR = tf.TensorSpec([None, 2], tf.float32)

class Halver:
    def __call__(self, left: PAIR):
        return {"left": left / 2.0}

@tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
def looked_up(text):
    print("traced")
    return {"left": tf.tile(WORDS.lookup(text)[:, None], [1, 2]) + SHIFT}

def words_to_both(text: tf.TensorSpec([None], tf.string)):
    return {"left": tf.tile(WORDS.lookup(text)[:, None], [1, 2]) + SHIFT}

class Shift:
    def __init__(self, by):
        self.by = by
    def __repr__(self):
        return "Shift"
    def __call__(self, left: PAIR):
        return {"left": left + self.by}

concrete = looked_up.get_concrete_function()
state = tf.Variable([1.0, 2.0])
class Layer(tf.Module):
    def __call__(self, left: PAIR):
        return left * state
def failing(left: PAIR):
    raise ValueError("my own mistake")
def in_python(left: PAIR):
    return {"left": tf.numpy_function(lambda x: x, [left], tf.float32)}
def unknown(thing):
    return {"left": thing}

cases = {
    "python": dict(before=[words_to_both], after=[named, "sigmoid(score)"]),
    "tf_function": dict(before=looked_up),
    "concrete": dict(before=[concrete], after=[named]),
    "several": dict(before=["left=cast(float64)", Halver(), doubled]),
    "alike": dict(before=[Shift(1.0), Shift(10.0), Shift(100.0)]),
    "lambda": dict(after=[lambda score: {"score": score * 2.0}]),
    "variables": dict(before=[Layer()]),
    "failing": dict(before=[failing]),
    "in_python": dict(before=[in_python]),
    "unknown": dict(before=[unknown]),
    "class": dict(before=[Halver]),
}
said = {}
options = smpatch.Options(validate="runtime")
over = smpatch.Options(validate="runtime", overwrite=True)
common = dict(source="serving_default", signature="new")
with smpatch.Session() as session:
    for name, put in cases.items():
        model = f"{models}/{name}"
        try:
            receipt = session.compose_signature(model, **common, options=options, **put)
            again = session.compose_signature(model, **common, options=over, **put)
            said[name] = [receipt.numbers["new"], again.outcome]
        except smpatch.SmpatchError as error:
            said[name] = [type(error).__name__, str(error)]
with tf.Graph().as_default():
    receipt = smpatch.compose_signature(
        f"{models}/graph", **common, before=[concrete], options=options
    )
    said["graph"] = [receipt.numbers["new"], ""]
print(json.dumps(said))
"""
NAMES = (
    *("python", "tf_function", "concrete", "several", "alike", "lambda", "graph"),
    *("variables", "failing", "in_python", "unknown", "class"),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    """The directory of the models, and the results of the edits by model."""
    directory = tmp_path_factory.mktemp("callables")
    for name in NAMES:
        shutil.copytree(KERAS, directory / name)
    printed = programs.run("-c", PROGRAM, directory, Path(__file__).parent)
    return directory, json.loads(printed.splitlines()[-1])


TEXT = np.array([b"b", b"a", b"zz"], object)
WORDS = np.array([[9.0, 9.0], [4.0, 4.0], [-1.0, -1.0]], "f4") + np.array([0.5, 0.25], "f4")


@pytest.mark.parametrize(
    ("name", "left", "source"),
    [
        ("tf_function", {"text": TEXT}, WORDS),
        ("graph", {"text": TEXT}, WORDS),
        ("several", {"left": ROWS.astype("f8")}, ROWS / np.float32(2)),
        # The callables of "alike" have one ``repr``; each is traced.
        ("alike", {"left": ROWS}, ROWS + np.float32(1) + np.float32(10) + np.float32(100)),
    ],
)
def test_the_numbers_are_those_of_the_callable(
    name: str,
    left: Mapping[str, Any],
    source: Any,  # noqa: ANN401 - an array
    done: tuple[Path, Mapping[str, Any]],
    oracle: Oracle,
) -> None:
    directory, said = done
    assert said[name][0] == ["both", "score"], said[name]
    right = {"right": encoded(ROWS * 2 if name == "several" else ROWS)}
    feed = {**{alias: encoded(value) for alias, value in left.items()}, "right": encoded(ROWS)}
    feeds = {"new": feed, "serving_default": {"left": encoded(source), **right}}
    loaders = ["session", "python"]
    told = oracle.ask(
        "tour", directory=directory / name, tags=["serve"], feeds=feeds, loaders=loaders
    )
    for loader in loaders:
        assert "arrays" in told[loader]["new"], told[loader]["new"]
        assert told[loader]["new"] == told[loader]["serving_default"]


def test_callables_are_proved_and_made_once(done: tuple[Path, Mapping[str, Any]]) -> None:
    directory, said = done
    assert said["python"] == [["both", "names", "score"], "unchanged"]
    assert said["concrete"][1] == said["tf_function"][1] == said["several"][1] == "unchanged"
    assert said["lambda"] == [["both", "score"], "unchanged"]
    inputs = load(directory / "python").signatures["new"].inputs
    assert set(inputs) == {"right", "text"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("variables", "before layer: it captures a variable (Variable:0)"),
        ("failing", "<string>, line {line}: ValueError: my own mistake"),
        ("in_python", "it calls back into Python (PyFunc"),
        ("unknown", "parameter 'thing' has no type"),
        ("class", "it is a class, not a function"),
    ],
)
def test_what_cannot_be_carried_is_refused(
    name: str, found: str, done: tuple[Path, Mapping[str, Any]]
) -> None:
    directory, said = done
    kind, text = said[name]
    line = PROGRAM.splitlines().index('    raise ValueError("my own mistake")') + 1
    assert kind == "RefusedError"
    assert found.format(line=line) in text
    data = (KERAS / "saved_model.pb").read_bytes()
    assert (directory / name / "saved_model.pb").read_bytes() == data


def test_tensorflow_is_not_imported_for_a_callable(tmp_path: Path) -> None:
    model = Path(shutil.copytree(KERAS, tmp_path / "model"))
    with pytest.raises(RefusedError, match="TensorFlow is not imported in this process") as refused:
        smpatch.compose_signature(model, "serving_default", signature="new", before=[lambda x: x])
    assert "import it first" in refused.value.hint
    assert "tensorflow" not in sys.modules
