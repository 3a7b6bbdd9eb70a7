"""The options that docs/compose.md gives for public threads do what the threads request."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import smpatch
from smpatch import load
from smpatch.arguments import constants
from smpatch.edits import Compose
from smpatch.fragments import asked_list
from smpatch.tensor_syntax import parse_constants, parse_names
from smpatch.validator import Validator
from tests.contract.models import FIXTURES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compose.md"
EXPORTERS = FIXTURES.parent / "exporters"
DEFAULT = "serving_default"

TEXT = """
import tensorflow as tf

def tokenize(text: tf.TensorSpec([None], tf.string)):
    plain = tf.strings.regex_replace(tf.strings.lower(text), "[^a-z ]", "")
    words = tf.strings.split(plain).to_tensor("", shape=[None, 3])
    return {"ids": tf.strings.to_hash_bucket_fast(words, 3)}

def names(scores):
    return {"names": tf.gather(["no", "yes"], tf.cast(scores > 0.5, tf.int32))}
"""
BOXES = """
import tensorflow as tf

def best(logits):
    rows = tf.shape(logits)[0]
    boxes = tf.random.stateless_uniform([rows, 4, 1, 4], [1, 2])
    found = tf.image.combined_non_max_suppression(boxes, logits[:, :, None], 2, 2)
    return {"boxes": found.nmsed_boxes, "scores": found.nmsed_scores}
"""


@dataclass(frozen=True)
class Case:
    """A model of the kind that a thread describes.

    Attributes:
        model: A fixture, or one of ``composable``.
        names: Names on the page to names in the model or of files.
        key: The key of the source.
        inputs: The aliases of the inputs of the new signature.
        outputs: The aliases of its outputs.
    """

    model: str | Path
    names: Mapping[str, str]
    inputs: set[str]
    outputs: set[str]
    key: str = DEFAULT


CASES = {
    "decode_image(": Case("images", {"224, 224": "8, 6"}, {"image_bytes"}, {"logits"}),
    "top_k(": Case("images", {"scores, 5": "logits, 2"}, {"image"}, {"classes", "scores"}),
    "lookup(": Case("ids", {}, {"ids", "factor"}, {"ids", "scores"}),
    "text.py": Case("ids", {}, {"text", "factor"}, {"names", "ids"}),
    "'parse_example(": Case(FIXTURES / "keras_functional", {}, {"examples"}, {"both", "score"}),
    "encode_example(": Case(EXPORTERS / "estimator", {}, {"x", "w"}, {"logits"}, "predict"),
    "--from-input": Case(EXPORTERS / "keras_examples", {}, {"x", "examples"}, {"score", "x"}),
    "preprocess/1": Case(
        FIXTURES / "keras_functional",
        {"image=preprocess/1": f"left={FIXTURES / 'keras_rnn'}"},
        {"steps", "right"},
        {"both", "score"},
    ),
    "classifier/1": Case(
        FIXTURES / "module",
        {"classifier/1": f"{FIXTURES / 'linear'}:scale"},
        {"x"},
        {"product"},
    ),
    "boxes.py": Case("images", {}, {"image"}, {"boxes", "scores"}),
    "--bind": Case(
        EXPORTERS / "tangled_session", {"is_training": "flag"}, {"x"}, {"late", "top"}, "switched"
    ),
}
"""A part of the options on the page to a model that they fit."""


def _rows() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("## What others ask for") : text.index("## Recipes")]
    return dict(re.findall(r"^\| (.*?#\d.*?) \| `(.*)` \|$", table, re.MULTILINE))


@pytest.mark.parametrize("threads", _rows())
def test_the_options_for_a_thread_work_on_a_model_of_its_kind(
    threads: str,
    composable: Mapping[str, Path],
    quick: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = _rows()[threads]
    (case,) = (each for part, each in CASES.items() if part in options)
    for name, there in case.names.items():
        assert name in options
        options = options.replace(name, there)
    for name, text in {"text.py": TEXT, "boxes.py": BOXES}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    source = composable[case.model] if isinstance(case.model, str) else case.model
    model = Path(shutil.copytree(source, tmp_path / "model"))
    words = shlex.split(options)
    given: dict[str, list[str]] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        given.setdefault(option, []).append(value)
    edit = Compose(
        case.key,
        "new",
        constants(parse_constants(given.pop("--bind", ()), option="--bind"), "bind"),
        before=asked_list(given.pop("--before", ()), "before"),
        after=asked_list(given.pop("--after", ()), "after"),
        from_input=parse_names(given.pop("--from-input", ()), option="--from-input"),
    )
    assert not given
    receipt = smpatch.patch(model, edit, validator=quick)
    signature = load(model).signatures["new"]
    assert {*signature.inputs} == case.inputs
    assert case.outputs <= {*signature.outputs}
    compared = (receipt.numbers or {}).get("new", ())
    assert case.outputs <= {*compared}, [each.text for each in receipt.notes]


def test_each_case_is_one_of_the_page() -> None:
    rows = _rows().values()
    assert len(rows) == len(CASES)
    assert all(sum(part in row for row in rows) == 1 for part in CASES)
