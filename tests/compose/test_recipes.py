"""Each recipe gives the results of the same computation outside the model."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import load, schema
from smpatch.builder import Inferred
from smpatch.editing.edit import Context
from smpatch.fragments import Fragment, Tracing, asked_list
from smpatch.recipes import RECIPES
from smpatch.runtime.process import Program
from smpatch.validator import Validator
from smpatch.validator.tracing import Tracer
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
RNG = np.random.default_rng(3)
Step = tuple[str, Mapping[str, Any]]
WORDS = ["zero", "one", "two", "four words in one line", ""]
LABELS = ["cat", "dog", "bird", "none of these"]


@dataclass(frozen=True)
class Case:
    """A request, and the same computation outside the model.

    Attributes:
        model: The name of the model; the test also edits the same model as a graph of TensorFlow 1.
        feed: The values of the inputs of the new signature; the oracle makes encoded images.
        before: The recipes before the signature.
        after: The recipes behind the signature.
        steps: The computations outside the model, before and behind it.
        exact: Whether the same bits are expected. TensorFlow's optimizer replaces a division by a
            constant with a multiplication; NumPy does not.
    """

    model: str
    feed: Mapping[str, Any]
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    steps: tuple[Sequence[Step], Sequence[Step]] = ((), ())
    exact: bool = True

    def __str__(self) -> str:
        """Return the name of the test."""
        return "-".join([self.model, *self.before, *self.after])


FLOATS = RNG.random((3, 8, 6, 3), np.float32)
SMALL = {
    "pixels": RNG.integers(0, 256, (2, 3, 5, 4), np.uint8),
    "one": RNG.integers(-9, 9, (5, 4, 1), np.int32),
}
IDS = {"factor": RNG.random((2, 2), np.float32)}
PNG = {"file": "png"}
JPEG = {"file": "jpeg"}
SIZE = {"size": [8, 6]}


def _on_logits(recipe: str, name: str, more: Mapping[str, Any], *, exact: bool = True) -> Case:
    step = (name, {"output": "logits", "takes": ["logits"], **more})
    return Case("images", {"image": FLOATS}, (), [recipe], ((), [step]), exact)


CASES = [
    Case(
        "images",
        {"image_bytes": JPEG},
        ["image=decode_image(8, 6, scale=1/255)"],
        steps=([("decode_image", {"alias": "image", **SIZE, "scale": 1 / 255})], ()),
    ),
    Case(
        "images",
        {"image_bytes": {"file": "all"}},
        ["decode_image(mean=[1, 2.5, 3], std=[4, 5, 6], offset=-7, scale=2)"],
        steps=(
            [
                (
                    "decode_image",
                    {
                        "alias": "image",
                        **SIZE,
                        "scale": 2,
                        "offset": -7,
                        "mean": [1, 2.5, 3],
                        "std": [4, 5, 6],
                    },
                )
            ],
            (),
        ),
        exact=False,
    ),
    Case(
        "images",
        {"photo": PNG},
        ["image=decode_image(method='bicubic', antialias=true, format=png, name=photo)"],
        steps=(
            [
                (
                    "decode_image",
                    {
                        "alias": "image",
                        **SIZE,
                        "parameter": "photo",
                        "method": "bicubic",
                        "antialias": True,
                    },
                )
            ],
            (),
        ),
    ),
    Case(
        "images",
        {"image_bytes": JPEG},
        ["image=decode_image(format='jpeg')", "image=normalize(127.5, std=[1, 2, 3])"],
        steps=(
            [
                ("decode_image", {"alias": "image", **SIZE}),
                (
                    "normalize",
                    {"given": "image", "alias": "image", "mean": 127.5, "std": [1, 2, 3]},
                ),
            ],
            (),
        ),
        exact=False,
    ),
    Case(
        "small",
        {"pixels_bytes": PNG, "one_bytes": {"file": "one"}},
        ["pixels=decode_image(layout=NCHW)", "one=decode_image(scale=0.5)"],
        steps=(
            [
                (
                    "decode_image",
                    {"alias": "pixels", "size": [5, 4], "dtype": "uint8", "layout": "NCHW"},
                ),
                (
                    "decode_image",
                    {
                        "alias": "one",
                        "size": [5, 4],
                        "channels": 1,
                        "dtype": "int32",
                        "scale": 0.5,
                    },
                ),
            ],
            (),
        ),
    ),
    Case(
        "small",
        {"examples": {"examples": SMALL["pixels"]}, "one": SMALL["one"]},
        ["parse_example(pixels)"],
        steps=(
            [
                (
                    "parse_example",
                    {
                        "name": "examples",
                        "features": {"pixels": ["int64_list", [3, 5, 4], "uint8"]},
                    },
                )
            ],
            (),
        ),
    ),
    Case(
        "images",
        {"serialized": {"examples": FLOATS}},
        ["parse_example(name=serialized)"],
        steps=(
            [
                (
                    "parse_example",
                    {
                        "name": "serialized",
                        "features": {"image": ["float_list", [8, 6, 3], "float32"]},
                    },
                )
            ],
            (),
        ),
    ),
    Case(
        "images",
        {"image": FLOATS.astype("f8") / 3},
        ["cast(float64)"],
        steps=([("cast", {"given": "image", "alias": "image", "dtype": "float32"})], ()),
    ),
    Case(
        "images",
        {"raw": (FLOATS * 255).astype("u1")},
        ["image=normalize(scale=1/255)", "image=cast(tf.uint8, name=raw)"][::-1],
        steps=(
            [
                ("cast", {"given": "raw", "alias": "image", "dtype": "float32"}),
                ("normalize", {"given": "image", "alias": "image", "scale": 1 / 255}),
            ],
            (),
        ),
    ),
    Case(
        "images",
        {"image": RNG.random((2, 5, 9, 3), np.float32)},
        ["image=resize()"],
        steps=([("resize", {"given": "image", "alias": "image", **SIZE})], ()),
    ),
    Case(
        "images",
        {"image": FLOATS[0]},
        ["expand_batch()"],
        steps=([("expand_batch", {"given": "image", "alias": "image"})], ()),
    ),
    Case(
        "ids",
        {"words": np.array([[b"two", b"", b"six"], [b"zero", b"\xff", b"one"]], object), **IDS},
        ["ids=lookup(vocabulary=words.txt, default=7, name=words)"],
        steps=(
            [("lookup", {"given": "words", "alias": "ids", "words": WORDS, "default": 7})],
            (),
        ),
    ),
    Case(
        "ids",
        {"ids": np.array([[0, 1, 2], [3, 4, 9]]), **IDS},
        (),
        ["words=lookup(ids, words.txt, default='?')"],
        steps=(
            (),
            [
                (
                    "lookup_output",
                    {
                        "output": "ids",
                        "alias": "words",
                        "words": WORDS,
                        "default": "?",
                        "takes": ["ids"],
                    },
                )
            ],
        ),
    ),
    _on_logits("same=identity(logits)", "identity", {"alias": "same"}),
    Case(
        "ids",
        {"ids": np.array([[0, 1, 2], [3, 4, 9]]), **IDS},
        (),
        ["factor=identity(factor)", "by_factor=cast(factor, float64)", "factor=sigmoid(factor)"],
        (
            (),
            [
                ("identity", {"output": "factor", "alias": "factor", "takes": []}),
                ("cast_output", {"output": "factor", "alias": "by_factor", "dtype": "float64"}),
                ("sigmoid", {"output": "factor", "alias": "factor", "takes": []}),
            ],
        ),
    ),
    _on_logits("softmax(logits)", "softmax", {"alias": "logits"}),
    _on_logits("p=sigmoid(logits)", "sigmoid", {"alias": "p"}),
    _on_logits("argmax(logits)", "argmax", {"alias": "logits"}),
    _on_logits(
        "label=argmax(logits, labels=labels.txt)", "argmax", {"alias": "label", "labels": LABELS}
    ),
    _on_logits("top_k(logits, 4)", "top_k", {"k": 4}),
    _on_logits(
        "top=top_k(logits, k=2, labels='labels.txt')",
        "top_k",
        {"k": 2, "prefix": "top_", "labels": LABELS},
    ),
    _on_logits("is_it=threshold(logits, -0.25)", "threshold", {"alias": "is_it", "value": -0.25}),
    _on_logits("wide=cast(logits, double)", "cast_output", {"alias": "wide", "dtype": "float64"}),
    Case(
        "images",
        {"image_bytes": JPEG},
        ["image=decode_image(scale=1/255)"],
        ["logits=softmax(logits)", "top_k(logits, 3, labels=labels.txt)"],
        (
            [("decode_image", {"alias": "image", **SIZE, "scale": 1 / 255})],
            [
                ("softmax", {"output": "logits", "alias": "logits"}),
                ("top_k", {"output": "logits", "k": 3, "labels": LABELS, "takes": ["logits"]}),
            ],
        ),
    ),
]


@pytest.fixture(scope="module")
def files(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A directory with word lists, and encoded images by kind."""
    directory = tmp_path_factory.mktemp("files")
    (directory / "words.txt").write_text("\n".join(WORDS) + "\n")
    (directory / "labels.txt").write_text("\n".join(LABELS))
    return directory, oracle.ask("encoded_images")["images"]


