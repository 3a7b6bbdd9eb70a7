"""From a signature to a changed model on disk: merge, stage, commit.

``merge`` makes a plan and touches no disk; ``stage`` writes the edited model aside, with
the payloads linked or copied; ``commit`` puts it in place by one rename. Before that
rename the model on disk is what it was; after it, it is the new one, whole.

These rooms validate nothing: between ``stage`` and ``commit`` somebody else proves that
what was staged works.
"""

from smpatch.writer.commit import Committed, commit
from smpatch.writer.lock import Lock, hold
from smpatch.writer.plan import Plan, merge
from smpatch.writer.stage import Staged, recover, stage

__all__ = ["Committed", "Lock", "Plan", "Staged", "commit", "hold", "merge", "recover", "stage"]
