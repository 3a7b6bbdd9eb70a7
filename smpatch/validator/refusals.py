"""Words for models that TensorFlow refuses, and the error for those that end its process."""

from __future__ import annotations

from smpatch.errors import ValidationError
from smpatch.rules import IN_DOUBT
from smpatch.runtime.process import ChildDied
from smpatch.runtime.questions import PythonSignatures
from smpatch.validator.comparing import WITHOUT
from smpatch.validator.edited import Edited

__all__ = ["CrashError", "refusal", "why_in_doubt"]


def why_in_doubt(edited: Edited) -> str:
    """Return a hint where Python's loader refuses a model: what is known to cause that, if any."""
    texts = [n.text for built in edited.built.values() for n in built.notes if n.code in IN_DOUBT]
    if not texts:
        return "the model is unchanged; please report this"
    return "; ".join(("the model is unchanged", *texts))


def refusal(said: PythonSignatures) -> str:
    """Return why Python does not load a model; a ``KeyError`` has its key as words, or none."""
    if said.kind == "KeyError" or not said.message:
        return f"{said.kind}: {said.message}" if said.message else said.kind
    return said.message


class CrashError(ValidationError):
    """TensorFlow's process ended on a model."""

    def __init__(self, found: str, death: ChildDied) -> None:
        """Say what was found, and keep how the process ended."""
        super().__init__(found, hint="the model is unchanged")
        self.how = death.how
        self.was_killed = death.was_killed

    def beside(self, before: str) -> ValidationError:
        """Return what to say when it is known how the model as it was ended the process, if so."""
        hint = "the unedited model does not end it; the model is unchanged"
        if before:
            hint = f"the unedited model ends it, too: {before}; the model is unchanged; {WITHOUT}"
        return ValidationError(self.found, hint=hint)
