"""The map of signatures in the object graph, from which Python takes its ``.signatures``.

A signature that is put into the map gets an object of its own, unless an equal object is there.
This may be the object that the key has, or one that an exporter wrote and that is unused now or
that another key has. A rename changes only the map, and two keys may share an object.

This module does not touch ``signature_def``.

Source: ``tensorflow/python/saved_model/signature_serialization.py`` (``_SignatureMap``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from smpatch import dtypes, schema
from smpatch.errors import RefusedError
from smpatch.functions.prune import pruned
from smpatch.functions.wrapper import ALONE, dense, wrap
from smpatch.graph.index import CALLS, full, op_of
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Reference
from smpatch.signature import SignatureDef, TensorSpec, names_of, shape_from_proto


def put(
    meta_graph: MetaGraph, key: str, signature: SignatureDef, old: SignatureDef | None = None
) -> MetaGraph:
    """Put a signature into the map, in the place of the signature that has the key.

    Args:
        meta_graph: The MetaGraph; its ``signature_def`` has the signature already.
        key: The signature key.
        signature: The signature, with tensors of the main graph.
        old: The signature that had the key before; None if there was none.

    Raises:
        RefusedError: The object graph cannot have an equal signature.
    """
    olds, staying = [] if old is None else [old], [*meta_graph.signatures.values()]
    number = _number(meta_graph, key)
    if number is not None and (
        _exported(meta_graph, number, signature) or _made(meta_graph, number, key, signature)
    ):
        return pruned(meta_graph, olds, staying)
    before = _references(meta_graph)
    meta_graph = pruned(_taken_out(meta_graph, {key}), olds, staying)
    number = next((n for n in _functions(meta_graph) if _exported(meta_graph, n, signature)), None)
    if number is None:
        number = len(meta_graph.objects)
        addition = wrap(meta_graph, key, signature)
        meta_graph = meta_graph.with_parts(Draft.of(meta_graph.parts).appended(addition))
    if all(each.name != key for each in before):
        return _referring(meta_graph, [*before, _reference(meta_graph, key, number)])
    in_its_place = [each._replace(number=number) if each.name == key else each for each in before]
    return _referring(meta_graph, in_its_place)


def removed(
    meta_graph: MetaGraph, keys: Collection[str], olds: Sequence[SignatureDef]
) -> MetaGraph:
    """Remove signatures from the map, and the parts that only they needed from the model.

    Args:
        meta_graph: The MetaGraph.
        keys: The signature keys.
        olds: These signatures, as ``signature_def`` has or had them.
    """
    staying = [each for other, each in meta_graph.signatures.items() if other not in keys]
    return pruned(_taken_out(meta_graph, keys), olds, staying)


def _taken_out(meta_graph: MetaGraph, keys: Collection[str]) -> MetaGraph:
    if meta_graph.objects.signatures.keys().isdisjoint(keys):
        return meta_graph
    others = [each for each in _references(meta_graph) if each.name not in keys]
    return _referring(meta_graph, others)


def renamed(meta_graph: MetaGraph, source: str, target: str) -> MetaGraph:
    """Give a signature another key, in the place of the signature that had this key."""
    if source not in meta_graph.objects.signatures:
        return _taken_out(meta_graph, {target})
    references = [
        each._replace(name=target) if each.name == source else each
        for each in _references(meta_graph)
        if each.name != target
    ]
    return _referring(meta_graph, references)


def copied(meta_graph: MetaGraph, source: str, target: str) -> MetaGraph:
    """Give a signature a second key; both share one object."""
    number = _number(meta_graph, source)
    if number is None:
        return meta_graph
    others = [each for each in _references(meta_graph) if each.name != target]
    return _referring(meta_graph, [*others, _reference(meta_graph, target, number)])


def _holder(meta_graph: MetaGraph) -> int:
    number = meta_graph.objects.signature_map
    if number is None:
        raise RefusedError("the object graph has no map of signatures", hint=ALONE)
    return number


def _references(meta_graph: MetaGraph) -> list[Reference]:
    known = Draft.of(meta_graph.parts).references
    return list(_in_file(meta_graph) if known is None else known)


def _in_file(meta_graph: MetaGraph) -> list[Reference]:
    children = meta_graph.objects.node(_holder(meta_graph)).children
    return [Reference(each.local_name, each.node_id, place) for place, each in enumerate(children)]


def _reference(meta_graph: MetaGraph, key: str, number: int) -> Reference:
    """Return a reference, in the place that the key has in the file if it has one."""
    taken = {each.origin for each in _references(meta_graph)}
    holder = _holder(meta_graph)
    for place, name in enumerate(Draft.of(meta_graph.parts).names_in_file(holder)):
        if name == key and place not in taken:
            return Reference(key, number, place)
    return Reference(key, number)


def _referring(meta_graph: MetaGraph, references: list[Reference]) -> MetaGraph:
    draft = Draft.of(meta_graph.parts).referring(_holder(meta_graph), references)
    return meta_graph.with_parts(draft)


def _number(meta_graph: MetaGraph, key: str) -> int | None:
    """Return the object of a signature; None if there is none."""
    holder = meta_graph.objects.signature_map
    return None if holder is None else meta_graph.objects.child(holder, key)


def _functions(meta_graph: MetaGraph) -> list[int]:
    """Return the objects that may be a signature: the unused ones, then those of other keys."""
    objects = meta_graph.objects
    shared = {each.number for each in _references(meta_graph)}
    found = [
        number
        for number in range(len(objects))
        if (number not in objects.referred or number in shared)
        and objects.node(number).WhichOneof("kind") == "bare_concrete_function"
    ]
    return sorted(found, key=lambda number: number in shared)


def _made(meta_graph: MetaGraph, number: int, key: str, signature: SignatureDef) -> bool:
    """Return whether an object is equal to the one that ``wrap`` makes for a signature."""
    objects, library = meta_graph.objects, meta_graph.functions
    name = objects.node(number).bare_concrete_function.concrete_function_name
    if name not in library or name not in objects.concrete_functions:
        return False
    addition = wrap(meta_graph, key, signature, name)
    entry = schema.ConcreteFunctionEntry.FromString(addition.concrete_functions[0])
    return (
        addition.functions[0] == library.body(name)
        and schema.SavedObject.FromString(addition.objects[0]) == objects.node(number)
        and entry.value == objects.concrete_functions[name]
    )


def _exported(meta_graph: MetaGraph, number: int, signature: SignatureDef) -> bool:
    """Return whether an object is the exporter's own object for a signature.

    It is if one node of the main graph calls its function with the signature's inputs, sorted, and
    with the tensors that represent the objects of its ``bound_inputs``; if the node yields the
    signature's outputs, sorted; and if the names, types and shapes are the same.
    """
    objects, graph = meta_graph.objects, meta_graph.graph
    bare = objects.node(number).bare_concrete_function
    concrete = objects.concrete_functions.get(bare.concrete_function_name)
    callers = set(map(op_of, names_of(signature.outputs.values())))
    if concrete is None or len(callers) != 1:
        return False
    (caller,) = callers
    if _called(meta_graph, caller) != bare.concrete_function_name:
        return False
    try:
        inputs, outputs = dense(signature.inputs, "input"), dense(signature.outputs, "output")
    except RefusedError:
        return False
    given = [full(source) for source in graph.wiring(caller).inputs]
    return (
        list(bare.argument_keywords) == list(inputs)
        and given[: len(inputs)] == [spec.name for spec in inputs.values()]
        and [spec.name for spec in outputs.values()]
        == [f"{caller}:{place}" for place in range(len(outputs))]
        and len(meta_graph.functions[bare.concrete_function_name].signature.output_arg)
        == len(outputs)
        and _described(_keywords(concrete), inputs)
        and _described(concrete.output_signature, outputs)
        and _captured(meta_graph, caller, given[len(inputs) :], list(concrete.bound_inputs))
    )


def _called(meta_graph: MetaGraph, caller: str) -> str:
    """Return the function that a node of the main graph calls; empty if it calls none."""
    graph = meta_graph.graph
    is_call = caller in graph and graph.wiring(caller).op in CALLS
    return meta_graph.functions.called_by(caller) if is_call else ""


def _captured(meta_graph: MetaGraph, caller: str, given: list[str], bound: list[int]) -> bool:
    """Return whether the last inputs of a call are the objects that its function captures.

    Every other call of the function must have the same tensors, because the object graph has only
    one list of objects for the function.
    """
    graph, captures = meta_graph.graph, meta_graph.captures
    function = _called(meta_graph, caller)
    return (
        len(given) == len(bound)
        and all(
            captures.number(tensor) in {None, number}
            for tensor, number in zip(given, bound, strict=True)
        )
        and all(
            [full(each) for each in graph.wiring(name).inputs][-len(given) :] == given
            for name in (graph if given else ())
            if name != caller and _called(meta_graph, name) == function
        )
    )


def _keywords(concrete: Any) -> Any:  # noqa: ANN401 - a SavedConcreteFunction, a StructuredValue
    """Return the keyword arguments of a function: the second part of its arguments."""
    values = concrete.canonicalized_input_signature.tuple_value.values
    return values[1] if len(values) > 1 else schema.StructuredValue()


def _described(structure: Any, specs: Mapping[str, TensorSpec]) -> bool:  # noqa: ANN401 - a StructuredValue
    """Return whether a dictionary of the object graph describes the same tensors as specs do."""
    found = structure.dict_value.fields
    return set(found) == set(specs) and all(
        found[alias].WhichOneof("kind") == "tensor_spec_value"
        and dtypes.name(found[alias].tensor_spec_value.dtype) == spec.dtype
        and shape_from_proto(found[alias].tensor_spec_value.shape) == spec.shape
        for alias, spec in specs.items()
    )
