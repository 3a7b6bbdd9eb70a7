"""The child process that loads a model with ``tf.saved_model.load`` or traces a recipe.

``light_child`` has the modules of the loader alone and starts in half of the processor time.
If it loads a model or traces a recipe, this result counts. It may refuse a model or die, because
other modules are missing: then ``python_child``, which has imported all of TensorFlow, decides.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from smpatch.runtime import questions
from smpatch.runtime.process import Child, ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.runtime.questions import PythonSignatures

if TYPE_CHECKING:
    from smpatch.runtime.python_questions import Traced

_LOG = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class _Ask(Protocol):
    def __call__(self, program: Program, question: Callable[[Child, float], _Answer]) -> _Answer:
        """Ask a child; see ``Validator.ask``."""
        ...


class PythonLoader:
    """``tf.saved_model.load`` in a child process.

    Attributes:
        program: The program of the child that is asked first.
    """

    def __init__(self, ask: _Ask, *, light: bool) -> None:
        """Ask nothing yet.

        Args:
            ask: The function that asks a child.
            light: Whether a child with the loader's own modules is asked first. A child that calls
                signatures as well needs all of TensorFlow.
        """
        self._ask = ask
        self.program = Program.LIGHT if light else Program.PYTHON

    def load(
        self, directory: os.PathLike[str], tags: Sequence[str], *, variables: bool = True
    ) -> PythonSignatures:
        """Load a model and return its signatures.

        Args:
            directory: The SavedModel.
            tags: Its tag-set.
            variables: Whether its variables are read. A model that does not load without them is
                loaded with them, and this decides.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
            ChildError: The child that decides died, hung or is unfit.
        """

        def whole(child: Child, limit: float, *, variables: bool = True) -> PythonSignatures:
            return questions.python_signatures(child, directory, tags, limit, variables=variables)

        question = partial(whole, variables=variables)
        if self.program is Program.LIGHT:
            try:
                said = self._ask(Program.LIGHT, question)
                if said.ok:
                    _LOG.info(
                        "the modules of tf.saved_model.load alone decide: it loads %s", directory
                    )
                    return said
                why = f"{said.kind}: {said.message}" if said.kind else said.message
            except ChildError as error:
                why = self._undecided(error)
            _LOG.info(
                "the modules of tf.saved_model.load alone: %s; all of TensorFlow decides", why
            )
        elif not variables:
            said = self._ask(Program.PYTHON, question)
            if said.ok:
                return said
        return self._ask(Program.PYTHON, whole)

    def trace(self, question: Callable[[Child, float], Traced]) -> Traced:
        """Trace a recipe.

        Args:
            question: The function that asks a child.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
            ChildError: The child that decides died, hung or is unfit.
        """
        if self.program is Program.LIGHT:
            try:
                said = self._ask(Program.LIGHT, question)
                if said.refusal is None:
                    return said
                why = said.refusal.found
            except ChildError as error:
                why = self._undecided(error)
            _LOG.info("it is not traced by the modules of tf.saved_model.load alone: %s", why)
        return self._ask(Program.PYTHON, question)

    def _undecided(self, error: ChildError) -> str:
        """Return why the light child does not decide.

        Raises:
            ChildError: The child hung or was killed: another one would need more time or memory.
        """
        if isinstance(error, ChildHung) or (isinstance(error, ChildDied) and error.was_killed):
            raise error
        if isinstance(error, ChildUnfit):
            self.program = Program.PYTHON  # it would be unfit for the next model, too
        return str(error)
