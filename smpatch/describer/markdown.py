"""Tables of signatures in Markdown, for the card of a model.

A name is a code span if it consists of letters, digits and ``_./:-``. In other names each
character that is neither letter nor digit is an HTML entity, which Markdown reads as text.

Source: ``spec.commonmark.org`` (entities are not a part of the structure), GitHub's tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from smpatch.display import default_rows, printable, spec_rows, tag_set
from smpatch.signature import (
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    Spec,
)

_PLAIN = re.compile(r"[\w./:-]+", re.ASCII)

_RAGGED = "RaggedTensorSpec"


def markdown_tables(model: str, tags: Sequence[str], signatures: Mapping[str, SignatureDef]) -> str:
    """Return a heading and a table for each signature."""
    lines = [f"## Signatures of {_text(model)}", "", f"Tags: {_text(tag_set(tags))}"]
    for key, signature in signatures.items():
        lines += ["", f"### {_text(key)}", "", f"Method: {_text(signature.method_name)}", ""]
        lines += _table(signature)
    return "\n".join(lines) + "\n"


def _table(signature: SignatureDef) -> Iterator[str]:
    defaults = {row[1]: row[4] for row in default_rows(signature.defaults)}
    head = ["", "name", "type", "shape", *(["default"] if defaults else [])]
    yield _row(head)
    yield _row(["---"] * len(head))
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for row, (alias, spec) in zip(spec_rows(kind, specs), specs.items(), strict=True):
            cells = [kind, _text(alias), _type(row[2], spec), _shape(row[3], spec)]
            if defaults:
                value = defaults.get(row[1], "") if kind == "input" else ""
                cells.append(_text(value) if value else "")
            yield _row(cells)


def _type(dtype: str, spec: Spec) -> str:
    """Return the type of a tensor, and its form if it is not dense."""
    if isinstance(spec, SparseTensorSpec):
        return f"{dtype}, sparse"
    if isinstance(spec, CompositeTensorSpec):
        return f"{dtype}, {'ragged' if spec.type_name == _RAGGED else 'composite'}"
    return dtype


def _shape(text: str, spec: Spec) -> str:
    """Return the cell of a shape, or of the class name of a composite tensor that is not ragged."""
    named = isinstance(spec, CompositeTensorSpec) and spec.type_name != _RAGGED
    return _text(text) if named else f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(name: str) -> str:
    """Return a name in a form that Markdown shows unchanged."""
    if _PLAIN.fullmatch(name):
        return f"`{name}`"
    shown = printable(name) or "(empty)"
    return "".join(each if each.isalnum() else f"&#{ord(each)};" for each in shown)
