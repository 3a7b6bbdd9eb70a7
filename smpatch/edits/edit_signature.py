"""Changes of an existing signature: names, tensors, shapes, method, defaults.

All changes of one edit are made at once. An edit that breaks a rule is refused. If the rule was
broken before, in the same way, the edit succeeds with a note.

Source: ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from smpatch import arguments, schema
from smpatch.builder import Tensors
from smpatch.editing.dropping import missed, refusal
from smpatch.editing.edit import Change, Context, Edit, Expected, NotAppliedError, Repetition, Step
from smpatch.editing.reshaping import reshape, widened
from smpatch.editing.revising import (
    add,
    brought_out,
    built_of,
    check_defaults,
    checked,
    mapped,
    set_defaults,
    with_fields,
    without_dropped,
)
from smpatch.editing.signatures import Signatures, check_there
from smpatch.editing.tracking import Kind, Tracked, Tracker
from smpatch.errors import AliasError, RefusedError, TensorNotFoundError, UnreachableOutputError
from smpatch.functions.inner_tensors import Inner
from smpatch.functions.open_sizes import is_wider
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import Kept, KeptNames, KeptSignatures, named
from smpatch.proof.requests import Names, Request, output, tensor_names
from smpatch.rules import METHODS
from smpatch.signature import Shape, SignatureDef, Spec
from smpatch.tensor_refs import TensorRef, tensor_refs

CHANGES = (
    "rename-input",
    "rename-output",
    "drop-input",
    "drop-output",
    "add-input",
    "add-output",
    "shape",
    "method",
    "default",
    "drop-default",
)
"""The keys in a table of a patch file that change the signature."""


@dataclass(frozen=True, slots=True)
class EditSignature(Edit):
    """Change an existing signature, all at once.

    The names that are renamed or dropped are aliases before the edit. The names in ``shapes`` and
    ``defaults`` are aliases after the edit.

    Attributes:
        key: The signature key.
        rename_inputs: Old alias to new one.
        rename_outputs: Old alias to new one.
        drop_inputs: Inputs that are no longer fed.
        drop_outputs: Outputs that are no longer fetched.
        add_inputs: Alias to a tensor of the main graph.
        add_outputs: Alias to a tensor of the main graph, or inside the functions that the
            signature calls.
        shapes: Alias to the shape that the signature promises. If an input and an output have the
            same alias, write ``inputs.x`` or ``outputs.x``.
        method_name: The method, ``tensorflow/serving/predict`` or another; None keeps it.
        defaults: Alias of an input to its value if a request omits it: a number, a string, a truth
            value, or nested lists of these; None removes a default.

    Example:
        >>> edit = smpatch.EditSignature("serving_default", shapes={"x": [-1, 224, 224, 3]})
        >>> edit.shapes["x"]
        (None, 224, 224, 3)
    """

    verb: ClassVar[str] = "edit"

    key: str
    rename_inputs: Mapping[str, str] = field(default_factory=dict)
    rename_outputs: Mapping[str, str] = field(default_factory=dict)
    drop_inputs: tuple[str, ...] = ()
    drop_outputs: tuple[str, ...] = ()
    add_inputs: Mapping[str, TensorRef] = field(default_factory=dict)
    add_outputs: Mapping[str, TensorRef] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    method_name: str | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arguments.instance(self.key, str, "the signature key")
        for name in ("rename_inputs", "rename_outputs"):
            self._take(**{name: arguments.names(getattr(self, name), name)})
        for name in ("drop_inputs", "drop_outputs"):
            self._take(**{name: arguments.texts(getattr(self, name), name)})
        for name in ("add_inputs", "add_outputs"):
            self._take(**{name: tensor_refs(getattr(self, name), name)})
        shapes = arguments.mapping(self.shapes, "shapes")
        defaults = arguments.mapping(self.defaults, "defaults")
        if self.method_name is not None:
            arguments.instance(self.method_name, str, "method_name")
        self._take(
            shapes={
                alias: arguments.shape(each, f"shape of {alias!r}")
                for alias, each in shapes.items()
            },
            defaults={
                alias: arguments.plain_value(each, f"default of {alias!r}")
                for alias, each in defaults.items()
            },
        )

    @property
    def subject(self) -> str:
        return self.key

    @classmethod
    def read(cls, table: Table) -> EditSignature:
        if len(table.keys) == 1:
            table.fault("it changes nothing", hint=f"add {', '.join(CHANGES)}")
        defaults = table.values("default")
        for alias in table.names("drop-default"):
            if alias in defaults:
                table.fault(f"{alias!r} is given a default as well", at=("drop-default",))
            defaults[alias] = None
        return cls(
            key=table.text("edit"),
            rename_inputs=table.pairs("rename-input", renames=True),
            rename_outputs=table.pairs("rename-output", renames=True),
            drop_inputs=table.names("drop-input"),
            drop_outputs=table.names("drop-output"),
            add_inputs=table.tensors("add-input"),
            add_outputs=table.tensors("add-output"),
            shapes=table.shapes("shape"),
            method_name=table.method("method"),
            defaults=defaults,
        )

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Change the signature."""
        key = self.key
        check_there(meta_graph, key, "--signature")
        entry = meta_graph.entries.get(key)
        if entry is None:
            found = "it is only in the object graph; servers never had it"
            raise RefusedError(found, where=f"signature {key!r}", hint="add it with add-predict")
        old = meta_graph.signatures[key]
        message = schema.SignatureDef.FromString(entry.value)
        self._check_asked(old)
        meta_graph, added = brought_out(meta_graph, key, self.add_outputs, message, context)
        tensors = Tensors(meta_graph, context.inferred)
        inputs, inputs_were = mapped("inputs", message.inputs, self.rename_inputs, self.drop_inputs)
        outputs, outputs_were = mapped(
            "outputs", message.outputs, self.rename_outputs, self.drop_outputs
        )
        add("inputs", inputs, self.add_inputs, tensors)
        add("outputs", outputs, added, tensors, sizes_open=is_wider(meta_graph, old))
        defaults = {
            alias: message.defaults[was]
            for alias in inputs
            if (was := inputs_were.get(alias, alias)) in message.defaults
            and alias not in self.add_inputs
        }
        meta_graph, notes = without_dropped(meta_graph, self.drop_inputs, old, inputs, outputs)
        if notes:
            tensors = Tensors(meta_graph, context.inferred)
        wider, shape_notes = reshape(meta_graph, self.shapes, inputs, outputs, tensors)
        notes += shape_notes
        set_defaults(self.defaults, inputs, defaults)
        kept = {alias: inputs_were.get(alias, alias) for alias in defaults.keys() - self.add_inputs}
        were = {alias: message.inputs[was] for alias, was in kept.items()}
        check_defaults(inputs, defaults, were)
        new = with_fields(message, {"inputs": inputs, "outputs": outputs, "defaults": defaults})
        if self.method_name is not None:
            new.method_name = METHODS.get(self.method_name, self.method_name)
        value = bytes(new.SerializeToString(deterministic=True))
        signature = SignatureDef.from_bytes(value)
        try:
            notes += checked(meta_graph, signature, old, self._under_new_names(old))
        except UnreachableOutputError as error:
            raise self._unreachable(meta_graph, error, old, signature) from error
        built = replace(built_of(key, signature, tensors, notes), wider=wider)
        if value == message.SerializeToString(deterministic=True):
            changes = (Change(key, "unchanged", signature),)
            return Step(meta_graph, changes, {key: built}, built.notes)
        meta_graph = widened(meta_graph, signature, wider)
        signatures = Signatures.of(meta_graph, context)
        if (signature.inputs, signature.outputs) != (old.inputs, old.outputs):
            built = replace(built, notes=(*built.notes, *signatures.on_one_half(key)))
        meta_graph = signatures.revise(key, value, inputs_were, outputs_were).meta_graph
        return Step(meta_graph, (Change(key, "edited", signature),), {key: built}, built.notes)

    def _check_asked(self, old: SignatureDef) -> None:
        """Refuse names that are not UTF-8, and inputs or outputs that do not exist."""
        new = (*self.rename_inputs.values(), *self.rename_outputs.values())
        for name in (*new, *self.add_inputs, *self.add_outputs, self.method_name or ""):
            if name.encode(errors="replace").decode() != name:
                raise AliasError("not a usable name", where=repr(name), hint="use letters and _")
        where = f"signature {self.key!r}"
        for side, present in zip(self._sides, (old.inputs, old.outputs), strict=True):
            what = side.kind.removesuffix("s")
            for name in (*side.renames, *side.drops):
                if name not in present:
                    hint = nearest(name, present) or f"it has {', '.join(present) or 'none'}"
                    found = f"no {what} is called {name!r}"
                    raise TensorNotFoundError(found, where=where, hint=hint)
            for name in side.renames:
                if name in side.drops:
                    found = f"the {what} {name!r} is to be renamed and dropped"
                    raise AliasError(found, where=where, hint="it cannot be both")

    def _unreachable(
        self,
        meta_graph: MetaGraph,
        error: UnreachableOutputError,
        old: SignatureDef,
        signature: SignatureDef,
    ) -> UnreachableOutputError:
        """Return the error with a hint for this edit, which has other options than an addition."""
        for alias in missed(meta_graph, self.drop_inputs, old, signature):
            return refusal(meta_graph, self.key, alias, old, signature)
        hint = error.hint.replace("add --inputs", "add --add-input")
        return UnreachableOutputError(error.found, where=error.where, hint=hint)

    @property
    def _sides(self) -> tuple[_Side, _Side]:
        """The changes of the inputs, and the changes of the outputs."""
        return (
            _Side("inputs", self.rename_inputs, self.drop_inputs, self.add_inputs),
            _Side("outputs", self.rename_outputs, self.drop_outputs, self.add_outputs),
        )

    def _under_new_names(self, old: SignatureDef) -> SignatureDef:
        inputs = {self.rename_inputs.get(alias, alias): spec for alias, spec in old.inputs.items()}
        outputs = {
            self.rename_outputs.get(alias, alias): spec for alias, spec in old.outputs.items()
        }
        return replace(old, inputs=inputs, outputs=outputs)

    def expected(self, before: MetaGraph) -> Expected:
        """Return the old computation under the new names, and the added tensors."""
        old = before.signatures[self.key]
        input_was = {
            self.rename_inputs.get(alias, alias): alias
            for alias in old.inputs
            if alias not in self.drop_inputs
        }
        output_was = {
            self.rename_outputs.get(alias, alias): alias
            for alias in old.outputs
            if alias not in self.drop_outputs
        }
        inputs = {alias: tensor_names(old.inputs[was]) for alias, was in input_was.items()}
        outputs: dict[str, Names | Inner] = {
            alias: tensor_names(old.outputs[was]) for alias, was in output_was.items()
        }
        inputs |= {alias: tensor_names(ref) for alias, ref in self.add_inputs.items()}
        for alias, ref in self.add_outputs.items():
            outputs[alias] = output(before, self.key, ref)
        return {self.key: Request(inputs, outputs, self.key, input_was, output_was)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the old outputs under their new names, and the added tensors."""
        there = signatures.get(self.key)
        if there is not None and there.function:
            signatures[self.key] = Kept(complete=False)
        elif there is not None:
            inputs, outputs = self._sides
            signatures[self.key] = replace(
                there, inputs=inputs.followed(there.inputs), outputs=outputs.followed(there.outputs)
            )

    def track(self, tracker: Tracker) -> None:
        alone = self == EditSignature(self.key, rename_outputs=self.rename_outputs)
        old = tracker.change(self.key, renames_outputs_alone=alone)
        gone = set(old.gone)
        inputs, outputs = (
            side.tracked(tracker, before, gone)
            for side, before in zip(self._sides, (old.inputs, old.outputs), strict=True)
        )
        for side in self._sides:
            side.check_names(tracker)
        gone -= {("inputs", alias) for alias in self.add_inputs}
        gone -= {("outputs", alias) for alias in self.add_outputs}
        tracker.changed(self.key, Tracked(old.origin, inputs, outputs, frozenset(gone)))

    def alias_after(self, kind: Kind, key: str, alias: str) -> str | None:
        changed = self._sides[kind == "outputs"]
        if key != self.key:
            return alias
        gone = alias in changed.drops and alias not in changed.adds
        return None if gone else changed.renames.get(alias, alias)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the edit without the renames, and dropped names and defaults, that are done."""
        key = self.key if self.key in again.keys else again.later_key(self.key)
        edit = replace(self, key=key)
        again.touched.add(key)
        if None in self.shapes.values():
            again.exact |= {key, again.later_key(self.key)}
        if key in again.fresh:
            return edit
        signature = again.meta_graph.signatures.get(key)
        if signature is None:
            raise NotAppliedError("there is no such signature")
        inputs, outputs = (
            side.left_to_do(present)
            for side, present in zip(
                self._sides, (signature.inputs, signature.outputs), strict=True
            )
        )
        return replace(
            edit,
            rename_inputs=inputs[0],
            drop_inputs=inputs[1],
            rename_outputs=outputs[0],
            drop_outputs=outputs[1],
            defaults={
                alias: value
                for alias, value in edit.defaults.items()
                if value is not None or alias in signature.defaults
            },
        )


class _Side(NamedTuple):
    """The changes of the inputs or of the outputs."""

    kind: Kind
    renames: Mapping[str, str]
    drops: Sequence[str]
    adds: Mapping[str, TensorRef]

    def followed(self, names: KeptNames) -> KeptNames:
        """Return the new aliases, each with its alias or tensor before all edits."""
        new, dropped = self.renames, self.drops
        was = {new.get(a, a): old for a, old in names.was.items() if a not in dropped}
        tensors = {new.get(a, a): ref for a, ref in names.tensors.items() if a not in dropped}
        return KeptNames(was, {**tensors, **named(self.adds).tensors})

    def tracked(
        self, tracker: Tracker, before: Mapping[str, str], gone: set[tuple[Kind, str]]
    ) -> dict[str, str]:
        """Return alias after the edit to alias before all edits; update ``gone``."""
        kind, renames, drops = self.kind, self.renames, self.drops
        for alias in renames:
            if (kind, alias) in gone:
                hint = "an earlier edit renamed or dropped it"
                tracker.conflict(f"there is no {alias!r} any more", hint)
        kept = {alias: was for alias, was in before.items() if alias not in {*renames, *drops}}
        gone |= {(kind, alias) for alias in (*renames, *drops)}
        gone -= {(kind, alias) for alias in renames.values()}
        return kept | {new: before.get(was, was) for was, new in renames.items()}

    def check_names(self, tracker: Tracker) -> None:
        """Report names that contradict each other."""
        what = self.kind.removesuffix("s")
        targets = [*self.renames.values(), *self.adds]
        for alias in dict.fromkeys(targets):
            if targets.count(alias) > 1:
                tracker.conflict(f"two {what}s are to be called {alias!r}")
        for alias in self.drops:
            if alias in self.renames:
                tracker.conflict(f"the {what} {alias!r} is to be renamed and dropped")
        for old, new in self.renames.items():
            if old == new:
                tracker.conflict(f"the {what} {old!r} is renamed to itself")

    def left_to_do(self, present: Mapping[str, Spec]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the renames and drops that are left; added names are dropped, to be added again.

        Raises:
            NotAppliedError: An input or output has neither the old nor the new name of a rename.
        """
        renames, adds = self.renames, self.adds
        left: dict[str, str] = {}
        for old, new in renames.items():
            if old in present and old not in adds and old not in renames.values():
                left[old] = new
            elif new not in present:
                raise NotAppliedError(f"neither {old!r} nor {new!r} is there")
        gone = {alias for alias in (*self.drops, *adds) if alias in present}
        return left, tuple(sorted(gone - left.keys() - (set(renames.values()) - set(adds))))
