"""How much is tried: a few inputs each day, more in ``make prove``, any number in ``make fuzz``."""

from __future__ import annotations

import os

from tests.prove.ledger import LONG

__all__ = ["EXAMPLES"]

EXAMPLES = int(os.environ.get("SMPATCH_FUZZ") or (500 if LONG else 0))
"""How many inputs each target gets; 0 for the few of every day."""
