"""What a list of edits makes of each signature, as far as requests name it.

The edits are followed one by one: a rename of keys, and the names that inputs and outputs get,
or lose. A signature that is made anew under a key takes over the requests to that key.

This module reads no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from smpatch.editing.naming import matches
from smpatch.edits import Compose, Edit, EditSignature, FromSignature, Remove, Rename
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
    if isinstance(edit, Rename) and track.key == edit.source:
        track.key = edit.target
    elif isinstance(edit, Remove) and track.key is not None and matches(track.key, edit.keys):
        track.key = None
    elif isinstance(edit, EditSignature) and track.key == edit.key:
        gone = (*_without(edit.drop_inputs, edit.add_inputs),)
        _rename(track.inputs, {**edit.rename_inputs, **dict.fromkeys(gone)})
        gone = (*_without(edit.drop_outputs, edit.add_outputs),)
        _rename(track.outputs, {**edit.rename_outputs, **dict.fromkeys(gone)})
    elif isinstance(edit, Compose) and track.key == edit.key == edit.source:
        _rename(track.inputs, dict.fromkeys(edit.bind))
    elif isinstance(edit, FromSignature) and track.key == edit.key == edit.source:
        names: _Names = dict.fromkeys(alias for alias in track.outputs.values() if alias)
        for new, old in edit.outputs.items():
            if old in names and old not in edit.outputs:
                names[old] = names[old] or new
        names.update({alias: alias for alias in edit.outputs if alias in names})
        _rename(track.outputs, names)


def _without(names: Iterable[str], added: Collection[str]) -> Iterable[str]:
    """Return names that go; one that comes back for another tensor is fed or fetched as before."""
    return (name for name in names if name not in added)


def _rename(names: _Names, new: Mapping[str, str | None]) -> None:
    for alias, now in names.items():
        if now is not None:
            names[alias] = new.get(now, now)


def _moved(names: _Names) -> dict[str, str | None]:
    return {alias: now for alias, now in names.items() if now != alias}
