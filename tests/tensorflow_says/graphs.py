"""TensorFlow's dtypes and shapes for every graph of the fixtures, and runs of nested loops.

Prints ``{"models": {fixture: [{tensor: [dtype, shape]} of each MetaGraph]}, "fetched": {tensor
of the nested loops: the error when it is fetched, or ""}, "loops": their GraphDef in hexadecimal
digits}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from fixtures.make.control_flow import dataflow_control

v1 = tf.compat.v1
MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


def tensors(graph_def: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow ships no types
    """Return dtype and shape of every tensor of a graph, as TensorFlow infers them."""
    with v1.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        return {
            tensor.name: [
                tensor.dtype.name,
                None if tensor.shape.rank is None else tensor.shape.as_list(),
            ]
            for operation in graph.get_operations()
            for tensor in operation.outputs
        }


def models() -> dict[str, Any]:
    """Return the tensors of every model that TensorFlow can parse."""
    found = {}
    for directory in sorted(MODELS.iterdir()):
        if not directory.is_dir():
            continue
        try:
            parsed = loader_impl.parse_saved_model(str(directory))
        except OSError:
            continue  # fields that no schema has, in text
        found[directory.name] = [tensors(each.graph_def) for each in parsed.meta_graphs]
    return found


def nested_loops() -> Any:  # noqa: ANN401 - a GraphDef
    """Build loops within and after loops, with a conditional inside."""
    with dataflow_control(), v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], "x")
        scale = tf.multiply(x, 2.0, name="before")

        def inner(step: Any, acc: Any) -> tuple[Any, Any]:  # noqa: ANN401 - symbolic tensors
            chosen = v1.cond(acc > 0.0, lambda: acc + scale, lambda: acc - 1.0, name="choice")
            return step + 1, tf.identity(chosen, name="deep")

        def outer(step: Any, acc: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as above
            _, done = v1.while_loop(lambda at, _: at < 2, inner, [0, acc], name="inner")
            return step + 1, tf.identity(done * scale, name="after_inner")

        _, first = v1.while_loop(lambda at, _: at < 2, outer, [0, x], name="outer")
        between = tf.add(first, 1.0, name="between")
        _, second = v1.while_loop(lambda at, _: at < 2, inner, [0, between], name="second")
        tf.identity(second, name="y")
        return graph.as_graph_def()


def fetched(graph_def: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    """Return for each tensor the error of a session that fetches it; empty if there is none."""
    config = v1.ConfigProto(operation_timeout_in_ms=10_000)
    found = {}
    with v1.Graph().as_default() as graph, v1.Session(config=config) as session:
        tf.import_graph_def(graph_def, name="")
        for operation in graph.get_operations():
            for tensor in operation.outputs:
                if tensor.name == "x:0":
                    continue
                try:
                    session.run(tensor, {"x:0": 1.0})
                except tf.errors.OpError as error:
                    found[tensor.name] = f"{type(error).__name__}: {error.message}"
                else:
                    found[tensor.name] = ""
    return found


def main() -> None:
    """Print the answer."""
    loops = nested_loops()
    answer = {"models": models(), "fetched": fetched(loops)}
    answer["loops"] = loops.SerializeToString().hex()
    sys.stdout.write("\n" + json.dumps(answer))


main()
