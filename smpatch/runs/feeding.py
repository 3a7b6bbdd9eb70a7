"""How the values that signatures are fed come about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

__all__ = ["Feeding", "Filling"]

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
