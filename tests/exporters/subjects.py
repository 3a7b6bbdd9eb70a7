"""Models, and the numbers that they give before any edit.

A signature that gives something else when it is run again is run in a load of its own each
time. Where that differs as well, it is random: then only its types count.
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
"""So many inner tensors of a signature are fetched."""

_FUNCTIONS = 4


@dataclass(frozen=True)
class Measured:
    """What a signature is fed, and what it gave.

    Attributes:
        feed: By alias.
        results: Loader to values by alias; a loader that refuses it is left out.
        inner: Main-graph or inner tensor to its value.
        whole: Those of the main graph that are the only output of their operation; of others
            Python's loader feeds no single one.
    """

    feed: Mapping[str, Value]
    results: Mapping[str, Mapping[str, Value]]
    inner: Mapping[str, Value]
    whole: frozenset[str]


@dataclass(frozen=True)
class Function:
    """A traced function, what it is fed and what it gave.

    Attributes:
        name: What smpatch takes: its path or, where there are several traces, its name.
        feed: By argument.
        results: By structured output.
    """

    name: str
    feed: Mapping[str, Value]
    results: Mapping[str, Value]


@dataclass(frozen=True)
class Subject:
    """A model, measured.

    Attributes:
        case: Which.
        tags: The MetaGraph that is edited.
        signatures: By key.
        functions: What can be promoted.
        alone: Whether each signature is run in a load of its own.
        random: The keys whose values mean nothing.
        python: Whether Python lists its signatures by the object graph, these and
            ``unmeasured`` ones.
        unmeasured: The other keys.
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
        """Where it is, as its exporter wrote it."""
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
    """Return the fixtures' models and those of the corpus."""
    exported = found_in(EXPORTED) if EXPORTED.exists() else []
    return [*exported, *(each for each in cases() if not each.with_object_graph)]


def measured(case: Case, runner: Runner) -> Subject | str:
    """Measure a model; or say why there is nothing to measure."""
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
    """Tell whether a second run, or a run before the others, gives something else."""
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
    if not meta_graph.has_object_graph:  # there what lies between is the calls
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
