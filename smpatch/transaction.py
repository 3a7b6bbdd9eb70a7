"""A list of edits of one model: perform, merge, stage, prove, commit.

Every edit takes these steps; the result is a ``Receipt``. This module does not apply the kinds of
edit (``editing``), and takes no locks and loads no model (``patcher``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from smpatch import warmup
from smpatch.builder import Inferred
from smpatch.display import columns, html_table, printable, signature_rows, with_model
from smpatch.editing.edit import Change, Context, Edit, MetaGraphEdit, Outcome, Proof
from smpatch.editing.notes import notes_on, notes_on_variables
from smpatch.editing.sequence import Done, perform
from smpatch.editing.warm_up import Carried, carry
from smpatch.errors import RefusedError
from smpatch.functions.restored import needed_at_load, restored_variables
from smpatch.loader import SavedModel
from smpatch.options import Options
from smpatch.rules import Note
from smpatch.savedmodel.directory import Form
from smpatch.signature import SignatureDef
from smpatch.validator import Edited, Mode, Validation, Validator
from smpatch.writer import Plan, Staged, commit, merge, rehearse, stage
from smpatch.writer.rehearsal import place_notes, shown

if TYPE_CHECKING:
    from smpatch.fragments import Trace

FingerprintOutcome = Literal["absent", "kept", "refreshed", "stale"]
WarmUpOutcome = Literal["absent", "kept", "rewritten", "stale"]


_PROOF: Mapping[Mode, Proof] = {
    "auto": "required",
    "runtime": "required",
    "full": "attempted",
    "run": "attempted",
    "none": "omitted",
}


@dataclass(frozen=True, slots=True, repr=False)
class Receipt:
    """The result of an edit.

    Attributes:
        directory: The model that has the result (with ``dry_run``: that would have it).
        form: Whether its file is binary or text.
        tag_set: The tags that the edited MetaGraph has now.
        changes: The outcomes for the signatures that the edits name, in the order of the edits.
        dry_run: Whether nothing was written.
        size_before: Length of the model file in bytes, before the edit.
        size_after: Length of the model file in bytes, after the edit.
        loaders: TensorFlow's loaders that accepted the result; empty if none was asked.
        fingerprint: The outcome for ``fingerprint.pb``.
        warm_up: The outcome for the warm-up requests: ``stale`` if they had to be rewritten, and
            the new file could not be put in place.
        backup: The previous file, if it was kept.
        notes: The notes on the edit.
        numbers: Key to the outputs that were run before and after the edit, and have the same
            values, bit for bit; None if nothing was run.
        applied: The signatures of the edits whose result the model had already, in their order;
            they are not among the changes.
        variables_read: Whether the loaders read the variables; None if none was asked, or the
            model restores none.
    """

    directory: Path
    form: Form
    tag_set: tuple[str, ...]
    changes: tuple[Change, ...]
    dry_run: bool
    size_before: int
    size_after: int
    loaders: tuple[str, ...]
    fingerprint: FingerprintOutcome
    backup: Path | None
    notes: tuple[Note, ...]
    numbers: Mapping[str, tuple[str, ...]] | None = None
    applied: tuple[Change, ...] = ()
    warm_up: WarmUpOutcome = "absent"
    variables_read: bool | None = None

    def __repr__(self) -> str:
        """Return the changes with their signatures, the loaders and the notes."""
        lines = [printable(str(self.directory)) + (" (dry run)" if self.dry_run else "")]
        for each in (*self.applied, *self.changes):
            was = f" (was {printable(each.was)})" if each.was else ""
            lines.append(f"  {printable(each.key)}: {each.outcome}{was}")
            if each.signature is not None:
                lines += columns(signature_rows(each.signature), indent="    ")
        lines.append(f"  loaded by: {', '.join(self.loaders) or 'no loader was asked'}")
        lines += [f"  note {note.code}: {printable(note.text)}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the signatures as a table, for notebooks."""
        rows = [
            (each.key, each.outcome, *row)
            for each in (*self.applied, *self.changes)
            for row in (signature_rows(each.signature) if each.signature else [("",) * 5])
        ]
        return html_table(("signature", "outcome", "", "alias", "type", "shape", "tensor"), rows)

    @property
    def key(self) -> str:
        """The key of the last change; if nothing was left to do, the key of the last edit."""
        return self._last.key

    @property
    def outcome(self) -> Outcome:
        """The outcome of the last change; ``unchanged`` if nothing was left to do."""
        return self._last.outcome

    @property
    def _last(self) -> Change:
        return (*self.applied, *self.changes)[-1]

    @property
    def signature(self) -> SignatureDef:
        """The signature of the last change.

        Raises:
            ValueError: The change left no signature.
        """
        signature = self._last.signature
        if signature is None:
            raise ValueError(f"{self.key!r} was {self.outcome}, which leaves no signature")
        return signature


