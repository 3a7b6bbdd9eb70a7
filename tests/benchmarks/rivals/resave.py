"""What people do today to give a TensorFlow 2 export one more signature: load and save again.

Load with ``tf.saved_model.load``, take the traced function, and save the object with it as
a signature. The whole of it is counted, the import of TensorFlow too. What it loses on the
way (method names, defaults, ``assets.extra``) is not held against it here.

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
