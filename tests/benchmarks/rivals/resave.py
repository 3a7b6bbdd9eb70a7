"""Load a TensorFlow 2 export and save it again with one more signature, as people do today.

Load with ``tf.saved_model.load``, take the traced function, and save the object with it as
a signature. The time contains all of this and the import of TensorFlow. The new model loses some
parts (method names, defaults, ``assets.extra``); the benchmark does not consider this.

    python resave.py SAVED_MODEL_DIR FUNCTION KEY OUTPUT_DIR
"""

from __future__ import annotations

import sys

import tensorflow as tf


def main(model_dir: str, function: str, key: str, output_dir: str) -> None:
    """Save the model again with its function under ``key``."""
    loaded = tf.saved_model.load(model_dir)
    signatures = {name: loaded.signatures[name] for name in loaded.signatures}
    traced = getattr(loaded, function)
    signatures[key] = traced.concrete_functions[0]
    tf.saved_model.save(loaded, output_dir, signatures=signatures)


if __name__ == "__main__":
    main(*sys.argv[1:])
