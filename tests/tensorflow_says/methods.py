"""The signatures that are valid to TensorFlow for the method that they name.

Prints ``[[method, {input: type}, {output: type}, is_valid_signature]]``.
"""

from __future__ import annotations

import json
import sys
from itertools import product

import tensorflow as tf
from tensorflow.python.saved_model.signature_def_utils_impl import is_valid_signature

INPUTS: tuple[dict[str, str], ...] = (
    {},
    {"inputs": "string"},
    {"inputs": "float32"},
    {"x": "string"},
    {"inputs": "string", "x": "string"},
)

_NAMES = ("classes", "scores", "outputs", "y")
OUTPUTS = tuple(
    {name: kind for name, kind in zip(_NAMES, kinds, strict=True) if kind}
    for kinds in product(("", "string", "float32"), repeat=len(_NAMES))
)


def said(method: str, inputs: dict[str, str], outputs: dict[str, str]) -> bool:
    """Return whether the signature is valid to TensorFlow."""
    signature = tf.compat.v1.MetaGraphDef().signature_def["s"]
    signature.method_name = method
    for ours, theirs in ((inputs, signature.inputs), (outputs, signature.outputs)):
        for alias, kind in ours.items():
            theirs[alias].name = f"{alias}:0"
            theirs[alias].dtype = tf.as_dtype(kind).as_datatype_enum
    return bool(is_valid_signature(signature))


def main() -> None:
    """Print the answer."""
    methods = [f"tensorflow/serving/{name}" for name in ("classify", "regress", "predict")]
    answer = [
        [method, inputs, outputs, said(method, inputs, outputs)]
        for method, inputs, outputs in product(methods, INPUTS, OUTPUTS)
    ]
    sys.stdout.write("\n" + json.dumps(answer))


main()
