"""Modules whose shapes have to be inferred, with the shapes of TensorFlow's tracing.

The expected shapes are never read from a file. Each is the static shape of a tensor in the graph of
the concrete function, when Python traced it.
"""

# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

Answer = dict[str, Any]
Tensor = Any
WEIGHTS = np.ones([40, 500], np.float32)
"""A constant that is longer than any shape."""


class Layers(tf.Module):
    """A module with variables, a long constant, a convolution, and shapes computed from shapes."""

    def __init__(self) -> None:
        """Make the variables; the size of one may change."""
        super().__init__()
        self.kernel = tf.Variable(tf.ones([2, 2, 1, 5]))
        self.rows = tf.Variable(np.ones([20, 3], np.float32), shape=[None, 3])

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 5, 1], name="x")])
    def serve(self, x: Tensor) -> Tensor:
        convolved = tf.nn.conv2d(x, self.kernel, 1, "VALID", name="convolved")
        batch = tf.shape(convolved, name="sizes")[0]
        flat = tf.reshape(convolved, tf.stack([batch, -1, 10], name="wanted"), name="flat")
        dense = tf.matmul(tf.reshape(flat, [-1, 40]), WEIGHTS, name="dense")
        halves = tf.split(dense, [200, 300], axis=1, name="halves")
        rows = tf.reduce_sum(self.rows.read_value(), 0, keepdims=True, name="summed")
        return tf.concat([halves[0], halves[1]], 1), rows


class Calls(tf.Module):
    """Functions that are called in two places, with different shapes."""

    def __init__(self) -> None:
        """Make the variable."""
        super().__init__()
        self.v = tf.Variable(tf.ones([3]))

    @tf.function(autograph=False)
    def inner(self, x: Tensor, axis: int) -> Tensor:
        with tf.name_scope(f"axis_{axis}"):
            return tf.reduce_max(tf.transpose(x, name="turned") * 2.0, axis, name="greatest")

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def serve(self, x: Tensor) -> Tensor:
        left = self.inner(x + self.v, 0)
        right = self.inner(tf.expand_dims(x, 0, name="deeper"), 1)
        return {"left": left, "right": right}


class Flow(tf.Module):
    """Loops and branches whose results have shapes, and a tensor of unknown rank."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, 2], name="x"), tf.TensorSpec(None, name="y")]
    )
    def serve(self, x: Tensor, y: Tensor) -> Tensor:
        _, grown = tf.while_loop(
            lambda i, _: i < 3, lambda i, v: (i + 1, v * 2.0), (0, x), name="loop"
        )
        chosen = tf.cond(tf.reduce_sum(x) > 0.0, lambda: x[:1], lambda: x[1:], name="choice")
        where = tf.where(x > 0.0, name="places")
        anything = tf.add(y, 1.0, name="anything")
        as_x = tf.reshape(anything, tf.shape(x, name="sizes_of_x"), name="as_x")
        return grown, chosen, where, anything, as_x


_MODULES: dict[str, Callable[[], Any]] = {"layers": Layers, "calls": Calls, "flow": Flow}


def build_without_shapes(name: str, directory: str) -> Answer:
    """Save a module, and remove all shapes that the exporter recorded.

    Returns:
        ``shapes``: name of a tensor in the traced functions (``node:index``) to the shapes of all
        tensors of that name, None for an unknown rank.
    """
    module = _MODULES[name]()
    traced = module.serve.get_concrete_function()
    tf.saved_model.save(module, directory, signatures=module.serve)
    without_shapes(directory)
    shapes: dict[str, list[Any]] = {}
    for graph in _graphs(traced.graph):
        for operation in graph.get_operations():
            for tensor in operation.outputs:
                shapes.setdefault(tensor.name, []).append(_sizes(tensor.shape))
    return {"shapes": shapes}


def _graphs(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - TensorFlow ships no types
    """Yield a graph and the graphs of the functions that it calls, but not the bodies of loops."""
    yield graph
    for operation in graph.get_operations():
        if operation.type in {"PartitionedCall", "StatefulPartitionedCall"}:
            yield from _graphs(graph._get_function(operation.get_attr("f").name).graph)  # noqa: SLF001 - the one way to a traced graph


def _sizes(shape: Any) -> list[int | None] | None:  # noqa: ANN401 - as above
    return None if shape.rank is None else shape.as_list()


def without_shapes(directory: str) -> Answer:
    """Remove all recorded shapes from a model, as exporters that strip graphs do."""
    file = Path(directory, "saved_model.pb")
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in message.meta_graphs:
        graph = meta_graph.graph_def
        for node in graph.node:
            node.attr.pop("_output_shapes", None)
        for function in graph.library.function:
            for node in function.node_def:
                node.attr.pop("_output_shapes", None)
            for argument in function.arg_attr.values():
                argument.attr.pop("_output_shapes", None)
    file.write_bytes(message.SerializeToString(deterministic=True))
    return {}


def without_function_ops(directory: str) -> Answer:
    """Define only the operations of the main graph, as exporters before TensorFlow 2.4 did."""
    file = Path(directory, "saved_model.pb")
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in message.meta_graphs:
        used = {node.op for node in meta_graph.graph_def.node}
        defined = meta_graph.meta_info_def.stripped_op_list
        kept = [op for op in defined.op if op.name in used]
        del defined.op[:]
        defined.op.extend(kept)
    file.write_bytes(message.SerializeToString(deterministic=True))
    return {}
