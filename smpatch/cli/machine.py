"""Results as JSON, in the form that the JSON Schemas in ``schemas/`` describe.

The result is one object with two keys: ``version``, and the name of the command (``show``,
``add_predict``) or ``error``. Every key below them is always present; a value that does not apply
is null. The text is ASCII and strict JSON: no NaN, no lone surrogates.

``version`` grows if a reader of the old form would misread the new one; an additional key is not
such a change.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smpatch.cli.terminal import OutputError, stream
from smpatch.errors import Fault, SmpatchError
from smpatch.signature import CompositeTensorSpec, SignatureDef, SparseTensorSpec, Spec
from smpatch.values import preview

if TYPE_CHECKING:  # the import takes time, and `show` does not need it
    from smpatch.cli.interruption import Interrupted
    from smpatch.functions.composed_of import ComposedOf
    from smpatch.functions.dataflow import Dataflow, DataNode
    from smpatch.loader import MetaGraph, SavedModel
    from smpatch.patcher import Receipt
    from smpatch.suggestions import Suggestions

VERSION = 1

_ESCAPED = re.compile(r"[^\x00-\x7e]")
"""Characters to escape in a string; the encoder has escaped those below the space."""


def show_body(model: SavedModel, meta_graphs: tuple[MetaGraph, ...]) -> dict[str, Any]:
    """Return the result of ``show`` for JSON."""
    return {
        "directory": str(model.directory),
        "file": model.file.name,
        "form": model.form,
        "size": model.identity.size,
        "meta_graphs": [_meta_graph(each) for each in meta_graphs],
    }


def write_suggestions(
    meta_graph: MetaGraph,
    found: Suggestions,
    commands: Mapping[object, str],
    flow: Dataflow | None,
) -> None:
    """Write the suggestions of ``suggest``, each with its command.

    ``flow`` is the data flow of the signature that ``--signature`` names; None without this option.
    """
    write(
        "suggest",
        {
            "tags": list(meta_graph.tags),
            "placeholders": [spec_body(spec) for spec in found.placeholders],
            "outputs": [
                {
                    "tensor": spec_body(each.spec),
                    "inputs": [spec_body(spec) for spec in each.inputs],
                    "command": commands[each],
                }
                for each in found.outputs
            ],
            "more_outputs": found.more_outputs,
            "functions": [
                {
                    "path": each.traced.path,
                    "function": each.traced.function,
                    "inputs": {name: spec_body(spec) for name, spec in each.traced.inputs.items()},
                    "outputs": {
                        name: spec_body(spec) for name, spec in each.traced.outputs.items()
                    },
                    "constants": list(each.traced.constants),
                    "command": None if each.refusal else commands[each.traced.function],
                    "refusal": each.refusal or None,
                    "training": each.remark or None,
                }
                for each in found.functions
            ],
            "inner": [
                {
                    "calls": list(each.calls),
                    "function": each.function or None,
                    "op": each.op,
                    "tensor": spec_body(each.spec),
                    "path": each.path,
                    "command": commands[each],
                }
                for each in found.inner
            ],
            "composed": _composed(found.composed),
            "nodes": None if flow is None else [_node(flow, each) for each in flow.nodes],
        },
    )


def _node(flow: Dataflow, node: DataNode) -> dict[str, Any]:
    return {
        "path": node.path,
        "calls": list(node.calls),
        "function": node.function or None,
        "name": node.name,
        "op": node.op,
        "outputs": len(node.outputs),
        "reads": [flow.nodes[port.node].tensor(port.output) for port in node.inputs],
        "hands_on": node.hands_on,
    }


def write_receipt(command: str, receipt: Receipt) -> None:
    """Write a receipt; for ``add-predict`` and ``wrap``, its last change in place of the list."""
    body: dict[str, Any] = receipt_body(receipt)
    if command in {"add-predict", "wrap"}:
        added = body.pop("changes")[-1]
        named = {"key": added["key"], "signature": added["signature"], "outcome": added["outcome"]}
        body = {**dict(list(body.items())[:3]), **named, **dict(list(body.items())[3:])}
        write(command, body)
    else:
        write("edit", {"command": command, **body})


def receipt_body(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt for JSON."""
    return {
        "directory": str(receipt.directory),
        "form": receipt.form,
        "tag_set": list(receipt.tag_set),
        "changes": [
            {
                "key": each.key,
                "outcome": each.outcome,
                "was": each.was or None,
                "signature": None if each.signature is None else signature_body(each.signature),
            }
            for each in receipt.changes
        ],
        "dry_run": receipt.dry_run,
        "size_before": receipt.size_before,
        "size_after": receipt.size_after,
        "loaders": list(receipt.loaders),
        "variables_read": receipt.variables_read,
        "fingerprint": receipt.fingerprint,
        "warm_up": receipt.warm_up,
        "backup": None if receipt.backup is None else str(receipt.backup),
        "notes": [{"code": note.code, "text": note.text} for note in receipt.notes],
        "numbers": None
        if receipt.numbers is None
        else {key: list(outputs) for key, outputs in receipt.numbers.items()},
    }


