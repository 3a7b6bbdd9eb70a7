"""The errors with which the program of a child process refuses a request.

Standard library only: this file runs in the child processes.
"""

from __future__ import annotations


class Unfit(Exception):
    """TensorFlow cannot be loaded here; no model is to blame."""


class Refused(Exception):
    """A request that TensorFlow, or this program, answers with no.

    Attributes:
        code: TensorFlow's status code.
        message: TensorFlow's words.
    """

    def __init__(self, code: int, message: str) -> None:
        """Keep the code beside the words."""
        super().__init__(message)
        self.code = code
        self.message = message


class UntraceableError(Exception):
    """A function cannot be put before or behind a signature.

    Attributes:
        found: The reason.
        where: The place in the user's file; empty where the request says it.
        hint: Advice; empty where there is none.
    """

    def __init__(self, found: str, *, where: str = "", hint: str = "") -> None:
        """Keep the three parts apart."""
        super().__init__(found)
        self.found = found
        self.where = where
        self.hint = hint
