"""The edited model that is validated, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from smpatch.builder import Built
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.signature import TensorSpec

Mode = Literal["auto", "runtime", "full", "run", "none"]


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of the validation of an edited model.

    Attributes:
        loaders: TensorFlow's loaders that loaded it; empty if none was asked.
        tensors: The tensors of the built signatures as the loaded graph has them; None if no
            loader was asked.
        notes: Notes on faults that the model had before the edit, and on checks that could not be
            made.
        numbers: Key to the outputs whose values are the same as before; None if nothing was run.
        variables_read: Whether a loader read the variables; None if no loader ran, or the model
            has no variables.
    """

    loaders: tuple[str, ...] = ()
    tensors: Mapping[str, TensorSpec] | None = None
    notes: tuple[Note, ...] = ()
    numbers: Mapping[str, tuple[str, ...]] | None = None
    variables_read: bool | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited model in its staging directory.

    Attributes:
        directory: The staging directory.
        with_object_graph: Whether the object graph was edited as well, so that Python must list
            the edited signatures.
        before: The MetaGraph before the edit.
        after: The MetaGraph after the edit.
        built: Key to signature, for the built signatures, whose tensors are checked.
        touched: The keys of the signatures that the edit made or changed, built or not.
        without_variables: Whether it is loaded without its variables, if that is possible.
    """

    directory: Path
    with_object_graph: bool
    before: MetaGraph
    after: MetaGraph
    built: Mapping[str, Built]
    touched: frozenset[str]
    without_variables: bool = False

    @property
    def in_objects(self) -> bool:
        """Whether Python takes the signatures of the edited model from the object graph."""
        return self.with_object_graph or (self.before.is_only and self.before.has_object_graph)

    @property
    def listed(self) -> set[str]:
        """The keys that Python lists."""
        objects = self.after.objects.signatures if self.in_objects else {}
        return set(objects or self.after.signatures)

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The tensors of the built signatures, by full name."""
        return {name: spec for each in self.built.values() for name, spec in each.tensors.items()}
