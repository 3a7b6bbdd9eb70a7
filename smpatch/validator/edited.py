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

__all__ = ["Edited", "Mode", "Validation"]

Mode = Literal["auto", "runtime", "full", "run", "none"]


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of the validation of an edited model.

    Attributes:
        loaders: Which of TensorFlow's loaders loaded it; empty when none was asked.
        tensors: The new signature's tensors as the loaded graph has them.
        notes: What was wrong before the edit already, and what could not be looked at.
        numbers: Key to the outputs that give what they gave; None where nothing was run.
        variables_read: Whether a loader read the variables; None where no loader ran, or the
            model has none.
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
        directory: Where it is.
        with_object_graph: Whether the object graph was edited too, so that Python must list what
            was edited.
        before: The MetaGraph that was edited, as it was.
        after: The same as it is now.
        built: The signatures that must hold, by key.
        touched: The keys that the edit gave to signatures, built or not.
        without_variables: Whether it is loaded without its variables, as far as that can be.
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
        """The tensors of the signatures that must hold, by full name."""
        return {name: spec for each in self.built.values() for name, spec in each.tensors.items()}
