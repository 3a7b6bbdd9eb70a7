"""Edits of an existing model, each with the edits that undo it.

The model alone decides the edits: every signature gets other keys, names, shapes and so on, and
then its old ones again. The tests compare the file before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smpatch import MetaGraph, SavedModel, SignatureDef, TensorSpec
from smpatch.arguments import constants
from smpatch.edits import (
    AddPredict,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
    TensorRef,
)
from smpatch.fragments import RecipeOf
from smpatch.functions.inner_tensors import inner_tensors

__all__ = ["KEY", "Journey", "journeys"]

KEY = "contract_key"
"""A signature key that no model has."""

_INNER = 2
"""The number of inner tensors of a signature to fetch; ``tests/object_graph`` fetches all."""

_VALUES: Mapping[str, object] = {"string": "a", "bool": True}
"""Type to the value of a default; for numbers it is 1."""


@dataclass(frozen=True)
class Journey:
    """Edits and the edits that undo them.

    Attributes:
        name: One word for the edits, and the signature or function that they change.
        place: The index of the MetaGraph in the model.
        there: The edits.
        back: The edits that undo them.
        middle: The tags of the MetaGraph after ``there`` and before ``back``.
    """

    name: str
    place: int
    there: tuple[Edit, ...]
    back: tuple[Edit, ...]
    middle: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The word for the edits."""
        return self.name.partition(" ")[0]


def journeys(model: SavedModel, candidates: Mapping[int, AddPredict]) -> Iterator[Journey]:
    """Yield all journeys of a model.

    Args:
        model: The model.
        candidates: Index of a MetaGraph to a signature that it does not have.
    """
    for place, meta_graph in enumerate(model.meta_graphs):
        if any(set(each.tags) == set(meta_graph.tags) for each in model.meta_graphs[:place]):
            continue  # its tags name an earlier MetaGraph
        tags = meta_graph.tags
        for name, there, back in _of(meta_graph):
            yield Journey(name, place, there, back, tags)
        if place in candidates:
            added = candidates[place]
            yield Journey("add", place, (added,), (Remove((added.key,)),), tags)
        other = (*tags[::-1], "elsewhere")
        yield Journey("retag", place, (Retag(place, other),), (Retag(other, tags),), other)


_Way = tuple[str, tuple[Edit, ...], tuple[Edit, ...]]


def _of(meta_graph: MetaGraph) -> Iterator[_Way]:
    for key, signature in meta_graph.signatures.items():
        yield f"rename {key}", (Rename(key, KEY),), (Rename(KEY, key),)
        yield f"copy {key}", (Copy(key, KEY),), (Remove((KEY,)),)
        yield from _named(key, signature)
        yield from _told(key, signature)
        yield from _together(key, signature)
        yield from _edited_copy(key, signature)
        yield from _again(key, signature)
        yield from _inside(meta_graph, key, signature)
        yield from _bound(meta_graph, key, signature)
    for path in _traced(meta_graph):
        yield f"promote {path}", (PromoteFunction(path, key=KEY),), (Remove((KEY,)),)
    keys = list(meta_graph.signatures)
    if len(keys) > 1:
        one, other = keys[:2]
        circle = (Rename(one, KEY), Rename(other, one), Rename(KEY, other))
        back = (Rename(other, KEY), Rename(one, other), Rename(KEY, one))
        yield f"swap {one}", circle, back


