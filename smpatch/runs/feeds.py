"""The values that each signature is fed, made by a rule or read from a file, and its targets.

A target has the names for calls of a signature: tensors in the C runtime, arguments in Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from smpatch import dtypes
from smpatch.errors import ModelUnreadableError, UsageError
from smpatch.runs.arrays import UnmakeableError, array_of
from smpatch.runs.files import array_from, read_json, read_npz
from smpatch.runs.sessions import Call
from smpatch.runs.values import Feature, Feeding, has_batch, made_up
from smpatch.runtime.questions import Array, PythonSignature, TensorFact
from smpatch.signature import Shape, SignatureDef, Spec, TensorSpec
from smpatch.warmup import records

Names = Mapping[str, tuple[str, ...]]

_RECORDS = (".tfrecord", ".tfrecords")
"""The endings of names of TFRecord files."""


@dataclass(frozen=True, slots=True)
class Target:
    """The names for calls of a signature in one of the two loaders.

    Attributes:
        key: Its key.
        inputs: Alias to the names that are fed: the tensors of which it consists, or the
            argument.
        outputs: Alias to the names that are fetched, likewise.
        function: A traced function that is called in its place, in Python; empty for none.
    """

    key: str
    inputs: Names
    outputs: Names
    function: str = ""

    def call(self, values: Mapping[str, tuple[Array, ...]]) -> Call:
        """Return the call with these values; each has the tensors of which an input consists."""
        feeds = {
            name: array
            for alias, names in self.inputs.items()
            for name, array in zip(names, values[alias], strict=True)
        }
        return Call(self.key, feeds, self.outputs, self.function)

    def yielding(self, aliases: Iterable[str]) -> Target:
        """Return the target with these of its outputs only."""
        return replace(self, outputs={alias: self.outputs[alias] for alias in aliases})


def in_c(signatures: Mapping[str, SignatureDef]) -> dict[str, Target]:
    """Return the targets of signatures in the C runtime."""
    return {
        key: Target(
            key,
            {a: tuple(each.name for each in s.tensors()) for a, s in signature.inputs.items()},
            {a: tuple(each.name for each in s.tensors()) for a, s in signature.outputs.items()},
        )
        for key, signature in signatures.items()
    }


def in_python(signatures: Mapping[str, PythonSignature]) -> dict[str, Target]:
    """Return the targets in Python of those signatures whose arguments are all dense."""
    return {
        key: Target(
            key,
            {alias: (alias,) for alias in signature.inputs},
            {a: (a,) for a, fact in signature.outputs.items() if isinstance(fact, TensorFact)},
        )
        for key, signature in signatures.items()
        if all(isinstance(fact, TensorFact) for fact in signature.inputs.values())
    }


@dataclass(frozen=True, slots=True)
class Feed:
    """The values for one run of a signature.

    Attributes:
        batch: Size of the first dimension.
        values: Alias to the values of the tensors that its spec names, in their order.
    """

    batch: int
    values: Mapping[str, tuple[Array, ...]]


class Feeds:
    """The values for the signatures of a MetaGraph."""

    def __init__(
        self,
        feeding: Feeding,
        signatures: Mapping[str, SignatureDef],
        wanted: Mapping[bytes, Feature] | None = None,
    ) -> None:
        """Read the file of values, if there is one.

        Args:
            feeding: The rule or the file of the values.
            signatures: Key to signature, for the signatures that are fed.
            wanted: The features that the model parses (``values.features``): strings are
                then made up as examples that have them.

        Raises:
            UsageError: The file cannot be read, or names no input at all.
        """
        self._feeding = feeding
        self._wanted = wanted
        self._defaults = {key: each.defaults for key, each in signatures.items()}
        self._cut: list[str] = []
        self._given: Mapping[str, object] | None = None
        if feeding.file is not None:
            self._given = self._read(os.fspath(feeding.file), signatures)
        if self._given is not None and not any(
            self.has_some(key, signature.inputs) for key, signature in signatures.items()
        ):
            names = ", ".join(sorted(self._given)) or "nothing"
            found = f"it names no input of any signature: {names}"
            hint = "call arrays like inputs, or KEY/INPUT"
            raise UsageError(found, where=str(feeding.file), hint=hint)

    def _read(self, file: str, signatures: Mapping[str, SignatureDef]) -> Mapping[str, object]:
        """Return the values of a file by name, in the form that its ending names."""
        if file.endswith(".json"):
            return read_json(file)
        if file.endswith(_RECORDS):
            return _from_records(file, signatures)
        return read_npz(file, self._cut)

    @property
    def given(self) -> bool:
        """Whether the values come from a file of the user."""
        return self._given is not None

    @property
    def cut(self) -> tuple[str, ...]:
        """The names of the arrays of bytes whose elements NumPy may have cut at final zeros."""
        return tuple(self._cut)

    def of(self, key: str, inputs: Mapping[str, Spec]) -> Iterator[Feed]:
        """Yield the values that a signature is fed, once for each run.

        Raises:
            UnmakeableError: No values can be made up, or the file lacks an input.
        """
        if self._given is not None:
            arrays = {alias: self._given_to(key, alias, spec) for alias, spec in inputs.items()}
            sizes = [array.shape[0] for array in arrays.values() if array.shape]
            values = {alias: (array,) for alias, array in arrays.items()}
            yield Feed(sizes[0] if sizes else 1, values)
            return
        rule = self._feeding
        for batch in rule.batches if has_batch(inputs) else (1,):
            made = made_up(inputs, rule.filling, batch=batch, seed=rule.seed, wanted=self._wanted)
            yield Feed(batch, made)

    def _given_to(self, key: str, alias: str, spec: Spec) -> Array:
        given = self._given or {}
        name = f"{key}/{alias}" if f"{key}/{alias}" in given else alias
        array = given.get(name)
        if array is not None and isinstance(spec, TensorSpec) and not isinstance(array, Array):
            where = f"{self._feeding.file}: {name}"
            array = array_from(array, dtypes.base(spec.dtype), where)
        default = self._defaults.get(key, {}).get(alias)
        if array is None and default is not None:
            array = array_of(default)
        if not isinstance(array, Array) or not isinstance(spec, TensorSpec):
            raise UnmakeableError(f"the file has no values for the input {alias!r}")
        return array

    def has_some(self, key: str, inputs: Mapping[str, Spec]) -> bool:
        """Return whether the file has values for an input of a signature."""
        names = set(self._given or ())
        return any(names & {alias, f"{key}/{alias}"} for alias in inputs)


def _from_records(file: str, signatures: Mapping[str, SignatureDef]) -> Mapping[str, object]:
    """Return the records of a file as the values of each signature whose only input is strings."""
    try:
        found = list(records(file))
    except ModelUnreadableError as error:
        raise UsageError(error.found, where=file) from error
    strings = {
        f"{key}/{alias}": found
        for key, signature in signatures.items()
        for alias, spec in signature.inputs.items()
        if len(signature.inputs) == 1 and isinstance(spec, TensorSpec) and spec.dtype == "string"
    }
    if not strings:
        text = "records feed only a signature with one input, of strings; the model has none"
        raise UsageError(text, where=file, hint="give the values in a .npz or .json file")
    return strings


def placed(inputs: Mapping[str, Spec], values: Mapping[str, tuple[Array, ...]]) -> dict[str, Array]:
    """Return values by the names of the tensors that are fed.

    ``values`` has the values of the tensors of each of these inputs, by alias.
    """
    return {
        tensor.name: array
        for alias, spec in inputs.items()
        for tensor, array in zip(spec.tensors(), values[alias], strict=True)
    }


def agreed(spec: Spec, other: Spec | None) -> Spec:
    """Return a spec whose open dimensions are replaced by the dimensions of another."""
    if not (isinstance(spec, TensorSpec) and isinstance(other, TensorSpec)):
        return spec
    return replace(spec, shape=_narrower(spec.shape, other.shape))


def _narrower(now: Shape, was: Shape) -> Shape:
    if now is None or was is None or len(now) != len(was):
        return was if now is None else now
    return tuple(had if size is None else size for size, had in zip(now, was, strict=True))
