"""Requests as frozen values: what is wanted of a model, before anything is known of it.

This room checks nothing against a model, and nothing here is done by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smpatch.signature import Spec

__all__ = ["DEFAULT_KEY", "AddPredict", "RaggedRef", "SparseRef", "TensorRef"]

DEFAULT_KEY = "serving_default"
"""The key that servers call when none is named (``signature_constants.py``)."""


@dataclass(frozen=True, slots=True)
class SparseRef:
    """A sparse tensor by the names of its three dense ones.

    Attributes:
        values: Name of the values.
        indices: Name of the indices.
        dense_shape: Name of the dense shape.
    """

    values: str
    indices: str
    dense_shape: str


@dataclass(frozen=True, slots=True)
class RaggedRef:
    """A ragged tensor by the names of its dense ones.

    Attributes:
        values: Name of the flat values.
        row_splits: Names of the row splits, the outermost dimension's first.
    """

    values: str
    row_splits: tuple[str, ...]


TensorRef = str | SparseRef | RaggedRef | Spec
"""How a request names a tensor: by name, by the names of its parts, or by a whole spec,
whose dtype and shape then must agree with the graph."""


@dataclass(frozen=True, slots=True)
class AddPredict:
    """Add a predict signature.

    Attributes:
        inputs: Alias to the tensor that is fed.
        outputs: Alias to the tensor that is fetched.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    key: str = DEFAULT_KEY
    overwrite: bool = False
