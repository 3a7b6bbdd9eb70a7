"""Specs, signatures and sizes as text for people: escaped names, aligned columns.

This module prints nothing.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from smpatch import schema
from smpatch.errors import SmpatchError
from smpatch.signature import (
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    shape_from_proto,
    shape_text,
)

Row = Sequence[str]

_BARE_COMMAND = re.compile(
    r"\bsmpatch (add-predict|check|compose|edit|rename|retag|show|suggest)"
    r"(?= --(?!help|recipes)| (?:gives|lists|names|proposes|sets)\b|[;,)]|$)"
)
"""A command that names no model; the library writes this form if it has no model to name."""

_WITHOUT_TAGS = frozenset({"retag"})

_RAGGED = "RaggedTensorSpec"


def printable(text: str) -> str:
    """Return text in which escapes replace the characters that can control a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # noqa: PLR2004 - Python's code for a byte that is not text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def command_line(words: Iterable[str]) -> str:
    r"""Return words in the form for a shell; escapes replace characters that control a terminal.

    A word with escapes has the form ``$'...'`` of bash, zsh and ksh.

    Example:
        >>> print(command_line(["smpatch", "show", "my model", "a\nb"]))
        smpatch show 'my model' $'a\x0ab'
    """
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return a text as one word for a shell; ``command_line`` has its form."""
    if word.isprintable():
        return shlex.quote(word)
    pieces = [_in_quotes(each) for each in word]
    return f"$'{''.join(pieces)}'"


def model_words(model: Path) -> list[str]:
    """Return the words that name a model in a command; none for the current directory.

    Example:
        >>> model_words(Path("-export")), model_words(Path())
        (['./-export'], [])
    """
    name = str(model)
    # A name that begins with a hyphen would be read as an option.
    return [] if model == Path() else [f"./{name}" if name[:1] == "-" else name]


def with_model(text: str, model: Path, tags: Sequence[str] | None = None) -> str:
    """Return text in which commands without a model get this model, so that they work.

    Args:
        text: The text, such as a hint.
        model: The path of the model.
        tags: The tags of the MetaGraph, if a command must name them.

    Example:
        >>> with_model("smpatch suggest proposes some", Path("export"))
        'smpatch suggest export proposes some'
    """

    def named(found: re.Match[str]) -> str:
        words = model_words(model)
        if tags is not None and found[1] not in _WITHOUT_TAGS:
            words += ["--tag-set", ",".join(tags)]
        return command_line(["smpatch", found[1], *words])

    return _BARE_COMMAND.sub(named, text)


@contextlib.contextmanager
def hinting(model: Path, tags: Sequence[str] | None = None) -> Iterator[None]:
    """Complete the commands in the hints of errors: add the model, and the tags if given."""
    try:
        yield
    except SmpatchError as error:
        error.hint = with_model(error.hint, model, tags)
        raise


def _in_quotes(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character in "'\\" else character
    data = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in data)


def size(count: int) -> str:
    """Return a number of bytes as text, with commas between the thousands."""
    return f"{count:,} bytes" if count != 1 else "1 byte"


def tag_set(tags: Sequence[str]) -> str:
    """Return tags in the form of ``--tag-set``."""
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
        from smpatch.values import preview  # noqa: PLC0415 - defaults are rare

        dtype, dimensions, text = preview(value)
        rows.append(("default", printable(alias), dtype, shape_text(dimensions), printable(text)))
    return rows


def signature_rows(signature: SignatureDef) -> list[Row]:
    """Return the rows of a signature: inputs, outputs, defaults."""
    return [
        *spec_rows("input", signature.inputs),
        *spec_rows("output", signature.outputs),
        *default_rows(signature.defaults),
    ]


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a plain table for notebooks.

    Example:
        >>> html_table(["key"], [["<a>"]])
        '<table><tr><th>key</th></tr><tr><td>&lt;a&gt;</td></tr></table>'
    """
    from html import escape  # noqa: PLC0415 - for notebooks alone

    titles = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table><tr>{titles}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(spec: Spec) -> Row:
    """Return the type, the shape and the tensors of a spec, these in the form of ``--inputs``."""
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
    """Return the shape in a ragged type, the first value of its state (shape, dtype, rank, ...)."""
    state = schema.TypeSpecProto.FromString(spec.type_spec).type_state.tuple_value.values
    return shape_from_proto(state[0].tensor_shape_value) if state else None
