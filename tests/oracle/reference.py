"""Edits with TensorFlow's own message classes; smpatch's splices must give the same message.

The rules are the rules of the documentation, implemented a second time and without smpatch: parse,
change the maps, serialize.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import tensor_util

__all__ = ["edit_like"]

Answer = dict[str, Any]
Edit = Mapping[str, Any]

_RESERVED = {"__saved_model_init_op", "__saved_model_train_op"}
_PREDICT = "tensorflow/serving/predict"
_ROWS = (-1, 3)
"""The shape of every tensor in the graph."""


class _RefusedError(Exception):
    """The edit cannot be done."""


def edit_like(before: str, after: str, tags: Sequence[str], edits: Sequence[Edit]) -> Answer:
    """Do edits, and compare the result with a file that another program has edited.

    Args:
        before: The model file, in base64.
        after: The file that the other program has edited, in base64.
        tags: The tags of the MetaGraph to edit.
        edits: Each with ``kind`` and its arguments.

    Returns:
        ``refused``: whether an edit cannot be done; ``equal``: whether both are the same
        message; ``expected`` and ``found``: both as text, if they differ.
    """
    model = saved_model_pb2.SavedModel.FromString(base64.b64decode(before))
    other = saved_model_pb2.SavedModel.FromString(base64.b64decode(after))
    meta_graph = next(each for each in model.meta_graphs if _tags(each) == set(tags))
    try:
        for each in edits:
            _EDITS[each["kind"]](model, meta_graph, each)
    except _RefusedError:
        return {"refused": True}
    equal = _bytes(model) == _bytes(other)
    told = {} if equal else {"expected": str(model), "found": str(other)}
    return {"refused": False, "equal": equal, **told}


def _tags(meta_graph: Any) -> set[str]:  # noqa: ANN401 - a MetaGraphDef; TensorFlow has no stubs
    return set(meta_graph.meta_info_def.tags)


def _bytes(model: Any) -> bytes:  # noqa: ANN401 - as above
    return bytes(model.SerializeToString(deterministic=True))


def _source(meta_graph: Any, edit: Edit) -> Any:  # noqa: ANN401 - as above
    key = edit["source"]
    if key in _RESERVED or key not in meta_graph.signature_def:
        raise _RefusedError
    return meta_graph.signature_def[key]


def _target(meta_graph: Any, edit: Edit) -> str:  # noqa: ANN401 - as above
    key = str(edit["target"])
    if key in _RESERVED or (key in meta_graph.signature_def and not edit["overwrite"]):
        raise _RefusedError
    return key


def _copy(_: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    value = meta_graph_pb2.SignatureDef.FromString(_source(meta_graph, edit).SerializeToString())
    meta_graph.signature_def[_target(meta_graph, edit)].CopyFrom(value)


def _rename(model: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    _copy(model, meta_graph, edit)
    del meta_graph.signature_def[edit["source"]]


def _remove(_: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    for key in edit["keys"]:
        _source(meta_graph, {"source": key})
    for key in edit["keys"]:
        del meta_graph.signature_def[key]


def _add(_: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    key = _target(meta_graph, edit)
    signature = meta_graph_pb2.SignatureDef(method_name=_PREDICT)
    for kind, tensors in (("inputs", edit["inputs"]), ("outputs", edit["outputs"])):
        for alias, name in tensors.items():
            info = getattr(signature, kind)[alias]
            info.name, info.dtype = name, types_pb2.DT_FLOAT
            for size in _ROWS:
                info.tensor_shape.dim.add().size = size
    meta_graph.signature_def[key].CopyFrom(signature)


def _edit(_: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    signature = _source(meta_graph, edit)
    for kind in ("inputs", "outputs"):
        infos, names, gone = getattr(signature, kind), edit[kind], set(edit["drop"][kind])
        if not {*names, *gone} <= set(infos) or gone & set(names):
            raise _RefusedError
        old = {alias: infos[alias].SerializeToString() for alias in infos if alias not in gone}
        new = [names.get(alias, alias) for alias in old]
        if len(set(new)) < len(new) or (kind == "outputs" and not new):
            raise _RefusedError
        infos.clear()
        for alias, value in zip(new, old.values(), strict=True):
            infos[alias].MergeFromString(value)
    _take_defaults_along(signature, edit)
    for alias, sizes in edit["shapes"].items():
        _reshape(signature, alias, sizes)
    for alias, value in edit["defaults"].items():
        _set_default(signature, alias, value)
    if edit["method_name"] is not None:
        signature.method_name = edit["method_name"]


def _take_defaults_along(signature: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    old = {alias: signature.defaults[alias].SerializeToString() for alias in signature.defaults}
    signature.defaults.clear()
    for alias, value in old.items():
        if alias not in edit["drop"]["inputs"]:
            name = edit["inputs"].get(alias, alias)
            signature.defaults[name].MergeFromString(value)


def _reshape(signature: Any, alias: str, sizes: Sequence[int]) -> None:  # noqa: ANN401 - as above
    places = [each for each in (signature.inputs, signature.outputs) if alias in each]
    if len(places) != 1 or not _fits(sizes, _ROWS):
        raise _RefusedError
    for dim, size in zip(places[0][alias].tensor_shape.dim, sizes, strict=True):
        dim.size = size


def _set_default(signature: Any, alias: str, value: Any) -> None:  # noqa: ANN401 - as above
    if alias not in signature.inputs or (value is None and alias not in signature.defaults):
        raise _RefusedError
    if value is None:
        del signature.defaults[alias]
        return
    array = np.array(value, np.float32)
    promised = [dim.size for dim in signature.inputs[alias].tensor_shape.dim]
    if not _fits(array.shape, promised):
        raise _RefusedError
    signature.defaults[alias].CopyFrom(tensor_util.make_tensor_proto(array))


def _fits(sizes: Sequence[int], others: Sequence[int]) -> bool:
    """Return whether two shapes can be of one tensor; -1 is any size."""
    return len(sizes) == len(others) and all(
        -1 in {a, b} or a == b for a, b in zip(sizes, others, strict=True)
    )


def _retag(model: Any, meta_graph: Any, edit: Edit) -> None:  # noqa: ANN401 - as above
    wanted = set(edit["target"])
    if any(each is not meta_graph and _tags(each) == wanted for each in model.meta_graphs):
        raise _RefusedError
    meta_graph.meta_info_def.tags[:] = edit["target"]


_EDITS: dict[str, Callable[[Any, Any, Edit], None]] = {
    "add": _add,
    "copy": _copy,
    "edit": _edit,
    "remove": _remove,
    "rename": _rename,
    "retag": _retag,
}
