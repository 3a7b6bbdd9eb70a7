"""The errors with which the program of a child process refuses a request.

Standard library only: this file runs in the child processes.
"""

from __future__ import annotations


class Unfit(Exception):
    """TensorFlow cannot be loaded here; this is not the fault of a model."""


class Refused(Exception):
    """TensorFlow or the program refuses a request.

    Attributes:
        code: TensorFlow's status code.
        message: TensorFlow's words.
    """

    def __init__(self, code: int, message: str) -> None:
        """Store the code and the message."""
        super().__init__(message)
        self.code = code
        self.message = message


class UntraceableError(Exception):
    """A function cannot be put before or after a signature.

    Attributes:
        found: The reason.
        where: The place in the user's file; empty if the request names it.
        hint: Advice; may be empty.
    """

    def __init__(self, found: str, *, where: str = "", hint: str = "") -> None:
        """Store the three parts."""
        super().__init__(found)
        self.found = found
        self.where = where
        self.hint = hint
