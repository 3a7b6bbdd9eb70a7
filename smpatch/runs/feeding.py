"""How the values that signatures are fed come about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

__all__ = ["Feeding", "Filling", "SameAs"]

Filling = Literal["zeros", "ones", "random"]


@dataclass(frozen=True, slots=True)
class Feeding:
    """What the signatures are fed.

    Attributes:
        filling: How values are made up.
        seed: Of random values.
        batches: Sizes of the first dimension, where it is unknown; one run for each.
        file: A ``.npz`` file with values instead: arrays named like inputs, or ``KEY/INPUT``.
    """

    filling: Filling = "zeros"
    seed: int = 0
    batches: tuple[int, ...] = (1,)
    file: str | os.PathLike[str] | None = None


@dataclass(frozen=True, slots=True)
class SameAs:
    """A model that another one is to be the same as: same names, same numbers.

    Attributes:
        model: The SavedModel directory.
        feeding: What the signatures of both are fed.
        relative: By how much numbers with a fraction may differ, as a share of the absolute
            value that they have in ``model``.
        absolute: What is added to that; with both 0, all bits must be the same. Whole
            numbers, truth values and strings may never differ.
    """

    model: str | os.PathLike[str]
    feeding: Feeding = Feeding("random")
    relative: float = 0.0
    absolute: float = 0.0
