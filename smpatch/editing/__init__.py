"""Edits done to a MetaGraph that is not written yet: each makes a new draft of it.

``edit`` has the base of all kinds, ``sequence`` does a list of edits one after the other. Kinds
are made of the rest: ``adding`` puts signatures in, ``naming`` gives them other keys or takes them
away, ``revising`` changes one that is there, ``tracking`` follows names through a list.
Nothing here imports a kind of edit, or touches a disk.
"""

from __future__ import annotations

from smpatch.editing.edit import (
    Edit,
    Expected,
    InPatchFiles,
    Making,
    MetaGraphEdit,
    NotAppliedError,
    Repetition,
)
from smpatch.editing.step import Change, Context, Step

__all__ = [
    "Change",
    "Context",
    "Edit",
    "Expected",
    "InPatchFiles",
    "Making",
    "MetaGraphEdit",
    "NotAppliedError",
    "Repetition",
    "Step",
]
