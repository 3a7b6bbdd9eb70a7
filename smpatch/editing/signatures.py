"""Changes of the signatures of a MetaGraph, which keep both halves of an export in step.

If the object graph is edited as well, each change of ``signature_def`` is also made to the map of
signatures in the object graph. Each change makes a new MetaGraph.

This module does not check whether a signature works.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Concatenate, ParamSpec

from smpatch import schema
from smpatch.builder import Built
from smpatch.editing.edit import Change, Context, Outcome, Step
from smpatch.errors import RefusedError, TensorNotFoundError
from smpatch.functions import signature_map
from smpatch.functions.compare import disagreements
from smpatch.functions.wrapper import ALONE
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import python_computation, signature_computation
from smpatch.rules import Note
from smpatch.savedmodel.draft import Draft
from smpatch.signature import SignatureDef, Spec, TensorSpec

P = ParamSpec("P")

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Signatures:
    """The signatures of a MetaGraph.

    Attributes:
        meta_graph: The MetaGraph.
        in_python: Whether the object graph is edited as well.
    """

    meta_graph: MetaGraph
    in_python: bool

    @classmethod
    def of(cls, meta_graph: MetaGraph, context: Context) -> Signatures:
        """Return the signatures of the MetaGraph that an edit gets."""
        return cls(meta_graph, context.with_object_graph)

    def has(self, key: str, signature: SignatureDef) -> bool:
        """Return whether a key has this signature, equal in all bytes but the order of fields.

        If the object graph is edited as well, Python must take the same signature from it.
        """
        entry = self.meta_graph.entries.get(key)
        if entry is None or (self.in_python and key not in self.meta_graph.objects.signatures):
            return False
        message = schema.SignatureDef.FromString(entry.value)  # unknown fields included
        if bytes(message.SerializeToString(deterministic=True)) != signature.to_bytes():
            return False
        return not self.in_python or not _differs_in_python(self.meta_graph, key, signature)

    def put(self, key: str, signature: SignatureDef) -> Signatures:
        """Put in a signature; it replaces a signature that has the key."""
        old = self.meta_graph.signatures.get(key)
        draft = self._draft.put(key, signature.to_bytes())
        return self._changed(draft, signature_map.put, key, signature, old)

    def revise(
        self, key: str, value: bytes, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> Signatures:
        """Change a signature, and keep the bytes of the parts that stay.

        Args:
            key: The signature key.
            value: The changed signature, serialized.
            inputs: New alias to old alias, of the inputs that were renamed.
            outputs: New alias to old alias, of the outputs that were renamed.

        Raises:
            RefusedError: The halves differ: Python's would become that of servers.
        """
        old, new = self.meta_graph.signatures[key], SignatureDef.from_bytes(value)
        draft = self._draft.revised(key, value, inputs, outputs)
        same = (new.inputs, new.outputs) == (old.inputs, old.outputs)
        if same or key not in self.meta_graph.objects.signatures:
            return replace(self, meta_graph=self.meta_graph.with_parts(draft))
        if self.in_python and _differs_in_python(self.meta_graph, key, old):
            found = "Python takes another signature from the object graph than servers have"
            raise RefusedError(found, where=f"signature {key!r}", hint=ALONE)
        return self._changed(draft, signature_map.put, key, new, old)

    def rename(self, source: str, target: str) -> Signatures:
        """Give a signature another key, which no signature has."""
        there = source in self.meta_graph.entries
        draft = self._draft.renamed(source, target) if there else None
        return self._changed(draft, signature_map.renamed, source, target)

    def copy(self, source: str, target: str) -> Signatures:
        """Give a signature a second key, which no signature has."""
        entry = self.meta_graph.entries.get(source)
        draft = None if entry is None else self._draft.put(target, entry.value)
        return self._changed(draft, signature_map.copied, source, target)

    def remove(self, *keys: str) -> Signatures:
        """Remove signatures, and the parts of the model that were appended for them alone."""
        # All at once, because each new MetaGraph reads the whole map and the object graph.
        there = self.meta_graph.signatures
        olds = [there[key] for key in keys if key in there]
        is_served = not self.meta_graph.entries.keys().isdisjoint(keys)
        draft = self._draft.removed(*keys) if is_served else None
        return self._changed(draft, signature_map.removed, frozenset(keys), olds)

    def clear(self, key: str) -> Signatures:
        """Remove the parts that only the signature of a key needs, before it is made again.

        The new parts then get the same names, so that an equal signature is recognised.
        """
        old = self.meta_graph.signatures.get(key)
        return self if old is None else self._changed(None, signature_map.removed, {key}, [old])

    def on_one_half(self, key: str) -> Iterator[Note]:
        """Yield a note if a key is on one half only, and so is changed there alone."""
        if not self.in_python:
            return
        if key not in self.meta_graph.objects.signatures:
            text = f"signature {key!r} was only in signature_def; the object graph never had it"
            yield Note("one-half", text)
        elif key not in self.meta_graph.entries:
            text = f"signature {key!r} was only in the object graph; servers never had it"
            yield Note("one-half", text)

    @property
    def _draft(self) -> Draft:
        return Draft.of(self.meta_graph.parts)

    def _changed(
        self,
        draft: Draft | None,
        follow: Callable[Concatenate[MetaGraph, P], MetaGraph],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Signatures:
        """Return the signatures of another draft; ``follow`` changes the object graph likewise."""
        meta_graph = self.meta_graph if draft is None else self.meta_graph.with_parts(draft)
        if self.in_python:
            meta_graph = follow(meta_graph, *args, **kwargs)
        return replace(self, meta_graph=meta_graph)


def placed(meta_graph: MetaGraph, built: Built, context: Context) -> Step:
    """Put in a signature that was built, unless the key has it already."""
    key, signature = built.key, built.signature
    signatures = Signatures.of(meta_graph, context)
    outcome: Outcome = "unchanged"
    if not signatures.has(key, signature):
        outcome = "replaced" if key in meta_graph.entries else "added"
        signatures = signatures.put(key, signature)
    change = Change(key, outcome, signature)
    return Step(signatures.meta_graph, (change,), {key: built}, built.notes)


def _differs_in_python(meta_graph: MetaGraph, key: str, signature: SignatureDef) -> bool:
    """Return whether it is known that Python takes another signature from the object graph."""
    if any(each.key == key for each in disagreements(meta_graph)):
        return True
    if not all(isinstance(each, TensorSpec) for each in _specs(signature)):
        return False
    try:
        wanted = signature_computation(meta_graph, signature)
        got = python_computation(meta_graph, key, by_tensor=True)
    except FingerprintError:
        return False
    return wanted.outputs.keys() == got.outputs.keys() and wanted != got


def _specs(signature: SignatureDef) -> Iterator[Spec]:
    yield from signature.inputs.values()
    yield from signature.outputs.values()


def check_there(meta_graph: MetaGraph, key: str, option: str, *, in_python: bool = True) -> None:
    """Refuse a key that no signature has.

    Args:
        meta_graph: The MetaGraph.
        key: The key.
        option: The option that gave it, for errors.
        in_python: Whether the object graph is edited as well.

    Raises:
        RefusedError: No signature has the key, or only the object graph has it, which is not
            edited, or it is TensorFlow's own.
    """
    if key in meta_graph.reserved:
        found = "the key is reserved: TensorFlow runs what it names at load time"
        raise RefusedError(found, where=f"signature {key!r}", hint="it is not a signature")
    present = meta_graph.keys
    if key not in present:
        hint = nearest(key, present) or f"signatures here: {', '.join(present) or 'none'}"
        where = f"{option} {key!r}"
        raise TensorNotFoundError("no such signature", where=where, hint=hint)
    if not in_python and key not in meta_graph.signatures:
        found = "it is only in the object graph, which this edit does not change"
        hint = "edit it without --signature-def-only" if meta_graph.is_only else ""
        raise RefusedError(found, where=f"signature {key!r}", hint=hint)


def matching(meta_graph: MetaGraph, patterns: tuple[str, ...], *, in_python: bool) -> list[str]:
    """Return the keys that keys and patterns name, in the order in which these were given.

    Args:
        meta_graph: The MetaGraph.
        patterns: The keys and patterns.
        in_python: Whether the object graph is edited as well; if not, its keys do not count.

    Raises:
        RefusedError: No signature has a key or matches a pattern, or a key is TensorFlow's own.
    """
    found: dict[str, None] = {}
    present = meta_graph.keys if in_python else tuple(meta_graph.signatures)
    known = frozenset(present)
    for pattern in patterns:
        if pattern in known or not _PATTERN & set(pattern):
            check_there(meta_graph, pattern, "--signature", in_python=in_python)
            found[pattern] = None
            continue
        matches = fnmatch.filter(present, pattern)
        if not matches:
            hint = f"signatures here: {', '.join(present) or 'none'}"
            where = f"--signature {pattern!r}"
            raise TensorNotFoundError("no signature matches", where=where, hint=hint)
        found.update(dict.fromkeys(matches))
    for pattern in (each for each in patterns if each in known and _PATTERN & set(each)):
        others = [key for key in fnmatch.filter(present, pattern) if key not in found]
        if others:
            # Once the key is removed, the same request would remove the others.
            clash = f"it is a key, and a pattern that matches {', '.join(others)}"
            hint = f"{glob.escape(pattern)!r} is this key alone; or name the others as well"
            raise RefusedError(clash, where=f"--signature {pattern!r}", hint=hint)
    return list(found)
