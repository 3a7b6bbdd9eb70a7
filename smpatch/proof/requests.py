"""The computation that each signature must have after an edit, in terms of the graph before.

This module reads the edit and the model before it; it does not look at what the editors make.
A tensor inside a function is found by the same search that the edit uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    AddSignature,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    RaggedRef,
    Remove,
    Rename,
    Retag,
    SetInitOp,
    SparseRef,
    TensorRef,
)
from smpatch.fragments import Fragment
from smpatch.functions.binding import Bound, bound_inputs
from smpatch.functions.function_signature import Promotable, find_function
from smpatch.functions.inner_tensors import Inner, find_inner
from smpatch.graph.resolve import parse
from smpatch.loader import MetaGraph
from smpatch.signature import CLASSES, EXAMPLES, PREDICTIONS, SCORES, SignatureDef

__all__ = ["ComposedRequest", "FunctionRequest", "Request", "requests"]

Names = tuple[str, ...]
"""The full names of the dense tensors of which an input or output consists."""


@dataclass(frozen=True, slots=True)
class Request:
    """The computation that a signature must have.

    Attributes:
        inputs: Alias to the tensors that are fed.
        outputs: Alias to the tensors that are fetched, or to a tensor inside a function.
        was: The key that the signature had before the edit; empty where the edit makes it.
        input_was: Alias of an input to the alias that it had, where it was there before.
        output_was: Alias of an output to the alias that it had, where it was there before.
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
    """A signature that is to compute what a traced function computes.

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
    """A signature that is to compute what functions and another signature do one after another.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
        source: Alias to the tensors of the other signature's inputs.
        yielded: Alias to the tensors of its outputs.
        before: The functions before it, in the order in which they run.
        after: Those behind it.
        bound: Alias of an input of the source to the value that it is fed.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    source: Mapping[str, Names]
    yielded: Mapping[str, Names]
    before: tuple[Fragment, ...]
    after: tuple[Fragment, ...]
    bound: Mapping[str, Bound]


AnyRequest = Request | FunctionRequest | ComposedRequest


def requests(before: MetaGraph, edit: Edit) -> dict[str, AnyRequest]:
    """Return what each signature that an edit leaves is to compute, by its key after the edit.

    Args:
        before: The MetaGraph before the edit.
        edit: The edit, which was carried out without an error.
    """
    found: dict[str, AnyRequest] = {
        key: _kept(key, each) for key, each in before.signatures.items()
    }
    if isinstance(edit, Retag | Remove | SetInitOp):
        return found  # a signature that is gone computes nothing; an init op belongs to none
    if isinstance(edit, Rename | Copy):
        if edit.source in before.signatures:
            found[edit.target] = _kept(edit.source, before.signatures[edit.source])
    elif isinstance(edit, EditSignature):
        found[edit.key] = _edited(before, edit)
    elif isinstance(edit, PromoteFunction):
        function = find_function(before, edit.function)
        found[edit.key or function.key] = _of_function(edit, function)
    elif isinstance(edit, FromSignature):
        found[edit.key] = _derived(before, edit)
    elif isinstance(edit, Compose):
        found[edit.key] = _composed(before, edit)
    elif isinstance(edit, AddPredict | AddClassify | AddRegress | AddSignature):
        found[edit.key] = _added(edit)
    return found


def _kept(key: str, signature: SignatureDef) -> Request:
    inputs = {alias: _names(spec) for alias, spec in signature.inputs.items()}
    outputs: dict[str, Names | Inner] = {
        alias: _names(spec) for alias, spec in signature.outputs.items()
    }
    return Request(
        inputs, outputs, key, {each: each for each in inputs}, {each: each for each in outputs}
    )


def _edited(before: MetaGraph, edit: EditSignature) -> Request:
    old = before.signatures[edit.key]
    input_was = {
        edit.rename_inputs.get(alias, alias): alias
        for alias in old.inputs
        if alias not in edit.drop_inputs
    }
    output_was = {
        edit.rename_outputs.get(alias, alias): alias
        for alias in old.outputs
        if alias not in edit.drop_outputs
    }
    inputs = {alias: _names(old.inputs[was]) for alias, was in input_was.items()}
    outputs: dict[str, Names | Inner] = {
        alias: _names(old.outputs[was]) for alias, was in output_was.items()
    }
    inputs |= {alias: _names(ref) for alias, ref in edit.add_inputs.items()}
    for alias, ref in edit.add_outputs.items():
        outputs[alias] = _output(before, edit.key, ref)
    return Request(inputs, outputs, edit.key, input_was, output_was)


