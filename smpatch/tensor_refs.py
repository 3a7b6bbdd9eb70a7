"""Tensors as a request names them: by name, by the names of their parts, or by a whole spec.

This module reads no graph: it does not check whether a tensor exists.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpatch import arguments
from smpatch.errors import UsageError
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec, names_of


@dataclass(frozen=True, slots=True)
class SparseRef:
    """A sparse tensor by the names of its three dense ones.

    Attributes:
        values: Name of the values.
        indices: Name of the indices.
        dense_shape: Name of the dense shape.

    Example:
        >>> smpatch.SparseRef(values="v:0", indices="i:0", dense_shape="s:0").values
        'v:0'
    """

    values: str
    indices: str
    dense_shape: str

    def __post_init__(self) -> None:
        """Refuse a part that is not a name."""
        for name in ("values", "indices", "dense_shape"):
            arguments.instance(getattr(self, name), str, name)


@dataclass(frozen=True, slots=True)
class RaggedRef:
    """A ragged tensor by the names of its dense ones.

    Attributes:
        values: Name of the flat values.
        row_splits: Names of the row splits, the outermost dimension's first.

    Example:
        >>> smpatch.RaggedRef(values="v:0", row_splits=("r:0",)).row_splits
        ('r:0',)
    """

    values: str
    row_splits: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take one name of row splits as well; refuse a part that is not a name."""
        arguments.instance(self.values, str, "values")
        object.__setattr__(self, "row_splits", arguments.texts(self.row_splits, "row_splits"))
        if not self.row_splits:
            raise UsageError("no row splits are given", where="row_splits")


TensorRef = str | SparseRef | RaggedRef | Spec
"""A tensor as a request names it: its name, the names of its parts, or a whole spec, whose
dtype and shape must agree with the graph."""


def tensor_ref(value: object, where: str) -> TensorRef:
    """Return a tensor as a request names it.

    Args:
        value: A name, a ``SparseRef``, a ``RaggedRef``, a spec, or anything with a name, a type
            and a shape, such as a ``tf.TensorSpec`` or a tensor of a ``tf.Graph``.
        where: The name of the value, with which errors begin.

    Raises:
        UsageError: It is something else, or a spec without a name.
    """
    if isinstance(
        value, str | SparseRef | RaggedRef | TensorSpec | SparseTensorSpec | CompositeTensorSpec
    ):
        return value
    name = getattr(value, "name", None)
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        found = f"{value!r} ({type(value).__name__}) is given"
        raise UsageError(found, where=where, hint="give the name of a tensor, such as 'x:0'")
    if not isinstance(name, str) or not name:
        hint = "give name='x:0', the tensor of the graph"
        raise UsageError("the spec has no name", where=where, hint=hint)
    return TensorSpec(name, value.dtype, value.shape)


def tensor_refs(value: object, where: str) -> dict[str, TensorRef]:
    """Return tensors as a request names them, by alias.

    Raises:
        UsageError: It is not a mapping, or one of its values is not a tensor.
    """
    given = arguments.mapping(value, where)
    return {alias: tensor_ref(each, f"{where} {alias!r}") for alias, each in given.items()}


def named_tensors(ref: TensorRef) -> tuple[str, ...]:
    """Return the names of the dense tensors that a request names, in the order of a spec."""
    if isinstance(ref, str):
        return (ref,)
    if isinstance(ref, SparseRef):
        return (ref.values, ref.indices, ref.dense_shape)
    if isinstance(ref, RaggedRef):
        return (ref.values, *ref.row_splits)
    return tuple(names_of([ref]))
