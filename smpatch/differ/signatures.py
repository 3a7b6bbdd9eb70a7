"""The comparison of the signatures of two MetaGraphs, on both halves.

Signatures are compared by meaning: the order of map entries and their encoding make no difference.
If a key was removed, and another key with an equal signature was added, the signature was renamed.

This module does not compare the two halves of one model; ``functions.compare`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.message import DecodeError

from smpatch import schema
from smpatch.differ.facts import Detail, SignatureDifference, Value
from smpatch.errors import ModelUnreadableError
from smpatch.graph.objects import ObjectGraph, leaves
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef

_Half = Literal["signature_def", "object_graph"]
_Name = tuple[
    Literal["method", "input", "output", "default", "keywords", "positional", "function", "other"],
    str,
]
_STRUCTURED = 2
"""The length of the path of a signature's input: ``1`` for keywords, and the name."""


@dataclass(frozen=True, slots=True)
class _View:
    """A signature in one half.

    Attributes:
        says: Its properties by kind and alias.
        canonical: Bytes that are equal for signatures with the same meaning.
        more: Properties that do not belong to its contract: the function that computes it.
    """

    says: Mapping[_Name, Value]
    canonical: bytes
    more: Mapping[_Name, Value] = field(default_factory=dict)


def differing(
    before: MetaGraph | None,
    after: MetaGraph | None,
    *,
    known_only: bool,
    objects: bool,
    more: tuple[Mapping[str, bytes], Mapping[str, bytes]] = ({}, {}),
) -> Iterator[SignatureDifference]:
    """Yield the signatures that differ, in one half and then in the other, by key.

    Args:
        before: The MetaGraph of the first model; None if there is none.
        after: The MetaGraph of the second model; None if there is none.
        known_only: Whether to leave out fields that are not in the schema: one of the models is
            text, from which they are not decoded.
        objects: Whether to compare the object graphs; not needed if they are equal.
        more: Key to more bytes that belong to a signature of ``signature_def``, for each model.
    """
    served = [_served(*each, known_only) for each in zip((before, after), more, strict=True)]
    yield from _half("signature_def", *served)
    if objects:
        yield from _half("object_graph", _python(before, known_only), _python(after, known_only))


def _half(
    half: _Half, before: Mapping[str, _View], after: Mapping[str, _View]
) -> Iterator[SignatureDifference]:
    gone = [key for key in sorted(before) if key not in after]
    come = [key for key in sorted(after) if key not in before]
    origin: dict[str, str] = {}
    # If several signatures are equal, the origin is the one that the same function computes.
    for alike in (_same_function, _same_contract):
        twins: dict[object, list[str]] = {}
        for key in reversed(gone):
            twins.setdefault(alike(before[key]), []).append(key)
        for key in come:
            if key not in origin and (equal := twins.get(alike(after[key]))):
                origin[key] = equal.pop()
        gone = sorted({*gone}.difference(origin.values()))
    for key in sorted({*gone, *after}):
        was, now = before.get(origin.get(key, key)), after.get(key)
        if now is None:
            yield SignatureDifference(half, key, "removed", None, _details(was, None))
        elif key in origin:
            yield SignatureDifference(half, key, "renamed", origin[key], _details(was, now))
        elif was is None:
            yield SignatureDifference(half, key, "added", None, _details(None, now))
        elif details := _details(was, now):
            yield SignatureDifference(half, key, "changed", None, details)


def _same_function(view: _View) -> object:
    return view.canonical, tuple(view.more.items())


def _same_contract(view: _View) -> object:
    return view.canonical


def _details(before: _View | None, after: _View | None) -> tuple[Detail, ...]:
    ours = {} if before is None else {**before.says, **before.more}
    theirs = {} if after is None else {**after.says, **after.more}
    names = [*theirs, *(name for name in ours if name not in theirs)]
    found = [
        Detail(*name, ours.get(name), theirs.get(name))
        for name in sorted(names, key=lambda name: _ORDER.index(name[0]))
        if ours.get(name) != theirs.get(name)
    ]
    if before and after and before.canonical != after.canonical and before.says == after.says:
        found.append(Detail("other", "", None, None))
    return tuple(found)


_ORDER = ("method", "input", "output", "default", "keywords", "positional", "function", "other")


def _served(
    meta_graph: MetaGraph | None,
    more: Mapping[str, bytes],
    known_only: bool,  # noqa: FBT001 - passed on
) -> dict[str, _View]:
    """Return the signatures of ``signature_def`` by key, with the reserved entries."""
    if meta_graph is None:
        return {}
    decoded = {**meta_graph.signatures, **meta_graph.reserved}
    return {
        key: _View(
            dict(_said(signature)),
            _canonical(schema.SignatureDef, meta_graph.entries[key].value, known_only)
            + more.get(key, b""),
        )
        for key, signature in decoded.items()
    }


def _said(signature: SignatureDef) -> Iterator[tuple[_Name, Value]]:
    yield ("method", ""), signature.method_name
    for alias, spec in signature.inputs.items():
        yield ("input", alias), spec
    for alias, spec in signature.outputs.items():
        yield ("output", alias), spec
    for alias, value in signature.defaults.items():
        yield ("default", alias), value


def _python(meta_graph: MetaGraph | None, known_only: bool) -> dict[str, _View]:  # noqa: FBT001 - passed on
    """Return the signatures of the object graph by key."""
    if meta_graph is None or not meta_graph.has_object_graph:
        return {}
    objects = meta_graph.objects
    return {
        key: _traced(objects, bare, known_only=known_only)
        for key, bare in objects.signatures.items()
    }


def _traced(objects: ObjectGraph, bare: Any, *, known_only: bool) -> _View:  # noqa: ANN401 - a SavedBareConcreteFunction
    keywords, positional = tuple(bare.argument_keywords), bare.allowed_positional_arguments
    says: dict[_Name, Value] = {("keywords", ""): keywords, ("positional", ""): str(positional)}
    parts = [repr((keywords, positional)).encode()]
    concrete = objects.concrete_functions.get(bare.concrete_function_name)
    if concrete is not None:
        arguments, results = concrete.canonicalized_input_signature, concrete.output_signature
        for leaf in leaves(arguments):
            # All of them are keywords, under 1; a caller writes the name alone.
            short = leaf.path[1:] if len(leaf.path) == _STRUCTURED else leaf.path
            says["input", "/".join(short)] = leaf.spec
        for leaf in leaves(results):
            says["output", "/".join(leaf.path)] = leaf.spec
        parts += [
            _canonical(schema.StructuredValue, each.SerializeToString(), known_only)
            for each in (arguments, results)
        ]
    return _View(says, b"\0".join(parts), {("function", ""): bare.concrete_function_name})


def _canonical(kind: Any, data: bytes, known_only: bool) -> bytes:  # noqa: ANN401, FBT001 - a message class; passed on
    try:
        message = kind.FromString(data)
    except DecodeError as error:
        raise ModelUnreadableError(f"a signature cannot be decoded: {error}") from error
    if known_only:
        message.DiscardUnknownFields()
    return bytes(message.SerializeToString(deterministic=True))
