"""``encode_example`` gives the bytes of ``tf.train.Example``, and models that parse these run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import SmpatchError, load
from smpatch.fragments import asked_list
from smpatch.validator import Validator
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, encoded

EXPORTERS = FIXTURES.parent / "exporters"
RNG = np.random.default_rng(23)
STRINGS = FIXTURES / "strings", "raw"
WORDS = np.array([b"a", b"", b"\xff\0b"], object)
FLOATS = RNG.random((3, 2), np.float32)


def _composed(source: tuple[Path, str], recipe: str, quick: Validator, tmp_path: Path) -> Path:
    model = Path(shutil.copytree(source[0], tmp_path / "model"))
    (model / "saved_model.pb").chmod(0o644)
    edit = smpatch.edits.Compose(source[1], "new", before=asked_list([recipe], "before"))
    receipt = smpatch.patch(model, edit, validator=quick)
    assert receipt.numbers == {"new": tuple(sorted(load(source[0]).signatures[source[1]].outputs))}
    return model


@pytest.mark.parametrize(
    ("features", "values"),
    [
        (["x:float32[2]"], {"x": FLOATS}),
        (["x:float32[]"], {"x": FLOATS[:, 0]}),
        (["z:string[]", "a:int64[]"], {"z": WORDS, "a": np.array([0, -1, 1 << 40])}),
        (["z:string[?, 1]", "a b/1:int32[?]"], {"z": WORDS[:, None, None], "a b/1": [[1, -2]] * 3}),
        (
            ["b:bool[2]", "u:uint8[1]", "w:float64[1]"],
            {
                "b": np.array([[True, False]] * 3),
                "u": np.array([[0], [7], [255]], "u1"),
                "w": np.array([[0.1], [1e300], [-0.0]]),
            },
        ),
        (["n:float32[0]", "x:float32[2, 1]"], {"n": FLOATS[:, :0], "x": FLOATS[..., None]}),
        (["\u00e9:int64[1]", "z:int64[1]"], {"\u00e9": [[5]] * 3, "z": [[300]] * 3}),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else "",
)
def test_the_messages_are_those_of_tensorflow_byte_for_byte(
    features: list[str],
    values: Mapping[str, Any],
    oracle: Oracle,
    quick: Validator,
    tmp_path: Path,
) -> None:
    model = _composed(STRINGS, f"encode_example({', '.join(map(repr, features))})", quick, tmp_path)
    inputs = load(model).signatures["new"].inputs
    assert set(inputs) == set(values)
    types = {name: spec.tensors()[0].dtype for name, spec in inputs.items()}
    arrays = {
        name: np.array(value, object if types[name] == "string" else types[name])
        for name, value in values.items()
    }
    # The model returns its input, so this compares the bytes.
    _same(model, STRINGS[1], arrays, oracle)


W = {"w": np.array([[b"a"], [b"b"], [b"unknown"]], object)}
XY = {"x": FLOATS[:, :1], "y": FLOATS[:, 1:]}
XW = {"x": FLOATS[:, :1], **W}
MODELS = [
    ((EXPORTERS / "estimator", "predict"), "'x:float32[1]', 'w:string[1]'", XW),
    ((EXPORTERS / "estimator", "classification"), "'x:float32[1]', 'w:string[1]'", XW),
    ((EXPORTERS / "keras_examples", "serving_default"), "'x:float32[1]', 'y:float32[1]'", XY),
]


@pytest.mark.parametrize(
    ("source", "features", "values"), MODELS, ids=[f"{d.name}-{key}" for (d, key), *_ in MODELS]
)
def test_real_exports_give_what_they_give_for_messages_made_outside(  # noqa: PLR0913, PLR0917 - fixtures
    source: tuple[Path, str],
    features: str,
    values: Mapping[str, Any],
    oracle: Oracle,
    quick: Validator,
    tmp_path: Path,
) -> None:
    model = _composed(source, f"encode_example({features})", quick, tmp_path)
    _same(model, source[1], values, oracle)


def _same(model: Path, key: str, values: Mapping[str, Any], oracle: Oracle) -> None:
    feed = {name: encoded(value) for name, value in values.items()}
    examples = oracle.ask("example_messages", features=feed)["examples"]
    (alias,) = load(model).signatures[key].inputs
    feeds = {key: {alias: examples}, "new": feed}
    loaders = ["session", "python"]
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=loaders)
    for loader in loaders:
        assert "arrays" in told[loader]["new"], told[loader]["new"]
        assert told[loader]["new"] == told[loader][key]


CORPUS = os.environ.get("SMPATCH_CORPUS")


@pytest.mark.skipif(not CORPUS, reason="SMPATCH_CORPUS names no directory of further models")
@pytest.mark.parametrize("key", ["predict", "regression", "serving_default"])
def test_estimators_of_foreign_exporters(
    key: str, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    """Exports from R parse a label that they do not use."""
    found = sorted(Path(CORPUS or "").rglob("tfestimators-example-*/saved_model.pb"))
    if not found:
        pytest.skip("it has no such model")
    features = "'label:float32[1]', 'x1:float32[1]', 'x2:int64[1]'"
    source = found[0].parent, key
    model = _composed(source, f"encode_example({features})", quick, tmp_path)
    values = {"label": FLOATS[:, :1], "x1": FLOATS[:, 1:], "x2": np.array([[0], [1], [2]])}
    _same(model, key, values, oracle)


@pytest.mark.parametrize(
    ("source", "recipe", "found"),
    [
        (STRINGS, "encode_example()", "the argument 'features' is missing"),
        (STRINGS, "encode_example(x)", "'x' is not a feature"),
        (STRINGS, "encode_example('x:float32')", "'x:float32' is not a feature"),
        (STRINGS, "encode_example('x:float31[]')", "float31"),
        (STRINGS, "encode_example('x:float32[]', 'x:int64[]')", "'x' is given twice"),
        (
            STRINGS,
            "encode_example('x:uint64[]')",
            "a feature cannot have the type uint64, which 'x' has",
        ),
        (
            STRINGS,
            "encode_example('x:complex64[]')",
            "a feature cannot have the type complex64, which 'x' has",
        ),
        (STRINGS, "encode_example('x:float32[2', 3)", "is \\['x:float32\\[2', 3\\]"),
        ((FIXTURES / "linear", "scale"), "encode_example('x:int64[]')", "it yields string"),
    ],
)
def test_what_is_no_feature_is_refused(
    source: tuple[Path, str], recipe: str, found: str, quick: Validator, tmp_path: Path
) -> None:
    with pytest.raises(SmpatchError, match=found):
        _composed(source, recipe, quick, tmp_path)
