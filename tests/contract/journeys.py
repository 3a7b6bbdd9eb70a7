"""Edits of a model that exists, each with the edits that undo it.

What is asked is made from the model alone: every signature gets other keys, names, shapes and
so on, and then back what it had. Whether that left the file as it was is for the tests.
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
"""So many inner tensors of a signature are fetched; of each that is the halves' own proof."""

_VALUES: Mapping[str, object] = {"string": "a", "bool": True}
"""What is taken for a default; of numbers 1."""


@dataclass(frozen=True)
class Journey:
    """Edits and the edits that undo them.

    Attributes:
        name: What is done, one word, and to which signature.
        place: Which MetaGraph of the model.
        there: The edits.
        back: Those that undo them.
        middle: The tags that the MetaGraph has in between.
    """

    name: str
    place: int
    there: tuple[Edit, ...]
    back: tuple[Edit, ...]
    middle: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What is done."""
        return self.name.partition(" ")[0]


def journeys(model: SavedModel, candidates: Mapping[int, AddPredict]) -> Iterator[Journey]:
    """Yield everything that can be asked of a model.

    Args:
        model: The model.
        candidates: Place of a MetaGraph to a signature that is not there.
    """
    for place, meta_graph in enumerate(model.meta_graphs):
        if any(set(each.tags) == set(meta_graph.tags) for each in model.meta_graphs[:place]):
            continue  # nobody can name it, nor load it
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
    """Give each name another that sorts elsewhere, then all of them in the opposite order."""
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
    """Return names that sort the other way round."""
    return {old: f"{prefix}{len(specs) - place:03}" for place, old in enumerate(sorted(specs))}


def _back(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _told(key: str, signature: SignatureDef) -> Iterator[_Way]:
    """Change what is said of tensors, and not which they are."""
    # An input of a wider shape opens its placeholder, which no edit closes: see tests/sizes.
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
    """Tell whether it takes what TF Serving wants; no signature is given a method that it lacks."""
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
    """Do a bit of everything in one commit."""
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
    """Make an input a constant; of a graph of TensorFlow 1 nothing takes the copies back."""
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
    """Return the functions that an object holds, by path where that names one trace."""
    traces = meta_graph.objects.traces if meta_graph.has_object_graph else ()
    paths = [each.path for each in traces]
    return [each.path if paths.count(each.path) == 1 else each.function for each in traces]
