"""Text for people: names made harmless, shapes and sizes as one reads them, columns.

This module knows nothing of models beyond their specs, and prints nothing itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from smpatch import schema
from smpatch.errors import WriteError
from smpatch.signature import (
    CompositeTensorSpec,
    Shape,
    SparseTensorSpec,
    Spec,
    shape_from_proto,
    shape_text,
)
from smpatch.values import preview

__all__ = [
    "OutputError",
    "columns",
    "data",
    "default_rows",
    "prepare",
    "printable",
    "size",
    "spec_rows",
    "stream",
    "tag_set",
    "talk",
]

_BLOCK = 1 << 16
"""Characters that are written at a time."""


class OutputError(WriteError):
    """What was to be printed could not be written to stdout."""


def prepare() -> None:
    """Make stdout and stderr fit for use; call it before anything opens a file."""
    # Were one of them closed, the next file to be opened, a model, would be taken for it. What
    # stands in is not writable, so that what is printed there is missed.
    spare = os.open(os.devnull, os.O_RDONLY)
    while spare <= 2:  # noqa: PLR2004 - stderr
        spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 - a descriptor, for good
    if hasattr(sys.stdout, "reconfigure"):
        # Names in a model may hold what the caller's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = cast("Any", _Stdout(sys.stdout))


def data(text: str) -> None:
    """Write text to stdout, with a line break after it.

    Raises:
        OutputError: It cannot be written.
    """
    # At once, so that talk comes after it, also where both go into one pipe.
    print(text, flush=True)


def stream(pieces: Iterable[str]) -> None:
    """Write text that comes in pieces to stdout, with a line break after the last.

    Raises:
        OutputError: It cannot be written.
    """
    text, waiting = [], 0
    for each in pieces:
        text.append(each)
        waiting += len(each)
        if waiting >= _BLOCK:
            print("".join(text), end="")
            text, waiting = [], 0
    data("".join(text))


def talk(line: str) -> None:
    """Write a line to stderr; without an error where that is not possible."""
    if sys.stderr is None:
        return
    try:
        # One call, so that lines of several threads stay lines.
        print(f"{line}\n", end="", file=sys.stderr, flush=True)
    except OSError:
        _silence(2)


class _Stdout:
    """Stdout as everybody here sees it, typer's help texts too."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - any text stream
        self._stream = stream

    def write(self, text: str) -> int:
        # Typer writes nothing, to learn whether it can, and takes an error for an answer.
        if text == "":
            return 0
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def _failed(self, error: OSError) -> None:
        # What is still in the buffer would fail again when Python ends.
        _silence(1)
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot be written to: {reason}", where="stdout") from error


def _silence(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


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
