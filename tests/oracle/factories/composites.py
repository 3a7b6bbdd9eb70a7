"""Functions of composite tensors, saved with TensorFlow's own signatures and without any."""

# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.oracle.client import encoded

RAGGED = tf.RaggedTensorSpec([None, None], tf.float32)
DEEP = tf.RaggedTensorSpec([None, None, None], tf.int64, row_splits_dtype=tf.int32)
SPARSE = tf.SparseTensorSpec([None, 4], tf.float32)
DENSE = tf.TensorSpec([4, 2], tf.float32, "weights")


class Composites(tf.Module):
    """A module whose functions take composite tensors and yield dense ones."""

    @tf.function(input_signature=[RAGGED])
    def rows(self, rows: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        return {"z": tf.reduce_sum(rows, axis=1), "a": rows.row_lengths()}

    @tf.function(input_signature=[DEEP])
    def deep(self, values: Any) -> Any:  # noqa: ANN401 - as above
        return tf.reduce_sum(values, axis=[1, 2])

    @tf.function(input_signature=[RAGGED, DENSE, SPARSE])
    def between(self, a: Any, weights: Any, cells: Any) -> Any:  # noqa: ANN401 - as above
        return tf.sparse.sparse_dense_matmul(cells, weights), tf.reduce_sum(a)

    @tf.function(input_signature=[{"y": SPARSE, "x": tf.TensorSpec([None], tf.float32)}])
    def nested(self, given: Any) -> Any:  # noqa: ANN401 - as above
        return tf.sparse.reduce_sum(given["y"], axis=1) - given["x"]


def build_composites(directory: str) -> dict[str, Any]:
    """Save the module as ``plain`` and, with a signature for each function, as ``own``.

    Returns:
        ``feeds``: function to its feed, by the name that TensorFlow gives each dense part.
    """
    module = Composites()
    ragged = tf.ragged.constant([[1.0, 2.0], [], [4.0, 8.0, 16.0]])
    deep = tf.ragged.constant([[[1], [2, 4]], [[8]]], dtype=tf.int64, row_splits_dtype=tf.int32)
    sparse = tf.SparseTensor([[0, 1], [1, 0], [1, 3]], [1.0, 2.0, 4.0], [2, 4])
    dense = tf.constant(np.arange(8, dtype=np.float32).reshape(4, 2))
    asked = {
        "rows": ragged,
        "deep": deep,
        "between": [ragged, dense, sparse],
        "nested": {"y": sparse, "x": tf.constant([1.0, 10.0])},
    }
    feeds = {}
    for name, given in asked.items():
        concrete = getattr(module, name).get_concrete_function()
        flat = tf.nest.flatten(given, expand_composites=True)
        names = concrete._arg_keywords  # noqa: SLF001 - the exporter's names of the inputs
        feeds[name] = {
            alias: encoded(each.numpy()) for alias, each in zip(names, flat, strict=True)
        }
    signatures = {name: getattr(module, name) for name in asked}
    tf.saved_model.save(module, str(Path(directory, "plain")))
    tf.saved_model.save(module, str(Path(directory, "own")), signatures=signatures)
    return {"feeds": feeds}
