"""The number of inputs: few in ``make test``, more in ``make prove``, any in ``make fuzz``."""

from __future__ import annotations

import os

from tests.prove.ledger import LONG

__all__ = ["EXAMPLES"]

EXAMPLES = int(os.environ.get("SMPATCH_FUZZ") or (500 if LONG else 0))
"""The number of inputs for each target; 0 for the small number of ``make test``."""
