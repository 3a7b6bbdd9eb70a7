"""One edit of one MetaGraph: build, merge, stage, prove, commit.

Here is the way that every edit goes, with what an edit is told beforehand (``Options``) and
tells afterwards (``Receipt``). Locks, loading and the kinds of edit are the business of
``patcher``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from smpatch.builder import Built, Knowledge, build
from smpatch.edits import AddPredict
from smpatch.errors import RefusedError
from smpatch.forms.extended import ExtendedMetaGraph
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.resolve import OpDefMissingError
from smpatch.loader import Form, MetaGraph, SavedModel
from smpatch.planes.compare import disagreements
from smpatch.planes.main_graph import MainGraph, wrap
from smpatch.rules import Note
from smpatch.signature import SignatureDef
from smpatch.validator import Edited, Judge, Mode, Validation
from smpatch.writer import Plan, Staged, commit, merge, stage

__all__ = ["Job", "Options", "Receipt"]

Outcome = Literal["added", "replaced", "unchanged"]
Fingerprint = Literal["absent", "kept", "refreshed", "stale"]


@dataclass(frozen=True, slots=True)
class Options:
    """How an edit is done, whatever is edited.

    Attributes:
        tag_set: The tags of the MetaGraph to edit; None for the only one.
        overwrite: Whether a signature that has the key already may be replaced.
        signature_def_only: Edit what TF Serving reads and leave the object graph, from which
            Python's loader takes its signatures, as it is.
        save_to: Write a new model directory, absent or empty before; None edits in place.
        dry_run: Do everything but write.
        validate: How much TensorFlow is asked: ``runtime`` reloads with its C runtime,
            ``full`` with ``tf.saved_model.load`` as well, ``none`` with nothing; ``auto``
            takes what the edit needs.
        backup: Keep the previous file beside the new one.
        op_libraries: Libraries of custom operations that the model needs.
        lock_timeout: Longest wait for another edit of the same model, in seconds.
        time_limit: Longest wait for one answer of TensorFlow's, in seconds.
    """

    tag_set: Sequence[str] | None = None
    overwrite: bool = False
    signature_def_only: bool = False
    save_to: str | os.PathLike[str] | None = None
    dry_run: bool = False
    validate: Mode = "auto"
    backup: bool = False
    op_libraries: Sequence[str | os.PathLike[str]] = ()
    lock_timeout: float = 60.0
    time_limit: float = 600.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an edit did.

    Attributes:
        directory: The model that has the signature now (with ``dry_run``: would have).
        form: Whether its file is binary or text.
        tag_set: The MetaGraph that was edited.
        key: The signature key.
        signature: The signature.
        outcome: What became of the key.
        dry_run: Whether nothing was written.
        size_before: Length of the model file in bytes.
        size_after: The same, after the edit.
        loaders: Which of TensorFlow's loaders accepted the result; empty when none was asked.
        fingerprint: What became of ``fingerprint.pb``.
        backup: The previous file, when it was kept.
        notes: What is worth knowing.
    """

    directory: Path
    form: Form
    tag_set: tuple[str, ...]
    key: str
    signature: SignatureDef
    outcome: Outcome
    dry_run: bool
    size_before: int
    size_after: int
    loaders: tuple[str, ...]
    fingerprint: Fingerprint
    backup: Path | None
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One edit of one MetaGraph, with everything that its steps share."""

    model: SavedModel
    meta_graph: MetaGraph
    edit: AddPredict
    judge: Judge
    options: Options

    def rehearse(self) -> Receipt:
        """Do everything but write."""
        built, known = self._build()
        # What is not in the graph yet, TensorFlow cannot be asked about without writing it.
        if self.judge.mode != "none" and not isinstance(self.meta_graph.parts, ExtendedMetaGraph):
            said = self.judge.look_up(self.model, self.meta_graph, built)
            built = self._build_again(said, known)
        plan = self._merge(built, known)
        return replace(self._receipt(plan, built, Validation()), dry_run=True)

    def do(self) -> Receipt:
        """Stage, prove and commit; twice where TensorFlow knows more of a shape than the file."""
        if self._both_planes():
            self.judge.expect_python()
        built, known = self._build()
        save_to = None if self.options.save_to is None else Path(self.options.save_to)
        for _ in range(2):
            plan = self._merge(built, known)
            if not plan.splices and save_to is None:
                said = self._prove(self.model.directory, built)
                if not _knows_more(said, built):
                    return self._receipt(plan, built, said)
            else:
                with stage(plan, save_to) as staged:
                    said = self._prove(staged.directory, built)
                    if not _knows_more(said, built):
                        return self._commit(staged, built, said)
            # Graphs without recorded shapes cost a second load; all others only one.
            built = self._build_again(said, known)
        found = "TensorFlow infers other shapes each time it loads the model"
        raise RefusedError(found, where=str(self.model.directory))

    def _build(self) -> tuple[Built, Knowledge]:
        """Build from the file alone or, for operations it does not define, with TensorFlow's."""
        known = Knowledge()
        try:
            return build(self.meta_graph, self.edit, known), known
        except OpDefMissingError:
            if self.judge.mode == "none":
                raise
        known = Knowledge(op_defs=self.judge.op_defs())
        return build(self.meta_graph, self.edit, known), known

    def _build_again(self, said: Validation, known: Knowledge) -> Built:
        """Build with the shapes that TensorFlow inferred."""
        return build(self.meta_graph, self.edit, Knowledge(known.op_defs, said.tensors or {}))

    def _both_planes(self) -> bool:
        """Tell whether Python's loader takes its signatures from the object graph.

        With several MetaGraphs it does not: it falls back to its V1 way (``load.py``).
        """
        return (
            self.meta_graph.has_object_graph
            and len(self.model.meta_graphs) == 1
            and not self.options.signature_def_only
        )

    def _merge(self, built: Built, known: Knowledge) -> Plan:
        addition = None
        if self._both_planes():
            op_defs = {**known.op_defs, **self.meta_graph.op_defs}
            main = MainGraph(
                self.meta_graph.graph,
                FunctionLibrary(self.meta_graph.graph, op_defs),
                self.meta_graph.objects,
                self.meta_graph.captures,
            )
            addition = wrap(main, built.key, built.signature)
        return merge(self.model, self.meta_graph, built.key, built.signature, addition)

    def _prove(self, directory: Path, built: Built) -> Validation:
        if self.judge.mode == "none":
            return Validation()
        edited = Edited(directory, both_planes=self._both_planes())
        return self.judge.validate(edited, self.model, self.meta_graph, built)

    def _commit(self, staged: Staged, built: Built, said: Validation) -> Receipt:
        receipt = self._receipt(staged.plan, built, said)
        fingerprint = receipt.fingerprint
        notes: list[Note] = []
        if staged.wants_fingerprint:
            computed = self.judge.fingerprint(staged.directory)
            if isinstance(computed, bytes):
                staged.put_fingerprint(computed)
                fingerprint = "refreshed"
            elif staged.destination is None:
                fingerprint = "stale"
                text = f"fingerprint.pb still describes the previous model: {computed}"
                notes.append(Note("stale-fingerprint", text))
            else:
                fingerprint = "absent"
                text = f"the new model has no fingerprint.pb: {computed}"
                notes.append(Note("no-fingerprint", text))
        done = commit(staged, backup=self.options.backup)
        if fingerprint == "refreshed" and not done.fingerprint_refreshed:
            fingerprint = "stale"
        notes += [Note("after-commit", warning) for warning in done.warnings]
        return replace(
            receipt,
            directory=done.directory,
            fingerprint=fingerprint,
            backup=done.backup,
            notes=(*receipt.notes, *notes),
        )

    def _receipt(self, plan: Plan, built: Built, said: Validation) -> Receipt:
        """Put the facts together, for an edit that leaves the files that are there as they are."""
        outcome: Outcome = "unchanged"
        if plan.splices:
            outcome = "replaced" if plan.replaced else "added"
        unknown: tuple[Note, ...] = ()
        if not said.loaders and built.unknown_shapes:
            names = ", ".join(built.unknown_shapes)
            text = f"the file does not say the shape of {names}, and TensorFlow was not asked"
            unknown = (Note("unknown-shape", text),)
        kept = (self.model.directory / "fingerprint.pb").exists()
        return Receipt(
            directory=self.model.directory,
            form=self.model.form,
            tag_set=self.meta_graph.tags,
            key=built.key,
            signature=built.signature,
            outcome=outcome,
            dry_run=False,
            size_before=self.model.identity.size,
            size_after=plan.size,
            loaders=said.loaders,
            fingerprint="kept" if kept else "absent",
            backup=None,
            notes=(*built.notes, *self._plane_notes(built), *unknown, *said.notes),
        )

    def _plane_notes(self, built: Built) -> Iterator[Note]:
        if not self.meta_graph.has_object_graph:
            return
        if not self._both_planes():
            text = (
                "the object graph is not changed: tf.saved_model.load(...).signatures, Keras and "
                f"the TFLite converter do not get {built.key!r}; TF Serving, Triton and the C, "
                "Java, Go and Rust loaders do"
            )
            yield Note("object-graph-unchanged", text)
        for each in disagreements(self.meta_graph):
            if each.key != built.key:
                text = f"signature {each.key!r} is {each.found} (it was so before)"
                yield Note("planes-disagree", text)


def _knows_more(said: Validation, built: Built) -> bool:
    return said.tensors is not None and said.tensors != built.tensors
