"""Frozen graphs, made in the ways that people use, and SavedModels by TensorFlow's own builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tests.oracle.client import encoded

v1 = tf.compat.v1
Answer = dict[str, Any]
Made = tuple[Any, dict[str, str], dict[str, str], dict[str, Any]]
"""A GraphDef, the names of its inputs and outputs by alias, and the values to feed by name."""

IMAGE = np.linspace(-1, 1, 2 * 6 * 6 * 3, dtype=np.float32).reshape(2, 6, 6, 3)
ROWS = np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)


def _by_session() -> Made:
    """Freeze as TensorFlow 1 does: variables of a session become constants."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        image = v1.placeholder(tf.float32, [None, 6, 6, 3], "image")
        with v1.variable_scope("net"):
            start = v1.constant_initializer(np.linspace(-1, 1, 3 * 3 * 3 * 4, dtype=np.float32))
            kernel = v1.get_variable("kernel", [3, 3, 3, 4], initializer=start, use_resource=False)
            hidden = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
            bias = v1.get_variable(
                "bias", [4], initializer=v1.ones_initializer(), use_resource=True
            )
            pooled = tf.reduce_mean(hidden, [1, 2]) + bias
        tf.nn.softmax(pooled, name="scores")
        session.run(v1.global_variables_initializer())
        whole = graph.as_graph_def(add_shapes=True)
        frozen = v1.graph_util.convert_variables_to_constants(session, whole, ["scores"])
    return frozen, {"image": "image:0"}, {"scores": "scores:0"}, {"image:0": IMAGE}


def _by_function(*, lowered: bool = True) -> Made:
    """Freeze a concrete function, with control flow in it, as TensorFlow 2 does."""
    weights = tf.Variable(np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2))
    inner = tf.function(lambda rows: tf.tanh(rows) * 2.0, autograph=False)

    def outer(rows: Any) -> Any:  # noqa: ANN401 - tensors
        total = tf.reduce_sum(rows)
        rows = tf.cond(total > 0, lambda: rows + 1.0, lambda: rows - 1.0)
        _, rows = tf.while_loop(lambda i, _: i < 3, lambda i, r: (i + 1, r * 1.5), [0, rows])
        return tf.matmul(inner(rows), weights)

    spec = tf.TensorSpec([None, 3], tf.float32, name="rows")
    traced = tf.function(outer).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=lowered)
    (fed,), (fetched,) = frozen.inputs, frozen.outputs
    return (
        frozen.graph.as_graph_def(),
        {"rows": fed.name},
        {"result": fetched.name},
        {fed.name: ROWS},
    )


def _by_keras() -> Made:
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input([6, 6, 3]),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    spec = tf.TensorSpec([None, 6, 6, 3], tf.float32, name="image")
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(traced)
    (fed,), (fetched,) = frozen.inputs, frozen.outputs
    return frozen.graph.as_graph_def(), {"image": fed.name}, {"p": fetched.name}, {fed.name: IMAGE}


def _of_strings() -> Made:
    with tf.Graph().as_default() as graph:
        lines = v1.placeholder(tf.string, [None], "lines")
        length = tf.strings.length(lines, name="length")
        tf.strings.join([lines, tf.strings.as_string(length)], separator="\xff", name="joined")
    fetched = {"length": "length:0", "joined": "joined:0"}
    return (
        graph.as_graph_def(),
        {"lines": "lines:0"},
        fetched,
        {"lines:0": np.array([b"a", b"\x00bc", b""], object)},
    )


def _with_variables() -> Made:
    """Return a graph that is not frozen, with a tensor that needs no variable."""
    with tf.Graph().as_default() as graph:
        rows = v1.placeholder(tf.float32, [None, 3], "rows")
        old = v1.get_variable("old", [3, 2], use_resource=False)
        new = v1.get_variable("new", [3, 2], use_resource=True)
        tf.matmul(rows, old, name="by_old")
        tf.matmul(rows, new, name="by_new")
        tf.negative(rows, name="spare")
    fetched = {"old": "by_old:0", "new": "by_new:0"}
    return graph.as_graph_def(), {"rows": "rows:0"}, fetched, {}


def _with_table() -> Made:
    with tf.Graph().as_default() as graph:
        words = v1.placeholder(tf.string, [None], "words")
        filling = tf.lookup.KeyValueTensorInitializer(["a", "b"], [7, 8])
        table = tf.lookup.StaticHashTable(filling, -1)
        tf.identity(table.lookup(words), "ids")
    return graph.as_graph_def(), {"words": "words:0"}, {"ids": "ids:0"}, {}


def _with_tables() -> Made:
    with tf.Graph().as_default() as graph:
        words = v1.placeholder(tf.string, [None], "words")
        found = []
        for values in ([7, 8], [10, 20]):
            filling = tf.lookup.KeyValueTensorInitializer(["a", "b"], values)
            found.append(tf.lookup.StaticHashTable(filling, -1).lookup(words))
        tf.add(*found, name="ids")
    return graph.as_graph_def(), {"words": "words:0"}, {"ids": "ids:0"}, {}


def _with_variables_behind_the_input() -> Made:
    with tf.Graph().as_default() as graph:
        counter = v1.get_variable("counter", [], use_resource=False)
        tf.add(counter, tf.zeros([4, 3]), name="rows")
        tf.negative(graph.get_tensor_by_name("rows:0"), name="result")
    return graph.as_graph_def(), {"rows": "rows:0"}, {"result": "result:0"}, {"rows:0": ROWS}


