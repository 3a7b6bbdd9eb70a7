"""Warm-up requests that an edit breaks.

Source: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc`` (a request that
fails keeps TF Serving from loading the model).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from smpatch import warmup
from smpatch.errors import ModelUnreadableError
from smpatch.rules import Note
from smpatch.signature import SignatureDef

__all__ = ["warm_up_notes"]


def warm_up_notes(
    directory: Path, before: Mapping[str, SignatureDef], after: Mapping[str, SignatureDef]
) -> Iterator[Note]:
    """Yield a note for each signature that a warm-up request names, and that lacks something now.

    Args:
        directory: The model directory.
        before: The signatures before the edit, by key.
        after: The signatures after it.
    """
    try:
        calls = warmup.requests(directory)
    except ModelUnreadableError as error:
        yield Note("warm-up-unreadable", str(error))
        return
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
            text = (
                f"a warm-up request in {warmup.PLACE} names {what}: TF Serving will not load "
                "the model until that file is rewritten or removed"
            )
            yield Note("warm-up", text)
