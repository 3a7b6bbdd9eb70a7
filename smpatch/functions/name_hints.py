"""Hints for names that a graph does not have: aliases, layers, tensors inside functions.

People type the alias that ``show`` prints, the name of a Keras layer, or a tensor that ``suggest``
lists. These are not nodes of the main graph, and the nodes with the most similar names are
variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from smpatch.errors import SmpatchError, TensorNotFoundError
from smpatch.graph.resolve import NodeNotFoundError
from smpatch.loader import MetaGraph
from smpatch.signature import DEFAULT_KEY, TensorSpec


@contextmanager
def leading(meta_graph: MetaGraph, edit: object) -> Iterator[None]:
    """Add a hint from signatures and functions to the error about a missing node.

    ``edit`` is the edit that runs inside, such as an ``AddPredict``.
    """
    try:
        yield
    except NodeNotFoundError as error:
        hint = ""
        with suppress(SmpatchError):  # an error of a damaged function is not reported here
            hint = _reversed(meta_graph, edit, error.where) or name_hint(meta_graph, error.name)
        # Callers get the class of the error tree.
        raise TensorNotFoundError(
            error.found, where=error.where, hint=hint or error.hint
        ) from error


def _reversed(meta_graph: MetaGraph, edit: object, name: str) -> str:
    """Return a hint if a tensor is before ``=``, in the place of its alias; else nothing."""
    for field in ("inputs", "outputs", "add_inputs", "add_outputs"):
        given = getattr(edit, field, None) or {}
        for alias, tensor in given.items():
            op, index, _ = alias.partition(":")
            if tensor == name and index and op in meta_graph.graph:
                return f"write the alias before =: {name}={alias}"
    return ""


def name_hint(meta_graph: MetaGraph, name: str) -> str:
    """Return a hint for a name that the main graph does not have; empty if nothing fits.

    Args:
        meta_graph: The MetaGraph.
        name: A node, as it was typed, without the index of an output.
    """
    from smpatch.functions.inner_tensors import inner_tensors, layer_outputs

    # The default key is first, because people look at it most.
    signatures = sorted(meta_graph.signatures.items(), key=lambda each: each[0] != DEFAULT_KEY)
    aliases = [
        f"{key} has the alias {name!r} for {spec.name}: write {name}={spec.name}"
        for key, signature in signatures
        for specs in (signature.inputs, signature.outputs)
        if isinstance(spec := specs.get(name), TensorSpec)
    ]
    if aliases:
        return aliases[0]
    for key, signature in signatures:
        inside = list(inner_tensors(meta_graph, signature))
        same = [each for each in inside if each.node == name]
        if same:
            return (
                f"it lies inside the functions that {key} calls, where no request can feed it; "
                f"as an output: --from-signature {key} --outputs {same[0].spec.name}"
            )
        layer = layer_outputs(name, inside)
        if layer:
            choices = " or ".join(f"--outputs {each}" for each in layer)
            return f"inside {key} there is such a layer: --from-signature {key} {choices}"
    return ""
