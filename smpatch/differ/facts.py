"""The result of a comparison of two models, as values.

This module compares nothing. It lists the parts and files that count as differences, for the
library, the command line and its help.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from smpatch.savedmodel.directory import Form
from smpatch.signature import Spec

COUNTED_PARTS = frozenset(
    {
        "graph",
        "functions",
        "saver",
        "collections",
        "asset_table",
        "object_graph",
        "other_fields",
    }
)
"""The parts of a MetaGraph that count. Its meta info, which records the version of its writer and
the operations that it uses, does not."""

COUNTED_FILES = frozenset({"variables_index", "variables_data", "assets"})
"""Kinds of files that belong to the model; the fingerprint and other files do not."""

Value = Spec | bytes | str | tuple[str, ...]
"""A spec; a default (serialized ``TensorProto``); a text, such as a name; several names."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        directory: The directory, as the caller gave it.
        file: The file in it that loaders read.
        form: Whether that file is binary or text.
        size: The length of the file in bytes.
    """

    directory: Path
    file: Path
    form: Form
    size: int


@dataclass(frozen=True, slots=True)
class Detail:
    """One difference between two signatures.

    Attributes:
        kind: ``input``, ``output``, ``default`` or ``method``; for the object graph also
            ``keywords`` (the arguments in their order), ``positional`` (the number of arguments
            that may be given by place) and ``function`` (the name of the function that computes
            the signature). ``other`` is a difference without a name here: names of dimensions, a
            shape that is left out, structures of composite tensors, fields of a newer writer.
        alias: The alias of an input, output or default; otherwise empty.
        before: The value in the first model; None if it has none.
        after: The value in the second model; None if it has none.
    """

    kind: Literal[
        "method",
        "input",
        "output",
        "default",
        "keywords",
        "positional",
        "function",
        "other",
    ]
    alias: str
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class SignatureDifference:
    """A signature that differs between the models.

    Attributes:
        half: ``signature_def``, which servers read, or ``object_graph``, which Python reads.
        key: The signature key; for a removed signature the key that it had.
        outcome: How the second model differs. A signature is renamed if the first model has it
            under another key, which the second model does not have.
        was: The previous key of a renamed signature; None otherwise.
        details: The differences; for an added or removed signature all its properties.
    """

    half: Literal["signature_def", "object_graph"]
    key: str
    outcome: Literal["added", "removed", "changed", "renamed"]
    was: str | None
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """The difference between the elements of a part.

    Attributes:
        kind: The kind of the elements: ``nodes``, ``functions``, ``objects``,
            ``concrete_functions``, ``collections`` or ``asset_files``.
        before: The number in the first model.
        after: The number in the second model.
        added: The number of added elements. Elements are paired by name, objects and asset files
            by their place.
        removed: The number of removed elements.
        changed: The number of elements with another meaning.
        recoded: The number of elements with the same meaning in other bytes.
        reordered: Whether the elements of both models have another order in the second model.
        appended: Whether there are added elements, and all of them are after all others.
        names: The names of the first elements that were added, removed or changed, each after a
            sign: ``+``, ``-`` or ``~``.
    """

    kind: str
    before: int
    after: int
    added: int
    removed: int
    changed: int
    recoded: int
    reordered: bool
    appended: bool
    names: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both models have the same elements, in any bytes and any order."""
        return not (self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a MetaGraph whose bytes differ between the models.

    Attributes:
        name: ``meta_info``, ``graph`` (nodes and versions), ``functions`` (the library),
            ``saver``, ``collections``, ``asset_table``, ``object_graph`` or
            ``other_fields`` (fields that smpatch does not name).
        outcome: ``recoded`` is the same meaning in other bytes; ``unknown`` is a part that cannot
            be compared because one model is binary and the other one text.
        tallies: The differences of its elements, if it has elements that differ.
    """

    name: str
    outcome: Literal["added", "removed", "changed", "recoded", "unknown"]
    tallies: tuple[Tally, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the models are different because of it."""
        return self.name in COUNTED_PARTS and self.outcome not in {"recoded", "unknown"}


@dataclass(frozen=True, slots=True)
class MetaGraphDifference:
    """Two MetaGraphs that belong together, equal or not; or one that only one model has.

    Attributes:
        tags_before: The tag-set in the first model; None if only the second model has the
            MetaGraph.
        tags_after: The tag-set in the second model; None if only the first model has it.
        signatures: The signatures that differ, those of ``signature_def`` first, by key.
        parts: The other parts that differ; empty for a MetaGraph that only one model has.
        has_object_graph: Whether one of them has an object graph, and so two halves.
    """

    tags_before: tuple[str, ...] | None
    tags_after: tuple[str, ...] | None
    signatures: tuple[SignatureDifference, ...]
    parts: tuple[Part, ...]
    has_object_graph: bool

    @property
    def retagged(self) -> bool:
        """Whether loaders need other tags for the second model; the order of tags is ignored."""
        if self.tags_before is None or self.tags_after is None:
            return True
        return set(self.tags_before) != set(self.tags_after)

    @property
    def counts(self) -> bool:
        """Whether the models are different because of it."""
        return self.retagged or bool(self.signatures) or any(each.counts for each in self.parts)


@dataclass(frozen=True, slots=True)
class FileDifference:
    """A file beside the model file that differs, or that only one directory has.

    Attributes:
        path: The path below the directory, with slashes.
        kind: ``variables_index``, which has a checksum of every variable;
            ``variables_data``, compared by size alone; ``assets``, ``fingerprint``, ``other``.
        outcome: How the second model differs.
    """

    path: str
    kind: Literal["variables_index", "variables_data", "assets", "fingerprint", "other"]
    outcome: Literal["added", "removed", "changed"]

    @property
    def counts(self) -> bool:
        """Whether the models are different because of it."""
        return self.kind in COUNTED_FILES


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between a second model and a first one.

    Attributes:
        before: The first model.
        after: The second model.
        identical: Whether their model files have the same bytes.
        meta_graphs: Every MetaGraph, paired by tag-set, then by place.
        same_around: Whether the fields beside the MetaGraphs are the same: the version of the
            format, and fields of a newer writer. It is true if the forms differ: such fields are
            then not compared.
        files: The files beside the model file that differ, by path.
    """

    before: Side
    after: Side
    identical: bool
    meta_graphs: tuple[MetaGraphDifference, ...]
    same_around: bool
    files: tuple[FileDifference, ...]

    @property
    def same(self) -> bool:
        """Whether the content of both models is the same.

        The content is the tag-sets, the signatures of both halves, the graph, the functions, the
        object graph, the saver, the collections, the table of assets, the index of the variables
        with the size of their data, and the assets. The encoding of the file, the meta info, the
        fingerprint and other files are reported, and do not count.
        """
        counted = [each.counts for each in self.meta_graphs]
        counted += [each.counts for each in self.files]
        return self.same_around and not any(counted)
