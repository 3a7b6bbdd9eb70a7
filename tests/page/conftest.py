"""The command line for the tests of the page."""

from __future__ import annotations

from tests.cli.conftest import call, model

__all__ = ["call", "model"]
