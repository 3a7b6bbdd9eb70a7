"""Calls of a model that Python has loaded: arrays of the pipe, and traced functions by name.

Standard library, NumPy and TensorFlow only: this file runs in the child process. A function is
found by its path in the object graph, or by the name of its trace in the file.

Sources: ``tensorflow/core/protobuf/saved_object_graph.proto``;
``tensorflow/python/saved_model/function_deserialization.py`` for the order of traces,
``signature_serialization.py`` for the names of results.
"""

from __future__ import annotations

import binascii
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

STRING = 7


def tensor(tf: Any, array: dict[str, Any]) -> Any:  # noqa: ANN401 - TensorFlow has no stubs
    """Make a tensor from an array of the pipe.

    Args:
        tf: The module ``tensorflow``.
        array: ``dtype``, ``shape``, and ``data`` (little endian, in base64) or,
            for strings, ``strings`` (each in base64).
    """
    dtype = tf.dtypes.as_dtype(array["dtype"])
    if array["dtype"] == STRING:
        values = np.empty(len(array["strings"]), object)
        values[:] = [binascii.a2b_base64(each) for each in array["strings"]]
    else:
        values = np.frombuffer(binascii.a2b_base64(array["data"]), dtype.as_numpy_dtype)
    return tf.constant(values.reshape(array["shape"]), dtype)


def array(value: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
    """Make an array for the pipe from a tensor; the reverse of ``tensor``."""
    found = {"dtype": value.dtype.as_datatype_enum, "shape": value.shape.as_list()}
    values = np.asarray(value.numpy())
    if found["dtype"] == STRING:
        return {**found, "strings": [base64(each) for each in values.ravel().tolist()]}
    return {**found, "data": base64(values.tobytes())}


def base64(data: bytes) -> str:
    """Return bytes in base64, as text for JSON."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def find(model: Any, directory: str, name: str) -> Any:  # noqa: ANN401 - TensorFlow has no stubs
    """Return a concrete function of a loaded model.

    Args:
        model: The loaded model.
        directory: The directory of the model.
        name: The path of the function (``encoder.call``), or the name of its trace in the file.

    Raises:
        LookupError: There is no such function, or it has several traces.
    """
    loader = importlib.import_module("tensorflow.python.saved_model.loader_impl")
    nodes = loader.parse_saved_model(directory).meta_graphs[0].object_graph_def.nodes
    by_path: list[tuple[str, int]] = []
    by_trace: list[tuple[str, int]] = []
    paths = {0: ""}
    waiting = [0]
    for number in waiting:
        path, node = paths[number], nodes[number]
        traces = list(node.function.concrete_functions)
        if path == name:
            by_path += [(path, place) for place in range(len(traces))]
        if name in traces:
            by_trace.append((path, traces.index(name)))
        for child in node.children:
            if child.node_id not in paths:
                paths[child.node_id] = f"{path}.{child.local_name}" if path else child.local_name
                waiting.append(child.node_id)
    found = by_path or by_trace[:1]
    if len(found) != 1:
        raise LookupError(f"{len(found)} functions are called {name!r}")
    ((path, place),) = found
    function = model
    for part in path.split("."):
        function = _child(function, part)
    return function.concrete_functions[place]


def call(tf: Any, function: Any, fed: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
    """Call a concrete function by the names of its arguments, and return its results by name.

    Args:
        tf: The module ``tensorflow``.
        function: The function.
        fed: Argument to tensor.

    Raises:
        LookupError: The function has other arguments, or two results with one name.
    """
    rest = dict(fed)
    leaves = tf.nest.flatten(function.structured_input_signature)
    given = [
        _taken(rest, leaf.name) if isinstance(leaf, tf.TensorSpec) else leaf for leaf in leaves
    ]
    if rest:
        raise LookupError(f"it has no arguments {sorted(rest)}")
    arguments, keywords = tf.nest.pack_sequence_as(function.structured_input_signature, given)
    results = function(*arguments, **keywords)
    keyed = isinstance(results, Mapping) or hasattr(results, "_asdict")
    named: dict[str, Any] = {}
    for path, value in _tensors(tf, results, ()):
        name = "_".join(path) if keyed else "_".join((f"output_{(*path, '0')[0]}", *path[1:]))
        if name in named:
            raise LookupError(f"two of its results are called {name!r}")
        named[name] = value
    return named


def _tensors(
    tf: Any,  # noqa: ANN401 - as above
    value: Any,  # noqa: ANN401 - as above
    path: tuple[str, ...],
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the tensors of a structure, each with its path of keys and places.

    Ragged and sparse tensors yield their parts; other composite tensors are left out.
    """
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _tensors(tf, each, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for place, each in enumerate(value):
            yield from _tensors(tf, each, (*path, str(place)))
    elif isinstance(value, tf.__internal__.CompositeTensor):
        *above, name = path or ("0",)
        for part, each in _components(tf, value):
            yield (*above, f"{name}_{part}"), each
    else:
        yield path, value


def _components(tf: Any, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - as above
    if isinstance(value, tf.RaggedTensor):
        yield "values", value.flat_values
        splits = value.nested_row_splits
        for place, each in enumerate(splits):
            yield (f"row_splits_{place}" if len(splits) > 1 else "row_splits"), each
    elif isinstance(value, tf.SparseTensor):
        for part in ("indices", "values", "dense_shape"):
            yield part, getattr(value, part)


def _taken(fed: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - as above
    """Remove the tensor of an argument from ``fed``, and return it.

    The name in a spec may be the name of the parameter in lower case.
    """
    found = [each for each in fed if each == name] or [each for each in fed if each.lower() == name]
    if len(found) != 1:
        raise LookupError(f"it has the argument {name!r}")
    return fed.pop(found[0])


def _child(parent: Any, name: str) -> Any:  # noqa: ANN401 - as above
    if isinstance(parent, Mapping):
        return parent[name]
    return parent[int(name)] if name.isdecimal() else getattr(parent, name)
