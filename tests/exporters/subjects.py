"""Models, and the numbers that they give before any edit.

If a second run of any signature gives other results, each signature is run in a new load of the
model. If the results of two loads differ as well, a signature is random: then only its types and
ranks count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from smpatch import MetaGraph, TensorSpec, dtypes, load
from smpatch.functions.inner_tensors import inner_tensors
from tests.contract.models import Case, cases, found_in
from tests.exporters.numbers import LOADERS, Numbers, Runner, unlike
from tests.object_graph.subjects import Subject as Fed
from tests.object_graph.subjects import feed
from tests.oracle.client import Value

__all__ = ["EXPORTED", "Function", "Measured", "Subject", "measured", "subjects"]

EXPORTED = Path(__file__).resolve().parents[2] / "fixtures" / "exporters"

_INNER = 6
"""The number of inner tensors of a signature to fetch."""

_FUNCTIONS = 4


@dataclass(frozen=True)
class Measured:
    """The values of the inputs of a signature, and its results.

    Attributes:
        feed: Alias to value.
        results: Loader to values by alias, without a loader that refuses the signature.
        inner: Main-graph or inner tensor to its value.
        whole: The main-graph tensors that are the only output of their operation; Python's loader
            cannot feed one of several outputs.
    """

    feed: Mapping[str, Value]
    results: Mapping[str, Mapping[str, Value]]
    inner: Mapping[str, Value]
    whole: frozenset[str]


@dataclass(frozen=True)
class Function:
    """A traced function, the values of its arguments, and its results.

    Attributes:
        name: Its name for smpatch: its path or, if there are several traces, its name.
        feed: Argument to value.
        results: Structured output to value.
    """

    name: str
    feed: Mapping[str, Value]
    results: Mapping[str, Value]


@dataclass(frozen=True)
class Subject:
    """A measured model.

    Attributes:
        case: The model.
        tags: The tags of the MetaGraph to edit.
        signatures: Key to the measured signature.
        functions: The functions that can become signatures.
        alone: Whether each signature is run in a new load of the model.
        random: The keys of signatures whose values differ from load to load.
        python: Whether Python lists the measured signatures by the object graph.
        unmeasured: The other keys that Python lists.
    """

    case: Case
    tags: tuple[str, ...]
    signatures: Mapping[str, Measured]
    functions: tuple[Function, ...]
    alone: bool
    random: frozenset[str]
    python: bool
    unmeasured: frozenset[str]

    @property
    def directory(self) -> Path:
        """The directory of the model, as its exporter wrote it."""
        return self.case.directory

    @cached_property
    def loaders(self) -> frozenset[str]:
        """The loaders that run any of its signatures."""
        return frozenset(name for each in self.signatures.values() for name in each.results)

    @cached_property
    def several(self) -> bool:
        """Whether it has several MetaGraphs."""
        return len(load(self.directory).meta_graphs) > 1


def subjects() -> list[Case]:
    """Return the models of exporters, of the fixtures and of the corpus."""
    exported = found_in(EXPORTED) if EXPORTED.exists() else []
    return [*exported, *(each for each in cases() if not each.with_object_graph)]


def measured(case: Case, runner: Runner) -> Subject | str:
    """Measure a model, or return the reason why this is not possible."""
    model = load(case.directory)
    meta_graph = next((each for each in model.meta_graphs if each.signatures), None)
    if meta_graph is None:
        return "it has no signature"
    tags = meta_graph.tags
    loads = runner.oracle.ask("load", directory=case.directory, tags=tags)
    if loads["v1"]:
        return f"TensorFlow does not load it: {loads['v1']}"
    feeds = _feeds(case, meta_graph)
    first = runner.run(case.directory, tags, feeds)
    alone = bool(case.entry.get("alone")) or _changes(case, tags, feeds, runner, first)
    random: frozenset[str] = frozenset()
    if alone:
        first, second = (runner.run(case.directory, tags, feeds, alone=True) for _ in range(2))
        random = frozenset(_unlike(first, second))
    signatures = {
        key: Measured(
            fed,
            {
                name: first.by_loader[name][key]["arrays"]
                for name in LOADERS
                if "arrays" in first.by_loader[name][key]
            },
            *(({}, frozenset()) if alone else _inner(case, meta_graph, key, fed, runner)),
        )
        for key, fed in feeds.items()
    }
    one = len(model.meta_graphs) == 1
    python = one and meta_graph.has_object_graph and not loads["v2"]
    functions = tuple(_functions(case, meta_graph, runner)) if python else ()
    running = {key: each for key, each in signatures.items() if each.results}
    if not running:
        return "none of its signatures runs"
    python = python and first.listed >= running.keys()
    unmeasured = first.listed - running.keys()
    return Subject(case, tags, running, functions, alone, random, python, unmeasured)


def _feeds(case: Case, meta_graph: MetaGraph) -> dict[str, dict[str, Value]]:
    given = case.entry.get("feeds") or {}
    fed = Fed(case.name, case)
    return {
        key: given.get(key) or feed(fed, signature)
        for key, signature in meta_graph.signatures.items()
        if signature.outputs
        and all(isinstance(each, TensorSpec) for each in signature.inputs.values())
        and all(isinstance(each, TensorSpec) for each in signature.outputs.values())
    }


def _unlike(one: Numbers, other: Numbers) -> list[str]:
    return [
        key
        for name, answers in one.by_loader.items()
        for key, told in answers.items()
        if name in other.by_loader
        if "arrays" in told and unlike(other.by_loader[name][key], told["arrays"])
    ]


def _changes(
    case: Case,
    tags: tuple[str, ...],
    feeds: Mapping[str, Mapping[str, Value]],
    runner: Runner,
    first: Numbers,
) -> bool:
    """Return whether a second run, or runs in the reverse order, give other results."""
    twice = runner.oracle.ask(
        "tour", directory=case.directory, tags=tags, feeds=feeds, times=2, loaders=["session"]
    )
    if _unlike(first, Numbers(twice, frozenset())):
        return True
    backwards = dict(reversed(list(feeds.items())))
    other = runner.run(case.directory, tags, backwards, loaders=["session"])
    return bool(_unlike(first, other))


def _inner(
    case: Case, meta_graph: MetaGraph, key: str, fed: Mapping[str, Value], runner: Runner
) -> tuple[Mapping[str, Value], frozenset[str]]:
    about: dict[str, Any] = {"directory": case.directory, "tags": meta_graph.tags}
    told = runner.oracle.ask("main_graph", key=key, feed=fed, most=_INNER, **about)
    found: dict[str, Value] = {}
    if not meta_graph.has_object_graph:  # there only calls are between
        found.update(told.get("arrays", {}))
    signature = meta_graph.signatures[key]
    inner = [
        each
        for each in inner_tensors(meta_graph, signature)
        if dtypes.base(each.spec.dtype) not in dtypes.UNSERVABLE
    ]
    chosen = inner[:: max(1, len(inner) // _INNER)][:_INNER]
    names = {alias: each.name for alias, each in signature.inputs.items()}  # type: ignore[union-attr]
    about["feed"] = {names[alias]: value for alias, value in fed.items()}
    tensors = [[each.calls, each.spec.name] for each in chosen]
    answer = runner.oracle.ask("inner_values", tensors=tensors, **about)
    if "arrays" in answer:
        found.update(zip((each.path for each in chosen), answer["arrays"], strict=True))
        return found, frozenset(told.get("whole", ()))
    for each, tensor in zip(chosen, tensors, strict=True):
        answer = runner.oracle.ask("inner_values", tensors=[tensor], **about)
        if "arrays" in answer:
            found[each.path] = answer["arrays"][0]
    return found, frozenset(told.get("whole", ()))


def _functions(case: Case, meta_graph: MetaGraph, runner: Runner) -> Iterator[Function]:
    traces = meta_graph.objects.traces[:_FUNCTIONS]
    paths = [each.path for each in meta_graph.objects.traces]
    places = [(each.path, paths[:number].count(each.path)) for number, each in enumerate(traces)]
    told = runner.oracle.ask(
        "functions",
        directory=case.directory,
        traces=places,
        feeds=case.entry.get("function_feeds") or {},
    )
    for each, found in zip(traces, told["functions"], strict=True):
        if found.get("arrays"):
            name = each.path if paths.count(each.path) == 1 else each.function
            yield Function(name, found["feed"], found["arrays"])