@dataclass(frozen=True, slots=True)
class Transaction:
    """A list of edits of one model, with everything that the steps share."""

    model: SavedModel
    edits: tuple[Edit, ...]
    validator: Validator
    options: Options
    trace: Trace | None = None

    def run(self) -> Receipt:
        """Do the edits: apply, stage, validate, commit; a dry run stages and commits nothing."""
        receipt = self._done()
        tags = receipt.tag_set if len(self.model.meta_graphs) > 1 else None
        texts = (with_model(each.text, receipt.directory, tags) for each in receipt.notes)
        notes = tuple(map(Note, (each.code for each in receipt.notes), texts))
        return replace(receipt, notes=notes)

    def _done(self) -> Receipt:
        save_to = None if self.options.save_to is None else Path(self.options.save_to)
        if self.options.dry_run:
            return self._dry_run(save_to)
        if self._with_object_graph:
            self.validator.expect_python(whole=self._traced)
        done = self._apply(Inferred())
        receipt = self._write(done, save_to)
        if isinstance(receipt, Inferred):
            # The graph records no shapes: TensorFlow inferred them when it loaded the result.
            receipt = self._write(self._apply(receipt), save_to)
        if isinstance(receipt, Inferred):
            found = "TensorFlow infers other shapes each time it loads the model"
            raise RefusedError(found, where=str(self.model.directory))
        return receipt

    def _dry_run(self, save_to: Path | None) -> Receipt:
        done = self._apply(Inferred())
        if self.validator.mode != "none":
            # Nothing is staged: TensorFlow infers the shapes of tensors that are there already.
            before = self.model.meta_graphs[done.place]
            wanted = {
                name: spec
                for each in done.step.built.values()
                for name, spec in each.tensors.items()
                if name.rpartition(":")[0] in before.graph
            }
            skips = self._skips_variables and not needed_at_load(before)
            said = self.validator.look_up(self.model, before, wanted, without_variables=skips)
            done = self._apply(Inferred(said.tensors or {}))
        plan = merge(self.model, done.meta_graphs)
        notes: tuple[Note, ...] = ()
        if plan.splices or save_to is not None:
            notes = rehearse(self.model, save_to, backup=self.options.backup)
        receipt = self._receipt(plan, done, Validation(), self._carried(plan, done))
        receipt = replace(receipt, dry_run=True, notes=(*receipt.notes, *notes))
        return receipt if save_to is None else replace(receipt, directory=save_to)

    def _write(self, done: Done, save_to: Path | None) -> Receipt | Inferred:
        """Stage, validate and commit; return the shapes that TensorFlow infers if they differ."""
        plan = merge(self.model, done.meta_graphs)
        carried = self._carried(plan, done)
        if not plan.splices and save_to is None:
            said = self._prove(self.model.directory, done)
            return _inferred(said, done) or self._receipt(plan, done, said, carried)
        with stage(plan, save_to, rewrite=carried.rewrite) as staged:
            said = self._prove(staged.directory, done)
            inferred = _inferred(said, done)
            if inferred is not None:
                return inferred
            said = self._run(staged.directory, done, said)
            return self._commit(staged, self._receipt(plan, done, said, carried))

    def _carried(self, plan: Plan, done: Done) -> Carried:
        """Return the effect on the warm-up requests."""
        if not plan.splices:
            return Carried()
        options = self.options
        in_place = options.save_to is None
        return carry(self.model, done, self.edits, keep=options.keep_warmup, in_place=in_place)

    def _apply(self, inferred: Inferred) -> Done:
        """Apply the edits in memory."""
        infer = None if self.validator.mode == "none" else self.validator.infer
        proof = _PROOF[self.validator.mode]
        context = Context(self._with_object_graph, inferred, infer, proof, self.trace)
        return perform(self.model.meta_graphs, self._chosen(), self.edits, context)

    def _chosen(self) -> int | None:
        """Return the place of the MetaGraph that is edited; None if the edits name it themselves.

        If its tags are changed as well, the option may name it by its old or by its new tags.
        """
        tagging = [each for each in self.edits if isinstance(each, MetaGraphEdit)]
        if self.edits and len(tagging) == len(self.edits):
            return None
        tag_set = self.options.tag_set
        for source, target in reversed([each.tags for each in tagging]):
            if tag_set is not None and set(tag_set) == set(target) and not isinstance(source, int):
                tag_set = source
        meta_graph = self.model.meta_graph(tag_set)
        return self.model.meta_graphs.index(meta_graph)

    @property
    def _with_object_graph(self) -> bool:
        """Whether the edits change the object graph as well.

        With several MetaGraphs they do not, because Python's loader does not read it: it falls back
        to its V1 way (``load.py``).
        """
        chosen = self._chosen()
        return (
            chosen is not None
            and self.model.meta_graphs[chosen].has_object_graph
            and len(self.model.meta_graphs) == 1
            and not self.options.signature_def_only
        )

    def _prove(self, directory: Path, done: Done) -> Validation:
        if self.validator.mode == "none":
            return Validation()
        all_said = [self.validator.validate(e, self.model) for e in self._edited(directory, done)]
        said = all_said[0]
        wider = tuple(self._wider(directory, done))
        before = self.model.meta_graphs[done.place]
        if not restored_variables(before):
            return replace(said, notes=(*said.notes, *wider), variables_read=None)
        loaded = any(each.variables_read for each in all_said)
        # Without C libraries, Python's v1 loader reads them in any case.
        read_anyway = loaded and self._skips_variables and "C runtime" in said.loaders
        on_variables = notes_on_variables(self.model, before, read_anyway=read_anyway)
        notes = (*said.notes, *wider, *on_variables)
        return replace(said, notes=notes, variables_read=loaded or bool(wider))

    @property
    def _skips_variables(self) -> bool:
        """Whether no check needs the variables; no edit changes them."""
        return self.validator.mode in {"auto", "runtime"} and not self._composed

    @property
    def _composed(self) -> bool:
        return any(each.composition is not None for each in self.edits)

    @property
    def _traced(self) -> bool:
        """Whether a signature of another model is traced, which needs all of TensorFlow."""
        parts = [each.composition for each in self.edits]
        asked = [one for each in parts if each for one in (*each.before, *each.after)]
        if not asked:
            return False
        from smpatch.fragments import SignatureOf

        return any(isinstance(each, SignatureOf) for each in asked)

    def _wider(self, directory: Path, done: Done) -> Iterator[Note]:
        """Prove each signature that must take more than its graph took; yield a note for each."""
        after = done.step.meta_graph
        for built in done.step.built.values():
            if built.wider and after.signatures.get(built.key) == built.signature:
                from smpatch.runs.sessions import Place
                from smpatch.validator.wider import prove_wider

                yield prove_wider(self.validator, Place(directory, after.tags), after, built)

    def _run(self, directory: Path, done: Done, said: Validation) -> Validation:
        """Run the model before and after the edit, in mode ``run`` and for composed signatures."""
        if self.validator.mode != "run" and (not self._composed or self.validator.mode == "none"):
            return said
        from smpatch.validator.by_numbers import same_numbers

        feed, edits = self.options.feed, done.edits
        if done.removes:
            edits = ()  # the MetaGraphs that stay must have the same results
        for each in self._edited(directory, done):
            found = same_numbers(self.validator, each, self.model, edits, feed)
            said = replace(
                said,
                notes=(*said.notes, *found.notes),
                numbers={**(said.numbers or {}), **found.outputs},
            )
            edits = ()  # of the other MetaGraphs only tags have changed
        return said

    def _edited(self, directory: Path, done: Done) -> Iterator[Edited]:
        """Yield the MetaGraph that was edited, and the others that got other tags.

        If a MetaGraph was removed, yield all that stay.
        """
        if done.removes:
            staying = [each for each in done.meta_graphs if not each.is_removed]
            # Python reads the object graph of an only MetaGraph, which it did not read before.
            only = len(staying) == 1
            for each in staying:
                in_python = only and each.has_object_graph
                skips = self._skips_variables and not needed_at_load(each)
                yield Edited(directory, in_python, each, each, {}, frozenset(), skips)
            return
        skips = self._skips_variables
        touched = (each.key for each in done.step.changes if each.signature is not None)
        after = done.step.meta_graph
        yield Edited(
            directory,
            self._with_object_graph,
            self.model.meta_graphs[done.place],
            after,
            done.step.built,
            frozenset(touched) & after.signatures.keys(),
            skips and not needed_at_load(after),
        )
        for place, (before, now) in enumerate(
            zip(self.model.meta_graphs, done.meta_graphs, strict=True)
        ):
            if place != done.place and now.tags != before.tags:
                yield Edited(
                    directory,
                    with_object_graph=False,
                    before=before,
                    after=now,
                    built={},
                    touched=frozenset(),
                    without_variables=skips and not needed_at_load(now),
                )

    def _commit(self, staged: Staged, receipt: Receipt) -> Receipt:
        fingerprint = receipt.fingerprint
        notes: list[Note] = []
        if staged.destination is None:
            notes += place_notes(self.model, backup=self.options.backup)
        if staged.wants_fingerprint:
            computed = self.validator.fingerprint(staged.directory)
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
        self.validator.finish()
        committed = commit(staged, backup=self.options.backup)
        if fingerprint == "refreshed" and not committed.fingerprint_refreshed:
            fingerprint = "stale"
        warm_up = receipt.warm_up
        if warm_up == "rewritten" and not committed.warm_up_replaced:
            warm_up = "stale"
        notes += [Note("after-commit", warning) for warning in committed.warnings]
        return replace(
            receipt,
            directory=committed.directory,
            fingerprint=fingerprint,
            backup=committed.backup,
            notes=shown((*receipt.notes, *notes), staged.directory, self.model.directory),
            warm_up=warm_up,
        )

    def _receipt(self, plan: Plan, done: Done, said: Validation, carried: Carried) -> Receipt:
        """Return the receipt before the commit, which updates it."""
        changes = done.step.changes
        if not plan.splices:  # no edit has an effect, or a later edit takes it back
            there = done.step.meta_graph.signatures
            last = {each.key: each.unchanged for each in changes}
            changes = tuple(
                each if each.key in there else replace(each, signature=None)
                for each in last.values()
            )
        unknown: tuple[Note, ...] = ()
        names = ", ".join(n for each in done.step.built.values() for n in each.unknown_shapes)
        if not said.loaders and names:
            text = f"the file does not say the shape of {names}, and TensorFlow was not asked"
            unknown = (Note("unknown-shape", text),)
        wider = [a for b in done.step.built.values() if not said.loaders for a in b.wider]
        if wider:
            named = ", ".join(map(repr, wider))
            text = f"not proved: the graph takes the wider shape of {named} (nothing was run)"
            unknown = (*unknown, Note("unproved-shape", text))
        kept = (self.model.directory / "fingerprint.pb").exists()
        warm_up: WarmUpOutcome = (
            "kept" if (self.model.directory / warmup.PLACE).exists() else "absent"
        )
        return Receipt(
            directory=self.model.directory,
            form=self.model.form,
            tag_set=done.step.meta_graph.tags,
            changes=changes,
            dry_run=False,
            size_before=self.model.identity.size,
            size_after=plan.size,
            loaders=said.loaders,
            fingerprint="kept" if kept else "absent",
            backup=None,
            notes=(
                *done.step.notes,
                *notes_on(self.model, done, with_object_graph=self._with_object_graph),
                *carried.notes,
                *unknown,
                *said.notes,
            ),
            numbers=said.numbers,
            warm_up="rewritten" if carried.rewrite else warm_up,
            variables_read=said.variables_read,
        )


def _inferred(said: Validation, done: Done) -> Inferred | None:
    """Return the shapes that TensorFlow infers; None if the signatures were built with them."""
    ours = {n: spec for each in done.step.built.values() for n, spec in each.tensors.items()}
    return None if said.tensors is None or said.tensors == ours else Inferred(said.tensors)
