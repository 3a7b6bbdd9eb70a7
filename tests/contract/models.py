"""The models of the contract, each with its entry in a manifest.

The oracle gets descriptions of tensors in the form of ``tests/oracle/loading.py``, and smpatch
gets them as its users write them.
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
        """The tags of the MetaGraph that has the tensors."""
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
        directory: Its directory.
        entry: Its entry in the manifest; empty without a manifest.
        with_object_graph: Whether an edit changes its object graph too, as smpatch does by default.
    """

    name: str
    directory: Path
    entry: Mapping[str, Any]
    with_object_graph: bool = False

    @cached_property
    def has_object_graph(self) -> bool:
        """Whether the signatures are in both halves."""
        if "has_object_graph" in self.entry:
            return bool(self.entry["has_object_graph"])
        return any(each.has_object_graph for each in load(self.directory).meta_graphs)

    @property
    def candidate(self) -> Candidate | None:
        """The candidate of the manifest; None if it has none."""
        found = self.entry.get("candidate")
        return None if found is None else Candidate(found)


def cases() -> list[Case]:
    """Return the models of the fixtures and the corpus; those with both halves are there twice."""
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
    """Return the models below a directory, from its manifest or, without one, from a search."""
    manifest = root / "MANIFEST.json"
    if manifest.exists():
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        return [Case(entry["dir"], root / entry["dir"], entry) for entry in entries]
    found = {file.parent for file in root.rglob("saved_model.pb*") if file.is_file()}
    return [Case(str(each.relative_to(root)), each, {}) for each in sorted(found)]


def refs(described: Mapping[str, Sequence[str]]) -> dict[str, TensorRef]:
    """Turn descriptions for the oracle into tensors in the form that smpatch takes."""
    return {alias: _ref(each) for alias, each in described.items()}


def feed_of(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Return the values of a manifest, in which strings are UTF-8."""
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
    """Return the value that the manifest of the corpus prescribes for a tensor."""
    dims = (1,) if shape is None else tuple(1 if size is None else size for size in shape)
    if dtype == "string":
        example = re.search(r"hex ([0-9a-f]+)", rule)
        array = np.empty(dims, dtype=object)
        array[...] = bytes.fromhex(example[1]) if example else b""
        return array
    if dtype == "int64" and shape is not None and list(shape) == [None, 2]:
        return np.zeros(dims, dtype)
    return np.full(dims, 0.5 if np.issubdtype(np.dtype(dtype), np.floating) else 1, dtype)
