"""Libraries of custom operations, loaded into a child process before its first model."""

from __future__ import annotations

from pathlib import Path

from smpatch.errors import ValidationError
from smpatch.runtime import questions
from smpatch.runtime.process import Child, ChildDied, ChildHung, ChildUnfit, Program


def load_libraries(child: Child, waiting: list[Path], limit_seconds: float) -> None:
    """Load libraries into a child.

    Args:
        child: The child.
        waiting: The libraries, the first one last; a library that is loaded is removed.
        limit_seconds: The longest wait for a library.

    Raises:
        ValidationError: A library cannot be loaded.
        ChildUnfit: The child cannot load TensorFlow; or a library needs more of TensorFlow's
            modules than the child has.
        ChildDied: The child was killed while it loaded TensorFlow.
    """
    while waiting:
        library = waiting[-1]
        # A child that cannot start is no fault of a library.
        questions.version(child, limit_seconds)
        try:
            answer = questions.load_library(child, library, limit_seconds)
            found, hint = answer.message, "was it built for this TensorFlow?"
            if answer.ok:
                waiting.pop()  # not before: a lent child is asked again
                continue
        except ChildDied as error:
            found, hint = f"it ends TensorFlow's process: {error}", "repair it, or leave it out"
        except ChildHung as error:
            found = f"TensorFlow does not load it within {error.limit:g} s"
            hint = "wait longer with --time-limit"
        if child.program is Program.LIGHT:
            raise ChildUnfit(f"{library}: {found}")
        raise ValidationError(found, where=str(library), hint=hint)
