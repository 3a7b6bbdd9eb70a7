"""The expected results of a model, and their changes by the request of each edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.exporters.numbers import Runner, unlike
from tests.exporters.subjects import Function, Subject
from tests.oracle.client import Value

__all__ = ["Expected", "Model", "wrong"]


@dataclass(frozen=True)
class Expected:
    """The expected results of a signature.

    Attributes:
        source: The exporter's key of the signature with the same call; None for a function.
        feed: Alias of an input, after the edits, to its value.
        results: Loader to values by alias, without a loader that refused the source.
    """

    source: str | None
    feed: Mapping[str, Value]
    results: Mapping[str, Mapping[str, Value]]

    @property
    def outputs(self) -> list[str]:
        """The aliases of the outputs, sorted."""
        return sorted(next(iter(self.results.values())))

    def renamed(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Expected:
        """Return the same results with other aliases."""
        return replace(
            self,
            feed={inputs.get(alias, alias): each for alias, each in self.feed.items()},
            results={
                name: {outputs.get(alias, alias): each for alias, each in arrays.items()}
                for name, arrays in self.results.items()
            },
        )

    def with_outputs(self, kept: Mapping[str, str], added: Mapping[str, Value]) -> Expected:
        """Return the results with some of the outputs, under new aliases, and with added outputs.

        Args:
            kept: New alias to the old one.
            added: Alias to value, which every loader must give.
        """
        return replace(
            self,
            results={
                name: {**{new: arrays[old] for new, old in kept.items()}, **added}
                for name, arrays in self.results.items()
            },
        )


@dataclass(frozen=True)
class Model:
    """The expected model.

    Attributes:
        tags: The tags of the MetaGraph.
        signatures: Key to the expected results of the signature.
        focus: The key with which the next edit begins its choice.
    """

    tags: tuple[str, ...]
    signatures: Mapping[str, Expected]
    focus: str

    @classmethod
    def before(cls, subject: Subject) -> Model:
        """Return the model of the exporter."""
        signatures = {
            key: Expected(key, each.feed, each.results) for key, each in subject.signatures.items()
        }
        # A search for a similar signature finds the last one last.
        return cls(subject.tags, signatures, list(signatures)[-1])

    def with_signature(self, key: str, expected: Expected) -> Model:
        """Return the model with a new signature, which becomes the focus."""
        return replace(self, signatures={**self.signatures, key: expected}, focus=key)

    def without(self, *keys: str) -> Model:
        """Return the model without some signatures."""
        left = {key: each for key, each in self.signatures.items() if key not in keys}
        focus = self.focus if self.focus in left else next(iter(left), "")
        return replace(self, signatures=left, focus=focus)


def promoted(subject: Subject, function: Function) -> Expected:
    """Return the expected results of a function as a signature."""
    return Expected(None, function.feed, dict.fromkeys(subject.loaders, function.results))


def wrong(
    subject: Subject, directory: Path, model: Model, runner: Runner, loaders: Sequence[str]
) -> Iterator[str]:
    """Yield the differences between a model and the expected one, in any of the loaders."""
    feeds = {key: each.feed for key, each in model.signatures.items()}
    told = runner.run(directory, model.tags, feeds, alone=subject.alone, loaders=loaders)
    for name, answers in told.by_loader.items():
        for key, expected in model.signatures.items():
            if name in expected.results:
                random = expected.source in subject.random
                for line in unlike(answers[key], expected.results[name], random=random):
                    yield f"{name}: {key}: {line}"
    if (
        subject.python
        and "python" in loaders
        and told.listed != model.signatures.keys() | subject.unmeasured
    ):
        yield f"Python lists {sorted(told.listed)} instead of {sorted(model.signatures)}"
