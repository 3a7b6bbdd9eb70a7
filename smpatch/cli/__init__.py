"""The command line: call the library, render what it returns, exit.

One file for each command, shared options in ``options``, errors in ``guard``, text for
people in ``terminal`` and for programs in ``machine``. Data goes to stdout, talk to
stderr. Nothing is decided here that a caller of the library would have to decide again.
"""

from smpatch.cli.main import main

__all__ = ["main"]
