"""A bare ``GraphDef``: a graph that is not in a SavedModel yet, in binary or in text form.

A binary graph is read in place. A text is parsed once, and an unknown field is an error, because
the field would be lost. ``file_kinds`` recognises the many other files that end in ``.pb``.

This module does not check whether the graph can be served, and writes nothing.
"""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from google.protobuf.message import DecodeError

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields
from smpatch.savedmodel.binary import BinaryMetaGraph
from smpatch.savedmodel.file_kinds import GRAPH, GRAPH_TEXT, has_text, recognise
from smpatch.savedmodel.parts import META_GRAPHS
from smpatch.savedmodel.text import merge_text
from smpatch.wire import Field, Splice

if TYPE_CHECKING:
    from smpatch.savedmodel.parts import Changes

_NODE = 1
_LOOKED_AT = 64
"""How many fields are read to recognise a kind; a graph can have millions."""

_ELSE = "a frozen graph is what tf.io.write_graph writes"


class FrozenGraph(BinaryMetaGraph):
    """The parts of a MetaGraph that has only a graph.

    Attributes:
        form: The form of the graph's file.
        data: The graph in binary form; the same bytes as in the file if that is binary.
    """

    def __init__(self, data: wire.Buffer, form: Literal["binary", "text"]) -> None:
        """Take a serialized ``GraphDef``."""
        # This is the field of an empty MetaGraph; the property ``graph`` returns ``data``.
        super().__init__(data, Field(META_GRAPHS, wire.BYTES, 0, 0, 0))
        self.form: Literal["binary", "text"] = form
        self.data = data

    @cached_property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """The graph, which is the whole of ``data``."""
        return self.data, ((0, len(self.data)),)

    def splices(self, changes: Changes) -> tuple[Splice, ...]:  # noqa: ARG002 - as in the other forms
        """Return no splices: a SavedModel is written around a bare graph, not into its file."""
        return ()


def read(data: wire.Buffer, file: Path = Path("FILE")) -> FrozenGraph:
    """Read a graph from the content of a file.

    ``file`` is the path of the file, for commands in hints.

    Raises:
        ModelUnreadableError: The content is not a graph; the error names its kind if it is known.
    """
    kind = recognise(data)
    if kind is GRAPH:
        return FrozenGraph(data, "binary")
    if kind is GRAPH_TEXT:
        return FrozenGraph(_from_text(bytes(data)), "text")
    raise _unknown(data) if kind is None else kind.error(file, graph=True)


def _unknown(data: wire.Buffer) -> ModelUnreadableError:
    """Return the error for a file that is neither a graph nor of another known kind."""
    neither = "it is neither a GraphDef nor anything else known here"
    if has_text(data):
        try:
            name = min(field.name for field in islice(text_fields.fields(bytes(data)), _LOOKED_AT))
        except ModelUnreadableError as error:
            return ModelUnreadableError(error.found, where=error.where, hint=error.hint or _ELSE)
        found = f"it is text, but no GraphDef: it has the field {name!r}"
        return ModelUnreadableError(found, hint=_ELSE)
    try:
        first = list(islice(wire.fields(data), _LOOKED_AT))
    except ModelUnreadableError as error:
        hint = "the file is cut short, or of another kind"
        return ModelUnreadableError(f"{neither}: {error.found}", hint=hint)
    if all(field.number != _NODE for field in first):
        hint = "a frozen graph holds the operations of the model, and its weights"
        return ModelUnreadableError("the graph has no node", hint=hint)
    return ModelUnreadableError("it is protobuf, but no GraphDef", hint=_ELSE)


def _from_text(data: bytes) -> bytes:
    """Return a text ``GraphDef`` in binary form.

    Raises:
        ModelUnreadableError: The text is of another kind, is damaged, or has unknown fields.
    """
    graph = schema.GraphDef()
    try:
        merge_text(data.decode("utf-8-sig"), graph)
    except UnicodeDecodeError as error:
        found = f"byte {error.start}: this is not UTF-8"
        raise ModelUnreadableError(found, hint="a text is written in UTF-8") from error
    except DecodeError as error:
        words = str(error).replace('"smpatch.', '"tensorflow.')
        found = f"the text cannot be read as a GraphDef: {words}"
        hint = "TensorFlow can write it in binary form: tf.io.write_graph(..., as_text=False)"
        raise ModelUnreadableError(found, hint=hint) from error
    return bytes(graph.SerializeToString(deterministic=True))