def _fed(value: Any, images: Mapping[str, Any], oracle: Oracle) -> Any:  # noqa: ANN401 - a value on the pipe
    if not isinstance(value, dict):
        return encoded(value)
    if "file" in value:
        return images[value["file"]]
    return oracle.ask(
        "encoded_examples",
        values=encoded(value["examples"]),
        name=_NAMES[str(value["examples"].dtype)],
    )["examples"]


_NAMES = {"uint8": "pixels", "float32": "image"}


@pytest.mark.parametrize("style", ["", "session_"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_recipe_computes_what_is_computed_outside(  # noqa: PLR0913, PLR0917 - fixtures
    case: Case,
    style: str,
    composable: Mapping[str, Path],
    files: tuple[Path, dict[str, Any]],
    oracle: Oracle,
    quick: Validator,
    tmp_path: Path,
) -> None:
    directory, images = files
    source, model = composable[style + case.model], tmp_path / "model"
    shutil.copytree(source, model)
    before = asked_list(case.before, "before", directory)
    after = asked_list(case.after, "after", directory)
    edit = smpatch.edits.Compose(DEFAULT, "new", before=before, after=after)
    receipt = smpatch.patch(model, edit, validator=quick)
    made = load(model).signatures["new"]
    assert receipt.numbers == {"new": tuple(sorted(made.outputs))}
    assert set(made.inputs) == set(case.feed)
    feed = {alias: _fed(value, images, oracle) for alias, value in case.feed.items()}
    wanted = oracle.ask(
        "outside",
        directory=source,
        tags=["serve"],
        key=DEFAULT,
        feed=feed,
        before=case.steps[0],
        after=case.steps[1],
    )
    loaders = ["session", "python"]
    got = oracle.ask("tour", directory=model, tags=["serve"], feeds={"new": feed}, loaders=loaders)
    for loader in loaders:
        assert wanted[loader]["arrays"]
        assert got[loader]["new"].keys() == {"arrays"}, got[loader]["new"]
        if case.exact:
            assert got[loader]["new"] == wanted[loader]
            continue
        for alias, value in wanted[loader]["arrays"].items():
            array, expected = decoded(got[loader]["new"]["arrays"][alias]), decoded(value)
            np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-6)
    for alias, value in got["session"]["new"]["arrays"].items():
        shape = made.outputs[alias].shape  # type: ignore[union-attr] # all are dense
        assert shape is None or all(
            size in {None, given} for size, given in zip(shape, decoded(value).shape, strict=True)
        )


def test_every_recipe_is_tried() -> None:
    tried = {
        (each.name, place)
        for case in CASES
        for place, texts in (("before", case.before), ("after", case.after))
        for each in asked_names(texts)
        if each.place == place
    }
    tried.add(("encode_example", "before"))  # in test_encode_example.py
    assert tried == {(each.name, each.place) for each in RECIPES}


def asked_names(texts: Sequence[str]) -> list[Any]:
    """Return the recipes that texts name."""
    return [each for text in texts for each in RECIPES if f"{each.name}(" in text]


@pytest.fixture(scope="module")
def light() -> Iterator[Validator]:
    """A validator that no test has made load all of TensorFlow."""
    with Validator("runtime", [], 300.0) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_loaders_own_modules_trace_what_all_of_tensorflow_traces(  # noqa: PLR0913, PLR0917 - fixtures
    case: Case,
    composable: Mapping[str, Path],
    light: Validator,
    whole: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    made = []
    for validator in (light, whole):
        traced: list[Fragment] = []
        tracer = Tracer(validator)

        def noted(
            tracing: Tracing, tracer: Tracer = tracer, to: list[Fragment] = traced
        ) -> Fragment:
            to.append(tracer.trace(tracing))
            return to[-1]

        edit = smpatch.edits.Compose(
            DEFAULT,
            "new",
            before=asked_list(case.before, "before"),
            after=asked_list(case.after, "after"),
        )
        context = Context(with_object_graph=True, inferred=Inferred(), proof="omitted", trace=noted)
        edit.prepared(load(composable[case.model]).meta_graph(), context)
        made.append(traced)
    first, second = made
    assert [*map(_nameless, first)] == [*map(_nameless, second)]
    assert first
    unnumbered = [replace(each, functions=()) for each in first]
    assert unnumbered == [replace(each, functions=()) for each in second]
    assert Program.PYTHON not in light._running  # noqa: SLF001 - the children that ran


def _nameless(fragment: Fragment) -> list[str]:
    """Return the functions of a fragment as text, without the numbers that a process counts up."""
    read = schema.FunctionDef.FromString
    return [re.sub(r"_\d+", "_0", str(read(each))) for each in fragment.functions]
