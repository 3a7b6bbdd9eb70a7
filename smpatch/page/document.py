"""The data of a page: a model, its signatures on both halves, and what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smpatch.errors import RefusedError
from smpatch.functions.shape_inference import Infer
from smpatch.loader import MetaGraph, SavedModel
from smpatch.page.computation import computation
from smpatch.page.halves import halves
from smpatch.signature import CLASSIFY, REGRESS

__all__ = ["ARGUMENT", "KEY", "Form", "Page", "Proposal", "Section", "document"]

KEY, ARGUMENT = 0, 1
"""Stand in a form for the key of the new signature, and for alias and tensor."""

Form = tuple[str | int, ...]
"""The words of a command, with ``KEY`` and ``ARGUMENT`` where the page puts in what is chosen."""

_MOST_NODES = 250_000
"""So many nodes a page holds; the signatures behind them are shown without their computation."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something else that could become a signature.

    Attributes:
        what: A tensor or a function, in words.
        command: The words to type for it; none where it is not possible.
        refusal: Why it is not possible.
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
        add: For each of these the command that adds a signature with a tensor of it.
        edit: For each of these the command that adds an output to it.
        look: For each other signature the command that makes a page of it.
        key: The proposed key of a new signature.
        proposals: What else could become a signature.
        notes: Notes for the reader of this section.
        infer: Asks TensorFlow for shapes; None where it is not asked.
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
    """What a page is about.

    Attributes:
        model: The model.
        name: The model as the user named it.
        sections: Its MetaGraphs.
        generator: What made the page.
        search: What stands in the search box at first.
        everything: Whether all tensors are shown at first.
    """

    model: SavedModel
    name: str
    sections: Sequence[Section]
    generator: str
    search: str = ""
    everything: bool = False


def document(page: Page) -> dict[str, Any]:
    """Return the data of a page, as JSON has them.

    Args:
        page: What the page is about.

    Raises:
        TensorNotFoundError: A section names a signature that is not there.
    """
    left = _MOST_NODES
    sections = []
    for section in page.sections:
        for key in section.keys:
            section.meta_graph.signature(key)
        signatures = halves(section.meta_graph)
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
    """Return the computation of a signature with its commands, or why there is none."""
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
