"""Names, types and shapes of the dense tensors in the results of a function.

A ragged tensor ``boxes`` is ``boxes_values`` and ``boxes_row_splits`` (with several ragged
dimensions ``boxes_row_splits_0`` for the outermost, ``boxes_row_splits_1``, ...), a sparse one
``boxes_indices``, ``boxes_values`` and ``boxes_dense_shape``; parts of other composite tensors are
numbered: ``boxes_component_0``.

Sources: ``RaggedTensorSpec`` in ``tensorflow/python/ops/ragged/ragged_tensor.py``,
``SparseTensorSpec`` in ``tensorflow/python/framework/sparse_tensor.py`` (``_to_components`` and
``_serialize`` of both).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smpatch import dtypes
from smpatch.graph.objects import Leaf, component_count, flattened
from smpatch.signature import Shape, TensorSpec, shape_from_proto


def dense_results(structure: Any, types: Iterable[int]) -> list[Leaf] | None:  # noqa: ANN401 - a StructuredValue
    """Return the dense tensors of a function's results, in the order of the function.

    Args:
        structure: The results, as the object graph describes them.
        types: The numbers of the types that the function's definition has.

    Returns:
        The tensors; parts of composite ones have their own names. None if the definition has other
        types, or another number of types.
    """
    found = flattened(structure, _components)
    declared = [dtypes.name(each) for each in types]
    if len(found) != len(declared):
        return None
    leaves = []
    for leaf, dtype in zip(found, declared, strict=True):
        if leaf is None or leaf.spec.dtype not in {_ANY, dtype}:
            return None
        leaves.append(Leaf(leaf.path, TensorSpec(leaf.spec.name, dtype, leaf.spec.shape)))
    return leaves


def _components(spec: Any, path: tuple[str, ...]) -> list[Leaf | None]:  # noqa: ANN401 - a TypeSpecProto
    """Return the parts of a composite tensor."""
    *above, name = path or ("0",)
    count = component_count(spec)
    return [
        Leaf((*above, f"{name}_{part}"), TensorSpec("", dtype, shape))
        for part, dtype, shape in (_sparse(spec, count) or _ragged(spec, count) or _others(count))
    ]


def _sparse(spec: Any, count: int) -> list[tuple[str, str, Shape]]:  # noqa: ANN401 - as above
    state = spec.type_state.tuple_value.values
    if spec.type_spec_class != spec.SPARSE_TENSOR_SPEC or (count, len(state)) != (3, 2):
        return []
    shape = shape_from_proto(state[0].tensor_shape_value)
    rank = None if shape is None else len(shape)
    return [
        ("indices", "int64", (None, rank)),
        ("values", dtypes.name(state[1].tensor_dtype_value), (None,)),
        ("dense_shape", "int64", (rank,)),
    ]


def _ragged(spec: Any, count: int) -> list[tuple[str, str, Shape]]:  # noqa: ANN401 - as above
    state = spec.type_state.tuple_value.values
    if spec.type_spec_class != spec.RAGGED_TENSOR_SPEC or len(state) < _RAGGED_STATE:
        return []
    rank = int(state[2].int64_value)
    if rank < 1 or rank + 1 != count:
        return []
    shape = shape_from_proto(state[0].tensor_shape_value)
    values = None if shape is None else (None, *shape[rank + 1 :])
    splits = dtypes.name(state[3].tensor_dtype_value)
    names = [f"row_splits_{place}" for place in range(rank)] if rank > 1 else ["row_splits"]
    return [
        ("values", dtypes.name(state[1].tensor_dtype_value), values),
        *((name, splits, (None,)) for name in names),
    ]


_RAGGED_STATE = 4
"""The state has shape, type, ragged rank, type of the row splits; newer exports write more."""


def _others(count: int) -> list[tuple[str, str, Shape]]:
    return [(f"component_{place}", _ANY, None) for place in range(count)]


_ANY = "variant"
"""A mark for a type that only the function's definition has."""
