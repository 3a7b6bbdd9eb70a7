"""A program with TensorFlow: it plants each of several operations in each place of a graph.

It writes a model for each pair, ``PLACE-OPERATION``, below the directory that its argument names.
Then it loads a model with a ``WriteFile`` in each of three places. It prints a JSON object: the
place to the text that the operation wrote into a file; the text is empty if TensorFlow did not run
the operation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.distribute.experimental.rpc.kernels import gen_rpc_ops

v1 = tf.compat.v1
raw = tf.raw_ops

UNKNOWN, NOWHERE = "StringLower", "StringElser"
"""An operation, and its name in the models, which no TensorFlow has."""

Planted = Callable[[Any], Any]


def _then(made: Any, name: Any) -> Any:  # noqa: ANN401 - tensors
    with tf.control_dependencies([made]):
        return tf.identity(name)


def _size(dataset: Any) -> Any:  # noqa: ANN401 - as above
    return tf.strings.as_string(raw.DatasetCardinality(input_dataset=dataset))


OPERATIONS: Mapping[str, Planted] = {
    "ReadFile": tf.io.read_file,
    "WriteFile": lambda name: _then(tf.io.write_file(name, "planted"), name),
    "MatchingFiles": lambda name: tf.strings.reduce_join(tf.io.matching_files(name)),
    "PrintV2": lambda name: _then(
        raw.PrintV2(input=name, output_stream="file:///dev/null", end=""), name
    ),
    "Save": lambda name: _then(raw.Save(filename=name, tensor_names=["v"], data=[1.0]), name),
    "SaveV2": lambda name: _then(
        raw.SaveV2(prefix=name, tensor_names=["v"], shape_and_slices=[""], tensors=[1.0]), name
    ),
    "RestoreV2": lambda name: raw.RestoreV2(
        prefix=name, tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.string]
    )[0],
    "TextLineDataset": lambda name: _size(
        raw.TextLineDataset(filenames=name, compression_type="", buffer_size=1)
    ),
    "DatasetFromGraph": lambda name: _size(raw.DatasetFromGraph(graph_def=name)),
    "RpcServer": lambda name: _then(gen_rpc_ops.rpc_server(server_address=name), name),
    "PyFunc": lambda name: tf.numpy_function(lambda given: given, [name], tf.string),
    "EagerPyFunc": lambda name: tf.py_function(lambda given: given, [name], tf.string),
    UNKNOWN: lambda name: raw.StringLower(input=name),
}


def in_graph(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    return planted(name)


def in_function(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.function(planted, autograph=False)(name)


def in_nested_function(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    inner = tf.function(planted, autograph=False)
    return in_function(lambda given: in_function(inner, given), name)


def in_branch(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    """Plant the operation in a function that an attribute names (``If``)."""
    return in_function(
        lambda given: tf.cond(tf.equal(given, ""), lambda: planted(given), lambda: given), name
    )


def in_list(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    """Plant the operation in a function of a list of functions (``Case``)."""
    cases = [lambda: name, lambda: in_function(planted, name), lambda: name]
    return in_function(lambda _: tf.switch_case(tf.strings.length(name), cases), name)


def in_loop(planted: Planted, name: Any) -> Any:  # noqa: ANN401 - as above
    """Plant the operation in the body of a loop (``While``)."""
    return in_function(
        lambda given: tf.while_loop(
            lambda each: tf.equal(each, ""), lambda each: tf.reshape(planted(each), []), [given]
        )[0],
        name,
    )


PLACES: Mapping[str, Callable[[Planted, Any], Any]] = {
    "graph": in_graph,
    "function": in_function,
    "nested": in_nested_function,
    "branch": in_branch,
    "list": in_list,
    "loop": in_loop,
    "init": in_graph,
    "restore": in_graph,
    "unserved_node": in_graph,
    "unserved_function": in_function,
}


def plant(room: Path, place: str, operation: str, file: str = "") -> Path:
    """Write a model with an operation in a place; its input is ``file`` if no request feeds it."""
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = model.meta_graphs.add()
    with v1.Graph().as_default() as graph:
        # The answer of the signature; in some places the planted operation computes it.
        name = v1.placeholder(tf.string, [], "name")
        outside = tf.constant(file, name="file")
        served = place in {"init", "restore"} or place.startswith("unserved")
        made = PLACES[place](OPERATIONS[operation], outside if served else name)
        answer = tf.identity(name if served else made, name="answer")
        v1.placeholder_with_default("model", [], "save/Const")
        with tf.control_dependencies([made]):
            tf.no_op("run")
        meta_graph.graph_def.CopyFrom(graph.as_graph_def())
        signature = v1.saved_model.predict_signature_def({"name": name}, {"answer": answer})
    meta_graph.meta_info_def.tags.append("serve")
    meta_graph.signature_def["serving_default"].CopyFrom(signature)
    if place == "init":
        meta_graph.signature_def["__saved_model_init_op"].outputs[
            "__saved_model_init_op"
        ].name = "run"
    elif place == "restore":
        meta_graph.saver_def.filename_tensor_name = "save/Const:0"
        meta_graph.saver_def.save_tensor_name = "save/Const:0"
        meta_graph.saver_def.restore_op_name = "run"
    else:
        del meta_graph.graph_def.node[-1]  # the operation "run"
    data = model.SerializeToString()
    # A name of the same length needs no other change.
    assert (UNKNOWN.encode() in data) == (operation == UNKNOWN)
    data = data.replace(UNKNOWN.encode(), NOWHERE.encode())
    directory = room / f"{place}-{operation.replace(UNKNOWN, NOWHERE)}"
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(data)
    return directory


def loaded(room: Path, place: str) -> str:
    """Load a model with a ``WriteFile`` in a place, and return the text that it wrote."""
    file = room / f"{place}.written"
    directory = plant(room / "loaded", place, "WriteFile", str(file))
    # TensorFlow runs the restore operation only if these files exist.
    (directory / "variables").mkdir()
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (directory / "variables" / name).touch()
    with v1.Session(graph=v1.Graph()) as session:
        v1.saved_model.load(session, ["serve"], str(directory))
    return file.read_text() if file.exists() else ""


def main(room: Path) -> None:
    """Write all models, load three more, and print the texts that these wrote."""
    for place in PLACES:
        for operation in OPERATIONS:
            plant(room / "models", place, operation)
    written = {place: loaded(room, place) for place in ("init", "restore", "unserved_node")}
    sys.stdout.write(f"{json.dumps(written)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
