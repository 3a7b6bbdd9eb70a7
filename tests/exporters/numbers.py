"""Run all signatures of a model in three loaders, and compare the results.

``python`` is ``tf.saved_model.load``, ``session`` is the v1 loader, and ``runtime`` is the C API,
with which TF Serving and the other languages load a model. The oracle runs the first two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smpatch import schema
from smpatch.runs.arrays import from_numpy, to_numpy
from smpatch.runtime import questions
from smpatch.runtime.process import Child
from tests.oracle.client import Oracle, Value, decoded, encoded

__all__ = ["LOADERS", "Numbers", "Runner", "unlike"]

LOADERS = ("python", "session", "runtime")

_LIMIT = 120.0
_TOLERANCE = 1e-5
"""TensorFlow rewrites graphs before it runs them, and other nodes of a graph change the result."""

Feeds = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Numbers:
    """The results of a model.

    Attributes:
        by_loader: Loader, key, then ``arrays`` by alias of the output or a refusal.
        listed: The keys that Python lists, without those that begin with ``__``.
    """

    by_loader: Mapping[str, Mapping[str, Mapping[str, Any]]]
    listed: frozenset[str]


@dataclass(frozen=True)
class Runner:
    """TensorFlow: its Python, and its C runtime in another process."""

    oracle: Oracle
    runtime: Child

    def run(
        self,
        directory: Path,
        tags: Sequence[str],
        feeds: Feeds,
        *,
        alone: bool = False,
        loaders: Sequence[str] = LOADERS,
    ) -> Numbers:
        """Run signatures of a model.

        Args:
            directory: The directory of the model.
            tags: Its tag-set.
            feeds: Signature key to alias to value; no other signature is run.
            alone: Whether to load the model anew for each signature.
            loaders: The names of the loaders.
        """
        in_python = [name for name in loaders if name != "runtime"]
        told: dict[str, Any] = {"listed": ()}
        if in_python:
            about = {"directory": directory, "tags": tags, "alone": alone}
            told = self.oracle.ask("numbers", feeds=feeds, loaders=in_python, **about)
        found = {name: told[name] for name in in_python}
        if "runtime" in loaders:
            found["runtime"] = dict(self._in_c(directory, tags, feeds, alone=alone))
        listed = frozenset(key for key in told["listed"] if not key.startswith("__"))
        return Numbers(found, listed)

    def _in_c(
        self,
        directory: Path,
        tags: Sequence[str],
        feeds: Feeds,
        *,
        alone: bool,
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        names: Mapping[str, Sequence[Mapping[str, str]]] = {}
        for key, feed in feeds.items():
            if not names or alone:
                done = questions.describe(
                    self.runtime, directory, tags, [], _LIMIT, keep=True, plain=True
                )
                if not done.ok:
                    yield key, {"refused": done.message}
                    continue
                names = dict(map(_names, done.signature_entries))
            inputs, outputs = names.get(key, ({}, {}))
            if inputs.keys() != feed.keys():
                yield key, {"refused": f"the inputs are {sorted(inputs)}"}
                continue
            fed = {
                inputs[alias]: from_numpy(decoded(value), value["dtype"])
                for alias, value in feed.items()
            }
            ran = questions.run(self.runtime, fed, sorted(set(outputs.values())), _LIMIT)
            yield (
                key,
                {
                    "arrays": {
                        alias: encoded(to_numpy(ran.arrays[name]))
                        for alias, name in outputs.items()
                    }
                }
                if ran.ok
                else {"refused": ran.message},
            )


def _names(entry: bytes) -> tuple[str, Sequence[Mapping[str, str]]]:
    """Return the key of a signature, and the tensors of its inputs and outputs by alias."""
    read = schema.SignatureDefEntry.FromString(entry)
    return read.key, [
        {alias: info.name for alias, info in each.items()}
        for each in (read.value.inputs, read.value.outputs)
    ]


def unlike(
    found: Mapping[str, Any], expected: Mapping[str, Value], *, random: bool = False
) -> list[str]:
    """Return the differences between the results of a signature and the expected ones.

    Args:
        found: ``arrays`` by alias, or a refusal.
        expected: Alias to value.
        random: Whether values and sizes differ from run to run, and types and ranks do not.
    """
    if "refused" in found:
        return [str(found["refused"])]
    arrays = found["arrays"]
    if arrays.keys() != expected.keys():
        return [f"{sorted(arrays)} instead of {sorted(expected)}"]
    return [
        f"{alias}: {_shown(arrays[alias])} instead of {_shown(value)}"
        for alias, value in expected.items()
        if not _alike(arrays[alias], value, random=random)
    ]


def _alike(found: Value, expected: Value, *, random: bool) -> bool:
    if found == expected:
        return True
    if found["dtype"] != expected["dtype"]:
        return False
    if random:
        return len(found["shape"]) == len(expected["shape"])
    if found["shape"] != expected["shape"] or not found["dtype"].startswith(("float", "complex")):
        return False
    one, other = decoded(found), decoded(expected)
    return bool(np.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))


def _shown(value: Value) -> str:
    return f"{value['dtype']} {decoded(value).tolist()!r}"[:200]
