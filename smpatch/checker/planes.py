"""The two planes of a TensorFlow 2 export against each other, and each against itself.

``planes.compare`` tells which keys and names differ; here is what lies deeper: the names of
arguments that Python keeps in three places, types, shapes, whether the functions exist, and
whether the main graph gives a function what Python gives it: Python pairs sorted names with
places, and no loader notices when servers pair them otherwise.

Source: ``tensorflow/python/saved_model/signature_serialization.py``, ``load.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smpatch import dtypes
from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.shapes import shown
from smpatch.checker.subject import Subject
from smpatch.graph.functions import CALLS
from smpatch.graph.objects import Leaf, keyword_arguments, leaves
from smpatch.planes.compare import disagreements
from smpatch.signature import Spec, TensorSpec, compatible, same_parameters

__all__ = ["check_planes"]


def check_planes(subject: Subject) -> Iterator[Finding]:
    """Yield where TF Serving and Python see different signatures."""
    meta_graph = subject.meta_graph
    if not meta_graph.has_object_graph:
        return
    different = {each.key: each.found for each in disagreements(meta_graph)}
    for key, found in different.items():
        where = subject.where(f"signature {key!r}")
        yield fault("planes-disagree", where, f"it is {found}")
    for key, bare in meta_graph.objects.signatures.items():
        if key in meta_graph.signatures and key not in different:
            yield from _Pair(subject, key, bare).findings()


class _Pair:
    """A signature that both planes have under one key, with the same names."""

    def __init__(self, subject: Subject, key: str, bare: Any) -> None:  # noqa: ANN401 - a SavedBareConcreteFunction
        self._subject = subject
        self._key = key
        self._bare = bare
        self._signature = subject.meta_graph.signatures[key]
        name = bare.concrete_function_name
        self._function = subject.meta_graph.objects.concrete_functions[name]

    def findings(self) -> Iterator[Finding]:
        where = self._subject.where(f"signature {self._key!r}")
        name = self._bare.concrete_function_name
        if name not in self._subject.meta_graph.graph.function_signatures:
            text = f"Python calls the function {name!r}, which the graph does not have"
            yield fault("function-missing", where, text)
        arguments = keyword_arguments(self._function)
        yield from self._arguments(where, arguments)
        results = {
            leaf.path[0]: leaf
            for leaf in leaves(self._function.output_signature)
            if len(leaf.path) == 1
        }
        yield from self._specs("input", self._signature.inputs, arguments)
        yield from self._specs("output", self._signature.outputs, results)
        yield from self._places(where, arguments)

    def _arguments(self, where: str, arguments: Mapping[str, Leaf]) -> Iterator[Finding]:
        keywords = list(self._bare.argument_keywords)
        dense = all(isinstance(spec, TensorSpec) for spec in self._signature.inputs.values())
        if dense and not same_parameters(keywords, arguments):
            text = f"Python calls its inputs {sorted(keywords)} and {sorted(arguments)} at once"
            yield fault("planes-disagree", where, text)
        specified = _keyword_only(self._bare.function_spec)
        if specified and not same_parameters(specified, keywords):
            text = f"Python calls its inputs {sorted(keywords)} and {sorted(specified)} at once"
            yield fault("planes-disagree", where, text)
        positional = 1 if len(keywords) == 1 else 0
        if self._bare.allowed_positional_arguments != positional:
            given = self._bare.allowed_positional_arguments
            text = f"Python takes {given} of its inputs by place, where TensorFlow has {positional}"
            yield note("positional-arguments", where, text, "it cannot be saved again")

    def _places(self, where: str, arguments: Mapping[str, Leaf]) -> Iterator[Finding]:
        """Compare which name goes with which place, where servers call Python's own function."""
        signature, graph = self._signature, self._subject.meta_graph.graph
        results = self._function.output_signature.dict_value.fields
        if not (
            set(signature.inputs) == set(arguments) == set(self._bare.argument_keywords)
            and set(signature.outputs) == set(results)
            and all(each.WhichOneof("kind") == "tensor_spec_value" for each in results.values())
            and all(isinstance(each, TensorSpec) for each in signature.inputs.values())
        ):
            return  # told already, or tensors that have several places
        fed = {tensor.name: alias for alias, tensor in _dense(signature.inputs)}
        for op in sorted(
            {tensor.name.rpartition(":")[0] for _, tensor in _dense(signature.outputs)}
        ):
            if not self._calls(op):
                continue
            for source, theirs in zip(graph.wiring(op).inputs, sorted(arguments), strict=False):
                ours = fed.get(source if ":" in source else f"{source}:0", theirs)
                if ours != theirs:
                    text = f"servers feed {ours!r} where Python feeds {theirs!r}"
                    yield fault("planes-disagree", where, text)
        names = sorted(results)
        for alias, tensor in _dense(signature.outputs):
            op, _, place = tensor.name.rpartition(":")
            if self._calls(op) and place.isdecimal() and int(place) < len(names):
                theirs = names[int(place)]
                if theirs != alias:
                    text = f"servers answer {alias!r} with what Python calls {theirs!r}"
                    yield fault("planes-disagree", where, text)

    def _calls(self, op: str) -> bool:
        """Tell whether a node of the main graph calls the function that Python calls."""
        graph = self._subject.meta_graph.graph
        if op not in graph or graph.wiring(op).op not in CALLS:
            return False
        value = graph.node(op).attr("f")
        return value is not None and value.func.name == self._bare.concrete_function_name

    def _specs(
        self, kind: str, specs: Mapping[str, Spec], theirs: Mapping[str, Leaf]
    ) -> Iterator[Finding]:
        for alias, spec in specs.items():
            leaf = theirs.get(alias)
            if leaf is None or not isinstance(spec, TensorSpec):
                continue  # composite tensors are one thing here and several there
            where = self._subject.where(f"signature {self._key!r}", f"{kind} {alias!r}")
            if dtypes.base(leaf.spec.dtype) != dtypes.base(spec.dtype):
                text = f"it is {spec.dtype} in signature_def, {leaf.spec.dtype} in Python"
                yield fault("planes-disagree", where, text)
            elif not compatible(leaf.spec.shape, spec.shape):
                ours, others = shown(spec.shape), shown(leaf.spec.shape)
                text = f"its shape is {ours} in signature_def, {others} in Python"
                yield fault("planes-disagree", where, text)


def _dense(specs: Mapping[str, Spec]) -> Iterator[tuple[str, TensorSpec]]:
    for alias, spec in specs.items():
        if isinstance(spec, TensorSpec):
            yield alias, spec


def _keyword_only(specification: Any) -> list[str]:  # noqa: ANN401 - a FunctionSpec
    """Return the names of the keyword-only arguments; none where any are taken (``**kwargs``)."""
    for pair in specification.fullargspec.named_tuple_value.values:
        if pair.key == "kwonlyargs":
            return [each.string_value for each in pair.value.list_value.values]
    return []
