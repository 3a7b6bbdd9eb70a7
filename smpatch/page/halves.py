"""Signatures as both halves have them, side by side.

This module reports facts; it does not say which half is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smpatch.display import default_rows, spec_rows
from smpatch.functions.compare import disagreements
from smpatch.graph.objects import Leaf, flattened
from smpatch.loader import MetaGraph
from smpatch.signature import Spec, TensorSpec, parameter, shape_text

__all__ = ["halves"]

_KEYWORDS = "1"

_Cells = tuple[str, str, str]
"""The dtype, the shape, and the tensor or the name of the argument."""


def halves(meta_graph: MetaGraph) -> list[dict[str, Any]]:
    """Return the signatures of both halves by key, as JSON has them.

    Args:
        meta_graph: The MetaGraph; without an object graph the second half is empty.
    """
    served = meta_graph.signatures
    traced = meta_graph.objects.signatures if meta_graph.has_object_graph else {}
    by_key = {each.key: each.found for each in disagreements(meta_graph)}
    return [
        {
            "key": key,
            "method": served[key].method_name if key in served else None,
            "function": traced[key].concrete_function_name if key in traced else None,
            "disagreement": by_key.get(key),
            "rows": list(_rows(meta_graph, key, traced.get(key))),
        }
        for key in sorted({*served, *traced})
    ]


def _rows(meta_graph: MetaGraph, key: str, bare: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - a SavedBareConcreteFunction or None
    signature = meta_graph.signatures.get(key)
    concrete = None
    if bare is not None:
        concrete = meta_graph.objects.concrete_functions.get(bare.concrete_function_name)
    for kind in ("input", "output"):
        specs: Mapping[str, Spec] = {}
        if signature is not None:
            specs = signature.inputs if kind == "input" else signature.outputs
        left = {alias: _left(kind, alias, spec) for alias, spec in specs.items()}
        right = {} if concrete is None else _right(concrete, kind, tuple(left))
        whole = all(isinstance(spec, TensorSpec) for spec in specs.values()) and all(
            shape != _COMPOSITE for _, shape, _ in right.values()
        )
        for alias in dict.fromkeys([*left, *right]):
            one, other = left.get(alias), right.get(alias)
            known = signature is not None and concrete is not None
            # Where Python has a composite tensor, signature_def may have its parts.
            differs = whole and known and _contradict(one, other)
            yield {
                "kind": kind,
                "alias": alias,
                "served": one,
                "traced": other,
                "differs": differs,
            }
    for _, alias, dtype, shape, value in default_rows(
        {} if signature is None else signature.defaults
    ):
        cells = (dtype, shape, value)
        yield {"kind": "default", "alias": alias, "served": cells, "traced": None, "differs": False}


def _contradict(one: _Cells | None, other: _Cells | None) -> bool:
    """Return whether both halves say different things; an unknown rank says nothing."""
    if one is None or other is None:
        return True
    open_ = shape_text(None)
    return one[0] != other[0] or (open_ not in {one[1], other[1]} and one[1] != other[1])


def _left(kind: str, alias: str, spec: Spec) -> _Cells:
    ((_, _, dtype, shape, tensors),) = spec_rows(kind, {alias: spec})
    return dtype, shape, spec.name if isinstance(spec, TensorSpec) else tensors


_COMPOSITE = "composite"


def _right(concrete: Any, kind: str, aliases: tuple[str, ...]) -> dict[str, _Cells]:  # noqa: ANN401 - a SavedConcreteFunction
    """Return what the object graph has, under the aliases that ``signature_def`` gives it."""
    is_input = kind == "input"
    structure = concrete.canonicalized_input_signature if is_input else concrete.output_signature
    found: dict[str, _Cells] = {}
    # Python writes some aliases as parameters.
    spelled = {parameter(alias): alias for alias in aliases} if is_input else {}

    def composite(spec: Any, path: tuple[str, ...]) -> list[Leaf | None]:  # noqa: ANN401 - a TypeSpecProto
        found[_alias(path)] = (str(spec.type_spec_class_name), _COMPOSITE, "")
        return []

    def _alias(path: tuple[str, ...]) -> str:
        short = path[1:] if is_input and path[:1] == (_KEYWORDS,) else path
        name = "/".join(short)
        return name if name in aliases else spelled.get(parameter(name), name)

    for leaf in flattened(structure, composite):
        if leaf is not None:
            found[_alias(leaf.path)] = (
                leaf.spec.dtype,
                shape_text(leaf.spec.shape),
                leaf.spec.name,
            )
    return found
