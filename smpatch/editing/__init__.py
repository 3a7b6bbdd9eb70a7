"""Edits of a MetaGraph in memory: each makes a new draft of it. Nothing here touches a disk.

``edit`` has the base of all kinds, ``sequence`` does a list of edits one after the other,
``tracking`` follows names through a list. The kinds (``edits``) are made of the rest.
"""

from __future__ import annotations

from smpatch.editing.edit import (
    Change,
    Context,
    Edit,
    Expected,
    InPatchFiles,
    Making,
    MetaGraphEdit,
    NotAppliedError,
    Outcome,
    Proof,
    Repetition,
    Step,
)

__all__ = [
    "Change",
    "Context",
    "Edit",
    "Expected",
    "InPatchFiles",
    "Making",
    "MetaGraphEdit",
    "NotAppliedError",
    "Outcome",
    "Proof",
    "Repetition",
    "Step",
]
