"""A step of a test: the request to smpatch, the expected model, and the way to choose both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import smpatch
from smpatch import Options, load
from smpatch.edits import Edit
from smpatch.validator import Validator
from tests.exporters.expected import Model
from tests.exporters.subjects import Subject

__all__ = ["Choose", "Step", "Verb", "first", "fresh", "keys_of", "once", "signature_of"]

T = TypeVar("T")
Choose = Callable[[Sequence[T]], T]
"""A function that chooses one of several; a user would choose the first."""

KEYS = ("new", "Another", "a", "zz/key", "n5", "n6", "n7", "n8", "n9")


@dataclass(frozen=True)
class Step:
    """A request and its expected result.

    Attributes:
        commits: The requested edits, a list for each commit; None for ``copy-signatures``.
        after: The expected model after the edits.
    """

    commits: tuple[tuple[Edit, ...], ...] | None
    after: Model

    def do(self, subject: Subject, directory: Path, tags: Sequence[str], oracle: Validator) -> None:
        """Do the edits.

        Args:
            subject: The measured original.
            directory: The directory of the copy to edit.
            tags: The tags of its MetaGraph.
            oracle: The validator of the edits.
        """
        several = len(load(directory).meta_graphs) > 1
        options = Options(tag_set=tags if several else None)
        if self.commits is None:
            options = replace(options, overwrite=True, validate=oracle.mode)
            smpatch.copy_signatures(directory, subject.directory, options=options)
            return
        for edits in self.commits:
            smpatch.patch(directory, edits, options=options, validator=oracle)


def first(found: Sequence[T]) -> T:
    """Choose as a user would."""
    return found[0]


def keys_of(model: Model) -> list[str]:
    return [model.focus, *sorted(model.signatures.keys() - {model.focus})]


def fresh(model: Model, choose: Choose[str]) -> str:
    return choose([key for key in KEYS if key not in model.signatures])


def signature_of(directory: Path, model: Model, key: str) -> smpatch.SignatureDef:
    meta_graphs = load(directory).meta_graphs
    one = meta_graphs[0] if len(meta_graphs) == 1 else load(directory).meta_graph(model.tags)
    return one.signatures[key]


Verb = Callable[[Subject, Path, Model, Choose[Any]], Step | None]


def once(edits: Sequence[Edit], after: Model) -> Step:
    return Step((tuple(edits),), after)
