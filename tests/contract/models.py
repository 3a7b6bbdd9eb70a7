"""The models under contract, each with what its manifest says of it.

Tensors are described to the oracle as ``tests/oracle/loading.py`` wants them, and to smpatch
as its users write them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smpatch import RaggedRef, SparseRef, load
from smpatch.edits import TensorRef
from tests.oracle.client import Value, encoded

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"
CORPUS = os.environ.get("SMPATCH_CORPUS")
PROVE = bool(os.environ.get("SMPATCH_PROVE"))

KEY = "contract_key"
"""A signature key that no model has."""

_COMPOSITE = re.compile(r"(\w+)=(sparse|ragged)\((.*)\)")


@dataclass(frozen=True)
class Candidate:
    """Tensors that make a sensible new signature, from a manifest."""

    entry: Mapping[str, Any]

    @property
    def tags(self) -> list[str]:
        """The MetaGraph that has them."""
        return list(self.entry["tags"])

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """Alias to tensor, for the oracle."""
        composite = _COMPOSITE.fullmatch(self.entry.get("notation") or "")
        if composite is None:
            names = self.entry["inputs"]
            return {f"in_{index}": ["dense", name] for index, name in enumerate(names)}
        alias, kind, parts = composite.groups()
        return {alias: [kind, *(part.partition("=")[2] for part in parts.split(","))]}

    @property
    def outputs(self) -> dict[str, list[str]]:
        """Alias to tensor, for the oracle."""
        names = self.entry["outputs"]
        return {f"out_{index}": ["dense", name] for index, name in enumerate(names)}

    @property
    def feed(self) -> dict[str, Value]:
        """Tensor name to the value to feed."""
        if "feed_rule" not in self.entry:
            return feed_of(self.entry.get("feed", {}))
        facts = zip(
            self.entry["inputs"],
            self.entry["input_dtypes"],
            self.entry["input_shapes"],
            strict=True,
        )
        rule = self.entry["feed_rule"]
        return {name: encoded(_by_rule(dtype, shape, rule)) for name, dtype, shape in facts}


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        name: Its path below the directory in which it was found.
        directory: Where it is.
        entry: What the manifest says; empty without one.
        with_object_graph: Whether an edit changes its object graph too, as smpatch does by default.
    """

    name: str
    directory: Path
    entry: Mapping[str, Any]
    with_object_graph: bool = False

    @cached_property
    def has_object_graph(self) -> bool:
        """Whether the signatures live in two halves."""
        if "has_object_graph" in self.entry:
            return bool(self.entry["has_object_graph"])
        return any(each.has_object_graph for each in load(self.directory).meta_graphs)

    @property
    def candidate(self) -> Candidate | None:
        """The manifest's proposal, where it has one."""
        found = self.entry.get("candidate")
        return None if found is None else Candidate(found)


def cases() -> list[Case]:
    """Return the fixtures' models and those of the corpus, twice where there are two halves."""
    found = [*found_in(FIXTURES), *corpus()]
    twice = [
        replace(case, name=f"{case.name}-both", with_object_graph=True)
        for case in found
        if case.candidate and case.has_object_graph
    ]
    return [*found, *twice]


def corpus() -> list[Case]:
    """Return the models of the corpus; without ``SMPATCH_PROVE=1`` a part that has every trait.

    The part is taken from the smallest model to the largest: a model is in it if its manifest
    names a trait, a repository or a release of TensorFlow that no smaller one has.
    """
    found = found_in(Path(CORPUS)) if CORPUS else []
    if PROVE or not any("traits" in each.entry for each in found):
        return found
    part: list[Case] = []
    seen: set[str] = set()
    for each in sorted(found, key=lambda case: (case.entry.get("saved_model_size", 0), case.name)):
        entry = each.entry
        release = ".".join(str(entry.get("tf_version")).split(".")[:2])
        loads = f"loads {entry.get('loads_v1')} {entry.get('loads_v2')}"
        traits = {*map(str, entry.get("traits", ())), str(entry.get("source_repo")), release, loads}
        if traits - seen:
            part.append(each)
            seen |= traits
    return [each for each in found if each in part]


def found_in(root: Path) -> list[Case]:
    """Return the models below a directory, by its manifest or, without one, by walking it."""
    manifest = root / "MANIFEST.json"
    if manifest.exists():
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        return [Case(entry["dir"], root / entry["dir"], entry) for entry in entries]
    found = {file.parent for file in root.rglob("saved_model.pb*") if file.is_file()}
    return [Case(str(each.relative_to(root)), each, {}) for each in sorted(found)]


def refs(described: Mapping[str, Sequence[str]]) -> dict[str, TensorRef]:
    """Turn descriptions for the oracle into what smpatch takes."""
    return {alias: _ref(each) for alias, each in described.items()}


def feed_of(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Take values from a manifest, where strings are UTF-8."""
    return dict(_values(values))


def _values(values: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Value]]:
    for name, value in values.items():
        if value["dtype"] == "string":
            flat = np.array(value["value"], dtype=object).ravel()
            array = np.empty(flat.size, dtype=object)
            array[:] = [text.encode() for text in flat]
            yield name, encoded(array.reshape(value["shape"]))
        else:
            array = np.array(value["value"], dtype=value["dtype"])
            yield name, encoded(array.reshape(value["shape"]))


def _ref(described: Sequence[str]) -> TensorRef:
    kind, *names = described
    if kind == "sparse":
        return SparseRef(*names)
    if kind == "ragged":
        return RaggedRef(names[0], tuple(names[1:]))
    return names[0]


def _by_rule(dtype: str, shape: Sequence[int | None] | None, rule: str) -> Any:  # noqa: ANN401 - an array
    """Make the value that the corpus manifest prescribes for a tensor."""
    dims = (1,) if shape is None else tuple(1 if size is None else size for size in shape)
    if dtype == "string":
        example = re.search(r"hex ([0-9a-f]+)", rule)
        array = np.empty(dims, dtype=object)
        array[...] = bytes.fromhex(example[1]) if example else b""
        return array
    if dtype == "int64" and shape is not None and list(shape) == [None, 2]:
        return np.zeros(dims, dtype)
    return np.full(dims, 0.5 if np.issubdtype(np.dtype(dtype), np.floating) else 1, dtype)