def _with_mutable_table(*, dense: bool, written: bool = False) -> Made:
    """Return a graph with a table whose content was in a checkpoint, or comes with each request."""
    with tf.Graph().as_default() as graph:
        keys = v1.placeholder(tf.int64, [None], "keys")
        tables = tf.lookup.experimental
        table = (
            tables.DenseHashTable(tf.int64, tf.int64, -1, empty_key=-1, deleted_key=-2)
            if dense
            else tables.MutableHashTable(tf.int64, tf.int64, -1)
        )
        with tf.control_dependencies([table.insert(keys, keys * 2)] if written else []):
            tf.identity(table.lookup(keys), name="values")
    feed = {"keys:0": np.array([3, 5])}
    return graph.as_graph_def(), {"keys": "keys:0"}, {"values": "values:0"}, feed


_KINDS: dict[str, Callable[[], Made]] = {
    "session": _by_session,
    "function": _by_function,
    "functions": lambda: _by_function(lowered=False),
    "keras": _by_keras,
    "strings": _of_strings,
    "variables": _with_variables,
    "table": _with_table,
    "tables": _with_tables,
    "variables behind the input": _with_variables_behind_the_input,
    "mutable table": lambda: _with_mutable_table(dense=False),
    "dense table": lambda: _with_mutable_table(dense=True),
    "table of the request": lambda: _with_mutable_table(dense=False, written=True),
}


def freeze(kind: str, place: str) -> Answer:
    """Write a graph of a kind as ``graph.pb`` and ``graph.pbtxt``.

    Returns:
        ``inputs`` and ``outputs`` by alias, ``feed`` by name, and ``arrays``: the results of the
        imported graph in a session.
    """
    graph_def, inputs, outputs, feed = _KINDS[kind]()
    tf.io.write_graph(graph_def, place, "graph.pb", as_text=False)
    tf.io.write_graph(graph_def, place, "graph.pbtxt", as_text=True)
    arrays = {}
    if feed:
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            tf.import_graph_def(graph_def, name="")
            arrays = {alias: encoded(each) for alias, each in session.run(outputs, feed).items()}
    return {
        "inputs": inputs,
        "outputs": outputs,
        "feed": {name: encoded(each) for name, each in feed.items()},
        "arrays": arrays,
    }


def build_like(  # noqa: PLR0913, PLR0917 - the parts of one request
    graph: str,
    export: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    key: str,
    tags: Sequence[str],
) -> Answer:
    """Make a SavedModel of a graph with TensorFlow's own builder."""
    graph_def = v1.GraphDef.FromString(Path(graph).read_bytes())
    with tf.Graph().as_default() as opened, v1.Session(graph=opened) as session:
        tf.import_graph_def(graph_def, name="")
        tensor = opened.get_tensor_by_name
        signature = v1.saved_model.predict_signature_def(
            {alias: tensor(name) for alias, name in inputs.items()},
            {alias: tensor(name) for alias, name in outputs.items()},
        )
        builder = v1.saved_model.Builder(export)
        builder.add_meta_graph_and_variables(session, tags, {key: signature})
        builder.save()
    return {}


def compare_parts(ours: str, theirs: str) -> Answer:
    """Compare the fields of two SavedModels except the graphs, and the names of the graphs' nodes.

    Returns:
        ``different``: the fields whose values differ; ``ops``: the number of listed operations.
    """
    models = []
    for directory in (ours, theirs):
        data = (Path(directory) / "saved_model.pb").read_bytes()
        models.append(saved_model_pb2.SavedModel.FromString(data))
    graphs = [model.meta_graphs[0].graph_def for model in models]
    different = []
    # TensorFlow puts the nodes in another order when it imports a graph.
    if len({tuple(sorted(node.name for node in graph.node)) for graph in graphs}) > 1:
        different.append("graph_def.node")
    for model in models:
        model.meta_graphs[0].ClearField("graph_def")
    infos = [model.meta_graphs[0].meta_info_def for model in models]
    names = [field.name for field in infos[0].DESCRIPTOR.fields]
    one, other = infos
    different += [f"meta_info_def.{n}" for n in names if getattr(one, n) != getattr(other, n)]
    for field in models[0].meta_graphs[0].DESCRIPTOR.fields:
        parts = [getattr(model.meta_graphs[0], field.name) for model in models]
        if field.name != "meta_info_def" and parts[0] != parts[1]:
            different.append(field.name)
    if models[0].saved_model_schema_version != models[1].saved_model_schema_version:
        different.append("saved_model_schema_version")
    return {"different": different, "ops": len(infos[0].stripped_op_list.op)}


def as_binary(text: str) -> Answer:
    """Return a graph in text form as TensorFlow's binary form, in hexadecimal digits."""
    from google.protobuf import text_format  # noqa: PLC0415 - after TensorFlow

    graph_def = text_format.Parse(Path(text).read_text(), v1.GraphDef())
    return {"graph": graph_def.SerializeToString(deterministic=True).hex()}


def freeze_model(directory: str, file: str, outputs: Sequence[str]) -> Answer:
    """Freeze the graph of a SavedModel as TensorFlow 1 does, and write it."""
    with tf.Graph().as_default(), v1.Session() as session:
        graph_def = v1.saved_model.load(session, ["serve"], directory).graph_def
        frozen = v1.graph_util.convert_variables_to_constants(session, graph_def, list(outputs))
    Path(file).write_bytes(frozen.SerializeToString())
    return {}