def _named(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Give the first names others that sort elsewhere, then give all names the opposite order."""
    inputs, outputs = _turned(signature.inputs, "i"), _turned(signature.outputs, "o")
    for kind, names in (("input", inputs), ("output", outputs)):
        for alias in list(names)[:1]:
            for new in ("AAA", "zzz"):
                yield f"rename-{kind} {key} {new}", *_pair(key, kind, {alias: new})
        if len(names) > 1:
            yield f"rename-{kind}s {key}", *_pair(key, kind, names)
    there = EditSignature(key, rename_inputs=inputs, rename_outputs=outputs)
    back = EditSignature(key, rename_inputs=_back(inputs), rename_outputs=_back(outputs))
    yield f"rename-all {key}", (there,), (back,)


def _pair(
    key: str, kind: str, names: Mapping[str, str]
) -> tuple[tuple[EditSignature], tuple[EditSignature]]:
    if kind == "input":
        there = EditSignature(key, rename_inputs=names)
        return (there,), (EditSignature(key, rename_inputs=_back(names)),)
    there = EditSignature(key, rename_outputs=names)
    return (there,), (EditSignature(key, rename_outputs=_back(names)),)


def _turned(specs: Mapping[str, object], prefix: str) -> dict[str, str]:
    """Return new names that sort in the opposite order."""
    return {old: f"{prefix}{len(specs) - place:03}" for place, old in enumerate(sorted(specs))}


def _back(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _told(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Change shapes, the method and a default; the tensors stay the same."""
    # A wider shape of an input opens its placeholder, and no edit closes it: see tests/sizes.
    for alias, spec in list(signature.outputs.items())[:2]:
        if isinstance(spec, TensorSpec) and spec.shape:
            name = f"outputs.{alias}" if _on_both_sides(signature, alias) else alias
            for what, shape in (("open", (None,) * len(spec.shape)), ("unknown", None)):
                if shape != spec.shape:
                    there = EditSignature(key, shapes={name: shape})
                    back = EditSignature(key, shapes={name: spec.shape})
                    yield f"shape-{what} {key} {name}", (there,), (back,)
    if _method_is_kept(signature):
        there = EditSignature(key, method_name="mine")
        yield f"method {key}", (there,), (EditSignature(key, method_name=signature.method_name),)
    for alias, spec in list(signature.inputs.items())[:1]:
        if isinstance(spec, TensorSpec) and alias not in signature.defaults:
            there = EditSignature(key, defaults={alias: _default(spec)})
            yield f"default {key}", (there,), (EditSignature(key, defaults={alias: None}),)


def _method_is_kept(signature: SignatureDef) -> bool:
    """Return whether the inputs fit the method; if not, no edit gives the method back."""
    if signature.method_name.rpartition("/")[2] not in {"classify", "regress"}:
        return True
    specs = signature.inputs.values()
    return all(isinstance(spec, TensorSpec) and spec.dtype == "string" for spec in specs)


def _on_both_sides(signature: SignatureDef, alias: str) -> bool:
    return alias in signature.inputs and alias in signature.outputs


def _default(spec: TensorSpec) -> object:
    value = _VALUES.get(spec.dtype, 1)
    for size in reversed(spec.shape or ()):
        value = [value] * (1 if size is None else size)
    return value


def _together(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Do several kinds of edits in one commit."""
    if not _method_is_kept(signature):
        return
    inputs, outputs = _turned(signature.inputs, "i"), _turned(signature.outputs, "o")
    there = (
        Copy(key, "second"),
        EditSignature(key, rename_inputs=inputs, rename_outputs=outputs, method_name="mine"),
        Rename(key, KEY),
        Rename("second", key),
    )
    back = (
        Remove((key,)),
        Rename(KEY, key),
        EditSignature(
            key,
            rename_inputs=_back(inputs),
            rename_outputs=_back(outputs),
            method_name=signature.method_name,
        ),
    )
    yield f"together {key}", there, back


def _edited_copy(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Change a signature that shares its function with another."""
    outputs = _turned(signature.outputs, "o")
    there = (Copy(key, KEY), EditSignature(KEY, rename_outputs=outputs))
    yield f"edit-copy {key}", there, (Remove((KEY,)),)
    there = (Copy(key, KEY), EditSignature(key, rename_outputs=outputs))
    back = (EditSignature(key, rename_outputs=_back(outputs)), Remove((KEY,)))
    yield f"edit-copied {key}", there, back


def _again(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Add the tensors of a signature under other names."""
    ways = ((signature.inputs, "i"), (signature.outputs, "o"))
    inputs, outputs = (
        {_turned(specs, letter)[alias]: _ref(spec) for alias, spec in specs.items()}
        for specs, letter in ways
    )
    if inputs and outputs:
        yield f"add-again {key}", (AddPredict(inputs, outputs, KEY),), (Remove((KEY,)),)
    if outputs:
        derived = FromSignature(key, {f"o_{alias}": alias for alias in signature.outputs}, KEY)
        yield f"derive {key}", (derived,), (Remove((KEY,)),)


def _ref(spec: object) -> TensorRef:
    return spec.name if isinstance(spec, TensorSpec) else spec  # type: ignore[return-value]


def _inside(meta_graph: MetaGraph, key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Fetch tensors inside the functions that a signature calls."""
    if not meta_graph.has_object_graph:
        return
    paths = [each.path for each in inner_tensors(meta_graph, signature)]
    for path in paths[len(paths) // 2 :][:_INNER]:
        yield f"inner {key} {path}", (FromSignature(key, {"in": path}, KEY),), (Remove((KEY,)),)
        there = EditSignature(key, add_outputs={"AAA": path})
        back = EditSignature(key, drop_outputs=("AAA",))
        yield f"add-output {key} {path}", (there,), (back,)


def _bound(meta_graph: MetaGraph, key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Bind an input, and put a recipe behind an output, both in models with an object graph.

    In a graph of TensorFlow 1 no edit removes the copied nodes.
    """
    for alias, spec in list(signature.inputs.items())[:1]:
        if isinstance(spec, TensorSpec) and meta_graph.has_object_graph:
            bind = constants({alias: _default(spec)}, "bind")
            yield f"bind {key}", (Compose(key, KEY, bind),), (Remove((KEY,)),)
    for alias, spec in signature.outputs.items():
        if isinstance(spec, TensorSpec) and meta_graph.has_object_graph:
            behind = (RecipeOf("identity", f"{alias}_again", {"output": alias}),)
            yield f"behind {key}", (Compose(key, KEY, after=behind),), (Remove((KEY,)),)
            return


def _traced(meta_graph: MetaGraph) -> list[str]:
    """Return the traced functions of objects: the path if it names one trace, else the name."""
    traces = meta_graph.objects.traces if meta_graph.has_object_graph else ()
    paths = [each.path for each in traces]
    return [each.path if paths.count(each.path) == 1 else each.function for each in traces]
