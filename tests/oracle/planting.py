"""Plant faults that no exporter writes in a model, and write the records of warm-up requests.

A fault is in the first MetaGraph, and in its first signature that has inputs and outputs.
TensorFlow's own message classes write it, or, if these cannot express it, code that writes bytes.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry
from tensorflow.python.tools import saved_model_cli

from tests.oracle.loading import refusal

Answer = dict[str, Any]
Plant = Callable[[Any, Any], None]

_INTO = "planted"


def write_records(file: str, records: Sequence[str]) -> Answer:
    """Write a TFRecord file; the records are in hexadecimal."""
    Path(file).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(file) as writer:
        for record in records:
            writer.write(bytes.fromhex(record))
    return {}


def plant(directory: str, fault: str) -> Answer:
    """Plant a fault by its name.

    Returns:
        ``key``: the signature that has the fault.
    """
    file = Path(directory) / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    meta_graph = message.meta_graphs[0]
    key = _first(meta_graph)
    if fault == "duplicate_key":
        whole = meta_graph.SerializeToString(deterministic=True) + _again(meta_graph, key)
        rest = [each.SerializeToString(deterministic=True) for each in message.meta_graphs[1:]]
        del message.meta_graphs[:]
        graphs = b"".join(_field(2, each) for each in (whole, *rest))
        file.write_bytes(message.SerializeToString(deterministic=True) + graphs)
        return {"key": key}
    PLANTS[fault](meta_graph, meta_graph.signature_def[key])
    file.write_bytes(message.SerializeToString(deterministic=True))
    return {"key": key}


def _first(meta_graph: Any) -> str:  # noqa: ANN401 - a MetaGraphDef
    signatures: Mapping[str, Any] = meta_graph.signature_def
    whole = (
        key for key in sorted(signatures) if signatures[key].inputs and signatures[key].outputs
    )
    return next(whole)


def _again(meta_graph: Any, key: str) -> bytes:  # noqa: ANN401 - as above
    """Encode one more entry of the map, with a key that the map has already."""
    other = meta_graph_pb2.SignatureDef()
    other.CopyFrom(meta_graph.signature_def[key])
    other.method_name = "tensorflow/serving/predict"
    entry = _field(1, key.encode()) + _field(2, other.SerializeToString())
    return _field(5, entry)


def _field(number: int, data: bytes) -> bytes:
    length, spelt = len(data), bytearray()
    while length > 127:
        spelt.append(length & 127 | 128)
        length >>= 7
    return bytes((number << 3 | 2, *spelt, length)) + data


def show(directory: str) -> Answer:
    """Run ``saved_model_cli show --all``; return its error, if it ends in one.

    Returns:
        ``lines``: the number of printed lines; or a refusal.
    """
    flags.FLAGS(["saved_model_cli", "--dir", directory, "--all"])
    printed = io.StringIO()

    def work() -> Answer:
        with contextlib.redirect_stdout(printed):
            saved_model_cli.show()
        return {"lines": printed.getvalue().count("\n")}

    return refusal(work)


def _alias(infos: Any) -> str:  # noqa: ANN401 - a map of TensorInfo
    return str(min(infos))


def _renamed(infos: Any, alias: str) -> None:  # noqa: ANN401 - as above
    old = _alias(infos)
    infos[alias].CopyFrom(infos[old])
    del infos[old]


def _node(meta_graph: Any, op: str, name: str, *inputs: str, **attrs: Any) -> None:  # noqa: ANN401 - as above
    node = meta_graph.graph_def.node.add(op=op, name=name, input=inputs)
    for key, value in attrs.items():
        node.attr[key].CopyFrom(value)
    ops = meta_graph.meta_info_def.stripped_op_list.op
    if op not in {each.name for each in ops}:
        ops.add().CopyFrom(_op_def(op))


def _op_def(op: str) -> Any:  # noqa: ANN401 - an OpDef
    return op_def_registry.get(op)


_FLOAT = tf.compat.v1.AttrValue(type=tf.float32.as_datatype_enum)


def _constant(meta_graph: Any, name: str) -> None:  # noqa: ANN401 - as above
    value = tf.compat.v1.AttrValue(tensor=tf.make_tensor_proto(1.0))
    _node(meta_graph, "Const", name, dtype=_FLOAT, value=value)


def _output(signature: Any, name: str, dtype: int = 1) -> None:  # noqa: ANN401 - a SignatureDef
    signature.outputs[_INTO].name = name
    signature.outputs[_INTO].dtype = dtype
    signature.outputs[_INTO].tensor_shape.SetInParent()


def _unfed(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    shape = tf.compat.v1.AttrValue(shape=tf.TensorShape([]).as_proto())
    _node(meta_graph, "Placeholder", "planted_flag", dtype=_FLOAT, shape=shape)
    _node(meta_graph, "Identity", "planted_result", "planted_flag", T=_FLOAT)
    _output(signature, "planted_result:0")


def _frame(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    _constant(meta_graph, "planted_start")
    name = tf.compat.v1.AttrValue(s=b"planted_loop")
    _node(meta_graph, "Enter", "planted_enter", "planted_start", T=_FLOAT, frame_name=name)
    _output(signature, "planted_enter:0")


def _resource(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    shape = tf.compat.v1.AttrValue(shape=tf.TensorShape([]).as_proto())
    _node(meta_graph, "VarHandleOp", "planted_handle", dtype=_FLOAT, shape=shape)
    _output(signature, "planted_handle:0", tf.resource.as_datatype_enum)


def _reference(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    shape = tf.compat.v1.AttrValue(shape=tf.TensorShape([]).as_proto())
    _constant(meta_graph, "planted_value")
    _node(meta_graph, "VariableV2", "planted_variable", dtype=_FLOAT, shape=shape)
    _node(meta_graph, "Assign", "planted_assign", "planted_variable", "planted_value", T=_FLOAT)
    _output(signature, "planted_assign:0", tf.float32.as_datatype_enum + 100)


def _set(infos: str, **values: Any) -> Plant:  # noqa: ANN401 - fields of TensorInfo
    """Return a function that sets fields of the first input or output."""

    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        info = getattr(signature, infos)[_alias(getattr(signature, infos))]
        for name, value in values.items():
            setattr(info, name, value)

    return change


def _shape(infos: str) -> Plant:
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        info = getattr(signature, infos)[_alias(getattr(signature, infos))]
        info.tensor_shape.unknown_rank = False
        for size in (3, 1, 4, 1, 5):
            info.tensor_shape.dim.add(size=size)

    return change


def _without_index(infos: str) -> Plant:
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        info = getattr(signature, infos)[_alias(getattr(signature, infos))]
        info.name = info.name.rpartition(":")[0]

    return change


def _called(alias: str) -> Plant:
    return lambda _, signature: _renamed(signature.inputs, alias)


def _same_twice(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    first = signature.inputs[_alias(signature.inputs)]  # before there is a new one
    signature.inputs[_INTO].CopyFrom(first)


def _clashing(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    first = signature.inputs[_alias(signature.inputs)]
    for alias in ("planted.x", "planted_x"):
        signature.inputs[alias].CopyFrom(first)


def _partly_fed(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    axis = tf.compat.v1.AttrValue(tensor=tf.make_tensor_proto(0))
    int32 = tf.compat.v1.AttrValue(type=tf.int32.as_datatype_enum)
    _node(meta_graph, "Const", "planted_axis", dtype=int32, value=axis)
    vector = tf.compat.v1.AttrValue(tensor=tf.make_tensor_proto([1.0, 2.0]))
    _node(meta_graph, "Const", "planted_vector", dtype=_FLOAT, value=vector)
    two = tf.compat.v1.AttrValue(i=2)
    names = ("planted_axis", "planted_vector")
    _node(meta_graph, "Split", "planted_split", *names, T=_FLOAT, num_split=two)
    _node(meta_graph, "AddV2", "planted_sum", "planted_split", "planted_split:1", T=_FLOAT)
    signature.inputs[_INTO].name = "planted_split:0"
    signature.inputs[_INTO].dtype = 1
    signature.inputs[_INTO].tensor_shape.dim.add(size=1)
    _output(signature, "planted_sum:0")
    signature.outputs[_INTO].tensor_shape.dim.add(size=1)


def _reference_itself(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    _reference(meta_graph, signature)
    signature.outputs[_INTO].name = "planted_variable:0"


def _in_and_out(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    signature.outputs[_INTO].CopyFrom(signature.inputs[_alias(signature.inputs)])


def _shapeless(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    signature.outputs[_alias(signature.outputs)].ClearField("tensor_shape")


def _method(name: str) -> Plant:
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        signature.method_name = name

    return change


def _cleared(part: str) -> Plant:
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        getattr(signature, part).clear()

    return change


def _init_op(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
    outputs = meta_graph.signature_def["__saved_model_init_op"].outputs
    outputs["__saved_model_init_op"].name = "gone"


def _uninitialized(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
    meta_graph.signature_def.pop("__saved_model_init_op", None)
    for collection in ("saved_model_main_op", "legacy_init_op"):
        meta_graph.collection_def.pop(collection, None)


def _tags(*tags: str) -> Plant:
    def change(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
        meta_graph.meta_info_def.tags[:] = tags

    return change


def _default(alias: str | None, value: Any) -> Plant:  # noqa: ANN401 - anything that makes a tensor
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        name = alias or _alias(signature.inputs)
        signature.defaults[name].CopyFrom(tf.make_tensor_proto(value))

    return change


def _key_of_one_half(meta_graph: Any, signature: Any) -> None:  # noqa: ANN401 - as above
    meta_graph.signature_def["planted_key"].CopyFrom(signature)


def _object_signatures(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    nodes = meta_graph.object_graph_def.nodes
    held = {each.local_name: each.node_id for each in nodes[0].children}
    child = nodes[held["signatures"]].children[0]
    return nodes[child.node_id].bare_concrete_function


def _object_keyword(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
    _object_signatures(meta_graph).argument_keywords[0] = "planted_argument"


def _object_function(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
    _object_signatures(meta_graph).concrete_function_name = "planted_function"


def _exchanged(infos: str) -> Plant:
    def change(_: Any, signature: Any) -> None:  # noqa: ANN401 - as above
        first, second = (
            getattr(signature, infos)[each] for each in sorted(getattr(signature, infos))
        )
        first.name, second.name = second.name, first.name

    return change


def _object_dtype(meta_graph: Any, _: Any) -> None:  # noqa: ANN401 - as above
    name = _object_signatures(meta_graph).concrete_function_name
    function = meta_graph.object_graph_def.concrete_functions[name]
    fields = function.output_signature.dict_value.fields
    fields[min(fields)].tensor_spec_value.dtype = tf.complex64.as_datatype_enum


PLANTS: dict[str, Plant] = {
    "missing_input_tensor": _set("inputs", name="gone:0"),
    "missing_output_tensor": _set("outputs", name="gone:0"),
    "missing_output_index": _set("outputs", name="planted_none:7"),
    "empty_name": _set("outputs", name=""),
    "empty_output_alias": lambda _, signature: _renamed(signature.outputs, ""),
    "unfed_placeholder": _unfed,
    "wrong_dtype_input": _set("inputs", dtype=tf.complex64.as_datatype_enum),
    "wrong_dtype_output": _set("outputs", dtype=tf.complex64.as_datatype_enum),
    "contradicting_shape_input": _shape("inputs"),
    "contradicting_shape_output": _shape("outputs"),
    "input_without_index": _without_index("inputs"),
    "output_without_index": _without_index("outputs"),
    "keyword_alias": _called("class"),
    "empty_alias": _called(""),
    "self_alias": _called("self"),
    "frame_tensor": _frame,
    "clashing_aliases": _clashing,
    "partly_fed": _partly_fed,
    "reference_itself": _reference_itself,
    "resource_output": _resource,
    "reference_output": _reference,
    "same_tensor_twice": _same_twice,
    "input_is_output": _in_and_out,
    "shape_left_out": _shapeless,
    "no_inputs": _cleared("inputs"),
    "no_outputs": _cleared("outputs"),
    "classify_rules": _method("tensorflow/serving/classify"),
    "regress_rules": _method("tensorflow/serving/regress"),
    "unknown_method": _method("serving/planted"),
    "init_op_missing": _init_op,
    "uninitialized": _uninitialized,
    "tags_missing": _tags(),
    "tags_spelt": _tags(*"serve"),
    "default_dtype": _default(None, b"planted"),
    "default_shape": _default(None, [[[[[[1.0, 2.0]]]]]]),
    "default_alias": _default("planted_input", 1.0),
    "key_of_one_half": _key_of_one_half,
    "exchanged_inputs": _exchanged("inputs"),
    "exchanged_outputs": _exchanged("outputs"),
    "object_keyword": _object_keyword,
    "object_function": _object_function,
    "object_dtype": _object_dtype,
}
"""The faults that are planted with messages, by name."""
