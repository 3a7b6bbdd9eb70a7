"""Calls of functions that are missing or do not fit the call, which TensorFlow cannot run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from fixtures.make import raw
from smpatch import ModelUnreadableError, Options, schema
from tests.oracle.client import Oracle, encoded

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


def _without_functions(graph: Any) -> None:  # noqa: ANN401 - a GraphDef
    graph.library.Clear()


def _one_argument_more(graph: Any) -> None:  # noqa: ANN401 - as above
    for node in graph.node:
        if node.op == "PartitionedCall":
            node.input.append("x")
            node.attr["Tin"].list.type.append(1)


def _one_result_more(graph: Any) -> None:  # noqa: ANN401 - as above
    for node in graph.node:
        if node.op == "PartitionedCall":
            node.attr["Tout"].list.type.append(1)


@pytest.mark.parametrize("change", [_without_functions, _one_argument_more, _one_result_more])
def test_a_call_that_does_not_fit_its_function_is_refused_without_tensorflow(
    change: Callable[[Any], None], tmp_path: Path, oracle: Oracle
) -> None:
    """``add-predict --validate none`` added a signature that no loader can run."""
    model = Path(shutil.copytree(MODELS / "function_call", tmp_path / "model"))
    file = model / "saved_model.pb"

    def changed(data: bytes) -> bytes:
        graph = schema.GraphDef.FromString(data)
        change(graph)
        return bytes(graph.SerializeToString())

    named: dict[str, Any] = {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}}
    smpatch.add_predict(model, **named, signature="new", options=Options(validate="none"))
    file.write_bytes(raw.regrow(file.read_bytes(), (2, 2), changed))
    x = encoded(np.ones(2, "float32"))
    answer = oracle.ask(
        "run_signature", directory=model, tags=["serve"], key="new", feed={"x:0": x}
    )
    assert "refused" in answer
    data = file.read_bytes()
    with pytest.raises(ModelUnreadableError, match=r"'PartitionedCall'.* call") as raised:
        smpatch.add_predict(model, **named, signature="k", options=Options(validate="none"))
    assert raised.value.hint == "the graph is damaged"
    assert file.read_bytes() == data