def write_error(error: SmpatchError) -> None:
    """Write the error because of which nothing was done."""
    write("error", error_body(error))


def error_body(error: SmpatchError) -> dict[str, Any]:
    """Return an error for JSON."""
    return {
        "kind": _kind(error),
        "exit_code": error.exit_code,
        "message": str(error),
        "where": error.where or None,
        "found": error.found,
        "hint": error.hint or None,
        "faults": [_fault(each) for each in getattr(error, "faults", ())],
    }


def write_interruption(stop: Interrupted) -> None:
    """Write that a signal came, and whether the model was edited."""
    write(
        "error",
        {
            "kind": type(stop).__name__,
            "exit_code": stop.exit_code,
            "message": str(stop),
            "where": None,
            "found": stop.found,
            "hint": stop.outcome,
            "faults": [],
        },
    )


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "path": fault.path or None,
        "line": fault.line,
        "found": fault.found,
        "hint": fault.hint or None,
    }


def _kind(error: SmpatchError) -> str:
    """Return the name of the public class of an error; a module may have subclasses of its own."""
    shown = (SmpatchError.__module__, OutputError.__module__)
    return next(each.__name__ for each in type(error).__mro__ if each.__module__ in shown)


def write(what: str, body: object) -> None:
    """Write one object: ``version``, and the body under the name of the command."""
    # Not json.dumps, which keeps all pieces in memory: for a model with very many signatures they
    # take a hundred times as much memory as its file.
    encoder = json.JSONEncoder(indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    pieces = encoder.iterencode({"version": VERSION, what.replace("-", "_"): body})
    stream(map(_printable, pieces))


def _plain(value: object) -> dict[str, Any]:
    """Return a value that the encoder does not accept as a dict, when the encoder reaches it."""
    if isinstance(value, SignatureDef):
        return signature_body(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _printable(piece: str) -> str:
    """Return JSON in ASCII; bytes that are not UTF-8, which strict readers refuse, are replaced."""
    if _ESCAPED.search(piece) is None:
        return piece
    text = piece.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _ESCAPED.sub(lambda each: json.dumps(each[0])[1:-1], text)


def _meta_graph(meta_graph: MetaGraph) -> dict[str, Any]:
    from smpatch.functions.composed_of import compositions

    return {
        "tags": list(meta_graph.tags),
        "tensorflow_version": meta_graph.tensorflow_version or None,
        "has_object_graph": meta_graph.has_object_graph,
        "signatures": meta_graph.signatures,
        "composed": _composed(compositions(meta_graph)),
        "disagreements": _disagreements(meta_graph),
        "reserved": {
            key: [tensor.name for tensor in each.tensors()]
            for key, each in meta_graph.reserved.items()
        },
    }


def _composed(found: Mapping[str, ComposedOf]) -> dict[str, Any]:
    return {
        key: {
            "before": list(each.before),
            "signatures": list(each.signatures),
            "bound": list(each.bound),
            "after": list(each.after),
        }
        for key, each in found.items()
    }


def _disagreements(meta_graph: MetaGraph) -> list[dict[str, str]]:
    if not meta_graph.has_object_graph:
        return []
    from smpatch.functions.compare import disagreements

    return [{"key": each.key, "found": each.found} for each in disagreements(meta_graph)]


def signature_body(signature: SignatureDef) -> dict[str, Any]:
    """Return a signature for JSON."""
    return {
        "method_name": signature.method_name,
        "inputs": {alias: spec_body(spec) for alias, spec in signature.inputs.items()},
        "outputs": {alias: spec_body(spec) for alias, spec in signature.outputs.items()},
        "defaults": {alias: default_body(value) for alias, value in signature.defaults.items()},
    }


def spec_body(spec: Spec) -> dict[str, Any]:
    """Return a spec for JSON; ``encoding`` names its kind."""
    if isinstance(spec, CompositeTensorSpec):
        return {
            "encoding": "composite",
            "type": spec.type_name,
            "type_spec": _base64(spec.type_spec),
            "components": [spec_body(component) for component in spec.components],
        }
    described = {"dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}
    if isinstance(spec, SparseTensorSpec):
        names = {"values": spec.values, "indices": spec.indices, "dense_shape": spec.dense_shape}
        return {"encoding": "sparse", **names, **described}
    return {"encoding": "dense", "name": spec.name, **described}


def default_body(value: bytes) -> dict[str, Any]:
    """Return the default of an input for JSON."""
    dtype, shape, text = preview(value)
    return {
        "dtype": dtype,
        "shape": None if shape is None else list(shape),
        "preview": text,
        "tensor_proto": _base64(value),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
