"""Read and write model files with TensorFlow's own message classes, and fingerprint them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import fingerprint_pb2, meta_graph_pb2, saved_model_pb2
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

Answer = dict[str, Any]

_NUMBERS = (
    "saved_model_checksum",
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
)
"""The fields of a fingerprint that depend on the model, without its version and random number."""


def _file(directory: str) -> Path:
    binary = Path(directory) / "saved_model.pb"
    return binary if binary.exists() else Path(directory) / "saved_model.pbtxt"


def read(directory: str) -> tuple[Any, bool]:
    """Return the parsed model, and whether its text has fields that TensorFlow's parser refuses."""
    file = _file(directory)
    message = saved_model_pb2.SavedModel()
    if file.suffix == ".pb":
        message.ParseFromString(file.read_bytes())
        return message, False
    text = file.read_text(encoding="utf-8")
    try:
        return text_format.Parse(text, message), False
    except text_format.ParseError:
        again = saved_model_pb2.SavedModel()
        return text_format.Parse(text, again, allow_unknown_field=True), True


def parse(directory: str) -> Answer:
    """Return the contents of each MetaGraph."""
    message, unknown = read(directory)
    return {
        "unknown_fields": unknown,
        "meta_graphs": [
            {
                "tags": list(each.meta_info_def.tags),
                "tensorflow_version": each.meta_info_def.tensorflow_version,
                "has_object_graph": each.HasField("object_graph_def"),
                "signatures": sorted(each.signature_def),
                "nodes": [node.name for node in each.graph_def.node],
            }
            for each in message.meta_graphs
        ],
    }


def parse_all(files: Sequence[str], form: str) -> Answer:
    """Parse the contents of files, in base64; return which are SavedModels with a MetaGraph."""

    def good(data: bytes) -> bool:
        try:
            if form == "text":
                message = text_format.Parse(data.decode(), saved_model_pb2.SavedModel())
            else:
                message = saved_model_pb2.SavedModel.FromString(data)
        except (DecodeError, text_format.ParseError, UnicodeDecodeError):
            return False
        return bool(message.meta_graphs)

    return {"good": [good(base64.b64decode(each)) for each in files]}


def compare(before: str, after: str) -> Answer:
    """Return the differences of two models.

    Returns:
        ``signatures``: index of the MetaGraph, key, and the new SignatureDef in its
        deterministic form (None if it was removed) of each that differs; ``functions``,
        ``concrete_functions``, ``children``: names of the parts appended to the library and to
        the object graph; ``else_equal``: whether all the rest is equal.
    """
    old, new = read(before)[0], read(after)[0]
    signatures = []
    added: dict[str, list[str]] = {"functions": [], "concrete_functions": [], "children": []}
    for index, (was, now) in enumerate(zip(old.meta_graphs, new.meta_graphs, strict=False)):
        for key in sorted({*was.signature_def, *now.signature_def}):
            one, other = was.signature_def.get(key), now.signature_def.get(key)
            if _bytes(one) != _bytes(other):
                signatures.append([index, key, _bytes(other)])
        for each in (was, now):
            each.ClearField("signature_def")
        if was.HasField("object_graph_def"):
            for kind, names in _take_out(was, now).items():
                added[kind] += names
    return {"signatures": signatures, **added, "else_equal": _bytes(old) == _bytes(new)}


def _take_out(was: Any, now: Any) -> dict[str, list[str]]:  # noqa: ANN401 - MetaGraphDefs
    """Remove from the second the parts that were appended to the first, and return their names."""
    functions = now.graph_def.library.function
    known = len(was.graph_def.library.function)
    names = [each.signature.name for each in functions[known:]]
    if names:  # a deletion of nothing would make an empty library
        del functions[known:]
    objects = now.object_graph_def
    concrete = sorted(
        set(objects.concrete_functions) - set(was.object_graph_def.concrete_functions)
    )
    for name in concrete:
        del objects.concrete_functions[name]
    old_nodes = len(was.object_graph_def.nodes)
    if len(objects.nodes) > old_nodes:
        del objects.nodes[old_nodes:]
    children = []
    for node, old in zip(objects.nodes, was.object_graph_def.nodes, strict=False):
        # A damaged model refers to objects that it does not have, before and after.
        there = [_bytes(child) for child in old.children]
        for place, child in reversed([*enumerate(node.children)]):
            if child.node_id >= old_nodes and _bytes(child) not in there:
                children.append(child.local_name)
                del node.children[place]
    return {"functions": names, "concrete_functions": concrete, "children": children}


