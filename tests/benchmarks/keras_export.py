"""A Keras model of a usual size, exported: the architecture of ResNet50 without its weights.

    python -m tests.benchmarks.keras_export OUTPUT_DIR

It runs TensorFlow, so the harness calls it in a process of its own, once.
"""

from __future__ import annotations

import sys

import keras


def main(output_dir: str) -> None:
    """Build and export the model."""
    keras.applications.ResNet50(weights=None).export(output_dir, verbose=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
