"""The computation that each signature must have after an edit, in tensors of the graph before it.

Each kind of edit makes requests from its fields and the model before it (``Edit.expected``),
without the result of ``Edit.apply``. Both use the same search for a tensor inside a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smpatch.graph.resolve import parse
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef
from smpatch.tensor_refs import TensorRef, named_tensors

if TYPE_CHECKING:
    from smpatch.fragments import Fragment
    from smpatch.functions.binding import Bound
    from smpatch.functions.function_signature import Promotable
    from smpatch.functions.inner_tensors import Inner

PART = "\0"
"""The first character of the label of a part of a composite tensor. No alias has it."""

Names = tuple[str, ...]
"""The full names of the dense tensors of which an input or output consists."""


@dataclass(frozen=True, slots=True)
class Request:
    """The computation that a signature must have.

    Attributes:
        inputs: Alias to the tensors that are fed.
        outputs: Alias to the tensors that are fetched, or to a tensor inside a function.
        was: The key that the signature had before the edit; empty if the edit makes it.
        input_was: Alias of an input to its alias before the edit, if it was there.
        output_was: Alias of an output to its alias before the edit, if it was there.
        bound: Tensor to the value that is fed there in every call.
    """

    inputs: Mapping[str, Names]
    outputs: Mapping[str, Names | Inner]
    was: str = ""
    input_was: Mapping[str, str] = field(default_factory=dict)
    output_was: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, Bound] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """The request that a signature computes what a traced function computes.

    Attributes:
        function: The function.
        inputs: Alias to the name of an argument.
        outputs: Alias to the name of a result.
    """

    function: Promotable
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ComposedRequest:
    """The request that a signature runs functions and another signature, its source, in order.

    Attributes:
        inputs: The inputs of the signature.
        outputs: The outputs of the signature.
        source: Alias to the tensors of the source's inputs.
        yielded: Alias to the tensors of the source's outputs.
        before: The functions before the source, in the order in which they run.
        after: The functions after the source, in the order in which they run.
        bound: Alias of an input of the source to the value that it is fed.
        opened: Alias to a tensor, between the source's inputs and outputs, that is fed as well:
            of the main graph, or inside a function.
        spare: Inputs of the source that the signature may have, although no output needs them.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    source: Mapping[str, Names]
    yielded: Mapping[str, Names]
    before: tuple[Fragment, ...]
    after: tuple[Fragment, ...]
    bound: Mapping[str, Bound]
    opened: Mapping[str, Names | Inner] = field(default_factory=dict)
    spare: frozenset[str] = frozenset()


AnyRequest = Request | FunctionRequest | ComposedRequest


def kept(key: str, signature: SignatureDef) -> Request:
    """Return the request for a signature that keeps its aliases and tensors."""
    inputs = {alias: tensor_names(spec) for alias, spec in signature.inputs.items()}
    outputs: dict[str, Names | Inner] = {
        alias: tensor_names(spec) for alias, spec in signature.outputs.items()
    }
    return Request(
        inputs, outputs, key, {each: each for each in inputs}, {each: each for each in outputs}
    )


def on_tensors(inputs: Mapping[str, TensorRef], outputs: Mapping[str, TensorRef]) -> Request:
    """Return the request for a signature that is made of tensors of the main graph."""
    return Request(
        {alias: tensor_names(ref) for alias, ref in inputs.items()},
        {alias: tensor_names(ref) for alias, ref in outputs.items()},
    )


def output(before: MetaGraph, key: str, ref: TensorRef) -> Names | Inner:
    """Return the tensors of the main graph that are named, or the tensor inside a function."""
    if not isinstance(ref, str) or ("@" not in ref and parse(ref).op in before.graph):
        return tensor_names(ref)
    from smpatch.functions.inner_tensors import find_inner

    return find_inner(before, key, ref)


def tensor_names(ref: TensorRef) -> Names:
    """Return the full names of the dense tensors of which a tensor consists."""
    return tuple(map(full, named_tensors(ref)))


def full(name: str) -> str:
    """Return the name of a tensor with its index."""
    tensor = parse(name) if name else None
    return name if tensor is None else f"{tensor.op}:{tensor.index or 0}"
