"""Edits of signatures, done again with TensorFlow's own message classes.

This module does the requested edits to the old model, without smpatch. smpatch's result must be the
same message. The comparison leaves out new parts at the end of the graph and the object graph,
because only smpatch decides which parts it needs; the old parts must all still be there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tests.oracle.loading import opened_session, refusal
from tests.oracle.parsing import read

v1 = tf.compat.v1
Answer = dict[str, Any]
Ask = Mapping[str, Any]


def live(before: str, after: str, place: int, asks: Sequence[Ask], halves: int) -> Answer:
    """Return the differences of an edited model from the requested edits.

    Args:
        before: The model.
        after: The edited model.
        place: The index of the edited MetaGraph.
        asks: The edits, each with its ``kind`` and its attributes.
        halves: 2 if the object graph was edited as well.

    Returns:
        ``wrong``: the differences from the request. ``keys``: the signatures of ``signature_def``
        that differ from before, including removed ones. ``children``: the same of the object
        graph's map, by the name alone.
    """
    old, new = read(before)[0], read(after)[0]
    was, now = old.meta_graphs[place], new.meta_graphs[place]
    untouched = {key: _bytes(each) for key, each in was.signature_def.items()}
    names = _names(was)
    listed = set(names)
    for ask in asks:
        _WAYS.get(ask["kind"], _added)(was, now, ask)
        if halves == 2:
            names = _renamed(names, ask)
    wrong = [*_signatures(was, now), *_tags(was, now)]
    if _names(now) != names:
        wrong.append(f"the object graph lists {_names(now)} instead of {names}")
    wrong += _in_step(now) if halves == 2 else []
    changed = {
        key
        for key in {*untouched, *now.signature_def}
        if untouched.get(key) != (_bytes(now.signature_def[key]) if key in now.signature_def else 0)
    }
    _strip(was, now)
    wrong += [] if _bytes(old) == _bytes(new) else ["something else is not as it was"]
    return {"wrong": wrong, "keys": sorted(changed), "children": sorted(listed ^ set(names))}


def _rename(was: Any, _: Any, ask: Ask) -> None:  # noqa: ANN401 - MetaGraphDefs
    _copy(was, _, ask)
    if ask["source"] in was.signature_def:
        del was.signature_def[ask["source"]]


def _copy(was: Any, _: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    if ask["source"] in was.signature_def:
        was.signature_def[ask["target"]].CopyFrom(was.signature_def[ask["source"]])


def _remove(was: Any, _: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    for key in ask["keys"]:
        if key in was.signature_def:
            del was.signature_def[key]


def _retag(was: Any, _: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    del was.meta_info_def.tags[:]
    was.meta_info_def.tags.extend(ask["target"])


def _added(was: Any, now: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    """Copy a new signature without a check; other tests check it."""
    was.signature_def[ask["key"]].CopyFrom(now.signature_def[ask["key"]])


def _edit(was: Any, now: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    signature = was.signature_def[ask["key"]]
    for kind, names in (("inputs", "rename_inputs"), ("outputs", "rename_outputs")):
        _give_names(getattr(signature, kind), ask[names])
    _give_names(signature.defaults, ask["rename_inputs"])
    for alias in ask["drop_outputs"]:
        del signature.outputs[alias]
    if ask["add_outputs"]:  # smpatch chooses the call from which they come
        for alias, info in now.signature_def[ask["key"]].outputs.items():
            signature.outputs[alias].name = info.name
            if alias in ask["add_outputs"]:
                signature.outputs[alias].CopyFrom(info)
    _reshape(signature, ask)
    if ask["method_name"] is not None:
        signature.method_name = ask["method_name"]
    for alias, value in ask["defaults"].items():
        if value is None:
            del signature.defaults[alias]
        else:
            dtype = tf.as_dtype(signature.inputs[alias].dtype)
            signature.defaults[alias].CopyFrom(tf.make_tensor_proto(value, dtype))


def _reshape(signature: Any, ask: Ask) -> None:  # noqa: ANN401 - as above
    for name, shape in ask["shapes"].items():
        kind, _, alias = name.partition(".")
        if kind not in {"inputs", "outputs"} or alias not in getattr(signature, kind):
            kind, alias = "inputs" if name in signature.inputs else "outputs", name
        old, new = getattr(signature, kind)[alias].tensor_shape, tf.TensorShape(shape).as_proto()
        if shape and len(old.dim) == len(new.dim):  # dimensions may have names
            for dim, wanted in zip(old.dim, new.dim, strict=True):
                dim.size = wanted.size
        else:
            old.CopyFrom(new)


_WAYS: dict[str, Callable[[Any, Any, Ask], None]] = {
    "Copy": _copy,
    "EditSignature": _edit,
    "Remove": _remove,
    "Rename": _rename,
    "Retag": _retag,
}


def _give_names(entries: Any, names: Mapping[str, str]) -> None:  # noqa: ANN401 - a map field
    kept = {}
    for alias in names:
        if alias in entries:
            kept[alias] = type(entries[alias])()
            kept[alias].CopyFrom(entries[alias])
            del entries[alias]
    for alias, each in kept.items():
        entries[names[alias]].CopyFrom(each)


def _renamed(names: list[str], ask: Ask) -> list[str]:
    """Return the keys in the object graph's map after an edit, sorted."""
    left = set(names)
    if ask["kind"] == "Remove":
        left -= set(ask["keys"])
    elif ask["kind"] in {"Copy", "Rename"}:
        if ask["source"] in left:
            left.add(ask["target"])
            left -= {ask["source"]} if ask["kind"] == "Rename" else set()
    elif ask["kind"] not in {"EditSignature", "Retag"}:
        left.add(ask["key"])
    return sorted(left)


