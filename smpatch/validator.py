"""What must hold before a commit, as TensorFlow sees it.

The edited model is loaded by TensorFlow's C runtime, the loader of TF Serving, Triton and
the C, Java, Go and Rust bindings, in a child process. The new signature must hold: it is
in the map that TensorFlow parsed, byte for byte, and each of its tensors is in the loaded
graph with that dtype and shape. Everything else must hold as it held before the edit: what
was wrong already is reported and not counted.

This room writes nothing and runs no signature. It never imports TensorFlow.

Sources: ``tensorflow/c/c_api.h``, ``tensorflow/python/saved_model/load.py``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from smpatch import dtypes, schema
from smpatch.builder import Built
from smpatch.errors import ValidationError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.rules import Note
from smpatch.runtime import answers, early, wheel
from smpatch.runtime.answers import (
    CompositeFact,
    Description,
    PythonSignatures,
    TensorFact,
)
from smpatch.runtime.process import Child, ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.signature import Shape, SignatureDef, Spec, TensorSpec

__all__ = ["Edited", "Judge", "Mode", "Validation"]

Mode = Literal["auto", "runtime", "full", "none"]

_Answer = TypeVar("_Answer")

_C_RUNTIME, _PYTHON_V1, _PYTHON = "C runtime", "Python loader (v1)", "tf.saved_model.load"

_MANY = 20
"""So many findings in other signatures are told one by one."""

_UNREGISTERED = re.compile(r"Op type not registered '([^']+)'")

_WITHOUT = "or skip the reload with --validate none"


@dataclass(frozen=True, slots=True)
class Validation:
    """What TensorFlow said of an edited model.

    Attributes:
        loaders: Which of TensorFlow's loaders loaded it; empty when none was asked.
        tensors: The new signature's tensors as the loaded graph has them.
        notes: What was wrong before the edit already, and what could not be looked at.
    """

    loaders: tuple[str, ...] = ()
    tensors: Mapping[str, TensorSpec] | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited model aside.

    Attributes:
        directory: Where it is.
        both_planes: Whether the object graph was edited too, so that Python must list the
            signature.
    """

    directory: Path
    both_planes: bool


