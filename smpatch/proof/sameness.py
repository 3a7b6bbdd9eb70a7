"""The comparison of a model after an edit with the requests.

If an edit only adds to the graph, a tensor that keeps its name computes the same, and is not
compared. Otherwise the fingerprints of the requested tensors, in the graph before the edit, are
compared with the fingerprints of the signature's tensors, in the graph after it. In a model with an
object graph, the functions from which Python takes its signatures are compared as well.

Sources: ``tensorflow/python/saved_model/signature_serialization.py`` and ``load.py`` (the
order of arguments and results), ``tensorflow/core/graph/subgraph.cc``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smpatch.errors import ProofError, ValidationError
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.fingerprint import Computation, Fingerprints
from smpatch.graph.index import called, op_of
from smpatch.graph.objects import parts
from smpatch.loader import MetaGraph
from smpatch.proof.requests import (
    PART,
    AnyRequest,
    ComposedRequest,
    FunctionRequest,
    Names,
    Request,
    kept,
)
from smpatch.proof.untouched import changed_names, check_untouched
from smpatch.signature import SignatureDef, Spec, names_of, same_parameters

_REPORT = "the model is unchanged; please report this"


def prove(
    before: MetaGraph,
    after: MetaGraph,
    changed: Mapping[str, AnyRequest],
    gone: Collection[str] = (),
    *,
    with_object_graph: bool = True,
) -> None:
    """Prove that every signature has the requested computation after an edit.

    Args:
        before: The MetaGraph before the edit.
        after: The same after the edit.
        changed: Key to request, for the signatures that the edit makes or changes; all others
            stay as they are.
        gone: The keys of the signatures that the edit removes or gives another key.
        with_object_graph: Whether the edit changes the object graph, if there is one.

    Raises:
        ValidationError: A signature would be lost, be added without a request, stay although it
            is removed or gets another key, or compute something else.
        ProofError: The proof cannot be made.
    """
    proof = _Proof(before, after, changed_names(before, after))
    same: dict[str, AnyRequest] = {key: kept(key, each) for key, each in before.signatures.items()}
    asked = {**same, **changed}
    for key in after.signatures.keys() - asked.keys():
        found = "the edit would add this signature, but no edit requests it"
        raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)
    _check_present(before, after, changed, gone)
    _check_gone(after, set(gone) - set(changed), with_object_graph=with_object_graph)
    check_untouched(before, after, proof.changed)
    for key, request in asked.items():
        if key not in after.signatures:
            continue
        try:
            if isinstance(request, FunctionRequest):
                proof.check_function(key, request)
            elif isinstance(request, ComposedRequest):
                proof.check_composed(key, request)
            else:
                proof.check(key, request)
        except FingerprintError as error:
            found = f"the structural proof cannot be made: {error}"
            hint = "--validate full, run or none does the edit without this proof"
            where = f"signature {key!r}"
            raise ProofError(found, where=where, hint=hint) from error


def _check_present(
    before: MetaGraph, after: MetaGraph, changed: Collection[str], gone: Collection[str]
) -> None:
    """Check that neither half loses a signature, and that the unchanged ones stay as they are.

    Raises:
        ValidationError: A signature is lost or changed.
    """
    halves = (
        ("", before.signatures.keys() | changed, after.signatures),
        (_PYTHON, before.objects.signatures.keys(), after.objects.signatures),
    )
    for half, wanted, there in halves:
        for key in sorted(wanted - there.keys() - (set(gone) - set(changed))):
            found = f"it would not be there any more{half}"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)
    for key in before.signatures.keys() & after.signatures.keys() - set(changed):
        same = before.entries[key].value == after.entries[key].value
        if not same and before.signatures[key] != after.signatures[key]:
            found = "the edit would change this signature, which it must not change"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)


def _check_gone(after: MetaGraph, gone: Collection[str], *, with_object_graph: bool) -> None:
    """Check that the edited halves have no signature with these keys.

    Raises:
        ValidationError: One of them is still there.
    """
    halves = [("", after.signatures.keys())]
    if with_object_graph:
        halves.append((_PYTHON, after.objects.signatures.keys()))
    for half, there in halves:
        for key in sorted(there & gone):
            found = f"it would still be there{half}"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)


def signature_computation(meta_graph: MetaGraph, signature: SignatureDef) -> Computation:
    """Return the computation of a signature of ``signature_def``.

    Raises:
        FingerprintError: The graph refers to a node or function that is missing.
    """
    return _computation(meta_graph, _tensors(signature.inputs), _tensors(signature.outputs))


def _computation(
    meta_graph: MetaGraph, inputs: Mapping[str, Names], outputs: Mapping[str, Names]
) -> Computation:
    """Return the computation of tensors, by alias."""
    return meta_graph.fingerprints.main(_feeds(inputs), outputs)


def python_computation(
    meta_graph: MetaGraph,
    key: str,
    *,
    by_tensor: bool,
    labels: Mapping[str, str] | None = None,
    first: Sequence[str] = (),
) -> Computation:
    """Return the computation of the function from which Python takes a signature.

    Args:
        meta_graph: The MetaGraph; its object graph has the signature.
        key: The signature key.
        by_tensor: Whether a captured object has the fingerprint of its tensor in the main graph,
            as in ``signature_computation``; else its number is its label.
        labels: Alias of an input to its label; an input without a label gets one for dropped
            inputs. None if each alias is the label.
        first: The outputs that are computed before the others, in this order.

    Raises:
        FingerprintError: The model does not have the function, or a captured object has no
            tensor in the main graph.
    """
    name = meta_graph.objects.signatures[key].concrete_function_name
    concrete = meta_graph.objects.concrete_functions.get(name)
    if concrete is None:
        raise FingerprintError(f"the object graph does not have the function {name!r}")
    aliases = _arguments(meta_graph, key, concrete)
    if labels is not None:
        # Another input may have the alias of a dropped one.
        aliases = [labels.get(alias, f"{_DROPPED}{alias}") for alias in aliases]
    given = [_leaf(alias) for alias in aliases]
    captured = _captured(meta_graph, concrete.bound_inputs, by_tensor=by_tensor)
    results = _aliases(concrete.output_signature)
    places = [results.index(alias) for alias in first if alias in results]
    found = meta_graph.fingerprints.function(name, [*given, *captured], places)
    if len(results) != len(found.outputs):
        raise FingerprintError(f"the function {name!r} has {len(found.outputs)} results")
    outputs = {alias: found.outputs[str(place)] for place, alias in enumerate(results)}
    return Computation(outputs, found.effects)


@dataclass(frozen=True, slots=True)
class _Proof:
    """A MetaGraph before and after an edit.

    Attributes:
        before: The MetaGraph before the edit.
        after: The same after the edit.
        changed: The nodes and functions that the edit changes or removes.
    """

    before: MetaGraph
    after: MetaGraph
    changed: frozenset[str]

    def check(self, key: str, request: Request) -> None:
        """Check both halves of a signature on tensors."""
        signature = self.after.signatures[key]
        inputs = _tensors(signature.inputs)
        outputs = _tensors(signature.outputs)
        self._check_names(key, request, inputs.keys(), outputs.keys())
        in_graph = {
            alias: each for alias, each in request.outputs.items() if isinstance(each, tuple)
        }
        same = (inputs, outputs) == (request.inputs, request.outputs) and not request.bound
        if not same or self._reaches_change(outputs):
            from smpatch.proof.composed import value_fingerprint

            bound = {
                name: value_fingerprint(each, self.before.functions)
                for name, each in request.bound.items()
            }
            inner = {
                alias: (each.calls, each.spec.name)
                for alias, each in request.outputs.items()
                if not isinstance(each, tuple)
            }
            fingerprints = self.before.fingerprints
            expected = fingerprints.main(_feeds(request.inputs), in_graph, bound, inner)
            self._compare(key, expected, _computation(self.after, inputs, outputs))
        if self._has_python(key) and not self._is_same_python(key, request):
            self._check_python(key, request, _computation(self.after, inputs, outputs))

    def check_function(self, key: str, request: FunctionRequest) -> None:
        """Check both halves of a signature that calls a traced function."""
        signature = self.after.signatures[key]
        self._check_names(key, request, signature.inputs.keys(), signature.outputs.keys())
        label = {argument: alias for alias, argument in request.inputs.items()}
        given = [_leaf(label[argument]) for argument in request.function.inputs]
        place = {name: str(number) for number, name in enumerate(request.function.outputs)}
        inputs = _tensors(signature.inputs)
        outputs = _tensors(signature.outputs)
        halves = [("", True, _computation(self.after, inputs, outputs))]
        if self._has_python(key):
            halves.append((_PYTHON, False, python_computation(self.after, key, by_tensor=False)))
        for half, by_tensor, got in halves:
            captured = _captured(self.before, request.function.bound, by_tensor=by_tensor)
            found = self.before.fingerprints.function(
                request.function.function, [*given, *captured]
            )
            wanted = {alias: found.outputs[place[name]] for alias, name in request.outputs.items()}
            self._compare(key, Computation(wanted, found.effects), got, half)

    def check_composed(self, key: str, request: ComposedRequest) -> None:
        """Check both halves of a signature that has functions before or after it."""
        from smpatch.proof.composed import composed_computation

        signature = self.after.signatures[key]
        taken = signature.inputs.keys() - (request.spare - request.inputs)
        self._check_names(key, request, taken, signature.outputs.keys())
        inputs = _tensors(signature.inputs)
        outputs = _tensors(signature.outputs)
        expected = composed_computation(self.before, request)
        self._compare(key, expected, _computation(self.after, inputs, outputs))
        if self._has_python(key):
            got = python_computation(self.after, key, by_tensor=True)
            if any(alias.startswith(PART) for alias in got.outputs):
                raise FingerprintError("Python's function yields composite tensors")
            self._compare(key, expected, got, _PYTHON)

    def _check_python(self, key: str, request: Request, expected: Computation) -> None:
        """Check the function from which Python takes a signature that is new or changed."""
        compared = False
        was = self.before.objects.signatures.get(request.was)
        if was is not None and self._halves_agree_in_names(request.was):
            labels = {old: new for new, old in request.input_was.items()}
            # Equal nodes with effects are met in the order of the outputs.
            new = python_computation(self.after, key, by_tensor=False)
            first = [request.output_was[each] for each in new.outputs if each in request.output_was]
            old = python_computation(
                self.before, request.was, by_tensor=False, labels=labels, first=first
            )
            # Among equal nodes with effects, those of an added output may now be met earlier.
            is_asked = request.outputs.keys() == request.output_was.keys() or not new.effects
            if is_asked and request.inputs.keys() == request.input_was.keys():
                for alias, before in request.output_was.items():
                    pair = old.outputs[before], new.outputs.get(alias)
                    self._compare_one(key, alias, *pair, _PYTHON)
                compared = True
                if len(old.outputs) == len(request.output_was) == len(request.outputs):
                    self._compare_effects(key, old, new, _PYTHON)
        try:
            got = python_computation(self.after, key, by_tensor=True)
        except FingerprintError:
            if compared and request.outputs.keys() == request.output_was.keys():
                return
            raise
        if any(alias.startswith(PART) for alias in got.outputs):
            # A composite tensor has its parts in signature_def, and one alias in Python.
            if compared:
                return
            raise FingerprintError("Python's function yields composite tensors")
        if got.outputs.keys() != expected.outputs.keys():
            found = f"it would have the outputs {sorted(got.outputs)}{_PYTHON}"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)
        self._compare(key, expected, got, _PYTHON)

    def _has_python(self, key: str) -> bool:
        """Return whether the edit changed the object graph, which has the signature now."""
        return (
            self.before.objects is not self.after.objects and key in self.after.objects.signatures
        )

    def _is_same_python(self, key: str, request: Request) -> bool:
        """Return whether Python takes a signature from the same function, which is unchanged."""
        before, after = self.before.objects, self.after.objects
        was = before.signatures.get(request.was)
        if was is None or was != after.signatures[key]:
            return False
        name = was.concrete_function_name
        return (
            before.concrete_functions.get(name) == after.concrete_functions.get(name)
            and all(
                new == old for new, old in (*request.input_was.items(), *request.output_was.items())
            )
            and request.input_was.keys() == request.inputs.keys()
            and request.output_was.keys() == request.outputs.keys()
            and not self._functions_reach_change([name])
        )

    def _halves_agree_in_names(self, key: str) -> bool:
        signature = self.before.signatures.get(key)
        name = self.before.objects.signatures[key].concrete_function_name
        concrete = self.before.objects.concrete_functions.get(name)
        return (
            signature is not None
            and concrete is not None
            and set(_arguments(self.before, key, concrete)) == set(signature.inputs)
            and set(_aliases(concrete.output_signature)) == set(signature.outputs)
        )

    def _reaches_change(self, outputs: Mapping[str, Names]) -> bool:
        """Return whether tensors need a node or function that the edit changed or removed."""
        if not self.changed:
            return False
        graph = self.before.graph
        waiting = [op_of(name) for names in outputs.values() for name in names]
        seen: set[str] = set()
        functions: list[str] = []
        while waiting:
            name = waiting.pop()
            if name in seen or name not in graph:
                continue
            seen.add(name)
            waiting += map(op_of, graph.wiring(name).inputs)
            functions += called(graph.node(name).message())
        return not seen.isdisjoint(self.changed) or self._functions_reach_change(functions)

    def _functions_reach_change(self, names: Iterable[str]) -> bool:
        reached = self.before.functions.reached(names) if self.changed else ()
        return any(name in self.changed for name in reached)

    @staticmethod
    def _check_names(
        key: str,
        request: AnyRequest,
        inputs: Iterable[str],
        outputs: Iterable[str],
    ) -> None:
        for kind, asked, made in (
            ("inputs", request.inputs, inputs),
            ("outputs", request.outputs, outputs),
        ):
            if set(asked) != set(made):
                found = (
                    f"signature {key!r} would have the {kind} {sorted(made)}, not {sorted(asked)}"
                )
                raise ValidationError(found, hint=_REPORT)

    def _compare(self, key: str, wanted: Computation, got: Computation, half: str = "") -> None:
        for alias, each in wanted.outputs.items():
            self._compare_one(key, alias, each, got.outputs.get(alias), half)
        self._compare_effects(key, wanted, got, half)

    @staticmethod
    def _compare_effects(key: str, wanted: Computation, got: Computation, half: str) -> None:
        if wanted.effects != got.effects:
            found = f"its effects, such as assignments, would differ from the requested ones{half}"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)

    @staticmethod
    def _compare_one(
        key: str, alias: str, wanted: bytes, got: bytes | None, half: str = ""
    ) -> None:
        if wanted != got:
            found = f"output {alias!r} would not have the requested computation{half}"
            raise ValidationError(found, where=f"signature {key!r}", hint=_REPORT)


_PYTHON = " in tf.saved_model.load"
_DROPPED = f"{PART}dropped/"


def _feeds(inputs: Mapping[str, Names]) -> dict[str, str]:
    """Return tensor to label; a composite input has a label for each of its parts."""
    return {
        name: alias if len(names) == 1 else f"{PART}{alias}/{place}"
        for alias, names in inputs.items()
        for place, name in enumerate(names)
    }


def _leaf(label: str) -> bytes:
    return Fingerprints.leaf("feed", label)


def _aliases(structure: Any) -> list[str]:  # noqa: ANN401 - a StructuredValue; protobuf makes the class at run time
    """Return the name of each tensor of a dictionary; a part of a composite one has its place."""
    return [
        f"{PART}{place}" if leaf is None else leaf.path[-1] if leaf.path else str(place)
        for place, leaf in enumerate(parts(structure))
    ]


def _arguments(meta_graph: MetaGraph, key: str, concrete: Any) -> list[str]:  # noqa: ANN401 - a SavedConcreteFunction
    """Return the aliases of a signature's inputs in the order of the function's arguments.

    Python calls the function with the keywords of the object (``_call_with_flat_signature`` in
    ``tensorflow/python/eager/polymorphic_function/concrete_function.py``).
    """
    aliases = _aliases(concrete.canonicalized_input_signature)
    keywords = list(meta_graph.objects.signatures[key].argument_keywords)
    return keywords if same_parameters(keywords, aliases) else aliases


def _captured(meta_graph: MetaGraph, numbers: Iterable[int], *, by_tensor: bool) -> list[bytes]:
    found = []
    for number in numbers:
        if not by_tensor:
            found.append(Fingerprints.leaf("object", str(number)))
            continue
        tensor = meta_graph.captures.tensor(number)
        if tensor is None:
            raise FingerprintError(f"no tensor of the main graph stands for object {number}")
        found.append(meta_graph.fingerprints.tensor(tensor))
    return found


def _tensors(specs: Mapping[str, Spec]) -> dict[str, Names]:
    return {alias: tuple(names_of([spec])) for alias, spec in specs.items()}
