"""Comparisons of the two halves of a TensorFlow 2 export, and checks of the object graph itself.

``functions.compare`` finds keys and names that differ. This module compares types and shapes, and
the names of arguments, which Python keeps in three places. It checks that the functions exist, and
that the main graph passes the same tensors to a function as Python: Python pairs sorted names with
places, and no loader reports an error if servers pair them in another way.

Source: ``tensorflow/python/saved_model/signature_serialization.py``, ``load.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from smpatch import dtypes
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.functions.compare import disagreements
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.index import CALLS
from smpatch.graph.objects import Leaf, keyword_arguments, leaves
from smpatch.proof.sameness import python_computation, signature_computation
from smpatch.runs.arrays import UnmakeableError
from smpatch.runs.feeds import Feeds, in_c, in_python
from smpatch.runs.pairs import Outcome, Values, compare_pairs, pair_up
from smpatch.runs.sessions import Asks, CRuntime, NotLoadedError, Place, PythonLoader
from smpatch.runs.values import Feeding, features
from smpatch.signature import Spec, TensorSpec, compatible, same_parameters, shape_text


def check_computations(subject: Subject) -> Iterator[Finding]:
    """Yield signatures that compute something else in Python than in a server."""
    meta_graph = subject.meta_graph
    if subject.python_reads_signature_def or not meta_graph.has_object_graph:
        return
    objects = meta_graph.objects
    crossed = {each.number: each for each in meta_graph.captures.crossed()}
    other_names = {each.key for each in disagreements(meta_graph)}
    for key in sorted(subject.signatures.keys() & objects.signatures.keys() - other_names):
        where = subject.where(f"signature {key!r}")
        concrete = objects.concrete_functions[objects.signatures[key].concrete_function_name]
        wrong = [crossed[number] for number in concrete.bound_inputs if number in crossed]
        for each in wrong[:1]:
            text = (
                f"Python takes the variable {each.name!r} (object {each.number}) where servers "
                f"take {each.passed!r}: they compute different numbers"
            )
            yield fault("computations-differ", where, text)
        if not wrong and not _are_equal(subject, key):
            text = "Python's function computes something else than signature_def names"
            hint = "smpatch check --run compares the numbers"
            yield fault("computations-differ", where, text, hint)


def _are_equal(subject: Subject, key: str) -> bool:
    """Return whether the halves have the same fingerprint, or one that cannot be computed."""
    meta_graph = subject.meta_graph
    try:
        ours = signature_computation(meta_graph, meta_graph.signatures[key]).outputs
        theirs = python_computation(meta_graph, key, by_tensor=True).outputs
    except FingerprintError:
        return True
    # A composite tensor has its parts in signature_def, and one alias in Python.
    return ours.keys() != theirs.keys() or ours == theirs


def check_halves(
    asks: Asks, subject: Subject, feeding: Feeding, broken: Collection[str]
) -> Iterator[Finding]:
    """Yield findings about the outputs for which Python computes other numbers than servers.

    Args:
        asks: The owner of the child processes that load TensorFlow.
        subject: A MetaGraph with an object graph, from which Python takes its signatures.
        feeding: The values to feed. If it makes values other than random ones, random ones are
            fed as well: zeros and ones do not distinguish variables.
        broken: Keys of signatures that have a fault already; they are left out.
    """
    place = Place(subject.model.directory, subject.meta_graph.tags)
    signatures = subject.signatures
    rules = [feeding]
    if feeding.file is None and feeding.filling != "random":
        rules.append(Feeding("random", feeding.seed, feeding.batches))
    wanted = features(subject.meta_graph)
    feeds = [Feeds(rule, signatures, wanted) for rule in rules]
    python = PythonLoader(asks, place)
    try:
        with python:
            python.load()
        listed, targets = in_python(python.signatures), in_c(signatures)
        pairs = [
            pair
            for key in signatures
            if key in listed and key not in broken
            for pair in pair_up(listed[key], targets[key], _values(feeds, subject, key))
        ]
        outcomes = compare_pairs(
            pairs, lambda: PythonLoader(asks, place), lambda: CRuntime(asks, place)
        )
    except NotLoadedError:
        return  # the check of the loaders reports it
    for key, outcome in outcomes.items():
        yield from _findings(subject, key, outcome)


def _values(feeds: Sequence[Feeds], subject: Subject, key: str) -> Iterator[Values]:
    inputs = subject.meta_graph.signatures[key].inputs
    with contextlib.suppress(UnmakeableError):  # the check that runs the signature reports it
        for each in feeds:
            yield from (feed.values for feed in each.of(key, inputs))


def _findings(subject: Subject, key: str, outcome: Outcome) -> Iterator[Finding]:
    where = subject.where(f"signature {key!r}")
    if outcome.failure:
        text = f"it runs in the C runtime, and not in tf.saved_model.load: {outcome.failure}"
        yield fault("python-run-fails", where, text)
    for alias, comparison in sorted(outcome.outputs.items()):
        if not comparison.same:
            text = f"tf.saved_model.load computes other numbers than the C runtime: {comparison}"
            yield fault("numbers-disagree", f"{where}, output {alias!r}", text)
    for alias in sorted(outcome.unstable):
        text = "it is random or has a state, so that Python and servers cannot be compared"
        yield note("numbers-unstable", f"{where}, output {alias!r}", text)


def check_object_graph(subject: Subject) -> Iterator[Finding]:
    """Yield differences between the signatures of TF Serving and those of Python."""
    meta_graph = subject.meta_graph
    if subject.python_reads_signature_def:
        return
    different = {each.key: each.found for each in disagreements(meta_graph)}
    for key, found in different.items():
        if not subject.concerns(key):
            continue
        where = subject.where(f"signature {key!r}")
        yield fault("halves-disagree", where, f"it is {found}")
    for key, bare in meta_graph.objects.signatures.items():
        if key in subject.signatures and key not in different:
            yield from _Pair(subject, key, bare).findings()


class _Pair:
    """A signature that both halves have under one key, with the same names."""

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
            yield fault("halves-disagree", where, text)
        specified = _keyword_only(self._bare.function_spec)
        if specified and not same_parameters(specified, keywords):
            text = f"Python calls its inputs {sorted(keywords)} and {sorted(specified)} at once"
            yield fault("halves-disagree", where, text)
        positional = 1 if len(keywords) == 1 else 0
        if self._bare.allowed_positional_arguments != positional:
            given = self._bare.allowed_positional_arguments
            text = f"Python takes {given} of its inputs by place, where TensorFlow has {positional}"
            yield note("positional-arguments", where, text, "it cannot be saved again")

    def _places(self, where: str, arguments: Mapping[str, Leaf]) -> Iterator[Finding]:
        """Compare the names at each place, if the main graph calls the function of Python."""
        signature, graph = self._signature, self._subject.meta_graph.graph
        results = self._function.output_signature.dict_value.fields
        if not (
            set(signature.inputs) == set(arguments) == set(self._bare.argument_keywords)
            and set(signature.outputs) == set(results)
            and all(each.WhichOneof("kind") == "tensor_spec_value" for each in results.values())
            and all(isinstance(each, TensorSpec) for each in signature.inputs.values())
        ):
            return  # the difference is reported already, or a tensor has several places
        fed = {tensor.name: alias for alias, tensor in _dense(signature.inputs)}
        for op in sorted(
            {tensor.name.rpartition(":")[0] for _, tensor in _dense(signature.outputs)}
        ):
            if not self._calls(op):
                continue
            for source, theirs in zip(graph.wiring(op).inputs, sorted(arguments), strict=False):
                ours = fed.get(source if ":" in source else f"{source}:0", theirs)
                if ours != theirs:
                    text = f"servers feed {ours!r}, and Python feeds {theirs!r}"
                    yield fault("halves-disagree", where, text)
        names = {str(place): name for place, name in enumerate(sorted(results))}
        for alias, tensor in _dense(signature.outputs):
            op, _, place = tensor.name.rpartition(":")
            if self._calls(op) and place in names:
                theirs = names[place]
                if theirs != alias:
                    text = f"for {alias!r} servers return the tensor that Python calls {theirs!r}"
                    yield fault("halves-disagree", where, text)

    def _calls(self, op: str) -> bool:
        """Return whether a node of the main graph calls the function that Python calls."""
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
                continue  # a composite tensor has one alias in one half, and several in the other
            where = self._subject.where(f"signature {self._key!r}", f"{kind} {alias!r}")
            if dtypes.base(leaf.spec.dtype) != dtypes.base(spec.dtype):
                text = f"it is {spec.dtype} in signature_def, {leaf.spec.dtype} in Python"
                yield fault("halves-disagree", where, text)
            elif not compatible(leaf.spec.shape, spec.shape):
                ours, others = shape_text(spec.shape), shape_text(leaf.spec.shape)
                text = f"its shape is {ours} in signature_def, {others} in Python"
                yield fault("halves-disagree", where, text)


def _dense(specs: Mapping[str, Spec]) -> Iterator[tuple[str, TensorSpec]]:
    for alias, spec in specs.items():
        if isinstance(spec, TensorSpec):
            yield alias, spec


def _keyword_only(specification: Any) -> list[str]:  # noqa: ANN401 - a FunctionSpec
    """Return the names of the keyword-only arguments; none if there is ``**kwargs``."""
    for pair in specification.fullargspec.named_tuple_value.values:
        if pair.key == "kwonlyargs":
            return [each.string_value for each in pair.value.list_value.values]
    return []
