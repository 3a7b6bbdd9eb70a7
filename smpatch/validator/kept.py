"""The output or tensor of the model before the edit that each output must equal, and its feeds.

This follows from the edits alone. They are read here a second time, independent of the code that
applies them, so that one mistake is not in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from smpatch.arguments import Constant
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
    SparseRef,
    TensorRef,
)
from smpatch.loader import MetaGraph
from smpatch.runs.feeds import Feeds, agreed
from smpatch.runs.pairs import Values
from smpatch.runs.values import Feeding, UnmakeableError, features
from smpatch.signature import Spec

__all__ = ["Kept", "Names", "SameValues", "kept"]

_MADE_UP = (Feeding("random", 0, (1,)), Feeding("random", 1, (3,)), Feeding("zeros", 0, (1,)))


class SameValues:
    """Values for the signatures of an edited MetaGraph, by the aliases that they have now.

    Attributes:
        unmakeable: Key to why nothing could be made up.
    """

    def __init__(
        self, before: MetaGraph, after: MetaGraph, file: str | os.PathLike[str] | None
    ) -> None:
        """Read the user's file, if there is one.

        Raises:
            UsageError: It cannot be read, or names no input.
        """
        self.unmakeable: dict[str, str] = {}
        self._before = before.signatures
        self._after = after.signatures
        self._wanted = features(before)
        self._made: dict[str, list[Values]] = {}
        self._given: Feeds | None = None
        if file is not None:
            self._given = Feeds(Feeding(file=file), {**self._after, **self._before})

    def make(self, key: str, there: Kept) -> None:
        """Make the values of a signature.

        Args:
            key: The key that it has now.
            there: What it was.
        """
        old = self._before[there.was].inputs if there.was in self._before else {}
        was = there.inputs.was
        inputs = {
            alias: agreed(spec, old.get(was.get(alias, "")))
            for alias, spec in self._after[key].inputs.items()
        }
        made = self._made[key] = [*self._own(key, there, inputs)]
        try:
            made += [
                feed.values
                for rule in _MADE_UP
                for feed in Feeds(rule, {}, self._wanted).of(key, inputs)
            ]
        except UnmakeableError as error:
            if not made:
                self.unmakeable[key] = str(error)

    def of(self, key: str) -> Sequence[Values]:
        """Return the values of a signature by its key; none where none were made."""
        return self._made.get(key, ())

    def _own(self, key: str, there: Kept, inputs: Mapping[str, Spec]) -> Iterator[Values]:
        """Yield the user's values, found by the names of now or of before."""
        if self._given is None:
            return
        was = {alias: there.inputs.was.get(alias, alias) for alias in inputs}
        had = {was[alias]: spec for alias, spec in inputs.items()}
        for name, wanted in ((key, inputs), (there.was, had)):
            try:
                feeds = [*self._given.of(name, wanted)]
            except UnmakeableError:
                continue
            for feed in feeds:
                yield {a: feed.values[a if wanted is inputs else was[a]] for a in inputs}
            return


