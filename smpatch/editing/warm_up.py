"""Warm-up requests that follow an edit, and notes on those that cannot.

A record changes if the signature that it calls, an input that it feeds or an output that it asks
for gets another name or is removed. Every other record keeps its bytes. A damaged file stays as it
is: a server refuses it before and after the edit.

This module writes nothing.

Source: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc`` (a request that
fails keeps TF Serving from loading the model).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smpatch import warmup
from smpatch.editing.edit import Edit
from smpatch.editing.sequence import Done
from smpatch.editing.tracking import Kind
from smpatch.loader import SavedModel, served
from smpatch.rules import Note
from smpatch.savedmodel.directory import FileIdentity, open_regular
from smpatch.signature import SignatureDef
from smpatch.warmup import Fate, NotRewrittenError, WarmUp, misfits, rewritten
from smpatch.warmup.requests import LONGEST, calls_of
from smpatch.warmup.rewriting import followed
from smpatch.warmup.tfrecord import LongRecordError, Record, RecordError, read
from smpatch.wire import Splice
from smpatch.writer.companions import Rewrite, hindrance

_Signatures = Mapping[str, SignatureDef]

_REFUSES = "TF Serving will not load the model until that file is rewritten or removed"

_MAY_REFUSE = "TF Serving may not load the model until that file is rewritten or removed"

_NAMED = 5
"""The most records that a note names by their numbers."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The effect of edits on a model's warm-up requests.

    Attributes:
        rewrite: The change of the file; None if it stays as it is.
        notes: The notes on the requests.
    """

    rewrite: Rewrite | None = None
    notes: tuple[Note, ...] = ()


def carry(
    model: SavedModel,
    done: Done,
    edits: tuple[Edit, ...],
    *,
    keep: bool = False,
    in_place: bool = True,
) -> Carried:
    """Return the effect of edits on the warm-up requests of a model.

    Args:
        model: The model before the edits.
        done: The result of the edits.
        edits: The edits.
        keep: Whether the file stays as it is; notes then name the requests that break.
        in_place: Whether the model itself is edited, and its files are replaced.
    """
    was = served(model.meta_graphs)
    now = served([each for each in done.meta_graphs if not each.is_removed])
    before, after = was.signatures, now.signatures
    changed = frozenset(key for key, each in before.items() if after.get(key) != each)
    if not changed:
        return Carried()
    fates: Mapping[str, Fate] = {}
    # All requests go to one MetaGraph. If the edits change another one, the requests stay.
    if was is model.meta_graphs[done.place] and now is done.meta_graphs[done.place]:
        fates = _fates(edits, before, after, changed)
    file = model.directory / warmup.PLACE
    following = _Following(before, after, changed, fates)
    try:
        with open_regular(file) as opened:
            identity = FileIdentity.of(os.fstat(opened.fileno()))
            if keep:
                broken = (call for each in read(opened, longest=LONGEST) for call in calls_of(each))
                return Carried(notes=tuple(_broken(broken, before, after)))
            for record in read(opened, longest=LONGEST):
                following.take(record)
        hinders = ""
        if in_place and following.splices:
            hinders = hindrance(file, Path(os.path.realpath(model.file)))
    except (FileNotFoundError, NotADirectoryError):
        return Carried()
    except (OSError, RecordError) as error:
        found = str(error)
        if isinstance(error, OSError):
            found = f"cannot be read: {(error.strerror or found).lower()}"
        # A server may have other rights than this process, and it reads longer records.
        readable = isinstance(error, (OSError, LongRecordError))
        refuses = _MAY_REFUSE if readable else _REFUSES
        text = f"{file}: {found}; it stays as it is, and {refuses}"
        return Carried(notes=(Note("warm-up-unreadable", text),))
    if hinders:
        text = f"{warmup.PLACE} stays as it is, and its requests break: {hinders}; {_REFUSES}"
        return Carried(notes=(Note("warm-up", text),))
    splices = tuple(following.splices)
    rewrite = Rewrite(file, identity, splices) if splices else None
    return Carried(rewrite, tuple(following.notes(file)))


@dataclass(slots=True)
class _Following:
    """The decisions on the records of a file, which are read one after another."""

    before: _Signatures
    after: _Signatures
    changed: frozenset[str]
    fates: Mapping[str, Fate]
    splices: list[Splice] = field(default_factory=list)
    _number: int = 0
    _rewritten: int = 0
    _removed: int = 0
    _left: dict[str, list[int]] = field(default_factory=dict)
    _all_outputs: list[int] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """Decide on a record."""
        self._number = record.number
        calls = calls_of(record)
        if not calls and self.fates and record.data:
            self._leave(record, "it is of a kind that is not known here")
        if not any(call.signature in self.changed for call in calls):
            return
        pairs = [(call, followed(call, self.fates)) for call in calls]
        reason = self._contradiction(pairs)
        splices: tuple[Splice, ...] = ()
        if not reason and any(call.signature in self.fates for call in calls):
            try:
                splices = rewritten(record, self.fates)
            except NotRewrittenError as error:
                reason = str(error)
        if reason:
            self._leave(record, reason)
        elif any(now is not None for _, now in pairs):
            self._rewritten += bool(splices)
            if any(call.outputs and now is not None and not now.outputs for call, now in pairs):
                self._all_outputs.append(record.number)
        else:
            self._removed += 1
        self.splices += splices

    def _contradiction(self, pairs: Sequence[tuple[WarmUp, WarmUp | None]]) -> str:
        """Return how a request contradicts its signature only after the edits; empty for none."""
        for call, now in pairs:
            was = self.before.get(call.signature)
            if now is None or was is None or any(misfits(call, was)):
                continue  # it is removed, or no signature answered it before
            signature = self.after.get(now.signature)
            if signature is None:
                return f"it calls the signature {now.signature!r}, which is not there"
            for each in misfits(now, signature):
                return each.text
        return ""

    def _leave(self, record: Record, reason: str) -> None:
        self._left.setdefault(reason, []).append(record.number)

    def notes(self, file: Path) -> Iterator[Note]:
        """Yield notes on the decisions."""
        if self.splices:
            counts = ((self._rewritten, "rewritten"), (self._removed, "removed"))
            done = " and ".join(f"{count} {words}" for count, words in counts if count)
            records = "1 record" if self._number == 1 else f"{self._number:,} records"
            text = f"{warmup.PLACE} follows the edit: of {records}, {done}"
            yield Note("warm-up-rewritten", text)
            for link in (file.parent, file):
                if link.is_symlink():
                    text = f"{link} is a symbolic link; {os.path.realpath(link)} is edited"
                    yield Note("through-link", text)
        if self._all_outputs:
            text = (
                f"{_numbered(self._all_outputs)} of {warmup.PLACE} asked only for outputs that are "
                "dropped, and now for all that there are"
            )
            yield Note("warm-up-all-outputs", text)
        for reason, numbers in self._left.items():
            text = f"{_numbered(numbers)} of {warmup.PLACE} cannot follow: {reason}; {_MAY_REFUSE}"
            yield Note("warm-up", text)


def _numbered(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"record {numbers[0]}"
    more = ", ..." if len(numbers) > _NAMED else ""
    return f"{len(numbers)} records ({', '.join(map(str, numbers[:_NAMED]))}{more})"


def _broken(calls: Iterator[WarmUp], before: _Signatures, after: _Signatures) -> Iterator[Note]:
    """Yield a note for each signature that lacks a name of a request now, or is removed."""
    reported: set[str] = set()
    for call in calls:
        was, now = before.get(call.signature), after.get(call.signature)
        if was is None or call.signature in reported:
            continue
        pairs = (
            ()
            if now is None
            else ((call.inputs, was.inputs, now.inputs), (call.outputs, was.outputs, now.outputs))
        )
        gone = [
            name for names, old, new in pairs for name in names if name in old and name not in new
        ]
        if now is None or gone:
            reported.add(call.signature)
            what = f"signature {call.signature!r}"
            if gone:
                what = f"{', '.join(map(repr, gone))} of {what}"
            text = f"a warm-up request in {warmup.PLACE} names {what}: {_REFUSES}"
            yield Note("warm-up", text)


_Names = dict[str, str | None]


@dataclass(slots=True)
class _Track:
    """A signature between two edits: its key, and old alias to the alias that it has now."""

    key: str | None
    inputs: _Names
    outputs: _Names


def _fates(
    edits: Iterable[Edit],
    before: Mapping[str, SignatureDef],
    after: Mapping[str, SignatureDef],
    changed: Collection[str],
) -> dict[str, Fate]:
    """Return the fates of the signatures whose requests must change, by key.

    The edits are followed one by one: the key of each signature, and the names of its inputs and
    outputs. If a signature is made again under a key, it gets the requests to that key.

    ``changed`` has the keys whose signature is another one after the edits, or is removed.
    """
    tracks = {
        key: _Track(
            key,
            {alias: alias for alias in signature.inputs},
            {alias: alias for alias in signature.outputs},
        )
        for key, signature in before.items()
    }
    for edit in edits:
        for track in tracks.values():
            _follow(track, edit)
    return {
        key: fate
        for key, track in tracks.items()
        if key in changed
        # If a signature was removed and made again, its requests go to the new one.
        and (track.key is not None or key not in after)
        and (fate := Fate(track.key, _moved(track.inputs), _moved(track.outputs))) != Fate(key)
    }


def _follow(track: _Track, edit: Edit) -> None:
    if track.key is None:
        return
    sides: tuple[tuple[Kind, _Names], ...] = (("inputs", track.inputs), ("outputs", track.outputs))
    for kind, names in sides:
        for alias, now in names.items():
            if now is not None:
                names[alias] = edit.alias_after(kind, track.key, now)
    track.key = None if edit.removes(track.key) else edit.key_after(track.key)


def _moved(names: _Names) -> dict[str, str | None]:
    return {alias: now for alias, now in names.items() if now != alias}
