"""Export a Keras model of a usual size: the architecture of a ResNet without its weights.

    python -m tests.benchmarks.keras_export ResNet50 OUTPUT_DIR

It runs TensorFlow, so the harness calls it once, in a new process.
"""

from __future__ import annotations

import sys

import keras


def main(name: str, output_dir: str) -> None:
    """Build and export the model."""
    getattr(keras.applications, name)(weights=None).export(output_dir, verbose=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
