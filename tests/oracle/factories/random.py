"""Modules with inputs and outputs of any names; each output has a different value."""

# mypy: disable-error-code="misc"
# TensorFlow ships no types for the base classes used here.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tests.oracle.client import encoded

_BASE = 10.0


def build_random(directory: str, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """Save a module whose output n is n plus the number whose digits are the inputs.

    Inside, the node of output n is called ``inner_n`` and has twice that value.

    Returns:
        ``feed`` by input, ``results`` by output, ``inner`` by node.
    """

    def compute(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - symbolic tensors
        digits = sum(given[name] * _BASE**place for place, name in enumerate(inputs))
        return {
            name: tf.multiply(digits + place, module.two, name=f"inner_{place}") / 2.0
            for place, name in enumerate(outputs)
        }

    module = tf.Module()
    module.two = tf.Variable(2.0)
    module.compute = tf.function(compute)
    specs = {name: tf.TensorSpec([], tf.float32, name) for name in inputs}
    traced = module.compute.get_concrete_function(**specs)
    tf.saved_model.save(module, directory, {"serving_default": traced})
    feed = {name: tf.constant(float(place + 1)) for place, name in enumerate(inputs)}
    results = module.compute(**feed)
    return {
        "feed": {name: encoded(value.numpy()) for name, value in feed.items()},
        "results": {name: encoded(value.numpy()) for name, value in results.items()},
        "inner": {
            f"inner_{place}:0": encoded((results[name] * 2.0).numpy())
            for place, name in enumerate(outputs)
        },
    }
