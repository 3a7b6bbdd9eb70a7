"""New signatures in other programs: TFLite's converter, Keras, tf2onnx and OpenVINO.

Each conversion takes seconds. So by default the tests convert only the models of ``CHOSEN``;
``SMPATCH_PROVE=1`` (``make prove``) converts every model, also those of the factories and the
corpus. The last two programs run if they are installed (the dependency group ``consumers``).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from tests.object_graph.conftest import Trial
from tests.object_graph.subjects import differences
from tests.oracle.client import Oracle, Value, decoded

PROVE = bool(os.environ.get("SMPATCH_PROVE"))
CHOSEN = {"keras_shared_layer", "module", "unsorted_keys"}


def installed(*modules: str) -> pytest.MarkDecorator:
    """Skip a test if a consumer is not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    reason = f"not installed: {', '.join(missing)} (the dependency group consumers)"
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="session")
def asked(trial: Trial) -> Trial:
    """The trials whose signatures the tests convert."""
    if not PROVE and trial.subject.name not in CHOSEN:
        pytest.skip("SMPATCH_PROVE=1 asks about this model too")
    return trial


def test_keras_calls_each_signature_as_a_layer(asked: Trial, oracle: Oracle) -> None:
    """The layer of Keras takes one input, by position; the test leaves out other signatures."""
    wrong = {}
    for key, each in asked.new.items():
        if each.results is not None and len(each.feed) == 1:
            (value,) = each.feed.values()
            told = oracle.ask("keras_layer", directory=asked.directory, key=key, value=value)
            wrong[key] = differences(told, each.results)
            # Keras asks for the rank of every tensor, also in a model that TensorFlow wrote.
            if "not defined on an unknown TensorShape" in told.get("refused", ""):
                wrong[key] = []
    assert {key: words for key, words in wrong.items() if words} == {}


def test_tflite_converts_each_signature_that_it_converts_of_tensorflows_own(
    asked: Trial, oracle: Oracle
) -> None:
    """If TFLite refuses the model that TensorFlow saved again, the fault is not in the edit."""
    again = asked.directory.with_name("for tflite")
    tags = asked.subject.tags
    saved = oracle.ask("save_again", directory=asked.directory, tags=tags, to=again)
    wrong: dict[str, list[str]] = {}
    for key, each in asked.new.items():
        if each.results is None or not each.feed:
            continue
        told = oracle.ask("tflite", directory=asked.directory, key=key, feed=each.feed, tags=tags)
        words = _far(told, each.results)
        if words and not saved:
            own = oracle.ask("tflite", directory=again, key=key, feed=each.feed, tags=["serve"])
            words = [] if _far(own, each.results) else words
        wrong[key] = words
    assert {key: words for key, words in wrong.items() if words} == {}


@installed("tf2onnx", "onnx")
def test_tf2onnx_converts_each_signature_that_it_converts_of_tensorflows_own(
    asked: Trial, oracle: Oracle
) -> None:
    again = asked.directory.with_name("for tf2onnx")
    tags = asked.subject.tags
    saved = oracle.ask("save_again", directory=asked.directory, tags=tags, to=again)
    wrong: dict[str, list[str]] = {}
    for key, each in asked.new.items():
        if each.results is None or not each.feed:
            continue
        told = oracle.ask("tf2onnx", directory=asked.directory, key=key, feed=each.feed, tags=tags)
        words = _far(told, each.results)
        if words and not saved:
            own = oracle.ask("tf2onnx", directory=again, key=key, feed=each.feed, tags=["serve"])
            words = [] if _far(own, each.results) else words
        wrong[key] = words
    assert {key: words for key, words in wrong.items() if words} == {}


@installed("openvino")
def test_openvino_converts_each_signature_that_it_converts_of_tensorflows_own(
    asked: Trial, oracle: Oracle, tmp_path: Path
) -> None:
    """OpenVINO takes only ``serving_default``, so each signature gets this key in turn."""
    wrong: dict[str, list[str]] = {}
    for key, each in asked.new.items():
        if each.results is None or not each.feed:
            continue
        model, own = tmp_path / key, tmp_path / f"{key} again"
        shutil.copytree(asked.directory, model)
        _put_first(asked, model, key)
        told = oracle.ask("openvino", directory=model, feed=each.feed)
        words = _far(told, each.results)
        if words:
            tags = asked.subject.tags
            saved = oracle.ask("save_alone", directory=asked.directory, tags=tags, key=key, to=own)
            told = saved or oracle.ask("openvino", directory=own, feed=each.feed)
            words = [] if _far(told, each.results) else words
            shutil.rmtree(own, ignore_errors=True)
        wrong[key] = words
        shutil.rmtree(model)
    assert {key: words for key, words in wrong.items() if words} == {}


def _put_first(asked: Trial, model: Path, key: str) -> None:
    signature = asked.meta_graph.signatures[key]
    smpatch.add_predict(
        model,
        inputs=signature.inputs,
        outputs=signature.outputs,
        options=replace(asked.options, overwrite=True),
    )


def _far(told: Mapping[str, Any], expected: Mapping[str, Value]) -> list[str]:
    """Return the differences that are more than rounding: TFLite's kernels round otherwise."""
    if "refused" in told or told["arrays"].keys() != expected.keys():
        return differences(told, expected)
    far = []
    for alias, value in expected.items():
        found, wanted = decoded(told["arrays"][alias]), decoded(value)
        same = found.shape == wanted.shape and (
            (found == wanted).all()
            if found.dtype.kind not in "fc"
            else np.allclose(found, wanted, rtol=1e-4, atol=1e-6)
        )
        if not same:
            far.append(f"{alias}: {found!r} instead of {wanted!r}")
    return far
