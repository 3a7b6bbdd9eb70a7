"""TensorFlow's classification and regression signatures, and smpatch's of the same tensors.

Prints ``{"classify": [[examples, classes, scores, TensorFlow's outcome, smpatch's]], "regress":
[[examples, predictions, TensorFlow's outcome, smpatch's]], "eager": [[TensorFlow's outcome,
smpatch's]], "constants": {name: value}, "git_version": TensorFlow's}``; an outcome is ``[bytes
in hexadecimal digits]`` or ``[class, words]`` of the error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

# isort: split
from smpatch import signature  # after TensorFlow: a clash of names would end this program

v1 = tf.compat.v1

FEW = ("none", "string", "float32", "int64", "sparse_string", "ragged_float32", "a number")
"""The values for the other arguments while one argument takes every value."""


def things() -> dict[str, Any]:
    """Return tensors of every type and kind, in the default graph, and values without a tensor."""
    types = {each.name for each in vars(tf.dtypes).values() if isinstance(each, tf.DType)}
    made: dict[str, Any] = {"none": None}
    for each in sorted(types - {"resource", "variant"}):
        made[each] = v1.placeholder(each, [None, 3], each)
    indices, size = v1.placeholder(tf.int64, [None, 2], "i"), v1.placeholder(tf.int64, [2], "s")
    splits = v1.placeholder(tf.int64, [None], "r")
    for each in ("string", "float32"):
        flat = v1.placeholder(each, [None], f"flat_{each}")
        made[f"sparse_{each}"] = tf.SparseTensor(indices, flat, size)
        made[f"ragged_{each}"] = tf.RaggedTensor.from_row_splits(flat, splits, validate=False)
        made[f"scalar_{each}"] = v1.placeholder(each, [], f"scalar_{each}")
        made[f"any_{each}"] = v1.placeholder(each, None, f"any_{each}")
    for kind, resource in (("variable", True), ("reference", False)):
        held = v1.get_variable(kind, [2], use_resource=resource)
        made |= {kind: held, f"{kind}_handle": held.handle if resource else held.op.outputs[0]}
    made |= {"read": made["variable"].read_value(), "operation": held.op}
    made |= {"a number": 3, "an array": np.zeros(3, np.float32), "text": "x:0", "empty": {}}
    return made


def outcome(call: Callable[[], bytes]) -> list[str]:
    """Return the bytes that a call returns, or the class and words of its error."""
    try:
        return [call().hex()]
    except Exception as error:  # noqa: BLE001 - any error is the answer
        return [type(error).__name__, str(error)]


def compared(name: str, given: tuple[Any, ...]) -> list[list[str]]:
    """Return TensorFlow's and smpatch's outcome."""
    theirs, ours = getattr(v1.saved_model, name), getattr(signature, name)
    return [
        outcome(lambda: theirs(*given).SerializeToString(deterministic=True)),
        outcome(lambda: ours(*given).to_bytes()),
    ]


def combinations(every: dict[str, Any], places: int) -> set[tuple[str, ...]]:
    """Return combinations of arguments: every value in each place, with a few in the others."""
    found: set[tuple[str, ...]] = set()
    for place in range(places):
        found |= set(product(*(every if at == place else FEW for at in range(places))))
    return found | {("string", *rest) for rest in product(every, repeat=places - 1)}


def main() -> None:
    """Print the answer."""
    answer: dict[str, Any] = {}
    with v1.Graph().as_default():
        every = things()
        for kind, name, places in (
            ("classify", "classification_signature_def", 3),
            ("regress", "regression_signature_def", 2),
        ):
            answer[kind] = [
                [*names, *compared(name, tuple(every[each] for each in names))]
                for names in sorted(combinations(every, places))
            ]
    eager = {"string": tf.constant(["a"]), "float32": tf.constant([1.0])}
    answer["eager"] = [
        compared("regression_signature_def", (eager["string"], eager["float32"])),
        compared("classification_signature_def", (eager["string"], eager["string"], None)),
    ]
    constants = tf.saved_model
    answer["constants"] = {
        name: getattr(constants, name)
        for name in dir(constants)
        if name.startswith(("CLASSIFY", "REGRESS", "PREDICT", "DEFAULT_SERVING"))
    }
    answer["git_version"] = tf.version.GIT_VERSION
    sys.stdout.write("\n" + json.dumps(answer))


main()
