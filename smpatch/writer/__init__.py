"""From a signature to a changed model on disk: merge, stage, commit.

``merge`` makes a plan and touches no disk; ``stage`` writes the edited model staging, with
the payloads linked or copied; ``commit`` puts it in place by one rename. Before that
rename the model on disk is what it was; after it, it is the new one, whole. ``stage_backup``
stages what an earlier edit has kept, so that the same commit takes the edit back.
``stage_new`` makes a staging directory that others fill, ``commit_new`` puts it in place.

These modules validate nothing: between ``stage`` and ``commit`` somebody else proves that
what was staged works.
"""

from smpatch.writer.commit import Committed, commit, commit_new
from smpatch.writer.finish import recover
from smpatch.writer.lock import Lock, hold
from smpatch.writer.plan import Plan, merge
from smpatch.writer.rehearsal import rehearse
from smpatch.writer.stage import (
    Staged,
    StagingDirectory,
    find_backup,
    stage,
    stage_backup,
    stage_new,
    workplace,
)

__all__ = [
    "Committed",
    "Lock",
    "Plan",
    "Staged",
    "StagingDirectory",
    "commit",
    "commit_new",
    "find_backup",
    "hold",
    "merge",
    "recover",
    "rehearse",
    "stage",
    "stage_backup",
    "stage_new",
    "workplace",
]
