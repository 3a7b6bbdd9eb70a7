"""Findings, reports, and the MetaGraph under check with the facts of its tensors.

The type and shape of a tensor are those in the file; if the file does not record them, those that
TensorFlow's C runtime infers. This module checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from smpatch import dtypes
from smpatch.display import html_table, printable
from smpatch.errors import TensorNotFoundError
from smpatch.graph.resolve import OpDefMissingError, Resolver
from smpatch.loader import MetaGraph, SavedModel
from smpatch.runtime.questions import TensorFact
from smpatch.signature import SignatureDef, TensorSpec

Severity = Literal["fault", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault or a note about a model.

    Attributes:
        code: A stable name for programs, such as ``missing-tensor``.
        severity: ``fault`` if some consumer of the model fails or gives wrong answers;
            ``note`` for a remark.
        where: The signature, its input or output, or the file concerned.
        text: The finding, one sentence for people.
        hint: Advice; empty if there is none, or if it is obvious.
        stops_python: Whether ``tf.saved_model.load`` refuses the whole model because of the
            finding, with all its other signatures. It is set only for models whose signatures
            Python takes from ``signature_def``, as those of TensorFlow 1. It is true of
            TensorFlow 2.21 and Python 3.11; older ones may accept an input of an odd name.
        ignored: Whether the finding does not count, because of ``CheckOptions.ignore``.
    """

    code: str
    severity: Severity
    where: str
    text: str
    hint: str = ""
    stops_python: bool = False
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison of an output of a model with the same output of another model.

    Attributes:
        key: The signature.
        output: The output's alias.
        loader: The name of the loader of TensorFlow that ran both models.
        same: Whether all elements are the same, within the tolerance.
        elements: The number of compared elements, in all runs.
        different: The number of elements that differ by more than the tolerance.
        absolute: The largest absolute difference, infinite if one of two elements is not a number;
            None for strings, and if types or shapes differ.
        relative: The largest difference relative to the other model's absolute value; None
            as above.
        text: The comparison in words.
    """

    key: str
    output: str
    loader: str
    same: bool
    elements: int
    different: int
    absolute: float | None
    relative: float | None
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The result of the check of one model.

    Attributes:
        directory: The model.
        tag_sets: The tags of the MetaGraphs that were checked.
        findings: Faults and notes, in the order of the model.
        loaders: The names of TensorFlow's loaders that loaded the model; empty if none was asked.
        ran: The keys of the signatures that ran without an error, each with the batch sizes of
            its runs.
        compared: The comparisons of outputs with those of another model.
        variables_read: Whether the loaders read the variables; None if no loader loaded the model,
            or if the model restores no variables.
    """

    directory: Path
    tag_sets: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]
    loaders: tuple[str, ...] = ()
    ran: tuple[tuple[str, tuple[int, ...]], ...] = ()
    compared: tuple[Compared, ...] = ()
    variables_read: bool | None = None

    def __repr__(self) -> str:
        """Return a line for each finding, and the verdict."""
        lines = [
            f"{each.severity} {each.code}: {printable(place((each.where, each.text)))}"
            + (f" ({printable(each.hint)})" if each.hint else "")
            for each in self.findings
        ]
        faults = f"{len(self.faults)} faults" if self.faults else "no faults"
        return "\n".join([*lines, f"{printable(str(self.directory))}: {faults}"])

    def _repr_html_(self) -> str:
        """Return the findings as a table, for notebooks."""
        rows = [
            (each.severity, each.code, each.where, each.text, each.hint) for each in self.findings
        ]
        return html_table(("severity", "code", "where", "found", "hint"), rows)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are faults."""
        return tuple(
            each for each in self.findings if each.severity == "fault" and not each.ignored
        )

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings that are notes."""
        return tuple(each for each in self.findings if each.severity == "note" and not each.ignored)

    @property
    def ignored(self) -> tuple[Finding, ...]:
        """The findings that do not count, because of ``CheckOptions.ignore``."""
        return tuple(each for each in self.findings if each.ignored)

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def fault(
    code: str, where: str, text: str, hint: str = "", *, stops_python: bool = False
) -> Finding:
    """Return a finding that is a fault."""
    return Finding(code, "fault", where, text, hint, stops_python)


def note(code: str, where: str, text: str, hint: str = "") -> Finding:
    """Return a finding that is a note."""
    return Finding(code, "note", where, text, hint)


def place(parts: Iterable[str]) -> str:
    """Return the parts of a place, the largest first, as one text; empty parts are left out."""
    return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a check.

    Attributes:
        model: The model.
        meta_graph: One of its MetaGraphs.
        facts: The facts of tensors in the C runtime, by name; empty if it was not asked.
        op_defs: Definitions (``OpDef``) of operations that the model does not define.
        chosen: The keys of the signatures to check; empty for all.
    """

    model: SavedModel
    meta_graph: MetaGraph
    facts: Mapping[str, TensorFact | None] = field(default_factory=dict)
    op_defs: Mapping[str, Any] = field(default_factory=dict)
    chosen: Sequence[str] = ()

    @property
    def signatures(self) -> Mapping[str, SignatureDef]:
        """The signatures that are checked, by key."""
        found = self.meta_graph.signatures
        if not self.chosen:
            return found  # thousands of signatures may each read this property
        return {key: each for key, each in found.items() if self.concerns(key)}

    def concerns(self, key: str) -> bool:
        """Return whether the signature of a key is checked."""
        return not self.chosen or key in self.chosen

    @property
    def python_reads_signature_def(self) -> bool:
        """Whether ``tf.saved_model.load`` makes its signatures from ``signature_def``.

        If a model has an object graph, it does so only if there are several MetaGraphs
        (``load.py``).
        """
        return not self.meta_graph.has_object_graph or len(self.model.meta_graphs) > 1

    def where(self, *parts: str) -> str:
        """Return a place in words, with the tags of the MetaGraph if there are several."""
        several = len(self.model.meta_graphs) > 1
        tags = f"MetaGraph {','.join(self.meta_graph.tags)!r}" if several else ""
        return place((tags, *parts))


class Tensors:
    """The tensors of a graph, by the names that signatures have."""

    def __init__(self, subject: Subject) -> None:
        """Take the graph of the subject, and the facts of its tensors."""
        self._facts = subject.facts
        self._graph = subject.meta_graph.graph
        self._resolver: Resolver = subject.meta_graph.resolver(subject.op_defs)

    def names_operation(self, name: str) -> bool:
        """Return whether a name names a node, without the index of an output."""
        return name in self._graph

    def find(self, name: str) -> TensorSpec | None:
        """Return a tensor as the graph has it; None if its operation has no known definition.

        Args:
            name: The full name of the tensor.

        Raises:
            TensorNotFoundError: There is no such tensor.
        """
        fact = self._facts.get(name)
        try:
            resolved = self._resolver.resolve(name)
        except OpDefMissingError:
            if name in self._facts and fact is None:
                raise TensorNotFoundError("no such output", where=name) from None
            return None if fact is None else TensorSpec(name, dtypes.name(fact.dtype), fact.shape)
        if resolved.shape_known or fact is None:
            return resolved.spec
        return replace(resolved.spec, shape=fact.shape)
