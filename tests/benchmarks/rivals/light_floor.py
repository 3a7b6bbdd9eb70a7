"""The least cost of an edit that ``tf.saved_model.load`` reloads: the modules that this needs.

It imports them as ``smpatch.runtime.light_child`` does, a third of the modules of
``import tensorflow``, loads the model and ends. It compares nothing.

    python light_floor.py SAVED_MODEL_DIR
"""

from __future__ import annotations

import importlib.util
import os
import sys

from smpatch.runtime import light_child


def main(model_dir: str) -> None:
    """Load the model as Python programs do."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("TensorFlow is not installed")
    root = spec.submodule_search_locations[0]
    loader = light_child.start({"path": sys.path, "root": root})
    reply = loader.answer({"do": "load", "dir": model_dir, "tags": None, "variables": False})
    if not reply["ok"]:
        sys.exit(reply["message"])


if __name__ == "__main__":
    main(*sys.argv[1:])
    # A normal exit runs TensorFlow's own clean-up, which proves nothing about the model.
    sys.stdout.flush()
    os._exit(0)