def appended(before: str, after: str) -> Answer:
    """Return the parts appended to the only MetaGraph of a model, and whether the rest is equal.

    Returns:
        ``nodes``, ``functions``, ``objects``, ``concrete_functions``, ``signatures``: names (for
        objects the kind) of the new parts. ``children``: the new keys in ``signatures`` of the
        object graph. ``changed``: the parts that differ. ``doubles``: names of nodes or functions
        that occur twice.
    """
    (was,), (now,) = (read(each)[0].meta_graphs for each in (before, after))
    changed = []
    new: Answer = {}
    pairs = {
        "nodes": (was.graph_def.node, now.graph_def.node),
        "functions": (was.graph_def.library.function, now.graph_def.library.function),
        "objects": (was.object_graph_def.nodes, now.object_graph_def.nodes),
    }
    held = {each.local_name: each.node_id for each in was.object_graph_def.nodes[0].children}
    map_was, map_now = (
        each.object_graph_def.nodes[held["signatures"]].children for each in (was, now)
    )
    new["children"] = [each.local_name for each in map_now[len(map_was) :]]
    if list(map_was) != list(map_now[: len(map_was)]):
        changed.append("children of signatures")
    del map_now[len(map_was) :]
    for kind, (old, grown) in pairs.items():
        if [*map(_bytes, old)] != [*map(_bytes, grown[: len(old)])]:
            changed.append(kind)
        new[kind] = [_called(each) for each in grown[len(old) :]]
    names = [[each.name for each in now.graph_def.node]]
    names += [[each.signature.name for each in now.graph_def.library.function]]
    new["doubles"] = [name for some in names for name, times in Counter(some).items() if times > 1]
    maps = {
        "concrete_functions": [each.object_graph_def.concrete_functions for each in (was, now)],
        "signatures": [was.signature_def, now.signature_def],
    }
    for kind, (old, grown) in maps.items():
        new[kind] = sorted(set(grown) - set(old))
        changed += [name for name in old if _bytes(old[name]) != _bytes(grown[name])]
    for each in (was, now):
        for part in ("node", "library"):
            each.graph_def.ClearField(part)
        each.ClearField("object_graph_def")
        each.ClearField("signature_def")
    if _bytes(was) != _bytes(now):
        changed.append("the rest")
    return {**new, "changed": changed}


def _called(message: Any) -> str:  # noqa: ANN401 - a node, a function or an object
    if hasattr(message, "signature"):
        return str(message.signature.name)
    return str(message.name if hasattr(message, "name") else message.WhichOneof("kind"))


def _bytes(message: Any) -> str | None:  # noqa: ANN401 - a protobuf message
    if message is None:
        return None
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def put(
    directory: str,
    tags: Sequence[str],
    key: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> Answer:
    """Write a signature into a model without any check."""
    message, _ = read(directory)
    signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for infos, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for alias, name in names.items():
            infos[alias].name = name
            infos[alias].dtype = 1
            infos[alias].tensor_shape.unknown_rank = True
    for each in message.meta_graphs:
        if set(each.meta_info_def.tags) == set(tags):
            each.signature_def[key].CopyFrom(signature)
    file = _file(directory)
    if file.suffix == ".pb":
        file.write_bytes(message.SerializeToString(deterministic=True))
    else:
        file.write_text(text_format.MessageToString(message), encoding="utf-8")
    return {}


def to_text(directory: str) -> Answer:
    """Replace the binary form of a model by its text form."""
    message, _ = read(directory)
    text = text_format.MessageToString(message)
    (Path(directory) / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    (Path(directory) / "saved_model.pb").unlink()
    return {}


def without_op_list(directory: str) -> Answer:
    """Remove the definitions of operations from a model."""
    message, _ = read(directory)
    for each in message.meta_graphs:
        each.meta_info_def.ClearField("stripped_op_list")
    _file(directory).write_bytes(message.SerializeToString(deterministic=True))
    return {}


def fingerprint(directory: str) -> Answer:
    """Return the fingerprint that is stored and the one that TensorFlow computes."""
    stored = (Path(directory) / "fingerprint.pb").read_bytes()
    return {"stored": _numbers(stored), "computed": _numbers(_computed(directory))}


def _computed(directory: str) -> bytes:
    data: bytes = fingerprinting.CreateFingerprintDef(directory)
    return data


def _numbers(data: bytes) -> dict[str, int]:
    message = fingerprint_pb2.FingerprintDef.FromString(data)
    return {name: getattr(message, name) for name in _NUMBERS}


def checkpoint(directory: str) -> Answer:
    """Return the keys of the variables' checkpoint."""
    return {
        "keys": sorted(
            name for name, _ in tf.train.list_variables(f"{directory}/variables/variables")
        )
    }
