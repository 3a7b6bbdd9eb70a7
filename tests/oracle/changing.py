"""Change a model file in one respect, with TensorFlow's own message classes.

For comparisons: the only difference of the second model is known, because this module makes it,
without smpatch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2

Answer = dict[str, Any]
Change = Callable[[Any], object]

KEY = "serving_default"


def change(directory: str, what: str = "nothing", spelling: str = "deterministic") -> Answer:
    """Change a model's only MetaGraph, and write it.

    Args:
        directory: The model; its file is replaced.
        what: The name of the change.
        spelling: The form of the file: ``deterministic``, ``default`` (maps in any order, which
            differs from process to process) or ``text``.
    """
    place = Path(directory)
    file = place / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    _CHANGES[what](message.meta_graphs[0])
    if spelling == "text":
        file.unlink()
        text = text_format.MessageToString(message)
        (place / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    else:
        file.write_bytes(message.SerializeToString(deterministic=spelling == "deterministic"))
    return {}


def _rename(meta_graph: Any, new: str) -> None:  # noqa: ANN401 - a MetaGraphDef
    meta_graph.signature_def[new].CopyFrom(meta_graph.signature_def[KEY])
    del meta_graph.signature_def[KEY]
    for reference in _signature_map(meta_graph).children:
        if reference.local_name == KEY:
            reference.local_name = new


def _signature_map(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    nodes = meta_graph.object_graph_def.nodes
    for reference in nodes[0].children:
        if reference.local_name == "signatures":
            return nodes[reference.node_id]
    raise KeyError("signatures")


def _bare(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    for reference in _signature_map(meta_graph).children:
        if reference.local_name == KEY:
            return meta_graph.object_graph_def.nodes[reference.node_id].bare_concrete_function
    raise KeyError(KEY)


def _traced(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    name = _bare(meta_graph).concrete_function_name
    return meta_graph.object_graph_def.concrete_functions[name]


def _python_shape(meta_graph: Any) -> None:  # noqa: ANN401 - as above
    arguments = _traced(meta_graph).canonicalized_input_signature.tuple_value.values[1]
    (spec,) = (each.tensor_spec_value for each in arguments.dict_value.fields.values())
    spec.shape.dim[0].size = 7


def _input(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    return meta_graph.signature_def[KEY].inputs["x"]


def _reversed(repeated: Any) -> None:  # noqa: ANN401 - a repeated field
    values = [*repeated][::-1]
    del repeated[:]
    repeated.extend(values)


_CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "rename": lambda each: _rename(each, "another"),
    "retag": lambda each: each.meta_info_def.tags.append("gpu"),
    "dtype": lambda each: setattr(_input(each), "dtype", types_pb2.DT_INT64),
    "shape": lambda each: setattr(_input(each).tensor_shape.dim[0], "size", 3),
    "tensor": lambda each: setattr(_input(each), "name", "\x1b[31m:0"),
    "scale_shape_left_out": lambda each: (
        each.signature_def[KEY].inputs["scale"].ClearField("tensor_shape")
    ),
    "dimension_name": lambda each: setattr(_input(each).tensor_shape.dim[0], "name", "rows"),
    "method": lambda each: setattr(each.signature_def[KEY], "method_name", "mine"),
    "default": lambda each: each.signature_def[KEY].defaults["x"].float_val.append(2.5),
    "keyword": lambda each: _bare(each).argument_keywords.append("other"),
    "python_shape": _python_shape,
    "init_op": lambda each: setattr(
        each.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"], "name", "x"
    ),
    "node_changed": lambda each: setattr(each.graph_def.node[0], "device", "/gpu:0"),
    "node_removed": lambda each: each.graph_def.node.pop(1),
    "node_inserted": lambda each: each.graph_def.node.insert(0, _node("first")),
    "node_appended": lambda each: each.graph_def.node.append(_node("last")),
    "nodes_reversed": lambda each: _reversed(each.graph_def.node),
    "producer": lambda each: setattr(each.graph_def.versions, "producer", 1),
    "function_changed": lambda each: setattr(
        each.graph_def.library.function[0].node_def[0], "device", "/gpu:0"
    ),
    "function_removed": lambda each: each.graph_def.library.function.pop(),
    "collections_removed": lambda each: each.collection_def.clear(),
    "gradient": lambda each: each.graph_def.library.gradient.add(
        function_name="f", gradient_func="g"
    ),
    "object_changed": lambda each: each.object_graph_def.nodes[0].children.add(
        node_id=0, local_name="me"
    ),
    "no_object_graph": lambda each: each.ClearField("object_graph_def"),
    "saver": lambda each: setattr(each.saver_def, "restore_op_name", "x"),
    "collection": lambda each: each.collection_def["mine"].node_list.value.append("x"),
    "asset": lambda each: each.asset_file_def.add(filename="words.txt"),
    "op_list": lambda each: each.meta_info_def.ClearField("stripped_op_list"),
}


def _node(name: str) -> Any:  # noqa: ANN401 - a NodeDef
    return node_def_pb2.NodeDef(name=name, op="NoOp")
