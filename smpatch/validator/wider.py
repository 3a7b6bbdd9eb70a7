"""The proof of a wider input: the model runs with other sizes, and yields the same rows.

An edit may open a dimension that the graph fixes. Before the commit, the C runtime runs the edited
model with the size that the graph has and with other sizes. If the first dimension is opened, the
rows of a larger batch must equal the rows of single runs, and there must be as many. If another
dimension is opened, larger sizes must run and have the shapes that the signature promises, and the
added elements must change an output: a graph that reads only the first three steps, of any number,
gives a wrong result without an error.

A signature that does not run with the old size, or for which no values can be made up, is not
proved; a note reports this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smpatch import dtypes
from smpatch.builder import Built, Wider
from smpatch.errors import ValidationError
from smpatch.graph.operations import fixed_sizes
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.runs.arrays import UnmakeableError, from_numpy, to_numpy
from smpatch.runs.comparing import Tolerance, compare
from smpatch.runs.feeds import in_c
from smpatch.runs.sessions import CRuntime, NotLoadedError, Place, Ran
from smpatch.runs.values import is_open, made_up
from smpatch.runtime.process import ChildUnfit
from smpatch.runtime.questions import Array
from smpatch.signature import SignatureDef, TensorSpec, compatible, shape_text
from smpatch.validator.reload import Validator

_TOLERANCE = Tolerance(relative=1e-3, absolute=1e-5)
"""Kernels add numbers in another order if the batch has another size."""

_UNCHANGED = "the model is unchanged"
_MOST_NAMED = 3

_Values = Mapping[str, tuple[Array, ...]]


def prove_wider(validator: Validator, place: Place, meta_graph: MetaGraph, built: Built) -> Note:
    """Prove that a signature takes shapes that are wider than those of the graph before the edit.

    ``place`` is the edited model, and ``meta_graph`` its MetaGraph.

    Returns:
        A note on the sizes that were proved, or on why no proof could be made.

    Raises:
        ValidationError: It does not take them, or has wrong results.
    """
    names = ", ".join(
        f"{alias!r} takes {shape_text(each.shape)} where the graph was built for "
        f"{shape_text(each.graph)}"
        for alias, each in built.wider.items()
    )
    session = CRuntime(validator, place)
    with session:
        try:
            ran = _Proof(session, meta_graph, built).ran()
        except (UnmakeableError, NotLoadedError, ChildUnfit, _UnprovedError) as error:
            hint = "try it: smpatch check --run --batch 1,2 --feed FILE.npz"
            return Note("unproved-shape", f"{names}; that is not proved: {error} ({hint})")
    return Note("proved-shape", "; ".join((names, *ran)))


class _UnprovedError(Exception):
    """The reason why the proof cannot be made."""


class _Proof:
    def __init__(self, session: CRuntime, meta_graph: MetaGraph, built: Built) -> None:
        self._session = session
        self._meta_graph = meta_graph
        self._built = built
        self._signature: SignatureDef = built.signature
        self._target = in_c({built.key: built.signature})[built.key]

    def ran(self) -> list[str]:
        """Run with several sizes; return texts with these sizes.

        Raises:
            ValidationError: The results differ from those with the old size.
            _UnprovedError: It does not run with the old size, or inputs have several old sizes.
        """
        wider = self._built.wider.values()
        first = [each.graph[0] for each in wider if each.graph and _opens_first(each)]
        known = [size for size in first if size]
        size = known[0] if known else 1
        if any(each != size for each in known):
            raise _UnprovedError("inputs of several sizes are opened at once")
        singles = [self._made(size, seed) for seed in range(3)]
        results = [self._run(each, size, is_old=True) for each in singles]
        for each in results:
            self._promised(each, size)
        sizes = [size]
        if known or any(is_open(spec) for spec in self._signature.inputs.values()):
            for count in (2, 3):
                stacked = _stacked(self._signature, singles[:count])
                self._compare(results[:count], self._run(stacked, count * size), count * size)
                sizes.append(count * size)
            if size > 1:
                self._compare_first(results[0], self._run(self._row(singles[0]), 1))
                sizes.append(1)
        which = "sizes" if known else "batches"
        batches = f"it runs with the {which} {_listed(sizes)}, and each row equals its single run"
        inner = [*self._inner_dimensions(size)]
        return [batches, *inner] if known or not inner else inner

    def _inner_dimensions(self, size: int) -> Iterator[str]:
        """Run with other sizes of the opened dimensions after the first."""
        for alias, each in self._built.wider.items():
            for place, old in enumerate(each.graph or ()):
                opened = each.shape is None or each.shape[place] is None
                if place and old is not None and opened:
                    yield self._dimension(alias, place, old, size)

    def _dimension(self, alias: str, place: int, old: int, size: int) -> str:
        """Return a text with the sizes of a dimension that run; its double and triple must."""
        runs, fails = [old], []
        for other in dict.fromkeys((2 * old, 3 * old, 1, old - 1, old + 1)):
            if other < 1 or other == old:
                continue
            ran = self._session.run(self._target.call(self._made(size, 0, {alias: (place, other)})))
            if not ran.failure:
                self._promised(ran, other)
                runs.append(other)
            elif other >= 2 * old:
                raise self._refused(f"it fails with the size {other}: {ran.failure}")
            else:
                fails.append(other)
        where = f"dimension {place} of {alias!r}"
        words = [f"{where} runs with the sizes {_listed(runs)}"]
        if fails:
            words.append(f"fails with {_listed(fails)}")
        if not self._reads_all(alias, place, old, size):
            words.append("no change of its values changed an output")
        return ", ".join(words)

    def _reads_all(self, alias: str, place: int, old: int, size: int) -> bool:
        """Return whether elements after the old size change an output.

        Returns:
            Whether they do; False also if no element of the input does, or if each run differs.

        Raises:
            ValidationError: Only the elements within the old size change an output.
        """
        other = {alias: (place, 2 * old)}
        values = self._made(size, 0, other)
        first = self._run(values, 2 * old).outputs
        if first != self._run(values, 2 * old).outputs:
            return False  # random: each run is another one
        matters = False
        for seed in range(1, 5):
            others = self._made(size, seed, other)[alias]
            behind = tuple(
                _behind(*each, place, old) for each in zip(values[alias], others, strict=True)
            )
            if first != self._run({**values, alias: behind}, 2 * old).outputs:
                return True
            matters |= first != self._run({**values, alias: others}, 2 * old).outputs
        if matters:
            found = f"dimension {place} of {alias!r}: the graph reads only {old} elements"
            found = f"{found}, even if there are more"
            raise ValidationError(found, where=self._where, hint=_UNCHANGED)
        return False

    def _made(
        self, size: int, seed: int, other: Mapping[str, tuple[int, int]] | None = None
    ) -> _Values:
        """Make up values with the old sizes of the graph, except for the sizes that are given."""
        inputs = {}
        for alias, spec in self._signature.inputs.items():
            wider = self._built.wider.get(alias)
            if wider is not None and isinstance(spec, TensorSpec) and wider.graph is not None:
                shape = list(wider.graph)
                if other and alias in other:
                    shape[other[alias][0]] = other[alias][1]
                spec = TensorSpec(spec.name, spec.dtype, tuple(shape))  # noqa: PLW2901 - the same input with the graph's sizes
            inputs[alias] = spec
        return made_up(inputs, "random", batch=size, seed=seed)

    def _run(self, values: _Values, size: int, *, is_old: bool = False) -> Ran:
        ran = self._session.run(self._target.call(values))
        if not ran.failure:
            return ran
        if is_old:
            message = f"it does not run with generated values of size {size}: {ran.failure}"
            raise _UnprovedError(message)
        raise self._refused(f"it fails with the size {size}: {ran.failure}")

    def _compare(self, singles: list[Ran], whole: Ran, size: int) -> None:
        """Compare the rows of a batch with the rows of single runs."""
        self._promised(whole, size)
        several = []
        for alias, spec in self._signature.outputs.items():
            got = whole.outputs[alias]
            parts = [each.outputs[alias] for each in singles]
            if not isinstance(spec, TensorSpec) or not parts[0][0].shape:
                continue  # it has no rows
            if len({(len(each[0].shape), each[0].shape[1:]) for each in parts}) > 1:
                several.append(alias)
                continue
            rows = sum(each[0].shape[0] for each in parts)
            if got[0].shape[:1] == parts[0][0].shape[:1] and not is_open(spec):
                continue  # it never had a row for each row of the batch
            if got[0].shape[0] != rows:
                count = got[0].shape[0]
                found = f"output {alias!r} has {count} rows for a batch of {size}, not {rows}"
                raise self._refused(found)
            joined = _joined([each[0] for each in parts])
            comparison = compare(got, (joined,), _TOLERANCE)
            if not comparison.same:
                found = f"output {alias!r} of a batch of {size} differs from single runs"
                raise self._refused(f"{found}: {comparison}")
        for alias in several:
            raise _UnprovedError(f"output {alias!r} has several shapes in single runs")

    def _compare_first(self, whole: Ran, row: Ran) -> None:
        """Compare the first row of a batch with a run of that row alone."""
        self._promised(row, 1)
        for alias, spec in self._signature.outputs.items():
            got, full = row.outputs[alias][0], whole.outputs[alias][0]
            if isinstance(spec, TensorSpec) and is_open(spec) and full.shape:
                comparison = compare((got,), (_cut(full),), _TOLERANCE)
                if not comparison.same:
                    raise self._refused(f"output {alias!r} of one row alone differs: {comparison}")

    def _promised(self, ran: Ran, size: int) -> None:
        for alias, spec in self._signature.outputs.items():
            if not isinstance(spec, TensorSpec):
                continue
            got = ran.outputs[alias][0].shape
            if not compatible(got, spec.shape):
                found = f"with the size {size} output {alias!r} is {list(got)}"
                found = f"{found}, and the signature promises {shape_text(spec.shape)}"
                sizes = zip(spec.shape or (), got, strict=False)
                opened = ",".join("-1" if said != came else str(said) for said, came in sizes)
                opened = opened if len(spec.shape or ()) == len(got) else "unknown"
                hint = f"--shape {alias}={opened} opens it as well"
                raise ValidationError(found, where=self._where, hint=f"{hint}; {_UNCHANGED}")

    def _row(self, values: _Values) -> _Values:
        """Return the first row of each input that has an open first dimension; the others whole."""
        return {
            alias: tuple(map(_cut, arrays)) if is_open(self._signature.inputs[alias]) else arrays
            for alias, arrays in values.items()
        }

    @property
    def _where(self) -> str:
        return f"signature {self._built.key!r}"

    def _refused(self, found: str) -> ValidationError:
        olds = {size for each in self._built.wider.values() for size in (each.graph or ())[:1]}
        outputs = [t.name for spec in self._signature.outputs.values() for t in spec.tensors()]
        graph, library = self._meta_graph.graph, self._meta_graph.functions
        named: list[str] = []
        for old in sorted(olds, key=str):
            if old is not None:
                for each in fixed_sizes(graph, library, outputs, old):
                    named.append(each)
                    if len(named) == _MOST_NAMED:
                        break
        if named:
            found = f"{found}; the graph fixes the size at {', '.join(named)}"
        return ValidationError(found, where=self._where, hint=_UNCHANGED)


def _opens_first(each: Wider) -> bool:
    return bool(each.graph) and (each.shape is None or each.shape[0] is None)


def _stacked(signature: SignatureDef, singles: list[_Values]) -> _Values:
    """Return several values as one batch; an input without an open first dimension is unchanged."""
    return {
        alias: tuple(
            _joined(list(parts)) for parts in zip(*(each[alias] for each in singles), strict=True)
        )
        if is_open(signature.inputs[alias])
        else singles[0][alias]
        for alias in singles[0]
    }


def _joined(parts: Sequence[Array]) -> Array:
    if any(not each.shape for each in parts):
        return parts[0]
    return _like(parts[0], np.concatenate([to_numpy(each) for each in parts]))


def _behind(array: Array, other: Array, place: int, old: int) -> Array:
    """Return an array with the elements of another one after the old size of a dimension."""
    kept, taken = to_numpy(array), to_numpy(other)
    parts = np.split(kept, [old], place)[0], np.split(taken, [old], place)[1]
    return _like(array, np.concatenate(parts, place))


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(sizes)))


def _cut(array: Array) -> Array:
    return _like(array, to_numpy(array)[:1]) if array.shape else array


def _like(array: Array, numbers: Any) -> Array:  # noqa: ANN401 - an array of any type
    return from_numpy(numbers, dtypes.name(array.dtype))
