"""The models under test: modules of the factories, fixtures, the corpus, each with questions.

A question is a new signature with its feed and its expected results. Expected results never come
from smpatch. The module itself computes them, the manifest has them, an existing signature yields
them for the same tensors, or a session fetches them from inside a function
(``tests.oracle.with_object_graph.inner_values``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smpatch import MetaGraph, RefusedError, SignatureDef, TensorSpec, dtypes, load
from smpatch.functions.inner_tensors import Inner, inner_tensors
from tests.contract.models import Case, cases, feed_of
from tests.oracle.client import Oracle, Value, decoded, encoded

ZOO = (
    "attributes",
    "calls",
    "control_flow",
    "crossed_names",
    "keras_layers",
    "policies",
    "resources",
    "shared_variables",
    "structures",
    "two_layers",
    "types",
)
"""Modules of ``tests.oracle.factories`` whose functions always give the same results."""

Feed = Mapping[str, Value]


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        name: The name of a module of the factories, or of a case.
        case: The fixture or the model of the corpus; None for a module of the factories.
    """

    name: str
    case: Case | None = None

    @property
    def tags(self) -> list[str]:
        """The tags of the MetaGraph to edit."""
        tags = self.case.entry.get("tags") if self.case else None
        return list(tags[0]) if tags else ["serve"]


@dataclass
class Asked:
    """A signature with its feed and its expected results.

    Attributes:
        feed: Input alias to value.
        results: Output alias to value; None if the source of the signature does not run either.
    """

    feed: Feed
    results: Mapping[str, Value] | None = None


def subjects() -> list[Subject]:
    """Return all models that have an object graph."""
    models = [
        Subject(case.name, case)
        for case in cases()
        if case.has_object_graph and not case.with_object_graph and len(_meta_graphs(case)) == 1
    ]
    return [*map(Subject, ZOO), *models]


def _meta_graphs(case: Case) -> tuple[MetaGraph, ...]:
    try:
        return load(case.directory).meta_graphs
    except RefusedError:
        return ()


def functions(subject: Subject, told: Mapping[str, Any]) -> dict[str, Asked]:
    """Return the functions to promote, by path, or by concrete function if there are several."""
    if subject.case is None:
        return {
            path: Asked(each["feed"], each["results"]) for path, each in told["functions"].items()
        }
    found = {}
    for each in subject.case.entry.get("functions") or ():
        name = each["path"] if len(each["concrete_functions"]) == 1 else each["concrete_function"]
        found[name] = Asked(feed_of(each["arguments"]), feed_of(each["results"]))
    return found


def feed(subject: Subject, signature: SignatureDef) -> dict[str, Value]:
    """Return a feed for a signature: the values of the manifest, and made up ones for the rest."""
    candidate = subject.case.candidate if subject.case else None
    known = dict(candidate.feed) if candidate else {}
    text = next((value for value in known.values() if value["dtype"] == "string"), None)
    fed = {}
    for place, (alias, spec) in enumerate(sorted(signature.inputs.items())):
        if isinstance(spec, TensorSpec):
            fed[alias] = known.get(spec.name) or _made(spec, place, text)
    return fed


def _made(spec: TensorSpec, place: int, text: Value | None) -> Value:
    shape = tuple(2 if size is None else size for size in spec.shape or ())
    if spec.dtype == "string":
        array = np.empty(shape, dtype=object)
        array[...] = decoded(text).ravel()[0] if text else b"a"
        return encoded(array)
    count = np.arange(np.prod(shape, dtype=int)).reshape(shape) + 1 + 10 * place
    return encoded(count.astype(spec.dtype))


def servable(meta_graph: MetaGraph, signature: SignatureDef) -> Iterator[Inner]:
    """Yield the inner tensors that a signature can have as outputs."""
    for each in inner_tensors(meta_graph, signature):
        if dtypes.base(each.spec.dtype) not in dtypes.UNSERVABLE:
            yield each


def inside(
    oracle: Oracle, directory: Path, tags: list[str], signature: SignatureDef, asked: Feed
) -> tuple[dict[str, str], dict[str, Value] | None]:
    """Return an alias for each inner tensor of a signature, and the values of all of them."""
    (meta_graph,) = load(directory).meta_graphs
    tensors = list(servable(meta_graph, signature))
    # The aliases sort in the reverse order.
    aliases = [f"t{len(tensors) - place:04}" for place in range(len(tensors))]
    told = oracle.ask(
        "inner_values",
        directory=directory,
        tags=tags,
        tensors=[[each.calls, each.spec.name] for each in tensors],
        feed={_name(signature, alias): value for alias, value in asked.items()},
    )
    outputs = dict(zip(aliases, (each.path for each in tensors), strict=True))
    if "refused" in told:
        return outputs, None
    return outputs, dict(zip(aliases, told["arrays"], strict=True))


def _name(signature: SignatureDef, alias: str) -> str:
    spec = signature.inputs[alias]
    assert isinstance(spec, TensorSpec)
    return spec.name


def key_of(name: str) -> str:
    """Return a path in a form that a signature key can have."""
    return re.sub(r"\W", "_", name)


def differences(found: Mapping[str, Any], expected: Mapping[str, Value]) -> list[str]:
    """Return the differences of an answer of the oracle from the expected values, bit for bit."""
    if "refused" in found:
        return [found["refused"]]
    arrays = found["arrays"]
    if arrays.keys() != expected.keys():
        return [f"{sorted(arrays)} instead of {sorted(expected)}"]
    return [
        f"{alias}: {decoded(arrays[alias])!r} instead of {decoded(value)!r}"
        for alias, value in expected.items()
        if arrays[alias] != value
    ]
