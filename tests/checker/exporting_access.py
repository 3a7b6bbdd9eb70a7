"""A program with TensorFlow: it exports models that use files, and lists all operations.

It writes each model below the directory that its argument names, and prints a JSON object: each
operation of TensorFlow to the names of its inputs and attributes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.distribute.experimental.rpc.kernels import gen_rpc_ops
from tensorflow.python.client import pywrap_tf_session

v1 = tf.compat.v1
raw = tf.raw_ops

TEXT = tf.TensorSpec([None], tf.string)


def reading(name: Any) -> Any:  # noqa: ANN401 - tensors
    return tf.io.read_file(name[0])


def writing(name: Any) -> Any:  # noqa: ANN401 - as above
    with tf.control_dependencies([tf.io.write_file(name[0], "text")]):
        return tf.identity(name)


def branching(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.cond(tf.size(name) > 1, lambda: tf.io.read_file(name[0]), lambda: name[0])


def records(name: Any) -> Any:  # noqa: ANN401 - as above
    data = tf.data.TFRecordDataset(name).map(lambda each: each)
    return data.reduce(tf.constant(""), lambda before, each: before + each)


def mapped(name: Any) -> Any:  # noqa: ANN401 - as above
    data = tf.data.Dataset.from_tensor_slices(name).map(tf.io.read_file)
    return data.reduce(tf.constant(""), lambda before, each: before + each)


def cached(name: Any) -> Any:  # noqa: ANN401 - as above
    data = tf.data.Dataset.from_tensor_slices(name).cache()
    return data.reduce(tf.constant(""), lambda before, each: before + each)


def cached_in_file(name: Any) -> Any:  # noqa: ANN401 - as above
    data = tf.data.Dataset.from_tensor_slices(name).cache("there")
    return data.reduce(tf.constant(""), lambda before, each: before + each)


def printing(name: Any) -> Any:  # noqa: ANN401 - as above
    tf.print(name, output_stream="file:///dev/null")
    return tf.identity(name)


def printing_to_stderr(name: Any) -> Any:  # noqa: ANN401 - as above
    tf.print(name)
    return tf.identity(name)


def matching(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.io.matching_files(name)


def saving(name: Any) -> Any:  # noqa: ANN401 - as above
    saved = raw.SaveV2(
        prefix=name[0], tensor_names=["v"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
    )
    with tf.control_dependencies([saved]):
        return tf.identity(name)


def calling_numpy(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.numpy_function(lambda given: given, [name], tf.string)


def calling_python(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.py_function(lambda given: given, [name], tf.string)


def reading_before_writing(name: Any) -> Any:  # noqa: ANN401 - as above
    for _ in range(7):
        name = tf.reshape(tf.io.read_file(name[0]), [1])
    return writing(name)


def restoring(name: Any) -> Any:  # noqa: ANN401 - as above
    return raw.RestoreV2(
        prefix=name[0], tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0]


def serving(name: Any) -> Any:  # noqa: ANN401 - as above
    with tf.control_dependencies([gen_rpc_ops.rpc_server(server_address=name[0])]):
        return tf.identity(name)


def mapping(name: Any) -> Any:  # noqa: ANN401 - as above
    bytes_of_file = raw.ImmutableConst(dtype=tf.uint8, shape=[1], memory_region_name="/dev/null")
    return tf.strings.join([name, tf.strings.as_string(bytes_of_file)])


def describing(name: Any) -> Any:  # noqa: ANN401 - as above
    descriptors = "/etc/descriptors"
    return tf.io.decode_proto(name, "a.B", [], [], descriptor_source=descriptors)[0]


def describing_in_the_attribute(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.io.decode_proto(name, "a.B", [], [], descriptor_source="bytes://")[0]


def plain(name: Any) -> Any:  # noqa: ANN401 - as above
    return tf.strings.upper(name)


FUNCTIONS: tuple[Callable[[Any], Any], ...] = (
    *(reading, writing, branching, records, mapped, cached, cached_in_file),
    *(printing, printing_to_stderr, matching, saving, restoring, serving),
    *(reading_before_writing, calling_numpy, calling_python, plain),
    *(mapping, describing, describing_in_the_attribute),
)


def export_functions(room: Path) -> None:
    for each in FUNCTIONS:
        module = tf.Module()
        module.variable = tf.Variable(1.0)
        module.call = tf.function(each, input_signature=[TEXT])
        tf.saved_model.save(module, str(room / each.__name__), signatures=module.call)


def export_table(room: Path, name: str, *, asset: bool, at_load: bool = True) -> None:
    """Export a table that is filled from an asset, or from a file that is not an asset.

    Args:
        room: The directory in which the export gets its name.
        name: The name.
        asset: Whether it is filled from an asset.
        at_load: Whether the init op fills it; otherwise each request does.
    """
    with v1.Graph().as_default(), v1.Session() as session:
        keys = v1.placeholder(tf.string, [None], "keys")
        file = room / "words.txt"
        file.write_text("a\nb\n")
        path = tf.constant(str(file), name="path")
        table = raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        filled = raw.InitializeTableFromTextFileV2(
            table_handle=table, filename=path, key_index=-2, value_index=-1
        )
        missing = tf.constant(-1, tf.int64)
        with tf.control_dependencies([] if at_load else [filled]):
            found = raw.LookupTableFindV2(table_handle=table, keys=keys, default_value=missing)
        if asset:
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        builder = v1.saved_model.Builder(str(room / name))
        signature = v1.saved_model.predict_signature_def({"keys": keys}, {"found": found})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=tf.group(filled) if at_load else None,
        )
        builder.save()


def export_fed(room: Path, operation: Callable[[Any], Any]) -> None:
    """Export two signatures: one feeds the output of an operation, the other feeds its input."""
    with v1.Graph().as_default(), v1.Session() as session:
        name = v1.placeholder(tf.string, [], "name")
        content = operation(name)
        size = tf.strings.length(content)
        signatures = {
            key: v1.saved_model.predict_signature_def({"x": fed}, {"size": size})
            for key, fed in (("content", content), ("name", name))
        }
        builder = v1.saved_model.Builder(str(room / f"fed_behind_{operation.__name__}"))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def operations() -> dict[str, list[str]]:
    data = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    listed = op_def_pb2.OpList.FromString(data)
    return {op.name: [each.name for each in (*op.input_arg, *op.attr)] for op in listed.op}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    export_functions(place)
    export_table(place, "table_of_asset", asset=True)
    export_table(place, "table_of_file", asset=False)
    export_table(place, "table_of_asset_in_request", asset=True, at_load=False)
    export_fed(place, tf.io.read_file)
    export_fed(place, calling_python)
    sys.stdout.write(f"{json.dumps(operations())}\n")
