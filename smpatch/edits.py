"""Requests as frozen values: what is wanted of a model, before anything is known of it.

This room checks nothing against a model, and nothing here is done by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smpatch.signature import DEFAULT_KEY, Spec

__all__ = [
    "AddPredict",
    "FromSignature",
    "PromoteFunction",
    "RaggedRef",
    "SparseRef",
    "TensorRef",
]


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
        without_inputs: Whether it is meant that nothing is fed, as with a function that
            takes nothing.
    """

    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    key: str = DEFAULT_KEY
    overwrite: bool = False
    without_inputs: bool = False


@dataclass(frozen=True, slots=True)
class PromoteFunction:
    """Make a signature of a function that was traced but not exported.

    Attributes:
        function: Its path in the object graph (``encoder.call``), or the name of a concrete
            function.
        inputs: Alias to argument; None for all arguments under their own names. Arguments
            that are left out keep their names.
        outputs: Alias to structured output; None for all under TensorFlow's names.
        key: The signature key; None for the last part of the path.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    function: str
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    key: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class FromSignature:
    """Make a signature from another one, with other outputs.

    Attributes:
        source: The key of the signature to start from; its inputs are kept.
        outputs: Alias to one of its outputs (by alias), a tensor of the main graph, or an
            inner tensor of the functions that it calls (``node:index``, with ``@call+call``
            behind it where that is ambiguous).
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    source: str
    outputs: Mapping[str, str]
    key: str
    overwrite: bool = False
