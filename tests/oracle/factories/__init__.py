"""Modules with parts that could be confused with one another, saved on demand.

The modules themselves compute the expected results of their functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.util import nest

from tests.oracle.client import encoded
from tests.oracle.factories import functions, layers, values, variables
from tests.oracle.factories.exhibit import Exhibit, Tensor

__all__ = ["build"]


def build(name: str, directory: str) -> dict[str, Any]:
    """Save a module of the factories.

    Returns:
        ``functions``: path to ``feed`` by argument and ``results`` by TensorFlow's name.
    """
    scratch = Path(directory).with_name("scratch")
    scratch.mkdir(exist_ok=True)
    exhibit = _MAKERS[name](scratch)
    if isinstance(exhibit.module, tf.keras.Model):
        exhibit.module.export(directory, verbose=False)
    else:
        tf.saved_model.save(exhibit.module, directory, exhibit.signatures, exhibit.options)
    answers = {}
    for path, arguments in exhibit.asks.items():
        function = exhibit.module
        for part in path.split("."):
            function = function[part] if isinstance(function, dict) else getattr(function, part)
        given = {key: tf.constant(value) for key, value in arguments.items()}
        answers[path] = {
            "feed": {key: encoded(value.numpy()) for key, value in given.items()},
            "results": {key: encoded(each.numpy()) for key, each in _named(function(**given))},
        }
    return {"functions": answers}


def _named(results: Tensor) -> Iterator[tuple[str, Any]]:
    """Yield results by TensorFlow's names for outputs of a signature: nested ones by whole path."""
    if not tf.nest.is_nested(results):
        yield "output_0", tf.convert_to_tensor(results)
        return
    keyed = isinstance(results, dict) or hasattr(results, "_fields")
    seen: set[str] = set()
    for path, each in nest.flatten_with_joined_string_paths(results, separator="_"):
        if each is not None:
            name = path if keyed else f"output_{path}"
            yield f"{name}_1" if name in seen else name, each
            seen.add(name)


_MAKERS: dict[str, Callable[[Path], Exhibit]] = {
    maker.__name__: maker
    for maker in (
        functions.attributes,
        functions.calls,
        functions.control_flow,
        functions.counter,
        functions.policies,
        functions.refused,
        layers.keras_in_module,
        layers.keras_layers,
        values.distribution,
        values.numbered_input,
        values.structures,
        values.two_inputs,
        values.types,
        variables.crossed_names,
        variables.resources,
        variables.shared_variables,
        variables.two_layers,
    )
}