class Judge:
    """Asks TensorFlow, in child processes that end with it.

    A context manager. The first child starts at once, so that TensorFlow's libraries load
    while the caller still reads the model.
    """

    def __init__(self, mode: Mode, op_libraries: Sequence[Path], time_limit: float) -> None:
        """Prepare, and start the first child unless the mode is ``none``.

        Args:
            mode: How much to validate; ``auto`` is ``runtime`` where only signatures change.
            op_libraries: Libraries of custom operations to load first.
            time_limit: Longest wait for one answer, in seconds.
        """
        self.mode: Mode = mode
        self._libraries = tuple(op_libraries)
        self._limit = time_limit
        self._children = contextlib.ExitStack()
        self._running: dict[Program, Child] = {}
        self._unloaded: dict[Program, list[Path]] = {}
        self._wheel = wheel.find() if mode != "none" else None
        if self._wheel is not None:
            # Where it lacks a library, whoever asks is told, or asks Python's TensorFlow.
            with contextlib.suppress(ChildUnfit):
                self._start(Program.CAPI)

    def __enter__(self) -> Judge:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all children."""
        self._children.close()

    def abort(self) -> None:
        """Kill all children, from whatever thread; who waits for an answer fails at once."""
        for child in [*self._running.values()]:
            child.kill()

    def expect_python(self) -> None:
        """Start Python's TensorFlow now, for it takes seconds and will be asked."""
        wanted = self.mode in {"auto", "full"} and Program.PYTHON not in self._running
        if wanted and self._wheel is not None:
            self._start(Program.PYTHON)

    def ask(self, program: Program, question: Callable[[Child, float], _Answer]) -> _Answer:
        """Ask anything; a child that dies of it is replaced when the next question comes.

        Args:
            program: Who is asked.
            question: Given the child and the longest wait in seconds.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
            ChildError: The child died, hung or is unfit.
        """
        child = self._child(program)
        try:
            return question(child, self._limit)
        except ChildError:
            self._running.pop(program, None)
            raise

    def op_defs(self) -> Mapping[str, Any]:
        """Return the operations that TensorFlow registers, by name.

        Raises:
            ValidationError: TensorFlow cannot be asked.
        """
        with self._blamed():
            payload = answers.op_list(self._child(Program.CAPI), self._limit)
        ops = schema.OpList.FromString(payload.data)
        return {op_def.name: op_def for op_def in ops.op}

    def infer(self, graph: bytes, tensors: Sequence[str]) -> Mapping[str, Shape]:
        """Return the shapes that TensorFlow infers in a ``GraphDef``, of those that it can tell.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
        """
        for program in (Program.CAPI, Program.PYTHON):
            # What is wrong with the graph is told when the model itself is judged.
            with contextlib.suppress(ChildError):
                found = self.ask(program, partial(answers.infer, graph=graph, tensors=tensors))
                return {name: fact.shape for name, fact in found.tensors.items() if fact}
        return {}

    def look_up(self, model: SavedModel, meta_graph: MetaGraph, built: Built) -> Validation:
        """Load the model as it is, and tell what its graph knows of a signature's tensors.

        Raises:
            ValidationError: TensorFlow does not load it.
        """
        loader, description = self._describe(model.directory, meta_graph, sorted(built.tensors))
        if not description.ok:
            raise _unloadable(description, already=True)
        return Validation((loader,), _specs(description, built.tensors))

    def validate(
        self, edited: Edited, model: SavedModel, meta_graph: MetaGraph, built: Built
    ) -> Validation:
        """Load an edited model and compare.

        Args:
            edited: The edited model.
            model: The model before the edit.
            meta_graph: The MetaGraph that was edited, before the edit.
            built: The new signature.

        Returns:
            What TensorFlow said. ``tensors`` may tell other shapes than ``built``: then
            the signature is to be built again with them.

        Raises:
            ValidationError: The edited model does not load, or the signature is not in it
                as it was written.
        """
        others = {key: each for key, each in meta_graph.signatures.items() if key != built.key}
        names = {tensor.name for each in others.values() for tensor in each.tensors()}
        wanted = sorted({*built.tensors, *(name for name in names if name)})
        loader, description = self._describe(edited.directory, meta_graph, wanted)
        if not description.ok:
            _, before = self._describe(model.directory, meta_graph, ())
            raise _unloadable(description, already=not before.ok)
        _check_entries(description, meta_graph, built)
        tensors = _specs(description, built.tensors)
        notes = _shortened(list(_already_wrong(others, description)))
        if loader != _C_RUNTIME:
            text = "TensorFlow's C libraries were not found; its Python loader was asked instead"
            notes.append(Note("no-c-runtime", text))
        loaders = [loader]
        doubtful = edited.both_planes or built.python_in_doubt
        if self.mode == "full" or (self.mode == "auto" and doubtful):
            note = self._check_python(edited, model, meta_graph, built)
            if note is None:
                loaders.append(_PYTHON)
            else:
                notes.append(note)
        return Validation(tuple(loaders), tensors, tuple(notes))

    def fingerprint(self, directory: Path) -> bytes | str:
        """Compute the fingerprint of an edited model.

        Returns:
            The serialized ``FingerprintDef``, or in words why there is none.
        """
        try:
            payload = answers.fingerprint(self._child(Program.CAPI), directory, self._limit)
        except (ChildError, ValidationError) as error:
            return str(error)
        return payload.data if payload.ok else payload.message

    def _check_python(
        self, edited: Edited, model: SavedModel, meta_graph: MetaGraph, built: Built
    ) -> Note | None:
        loaded = self._load_in_python(edited.directory, meta_graph)
        if not loaded.ok:
            before = self._load_in_python(model.directory, meta_graph)
            if before.ok:
                found = f"tf.saved_model.load refuses the edited model: {loaded.message}"
                hint = "the model is unchanged; for servers alone, --validate runtime takes it"
                raise ValidationError(found, hint=hint)
            text = f"tf.saved_model.load did not load the model before either: {before.message}"
            return Note("python-loader-failed-before", text)
        expected = set(meta_graph.objects.signatures or meta_graph.signatures) - {built.key}
        missing = expected - set(loaded.signatures)
        if missing:
            before = self._load_in_python(model.directory, meta_graph)
            lost = sorted(missing & set(before.signatures))
            if lost:
                found = f"tf.saved_model.load no longer lists the signatures {lost}"
                raise ValidationError(found, hint="the model is unchanged")
        if meta_graph.has_object_graph and not edited.both_planes:
            return None  # its signatures come from the object graph, which is not edited
        signature = loaded.signatures.get(built.key)
        if signature is None:
            found = f"tf.saved_model.load does not list {built.key!r} in .signatures"
            raise ValidationError(found, hint="the model is unchanged")
        for kind, ours, theirs in (
            ("inputs", built.signature.inputs, signature.inputs),
            ("outputs", built.signature.outputs, signature.outputs),
        ):
            for found in _python_differences(kind, ours, theirs):
                raise ValidationError(found, hint="the model is unchanged")
        return None

    def _load_in_python(self, directory: Path, meta_graph: MetaGraph) -> PythonSignatures:
        with self._blamed():
            child = self._child(Program.PYTHON)
            return answers.python_signatures(child, directory, meta_graph.tags, self._limit)

    def _describe(
        self, directory: Path, meta_graph: MetaGraph, names: Sequence[str]
    ) -> tuple[str, Description]:
        """Load with the C runtime or, where there is none, with Python's v1 loader."""
        with self._blamed():
            try:
                child, loader = self._child(Program.CAPI), _C_RUNTIME
            except ChildUnfit:
                child, loader = self._child(Program.PYTHON), _PYTHON_V1
            tags = meta_graph.tags
            return loader, answers.describe(child, directory, tags, names, self._limit)

    def _child(self, program: Program) -> Child:
        """Return the child for a program, started and with the op libraries loaded."""
        if self._wheel is None:
            self._wheel = wheel.find()
        if self._wheel is None:
            hint = f"pip install tensorflow, {_WITHOUT}"
            raise ValidationError("TensorFlow is not installed", hint=hint)
        child = self._running.get(program)
        if child is None or child.closed:  # one that died on a model is no use for the next
            child = self._start(program)
        while self._unloaded.get(program):
            library = self._unloaded[program].pop()
            answer = answers.load_library(child, library, self._limit)
            if not answer.ok:
                hint = "was it built for this TensorFlow?"
                raise ValidationError(answer.message, where=str(library), hint=hint)
        return child

    def _start(self, program: Program) -> Child:
        if self._wheel is None:
            message = "a child needs to know where TensorFlow is"
            raise ValueError(message)
        waiting = early.take() if program is Program.CAPI else None
        child = self._children.enter_context(waiting or Child.start(program, self._wheel))
        self._running[program] = child
        self._unloaded[program] = list(reversed(self._libraries))
        return child

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Turn the death of a child into a failed validation with its own words."""
        try:
            yield
        except ChildHung as error:
            found = f"TensorFlow gave no answer within {error.limit:g} s"
            hint = f"the model is unchanged; wait longer with --time-limit, {_WITHOUT}"
            raise ValidationError(found, hint=hint) from error
        except ChildDied as error:
            words = f": {error.last_words}" if error.last_words else ""
            found = f"TensorFlow's process was {error.how} on the edited model{words}"
            raise ValidationError(found, hint="the model is unchanged") from error
        except ChildUnfit as error:
            found = f"TensorFlow cannot be loaded: {error}"
            raise ValidationError(found, hint=f"repair its installation, {_WITHOUT}") from error


def _python_differences(
    kind: str, ours: Mapping[str, Spec], theirs: Mapping[str, TensorFact | CompositeFact]
) -> Iterator[str]:
    """Tell how the signature that Python lists differs from the one that was written."""
    if set(ours) != set(theirs):
        yield f"tf.saved_model.load sees the {kind} {sorted(theirs)}, not {sorted(ours)}"
        return
    for alias, spec in ours.items():
        fact = theirs[alias]
        if isinstance(spec, TensorSpec) and isinstance(fact, TensorFact):
            dtype = dtypes.name(fact.dtype)
            if dtype != dtypes.base(spec.dtype) or not _compatible(spec.shape, fact.shape):
                yield (
                    f"tf.saved_model.load sees {alias!r} of the {kind} as {dtype} {fact.shape}, "
                    f"not {spec.dtype} {spec.shape}"
                )


def _check_entries(description: Description, meta_graph: MetaGraph, built: Built) -> None:
    """Compare the signature map that TensorFlow parsed with what it should be."""
    expected = {key: _canonical(entry.value) for key, entry in meta_graph.entries.items()}
    expected[built.key] = built.signature.to_bytes()
    found = {}
    for data in description.signature_entries:
        entry = schema.SignatureDefEntry.FromString(data)
        found[entry.key] = _canonical(entry.value.SerializeToString())
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            what = "is missing" if key not in found else "is not as it was written"
            message = f"in the model that TensorFlow loaded the signature {key!r} {what}"
            raise ValidationError(message, hint="the model is unchanged; please report this")


def _canonical(signature: bytes) -> bytes:
    message = schema.SignatureDef.FromString(signature)
    return bytes(message.SerializeToString(deterministic=True))


def _specs(description: Description, wanted: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the tensors as TensorFlow has them.

    Raises:
        ValidationError: One is missing, or has another type than the file says.
    """
    specs = {}
    for name, ours in wanted.items():
        fact = description.tensors.get(name)
        if fact is None:
            found = f"the graph that TensorFlow loaded has no tensor {name}"
            raise ValidationError(found, hint="the model is unchanged")
        dtype = dtypes.name(fact.dtype)
        if dtype != ours.dtype:
            found = f"{name} is {dtype} in the graph that TensorFlow loaded, not {ours.dtype}"
            raise ValidationError(found, hint="the model is unchanged")
        specs[name] = TensorSpec(name, dtype, fact.shape)
    return specs