def _map(meta_graph: Any) -> Any:  # noqa: ANN401 - as above
    nodes = meta_graph.object_graph_def.nodes
    for child in nodes[0].children if nodes else ():
        if child.local_name == "signatures":
            return nodes[child.node_id]
    return None


def _names(meta_graph: Any) -> list[str]:  # noqa: ANN401 - as above
    holder = _map(meta_graph)
    return [] if holder is None else sorted(each.local_name for each in holder.children)


def _signatures(was: Any, now: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    for key in sorted({*was.signature_def, *now.signature_def}):
        if key not in now.signature_def or key not in was.signature_def:
            yield f"signature {key} is {'gone' if key in was.signature_def else 'there'}"
        elif _bytes(was.signature_def[key]) != _bytes(now.signature_def[key]):
            yield f"signature {key}: {now.signature_def[key]} instead of {was.signature_def[key]}"


def _tags(was: Any, now: Any) -> list[str]:  # noqa: ANN401 - as above
    one, other = list(was.meta_info_def.tags), list(now.meta_info_def.tags)
    return [] if one == other else [f"the tags are {other} instead of {one}"]


def _in_step(meta_graph: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    """Compare the names that both halves give to a signature's inputs and outputs."""
    holder, nodes = _map(meta_graph), meta_graph.object_graph_def.nodes
    for child in () if holder is None else holder.children:
        bare = nodes[child.node_id].bare_concrete_function
        concrete = meta_graph.object_graph_def.concrete_functions[bare.concrete_function_name]
        if child.local_name not in meta_graph.signature_def:
            continue
        signature = meta_graph.signature_def[child.local_name]
        dense = all(info.WhichOneof("encoding") == "name" for info in signature.inputs.values())
        values = concrete.canonicalized_input_signature.tuple_value.values
        arguments = set(values[1].dict_value.fields) if len(values) > 1 else set()
        if dense and not arguments == set(bare.argument_keywords) == set(signature.inputs):
            yield f"{child.local_name}: Python feeds {sorted(arguments)}"
        results = set(concrete.output_signature.dict_value.fields)
        if results != set(signature.outputs):
            yield f"{child.local_name}: Python fetches {sorted(results)}"


def _strip(was: Any, now: Any) -> None:  # noqa: ANN401 - as above
    """Remove the parts that are compared elsewhere, and the parts appended to the second."""
    graphs = (was.graph_def, now.graph_def)
    libraries = [each.library.function for each in graphs]
    for old, new in (
        [each.node for each in graphs],
        libraries,
        [each.object_graph_def.nodes for each in (was, now)],
    ):
        if len(new) > len(old):
            del new[len(old) :]
    concrete = [each.object_graph_def.concrete_functions for each in (was, now)]
    for name in set(concrete[1]) - set(concrete[0]):
        del concrete[1][name]
    for each in (was, now):
        each.ClearField("signature_def")
        each.meta_info_def.ClearField("tags")
        holder = _map(each)
        if holder is not None:
            holder.ClearField("children")
        if not each.graph_def.library.ByteSize():
            each.graph_def.ClearField("library")


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - a protobuf message
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def served(directory: str, tags: Sequence[str], kind: str, tensors: Sequence[str | None]) -> Answer:
    """Build a classification or regression signature with TensorFlow.

    Returns:
        ``bytes`` in base64, in the deterministic form.
    """
    makers = {
        "classify": v1.saved_model.classification_signature_def,
        "regress": v1.saved_model.regression_signature_def,
    }

    def work() -> Answer:
        with opened_session(directory, tags) as (_, graph, _):
            found = [None if name is None else graph.get_tensor_by_name(name) for name in tensors]
            data = makers[kind](*found).SerializeToString(deterministic=True)
            return {"bytes": base64.b64encode(data).decode()}

    return refusal(work)


def protos(values: Sequence[tuple[Any, str]]) -> Answer:
    """Return each value with its dtype as ``tf.make_tensor_proto`` writes it, in hexadecimal."""

    def proto(value: Any, dtype: str) -> Any:  # noqa: ANN401 - numbers, texts, lists
        kind = tf.as_dtype(dtype)
        if dtype == "uint64":  # NumPy makes floats of a list with large ones
            value = np.array(value, np.uint64)
        return tf.make_tensor_proto(value, kind)

    return {"protos": [_bytes(proto(value, dtype)).hex() for value, dtype in values]}
