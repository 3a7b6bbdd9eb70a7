"""Text for people: names made harmless, shapes and sizes as one reads them, columns.

This room knows nothing of models beyond their specs, and prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smpatch import schema
from smpatch.signature import (
    CompositeTensorSpec,
    Shape,
    SparseTensorSpec,
    Spec,
    shape_from_proto,
    shape_text,
)
from smpatch.values import preview

__all__ = ["columns", "default_rows", "printable", "size", "spec_rows", "tag_set"]

Row = Sequence[str]

_RAGGED = "RaggedTensorSpec"


def printable(text: str) -> str:
    """Return text with whatever a terminal would act on written as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # noqa: PLR2004 - Python's sign for a byte that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def size(count: int) -> str:
    """Return a number of bytes with its thousands set apart."""
    return f"{count:,} bytes" if count != 1 else "1 byte"


def tag_set(tags: Sequence[str]) -> str:
    """Return tags as ``--tag-set`` takes them."""
    return printable(",".join(tags)) or "(no tags)"


def columns(rows: Sequence[Row], indent: str = "") -> list[str]:
    """Return lines in which the cells of each column are aligned."""
    width: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            width[column] = max(width.get(column, 0), len(cell))
    return [
        indent
        + "  ".join(
            cell.ljust(width[column]) if column < len(row) - 1 else cell
            for column, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def spec_rows(kind: str, specs: Mapping[str, Spec]) -> list[Row]:
    """Return a row for each alias: kind, alias, dtype, shape, tensors."""
    return [(kind, printable(alias), *_cells(spec)) for alias, spec in specs.items()]


def default_rows(defaults: Mapping[str, bytes]) -> list[Row]:
    """Return a row for each default: kind, alias, dtype, shape, value."""
    rows: list[Row] = []
    for alias, value in defaults.items():
        dtype, dimensions, text = preview(value)
        rows.append(("default", printable(alias), dtype, shape_text(dimensions), printable(text)))
    return rows


def _cells(spec: Spec) -> Row:
    """Return type, shape and tensors of a spec, these as ``--inputs`` takes them."""
    if isinstance(spec, CompositeTensorSpec):
        names = [tensor.name for tensor in spec.tensors()]
        dtype = spec.tensors()[0].dtype if names else ""
        if spec.type_name == _RAGGED and len(names) > 1:
            splits = ",".join(f"row_splits={name}" for name in names[1:])
            return (
                dtype,
                shape_text(_ragged_shape(spec)),
                printable(f"ragged(values={names[0]},{splits})"),
            )
        kind = printable(spec.type_name.removesuffix("Spec")) or "composite"
        return (dtype, kind, printable(", ".join(names)))
    if isinstance(spec, SparseTensorSpec):
        parts = (
            f"sparse(values={spec.values},indices={spec.indices},dense_shape={spec.dense_shape})"
        )
        return (spec.dtype, shape_text(spec.shape), printable(parts))
    return (spec.dtype, shape_text(spec.shape), printable(spec.name))


def _ragged_shape(spec: CompositeTensorSpec) -> Shape:
    """Return the shape that a ragged type records: its state is shape, dtype, rank, ..."""
    state = schema.TypeSpecProto.FromString(spec.type_spec).type_state.tuple_value.values
    return shape_from_proto(state[0].tensor_shape_value) if state else None
