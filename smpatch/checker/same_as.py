"""The comparison of a model with another one: keys, aliases, types and numbers must be the same.

Both models are fed the same values, and run without TensorFlow's optimizers. Their outputs are
compared one by one: in the C runtime and, if one of the models has an object graph, in
``tf.saved_model.load``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from smpatch import dtypes
from smpatch.checker.findings import Compared, Finding, Subject, fault, note
from smpatch.loader import MetaGraph, SavedModel
from smpatch.runs.arrays import UnmakeableError
from smpatch.runs.comparing import Tolerance
from smpatch.runs.feeds import Feeds, Target, agreed, in_c, in_python
from smpatch.runs.pairs import Outcome, Values, compare_pairs, pair_up
from smpatch.runs.sessions import Asks, CRuntime, NotLoadedError, Place, PythonLoader
from smpatch.runs.values import SameAs, features
from smpatch.runtime.questions import PythonSignature
from smpatch.signature import SignatureDef, Spec, TensorSpec

Loader = type[CRuntime | PythonLoader]


class Comparing:
    """The comparison of a MetaGraph with one of another model.

    Attributes:
        compared: The comparison of each output that ran in both models.
    """

    def __init__(self, asks: Asks, subject: Subject, other: SavedModel, asked: SameAs) -> None:
        """Find the other MetaGraph, and read the file of values, if there is one.

        Raises:
            UsageError: The file cannot be read, or names no input.
            TagSetError: The other model has several MetaGraphs, and none with these tags.
        """
        self.compared: list[Compared] = []
        self._not_run: set[str] = set()
        self._asks = asks
        self._subject = subject
        self._asked = asked
        self._name = str(other.directory)
        self._other = _like(subject.meta_graph, other)
        self._ours = Place(subject.model.directory, subject.meta_graph.tags)
        self._theirs = Place(other.directory, self._other.tags)
        meta_graph = subject.meta_graph
        self._feeds = Feeds(asked.feeding, subject.signatures, features(meta_graph))

    def findings(self, *, python: bool) -> Iterator[Finding]:
        """Run both models, and yield the differences.

        Args:
            python: Whether ``tf.saved_model.load`` runs them as well.
        """
        ours, theirs = self._subject.meta_graph, self._other
        keys = [key for key in self._subject.signatures if key in theirs.signatures]
        yield from self._keys()
        for key in keys:
            yield from self._names(key, ours.signatures[key], theirs.signatures[key])
        values = {key: self._values(key) for key in keys}
        for key, each in values.items():
            if isinstance(each, str):
                where = self._subject.where(f"signature {key!r}")
                yield note("not-compared", where, each, "give values with --feed FILE.npz")
        yield from self._run(CRuntime, values, in_c(ours.signatures), in_c(theirs.signatures))
        if python and (ours.has_object_graph or theirs.has_object_graph):
            try:
                listed = [self._listed(place) for place in (self._ours, self._theirs)]
            except NotLoadedError as error:
                text = f"tf.saved_model.load does not load both models: {error}"
                yield note("not-compared", self._subject.where(), text)
            else:
                for key in filter(set.symmetric_difference(*map(set, listed)).__contains__, keys):
                    where = "here" if key in listed[0] else f"in {self._name}"
                    yield self._different(key, f"tf.saved_model.load lists it {where} alone")
                yield from self._run(PythonLoader, values, *map(in_python, listed))
        shown = {each.key for each in self.compared if each.elements or not each.same}
        for key in sorted({each.key for each in self.compared} - shown):
            where = self._subject.where(f"signature {key!r}")
            text = "its outputs have no elements, so that no value was compared"
            yield note("not-compared", where, text, "give other values with --batch or --feed")
        if not shown:
            text = f"no output could be compared with {self._name}"
            yield fault("nothing-compared", self._subject.where(), text)

    def _keys(self) -> Iterator[Finding]:
        ours, theirs = self._subject.meta_graph.signatures, self._other.signatures
        for key in filter(self._subject.concerns, sorted(theirs.keys() - ours.keys())):
            yield self._different(key, f"it is in {self._name}, and not here")
        for key in filter(self._subject.concerns, sorted(ours.keys() - theirs.keys())):
            yield self._different(key, f"it is here, and not in {self._name}")

    def _names(self, key: str, ours: SignatureDef, theirs: SignatureDef) -> Iterator[Finding]:
        for kind, here, there in (
            ("inputs", ours.inputs, theirs.inputs),
            ("outputs", ours.outputs, theirs.outputs),
        ):
            if here.keys() != there.keys():
                text = f"it has the {kind} {sorted(here)} here, {sorted(there)} in {self._name}"
                yield self._different(key, text)
            for alias in sorted(here.keys() & there.keys()):
                types = _types(here[alias]), _types(there[alias])
                if types[0] != types[1]:
                    text = f"{alias!r} is {types[0]} here, {types[1]} in {self._name}"
                    yield self._different(key, text)

    def _values(self, key: str) -> Sequence[Values] | str:
        """Return the values to feed to a signature, or the reason, in words, if there are none."""
        ours, theirs = self._subject.meta_graph.signatures[key], self._other.signatures[key]
        inputs = {a: agreed(spec, theirs.inputs.get(a)) for a, spec in ours.inputs.items()}
        try:
            return [feed.values for feed in self._feeds.of(key, inputs)]
        except UnmakeableError as error:
            return str(error)

    def _listed(self, place: Place) -> Mapping[str, PythonSignature]:
        loader = PythonLoader(self._asks, place)
        with loader:
            loader.load()
        return loader.signatures

    def _run(
        self,
        loader: Loader,
        values: Mapping[str, Sequence[Values] | str],
        ours: Mapping[str, Target],
        theirs: Mapping[str, Target],
    ) -> Iterator[Finding]:
        reasons: dict[str, str] = {}
        pairs = [
            pair
            for key, each in values.items()
            if key in ours and key in theirs and not isinstance(each, str)
            for pair in pair_up(ours[key], theirs[key], each, reasons.setdefault)
        ]
        for key, why in reasons.items():
            where = self._subject.where(f"signature {key!r}")
            yield note("not-compared", where, f"no numbers ({loader.loader}): {why}")
        near = Tolerance(self._asked.relative, self._asked.absolute)
        ours_opened, theirs_opened = (
            partial(loader, self._asks, place) for place in (self._ours, self._theirs)
        )
        try:
            outcomes = compare_pairs(pairs, ours_opened, theirs_opened, near)
        except NotLoadedError as error:
            text = f"{loader.loader} does not load both models: {error}"
            yield fault("not-the-same", self._subject.where(), text)
            return
        for key, outcome in outcomes.items():
            yield from self._outcome(key, outcome, loader.loader)

    def _outcome(self, key: str, outcome: Outcome, loader: str) -> Iterator[Finding]:
        where = self._subject.where(f"signature {key!r}")
        if outcome.failure:
            text = f"it runs in {self._name}, and not here ({loader}): {outcome.failure}"
            yield self._different(key, text)
        elif outcome.refused:
            text = f"it runs here, and not in {self._name} ({loader}): {outcome.refused}"
            yield self._different(key, text)
        elif outcome.not_run and key not in self._not_run:  # both loaders report the same error
            self._not_run.add(key)
            text = f"it runs in neither model: {outcome.not_run}"
            yield note("not-compared", where, text, "give values with --feed FILE.npz")
        for alias in sorted(outcome.unstable):
            text = f"it is random or has a state: two runs of {self._name} differ ({loader})"
            yield note("numbers-unstable", f"{where}, output {alias!r}", text)
        for alias, each in sorted(outcome.outputs.items()):
            self.compared.append(
                Compared(
                    *(key, alias, loader, each.same, each.elements, each.different),
                    *(each.absolute, each.relative, str(each)),
                )
            )
            if not each.same:
                text = f"it is not the same as in {self._name} ({loader}): {each}"
                yield fault("not-the-same", f"{where}, output {alias!r}", text)

    def _different(self, key: str, text: str) -> Finding:
        return fault("not-the-same", self._subject.where(f"signature {key!r}"), text)


def _types(spec: Spec) -> str:
    """Return the types of the tensors of which an input or output consists: one if it is dense."""
    types = ", ".join(dtypes.base(each.dtype) for each in spec.tensors())
    return types if isinstance(spec, TensorSpec) else f"sparse or ragged ({types})"


def _like(meta_graph: MetaGraph, other: SavedModel) -> MetaGraph:
    """Return the MetaGraph of another model with the same tags, or its only one.

    Raises:
        TagSetError: The model has several MetaGraphs, and none with these tags.
    """
    if len(other.meta_graphs) == 1:
        return other.meta_graphs[0]
    return other.meta_graph(meta_graph.tags)
