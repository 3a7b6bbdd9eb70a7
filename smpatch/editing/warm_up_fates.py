"""What a list of edits makes of each signature, as far as requests name it.

The edits are followed one by one: a rename of keys, and the names that inputs and outputs get,
or lose. A signature that is made anew under a key takes over the requests to that key.

This module reads no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from smpatch.editing.edit import Edit
from smpatch.editing.tracking import Kind
from smpatch.signature import SignatureDef
from smpatch.warmup import Fate

__all__ = ["fates_of"]

_Names = dict[str, str | None]


@dataclass(slots=True)
class _Track:
    """A signature on its way: its key and the names of its inputs and outputs by now."""

    key: str | None
    inputs: _Names
    outputs: _Names


def fates_of(
    edits: Iterable[Edit],
    before: Mapping[str, SignatureDef],
    after: Mapping[str, SignatureDef],
    changed: Collection[str],
) -> dict[str, Fate]:
    """Return what becomes of signatures whose requests have to change.

    Args:
        edits: The edits, in their order.
        before: The signatures before them, by key.
        after: The signatures after them.
        changed: The keys under which there is another signature now, or none.
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
        # Of one that was taken away and made again the requests are left to the new one.
        and (track.key is not None or key not in after)
        and (fate := Fate(track.key, _moved(track.inputs), _moved(track.outputs))) != Fate(key)
    }


def _follow(track: _Track, edit: Edit) -> None:
    if track.key is None:
        return
    halves: tuple[tuple[Kind, _Names], ...] = (("inputs", track.inputs), ("outputs", track.outputs))
    for half, names in halves:
        for alias, now in names.items():
            if now is not None:
                names[alias] = edit.alias_after(half, track.key, now)
    track.key = None if edit.removes(track.key) else edit.key_after(track.key)


def _moved(names: _Names) -> dict[str, str | None]:
    return {alias: now for alias, now in names.items() if now != alias}