@dataclass(frozen=True, slots=True)
class Names:
    """The inputs or the outputs of a signature after the edits.

    Attributes:
        was: Alias to the alias that it had before.
        tensors: Alias to the tensors that an edit names for it, ``op:index`` each, in the order
            of a spec's ``tensors()``. One may be inside a function, and not in the graph.
    """

    was: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A signature after the edits.

    Attributes:
        was: The key that it had before, or that it was made from; empty where there was none.
        inputs: Its inputs.
        outputs: Its outputs.
        complete: Whether these are all; a function has names that the edit does not say.
        function: The traced function that it calls, by path or name. ``was`` of its inputs
            and outputs are then arguments and results; those that are not there keep their
            names, all outputs if none is there.
        bound: Inputs, by the aliases that they had before, to the values that they are fed
            before; they are no inputs any more.
    """

    was: str = ""
    inputs: Names = Names()
    outputs: Names = Names()
    complete: bool = True
    function: str = ""
    bound: Mapping[str, Constant] = field(default_factory=dict)


State = dict[str, Kept]


def kept(
    edits: Sequence[Edit], before: Mapping[str, tuple[Sequence[str], Sequence[str]]]
) -> Mapping[str, Kept]:
    """Follow edits from the signatures that there were.

    Args:
        edits: What is asked for, in its order.
        before: Key to the aliases of inputs and outputs, before all edits.

    Returns:
        Key to signature, after all edits.
    """
    state = {
        key: Kept(key, Names({a: a for a in inputs}), Names({a: a for a in outputs}))
        for key, (inputs, outputs) in before.items()
    }
    for edit in edits:
        follow = _FOLLOW.get(type(edit))
        if follow is not None:
            follow(state, edit)
    return state


def _add_predict(state: State, edit: AddPredict) -> None:
    state[edit.key] = Kept("", _named(edit.inputs), _named(edit.outputs))


def _add_classify(state: State, edit: AddClassify) -> None:
    outputs = {"classes": edit.classes, "scores": edit.scores}
    there = {alias: ref for alias, ref in outputs.items() if ref is not None}
    state[edit.key] = Kept("", _named({"inputs": edit.examples}), _named(there))


def _add_regress(state: State, edit: AddRegress) -> None:
    outputs = _named({"outputs": edit.predictions})
    state[edit.key] = Kept("", _named({"inputs": edit.examples}), outputs)


def _add_signature(state: State, edit: AddSignature) -> None:
    state[edit.key] = Kept("", _named(edit.signature.inputs), _named(edit.signature.outputs))


def _promote(state: State, edit: PromoteFunction) -> None:
    key = edit.key or edit.function.rpartition(".")[2]
    names = Names(edit.inputs or {}), Names(edit.outputs or {})
    state[key] = Kept("", *names, complete=False, function=edit.function)


def _derive(state: State, edit: FromSignature) -> None:
    source = state.get(edit.source)
    if source is None:
        return  # the other half has it
    if source.function:
        state[edit.key] = Kept(complete=False)
        return
    had = source.outputs
    was = {alias: had.was[ref] for alias, ref in edit.outputs.items() if ref in had.was}
    tensors = {
        alias: had.tensors.get(ref, (_tensor(ref),))
        for alias, ref in edit.outputs.items()
        if alias not in was
    }
    state[edit.key] = replace(source, outputs=Names(was, tensors))


def _compose(state: State, edit: Compose) -> None:
    source = state.get(edit.source)
    if source is None:
        return  # the other half has it
    if edit.before or edit.after:
        state[edit.key] = Kept(complete=False)  # composed_numbers compares it
        return
    if source.function or source.bound or not source.inputs.was.keys() >= edit.bind.keys():
        state[edit.key] = Kept(complete=False)  # nothing before the edits can be fed the value
        return
    left = {alias: was for alias, was in source.inputs.was.items() if alias not in edit.bind}
    bound = {source.inputs.was[alias]: value for alias, value in edit.bind.items()}
    state[edit.key] = replace(source, inputs=replace(source.inputs, was=left), bound=bound)


def _rename(state: State, edit: Rename) -> None:
    if edit.source in state:
        state[edit.target] = state.pop(edit.source)


def _copy(state: State, edit: Copy) -> None:
    if edit.source in state:
        state[edit.target] = state[edit.source]


def _remove(state: State, edit: Remove) -> None:
    for wanted in edit.keys:
        gone = [wanted] if wanted in state else [key for key in state if fnmatchcase(key, wanted)]
        for key in gone:
            del state[key]


def _edit(state: State, edit: EditSignature) -> None:
    there = state.get(edit.key)
    if there is not None and there.function:
        state[edit.key] = Kept(complete=False)
    elif there is not None:
        inputs = _changed(there.inputs, edit.rename_inputs, edit.drop_inputs, edit.add_inputs)
        outputs = _changed(there.outputs, edit.rename_outputs, edit.drop_outputs, edit.add_outputs)
        state[edit.key] = replace(there, inputs=inputs, outputs=outputs)


_FOLLOW: Mapping[type, Callable[..., None]] = {
    AddClassify: _add_classify,
    AddPredict: _add_predict,
    AddRegress: _add_regress,
    AddSignature: _add_signature,
    Compose: _compose,
    Copy: _copy,
    EditSignature: _edit,
    FromSignature: _derive,
    PromoteFunction: _promote,
    Remove: _remove,
    Rename: _rename,
}
"""What each edit makes of signatures; other tags change none."""


def _changed(
    names: Names,
    renamed: Mapping[str, str],
    dropped: Sequence[str],
    added: Mapping[str, TensorRef],
) -> Names:
    was = {renamed.get(a, a): old for a, old in names.was.items() if a not in dropped}
    tensors = {renamed.get(a, a): ref for a, ref in names.tensors.items() if a not in dropped}
    return Names(was, {**tensors, **_named(added).tensors})


def _named(refs: Mapping[str, TensorRef]) -> Names:
    return Names(tensors={alias: _tensors(ref) for alias, ref in refs.items()})


def _tensors(ref: TensorRef) -> tuple[str, ...]:
    if isinstance(ref, str):
        return (_tensor(ref),)
    if isinstance(ref, SparseRef):
        return tuple(map(_tensor, (ref.values, ref.indices, ref.dense_shape)))
    if isinstance(ref, RaggedRef):
        return tuple(map(_tensor, (ref.values, *ref.row_splits)))
    return tuple(_tensor(each.name) for each in ref.tensors())


def _tensor(name: str) -> str:
    """Return the full name of a tensor: the first output where no index is written."""
    _, colon, index = name.rpartition(":")
    return name if colon and index.isdecimal() else f"{name}:0"
