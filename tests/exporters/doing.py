"""Edit a copy of a model, and keep its expected result beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smpatch import RefusedError, ValidationError, validator
from tests.contract.editing import copy, snapshot
from tests.exporters.expected import Model, wrong
from tests.exporters.numbers import LOADERS, Runner
from tests.exporters.steps import Choose, first
from tests.exporters.subjects import Subject
from tests.exporters.verbs import VERBS

__all__ = ["Copy"]


@dataclass
class Copy:
    """A copy of a model for edits.

    Attributes:
        subject: The measured original.
        directory: The directory of the copy.
        model: The expected model.
        validator: The validator of the edits.
        done: The verbs of the edits that were done.
        refused: Verb to the error, if smpatch refused the edit.
    """

    subject: Subject
    directory: Path
    validator: validator.Validator
    model: Model = field(init=False)
    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Copy the model."""
        self.start()

    def start(self) -> None:
        """Replace the copy with the model of the exporter."""
        shutil.rmtree(self.directory, ignore_errors=True)
        copy(self.subject.directory, self.directory)
        self.model = Model.before(self.subject)
        self.done = []

    def edit(self, verb: str, choose: Choose[Any] = first) -> bool:
        """Do an edit, and return whether the verb had an edit and smpatch did it.

        Raises:
            AssertionError: smpatch refused the single commit of an edit and changed the model.
            ValidationError: TensorFlow does not accept the result; for ``shape`` this is a refusal.
        """
        step = VERBS[verb](self.subject, self.directory, self.model, choose)
        if step is None:
            return False
        before = snapshot(self.directory)
        try:
            step.do(self.subject, self.directory, self.model.tags, self.validator)
        except (RefusedError, ValidationError) as error:
            several = step.commits is not None and len(step.commits) > 1
            assert several or snapshot(self.directory) == before, f"{verb} refused and changed it"
            # Runs prove that a graph takes a wider shape, and they may show that it does not.
            if isinstance(error, ValidationError) and verb != "shape":
                raise
            self.refused[verb] = str(error)
            if several:
                self.start()
            return False
        self.model = step.after
        self.done.append(verb)
        return True

    def wrong(self, runner: Runner, loaders: Sequence[str] = LOADERS) -> Iterator[str]:
        """Yield the differences between the copy and the expected model."""
        yield from wrong(self.subject, self.directory, self.model, runner, loaders)
