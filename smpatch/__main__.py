"""``python -m smpatch``: the command line, also if its script is not on the path."""

from __future__ import annotations

import sys

from smpatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
