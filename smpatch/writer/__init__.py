"""Write an edited model to disk: merge, stage, commit.

``merge`` makes a plan and writes nothing. ``stage`` writes the edited model into a staging
directory, with links to the other files or copies of them. ``commit`` puts the model in place by
one rename. Before the rename the model on disk is the old one; after it, the new one.
``stage_backup`` stages the backup of an earlier edit, so that the same commit undoes the edit.
``stage_new`` makes a staging directory for a new model, and ``commit_new`` puts it in place.

This package validates nothing: the caller validates the staged model before ``commit``.
"""

from smpatch.writer.commit import Committed, commit, commit_new
from smpatch.writer.finish import recover
from smpatch.writer.lock import Lock, hold
from smpatch.writer.plan import Plan, merge
from smpatch.writer.rehearsal import rehearse
from smpatch.writer.stage import Staged, find_backup, stage, stage_backup, stage_new, workplace

__all__ = [
    "Committed",
    "Lock",
    "Plan",
    "Staged",
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
