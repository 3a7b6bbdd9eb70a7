"""The two errors with which a child's program refuses a request.

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
