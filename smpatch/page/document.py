"""The data of a page: a model, the signatures of both halves, and their computations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smpatch.display import default_rows, spec_rows
from smpatch.errors import RefusedError
from smpatch.functions.compare import disagreements
from smpatch.functions.shape_inference import Infer
from smpatch.graph.objects import Leaf, flattened
from smpatch.loader import MetaGraph, SavedModel
from smpatch.page.computation import computation
from smpatch.signature import CLASSIFY, REGRESS, Spec, TensorSpec, parameter, shape_text

KEY, ARGUMENT = 0, 1
"""The placeholders in a form for the key of the new signature, and for alias and tensor."""

Form = tuple[str | int, ...]
"""The words of a command; the page replaces ``KEY`` and ``ARGUMENT`` by the user's choice."""

_MOST_NODES = 250_000
"""The most nodes of a page; signatures that exceed it are shown without their computation."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A tensor or function that could become a signature.

    Attributes:
        what: The tensor or the function, in words.
        command: The words of the command; empty if the signature is not possible.
        refusal: The reason for which it is not possible; empty if it is possible.
    """

    what: str
    command: Sequence[str]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One MetaGraph on the page.

    Attributes:
        meta_graph: The MetaGraph.
        keys: The signatures whose computation is shown.
        add: For signatures by key, the command that adds a signature with an inner tensor.
        edit: For signatures by key, the command that adds an output to the signature.
        look: For signatures by key, the command that makes a page of the signature, for those
            without a computation here.
        key: The proposed key of a new signature.
        proposals: Tensors and functions that could become a signature.
        notes: Notes for the reader of this section.
        infer: A function that asks TensorFlow for shapes; None if it is not asked.
    """

    meta_graph: MetaGraph
    keys: Sequence[str]
    add: dict[str, Form]
    edit: dict[str, Form]
    look: dict[str, Sequence[str]]
    key: str
    proposals: Sequence[Proposal] = ()
    notes: Sequence[str] = ()
    infer: Infer | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The subject of a page.

    Attributes:
        model: The model.
        name: The path of the model, as the user gave it.
        sections: Its MetaGraphs.
        generator: The program that made the page.
        search: The first text of the search box.
        everything: Whether all tensors are shown at first.
    """

    model: SavedModel
    name: str
    sections: Sequence[Section]
    generator: str
    search: str = ""
    everything: bool = False


def document(page: Page) -> dict[str, Any]:
    """Return the data of a page, for JSON.

    Raises:
        TensorNotFoundError: A section names a signature that its MetaGraph does not have.
    """
    left = _MOST_NODES
    sections = []
    for section in page.sections:
        for key in section.keys:
            section.meta_graph.signature(key)
        signatures = _halves(section.meta_graph)
        for each in signatures:
            each.update(_computed(section, each["key"], left))
            left -= len(each["computation"]["nodes"]) if each["computation"] else 0
        sections.append(
            {
                "tags": list(section.meta_graph.tags),
                "tensorflow": section.meta_graph.tensorflow_version,
                "object_graph": section.meta_graph.has_object_graph,
                "key": section.key,
                "signatures": signatures,
                "proposals": [
                    [each.what, list(each.command), each.refusal] for each in section.proposals
                ],
                "notes": list(section.notes),
            }
        )
    return {
        "generator": page.generator,
        "search": page.search,
        "everything": page.everything,
        "model": page.name,
        "file": page.model.file.name,
        "size": page.model.identity.size,
        "sections": sections,
    }


def _computed(section: Section, key: str, most: int) -> dict[str, Any]:
    """Return the computation of a signature with its commands, or the reason if there is none."""
    found: dict[str, Any] = {
        "computation": None,
        "add": None,
        "edit": None,
        "why": "",
        "look": None,
    }
    signature = section.meta_graph.signatures.get(key)
    if signature is None:
        return {**found, "why": "signature_def does not have it: servers cannot run it"}
    if key not in section.keys or most <= 0:
        return {**found, "look": section.look.get(key)}
    try:
        body, refusal = computation(section.meta_graph, key, section.infer)
    except RefusedError as error:
        return {**found, "why": str(error)}
    if len(body["nodes"]) > most:
        return {**found, "look": section.look.get(key)}
    found.update(computation=body, why=refusal, add=section.add.get(key))
    if signature.method_name not in {CLASSIFY, REGRESS}:  # these allow no further outputs
        found["edit"] = section.edit.get(key)
    return found


_KEYWORDS = "1"
_COMPOSITE = "composite"

_Cells = tuple[str, str, str]
"""The dtype, the shape, and the tensor or the name of the argument."""


def _halves(meta_graph: MetaGraph) -> list[dict[str, Any]]:
    """Return the signatures of both halves, sorted by key, for JSON.

    Without an object graph the second half is empty. This function does not decide which half is
    right.
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
            # If Python has a composite tensor, signature_def may have its parts.
            differs = whole and known and _contradict(one, other)
            yield {"kind": kind, "alias": alias, "served": one, "traced": other, "differs": differs}
    for _, alias, dtype, shape, value in default_rows(
        {} if signature is None else signature.defaults
    ):
        cells = (dtype, shape, value)
        yield {"kind": "default", "alias": alias, "served": cells, "traced": None, "differs": False}


def _contradict(one: _Cells | None, other: _Cells | None) -> bool:
    """Return whether the halves contradict each other; an unknown rank contradicts no shape."""
    if one is None or other is None:
        return True
    open_ = shape_text(None)
    return one[0] != other[0] or (open_ not in {one[1], other[1]} and one[1] != other[1])


def _left(kind: str, alias: str, spec: Spec) -> _Cells:
    ((_, _, dtype, shape, tensors),) = spec_rows(kind, {alias: spec})
    return dtype, shape, spec.name if isinstance(spec, TensorSpec) else tensors


def _right(concrete: Any, kind: str, aliases: tuple[str, ...]) -> dict[str, _Cells]:  # noqa: ANN401 - a SavedConcreteFunction
    """Return inputs or outputs of the object graph, by their aliases in ``signature_def``."""
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
