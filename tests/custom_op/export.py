"""Export a model with the custom operation: ``python -m tests.custom_op.export LIBRARY TARGET``."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from fixtures.make.exporting import export, session, v1


def main() -> None:
    """Export ``y = SmpatchEcho(x) + 1`` without a signature."""
    library, target = sys.argv[1:]
    operations = tf.load_op_library(library)
    with session() as opened:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.add(operations.smpatch_echo(x, name="echo"), 1.0, "y")
        export(Path(target), opened)


if __name__ == "__main__":
    main()