def _derived(before: MetaGraph, edit: FromSignature) -> Request:
    source = before.signatures[edit.source]
    outputs: dict[str, Names | Inner] = {}
    for alias, wanted in edit.outputs.items():
        if wanted in source.outputs:
            outputs[alias] = _names(source.outputs[wanted])
        else:
            outputs[alias] = _output(before, edit.source, wanted)
    return Request({alias: _names(each) for alias, each in source.inputs.items()}, outputs)


def _composed(before: MetaGraph, edit: Compose) -> Request | ComposedRequest:
    """Return what the source computes where it is fed what is bound and what functions yield."""
    source = before.signatures[edit.source]
    put = (*edit.before, *edit.after)
    if put:
        first = tuple(each for each in edit.before if isinstance(each, Fragment))
        then = tuple(each for each in edit.after if isinstance(each, Fragment))
        inputs, outputs = source.inputs.keys() - edit.bind.keys(), set(source.outputs)
        for each in reversed(first):
            inputs = (inputs - each.outputs.keys()) | each.inputs.keys()
        for each in then:
            outputs = (outputs - each.inputs.keys()) | each.outputs.keys()
        return ComposedRequest(
            frozenset(inputs),
            frozenset(outputs),
            {alias: _names(each) for alias, each in source.inputs.items()},
            {alias: _names(each) for alias, each in source.outputs.items()},
            first,
            then,
            bound_inputs(source, edit),
        )
    return Request(
        {alias: _names(each) for alias, each in source.inputs.items() if alias not in edit.bind},
        {alias: _names(each) for alias, each in source.outputs.items()},
        bound={_full(each.spec.name): each for each in bound_inputs(source, edit).values()},
    )


def _output(before: MetaGraph, key: str, ref: TensorRef) -> Names | Inner:
    """Return the tensors of the main graph that are meant, or the one inside a function."""
    if not isinstance(ref, str) or ("@" not in ref and parse(ref).op in before.graph):
        return _names(ref)
    return find_inner(before, key, ref)


def _of_function(edit: PromoteFunction, function: Promotable) -> FunctionRequest:
    named = dict(edit.inputs or {})
    others = {name: name for name in function.inputs if name not in named.values()}
    outputs = {name: name for name in function.outputs} if edit.outputs is None else edit.outputs
    return FunctionRequest(function, {**named, **others}, dict(outputs))


def _added(edit: AddPredict | AddClassify | AddRegress | AddSignature) -> Request:
    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    if isinstance(edit, AddPredict):
        inputs, outputs = edit.inputs, edit.outputs
    elif isinstance(edit, AddSignature):
        inputs, outputs = edit.signature.inputs, edit.signature.outputs
    elif isinstance(edit, AddRegress):
        inputs, outputs = {EXAMPLES: edit.examples}, {PREDICTIONS: edit.predictions}
    else:
        inputs = {EXAMPLES: edit.examples}
        given = {CLASSES: edit.classes, SCORES: edit.scores}
        outputs = {alias: ref for alias, ref in given.items() if ref is not None}
    return Request(
        {alias: _names(ref) for alias, ref in inputs.items()},
        {alias: _names(ref) for alias, ref in outputs.items()},
    )


def _names(ref: TensorRef) -> Names:
    if isinstance(ref, str):
        names: Names = (ref,)
    elif isinstance(ref, SparseRef):
        names = (ref.values, ref.indices, ref.dense_shape)
    elif isinstance(ref, RaggedRef):
        names = (ref.values, *ref.row_splits)
    else:
        names = tuple(tensor.name for tensor in ref.tensors())
    return tuple(_full(name) for name in names)


def _full(name: str) -> str:
    tensor = parse(name) if name else None
    return name if tensor is None else f"{tensor.op}:{tensor.index or 0}"
