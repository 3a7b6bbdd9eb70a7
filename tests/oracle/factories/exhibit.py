"""A module of the factories, with the way to save it and the arguments of its functions."""

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
    """A module, arguments of ``tf.saved_model.save``, and arguments for functions by path."""

    module: Any
    signatures: Any = None
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Any = None


def each(paths: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the same arguments for several functions."""
    return dict.fromkeys(paths, arguments)