def _already_wrong(
    signatures: Mapping[str, SignatureDef], description: Description
) -> Iterator[Note]:
    """Tell what is wrong with the signatures that the edit did not touch."""
    for key, signature in signatures.items():
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
            for alias, spec in specs.items():
                for found in _disagreements(spec, description):
                    text = f"signature {key!r}, {kind} {alias!r}: {found} (it was so before)"
                    yield Note("already-wrong", text)


def _shortened(notes: list[Note]) -> list[Note]:
    """Return the first few notes and how many more there are; a model can have thousands."""
    if len(notes) <= _MANY:
        return notes
    text = f"and {len(notes) - _MANY} more such findings in signatures that were not edited"
    return [*notes[:_MANY], Note("already-wrong", text)]


def _disagreements(spec: Spec, description: Description) -> Iterator[str]:
    for tensor in spec.tensors():
        if tensor.name in description.operations:
            yield f"{tensor.name!r} names an operation, not a tensor"
            continue
        fact = description.tensors.get(tensor.name)
        if fact is None:
            yield f"the graph has no tensor {tensor.name!r}"
        elif isinstance(spec, TensorSpec):
            yield from _differences(tensor, fact)


def _differences(tensor: TensorSpec, fact: TensorFact) -> Iterator[str]:
    dtype = dtypes.name(fact.dtype)
    if dtypes.base(dtype) != dtypes.base(tensor.dtype):
        yield f"{tensor.name} is {dtype}, the signature says {tensor.dtype}"
    if not _compatible(tensor.shape, fact.shape):
        yield f"{tensor.name} has the shape {fact.shape}, the signature says {tensor.shape}"


def _compatible(one: Shape, other: Shape) -> bool:
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def _unloadable(description: Description, *, already: bool) -> ValidationError:
    when = "it did not load before either" if already else "the model is unchanged"
    unregistered = _UNREGISTERED.search(description.message)
    if unregistered:
        found = f"TensorFlow has no operation {unregistered[1]!r}, which the model needs"
        hint = f"{when}; load its library with --op-library FILE, {_WITHOUT}"
        return ValidationError(found, hint=hint)
    found = f"TensorFlow does not load the model: {description.message}"
    return ValidationError(found, hint=f"{when}; {_WITHOUT}" if already else when)
