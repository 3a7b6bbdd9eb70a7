"""SavedModels that are made here, field by field: with names of any kind, or very many tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from smpatch import schema, wire

__all__ = ["HOSTILE", "hostile", "many", "write"]

HOSTILE = (
    "<script>window.hit=1</script>",
    "</script><img src=x onerror=window.hit=1>",
    "<!--<script>",
    "a\u2028b\u2029c",
    "\"'><b onclick=window.hit=1>",
    "$(touch hit);`touch hit`|&",
    "esc\x1b[31m\x07\r\n\x00tab\t",
    "\u202egnp.exe",
    "{{data}}{{script}}",
    "__proto__",
    "a b'c\\d\"e",
    "é ü 漢 \U0001f600",
)
"""Names that are markup, script, commands for a shell, or characters that mislead."""

_FLOAT = 1
_Node = tuple[str, str, Sequence[str]]
"""The name, operation and inputs of a node."""


def write(
    directory: Path,
    nodes: Iterable[_Node],
    signatures: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]],
    functions: Sequence[Any] = (),
) -> Path:
    """Write a SavedModel without variables and without an object graph.

    Args:
        directory: The directory to write.
        nodes: The nodes of the main graph, all of float32.
        signatures: For each key the inputs and the outputs, from aliases to tensors.
        functions: ``FunctionDef`` messages.
    """
    graph = schema.GraphDef(node=[_node(*each) for each in nodes])
    graph.versions.producer = 1087
    data = graph.SerializeToString()
    library = b"".join(wire.delimited(1, each.SerializeToString()) for each in functions)
    data += wire.delimited(2, library) if functions else b""
    ops = schema.MetaInfoOps()
    for name, inputs in (("Placeholder", 0), ("Relu", 1), ("AddV2", 2), ("Identity", 1)):
        op = ops.stripped_op_list.op.add(name=name)
        for place in range(inputs):
            op.input_arg.add(name=f"x{place}", type_attr="T")
        op.output_arg.add(name="y", type_attr="T")
    call = ops.stripped_op_list.op.add(name="PartitionedCall")
    call.input_arg.add(name="args", type_list_attr="Tin")
    call.output_arg.add(name="output", type_list_attr="Tout")
    info = ops.SerializeToString() + wire.delimited(4, b"serve")
    meta_graph = wire.delimited(1, info) + wire.delimited(2, data)
    for key, (inputs_of, outputs_of) in signatures.items():
        signature = schema.SignatureDef(method_name="tensorflow/serving/predict")
        for target, tensors in ((signature.inputs, inputs_of), (signature.outputs, outputs_of)):
            for alias, tensor in tensors.items():
                target[alias].name = tensor
                target[alias].dtype = _FLOAT
                target[alias].tensor_shape.dim.add(size=-1)
        entry = wire.delimited(1, key.encode()) + wire.delimited(2, signature.SerializeToString())
        meta_graph += wire.delimited(5, entry)
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"\x08\x01" + wire.delimited(2, meta_graph))
    return directory


def _node(name: str, op: str, inputs: Sequence[str]) -> Any:  # noqa: ANN401 - a NodeDef
    node = schema.NodeDef(name=name, op=op, input=list(inputs))
    if op == "PartitionedCall":
        node.attr["Tin"].list.type.append(_FLOAT)
        node.attr["Tout"].list.type.append(_FLOAT)
        node.attr["f"].func.name = "inside"
    else:
        node.attr["dtype" if op == "Placeholder" else "T"].type = _FLOAT
        node.attr["T"].type = _FLOAT
    shape = node.attr["_output_shapes"].list.shape.add()
    shape.dim.add(size=-1)
    if op == "Placeholder":
        node.attr["shape"].shape.dim.add(size=-1)
    return node


def many(directory: Path, count: int) -> Path:
    """Write a model of ``count`` tensors in scopes, each computed from the one before."""
    nodes: list[_Node] = [("x", "Placeholder", ())]
    for number in range(count - 1):
        block, layer, rest = number // 500, number // 10 % 50, number % 10
        name = f"model/block_{block}/layer_{layer}/{'Relu' if rest else 'Add'}_{rest}"
        last = nodes[-1][0]
        nodes.append((name, "Relu", (last,)) if rest else (name, "AddV2", (last, "x")))
    return write(directory, nodes, {"serving_default": ({"x": "x:0"}, {"y": f"{nodes[-1][0]}:0"})})


def hostile(directory: Path, names: Sequence[str] = HOSTILE) -> Path:
    """Write a model whose nodes, functions' nodes, aliases and keys have the given names."""
    body = schema.FunctionDef()
    body.signature.name = "inside"
    body.signature.input_arg.add(name="x", type=_FLOAT)
    body.signature.output_arg.add(name="y", type=_FLOAT)
    last = "x"
    for name in names:
        body.node_def.add().CopyFrom(_node(f"scope/{name}", "Relu", (last,)))
        last = f"scope/{name}:y:0"
    body.ret["y"] = last
    nodes: list[_Node] = [("x", "Placeholder", ())]
    for name in names:
        nodes.append((f"main/{name}", "Relu", (nodes[-1][0],)))
    nodes.append(("call", "PartitionedCall", (nodes[-1][0],)))
    signatures = {
        f"key {name}": ({f"in {name}": "x:0"}, {f"out {name}": "call:0"}) for name in names[:3]
    }
    signatures["serving_default"] = ({"x": "x:0"}, {"y": "call:0"})
    return write(directory, nodes, signatures, [body])
