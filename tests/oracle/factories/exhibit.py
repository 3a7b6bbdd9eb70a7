"""A module on show: how it is saved, and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Tensor: TypeAlias = Any
VECTOR = tf.TensorSpec([None, 2], tf.float32, "x")
X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


@dataclass
class Exhibit:
    """A module, what ``tf.saved_model.save`` is told, and arguments for functions by path."""

    module: Any
    signatures: Any = None
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Any = None


def each(paths: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Ask several functions with the same arguments."""
    return dict.fromkeys(paths, arguments)
