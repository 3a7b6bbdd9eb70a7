"""Export a module with ``BYTES`` bytes of variables: ``python variables_export.py DIR BYTES``.

The variables are zeros, and their file has holes in place of the zeros.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tensorflow as tf

_X = [tf.TensorSpec([None], tf.float32, "x")]
_PIECES = 64
"""The number of variables at any total size: each variable costs TensorFlow's loaders time."""


class Module(tf.Module):  # type: ignore[misc]  # a class of TensorFlow, which ships no types
    """A module with a signature, and a function that is not a signature."""

    def __init__(self, elements: int) -> None:
        """Make the variables."""
        super().__init__()
        size = elements // _PIECES
        self.pieces = [tf.Variable(tf.zeros([size])) for _ in range(_PIECES)]

    @tf.function(input_signature=_X)  # type: ignore[untyped-decorator]  # likewise
    def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Add the sum of the first element of each variable."""
        return {"y": x + tf.add_n([each[0] for each in self.pieces])}

    @tf.function(input_signature=_X)  # type: ignore[untyped-decorator]  # likewise
    def encode(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Subtract the same sum."""
        return {"z": x - tf.add_n([each[0] for each in self.pieces])}


def main(target: str, size: str) -> None:
    """Export."""
    module = Module(int(size) // 4)
    tf.saved_model.save(module, target, signatures=module.__call__)
    (data,) = Path(target, "variables").glob("*.data-*")
    sparse = data.with_suffix(".sparse")
    subprocess.run(["cp", "--sparse=always", str(data), str(sparse)], check=True)  # noqa: S607 - cp is on the path
    sparse.replace(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
