"""Validation of an edited model: TensorFlow loads it before the commit.

TensorFlow's C runtime loads the edited model in a child process, as it does in TF Serving, Triton
and the C, Java, Go and Rust bindings. The map of signatures that TensorFlow parsed must equal the
written map. Each tensor of a new signature must be in the loaded graph, with its dtype and shape.
All else must work as it did before the edit: a fault that was there already is reported, and is not
an error.

This module writes nothing and runs no signature. It never imports TensorFlow.

Sources: ``tensorflow/c/c_api.h``, ``tensorflow/python/saved_model/load.py``.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from smpatch import schema
from smpatch.errors import ModelUnreadableError, ValidationError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.rules import Note
from smpatch.runtime import early, installation, questions
from smpatch.runtime.process import Child, ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.runtime.questions import Description, PythonSignatures
from smpatch.signature import Shape, TensorSpec
from smpatch.validator.comparing import (
    WITHOUT,
    CrashError,
    already_wrong,
    check_entries,
    check_python_view,
    refusal,
    shortened,
    specs,
    unloadable,
    why_in_doubt,
    wrong_shapes,
)
from smpatch.validator.edited import Edited, Mode, Validation
from smpatch.validator.libraries import load_libraries
from smpatch.validator.python_loader import PythonLoader
from smpatch.validator.variables import without_variables

if TYPE_CHECKING:
    from smpatch.runtime.python_questions import Traced

__all__ = ["Edited", "Mode", "Validation", "Validator"]

_Answer = TypeVar("_Answer")

_C_RUNTIME, _PYTHON_V1, _PYTHON = "C runtime", "Python loader (v1)", "tf.saved_model.load"


class Validator:
    """Asks TensorFlow, in child processes that end with the validator.

    It is a context manager. The first child starts at once, so that TensorFlow's libraries load
    while the caller reads the model.
    """

    def __init__(
        self,
        mode: Mode,
        op_libraries: Sequence[Path],
        time_limit: float,
        *,
        calls: bool = False,
        one_edit: bool = False,
    ) -> None:
        """Prepare, and start the first child unless the mode is ``none``.

        Args:
            mode: The checks to make. ``auto`` asks Python's loader only if the object graph is
                edited, or if this loader may refuse a signature; ``runtime`` never asks it.
            op_libraries: Libraries of custom operations to load first.
            time_limit: Longest wait for one answer, in seconds.
            calls: Whether signatures will be called in Python, as they are in ``run``.
            one_edit: Whether the validator is not asked after the commit of the first edit.
        """
        self.mode: Mode = mode
        self._python = PythonLoader(self.ask, light=not calls and mode != "run")
        self._libraries = tuple(op_libraries)
        self._limit = time_limit
        self._children = contextlib.ExitStack()
        self._running: dict[Program, Child] = {}
        self._unloaded: dict[Program, list[Path]] = {}
        self._lent = False
        self._one_edit = one_edit
        self._wheel = installation.find() if mode != "none" else None
        self._expect_c()

    def __enter__(self) -> Validator:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all children, unless the validator is lent."""
        if not self._lent:
            self._children.close()

    def lend(self, mode: Mode, time_limit: float, *, calls: bool = False) -> Validator:
        """Return a validator that asks the same children, and ends none of them.

        Args:
            mode: Its mode.
            time_limit: Its longest wait for one answer, in seconds.
            calls: Whether signatures will be called in Python.
        """
        for program, child in [*self._running.items()]:
            # A child that ended between two questions: no model caused this. A child that has
            # imported a user's file would not import it, or its imports, again after a change.
            if child.ended or program is Program.TRACER:
                child.close()
                del self._running[program]
        if self._wheel is None and mode != "none":
            self._wheel = installation.find()
        lent = copy.copy(self)
        lent.mode, lent._limit, lent._lent = mode, time_limit, True  # noqa: SLF001 - its own class
        lent._python = PythonLoader(lent.ask, light=not calls and mode != "run")  # noqa: SLF001 - likewise
        if mode != "none":
            lent._expect_c()  # noqa: SLF001 - likewise
        return lent

    def finish(self) -> None:
        """Kill all children if no other edit asks: the kernel frees them during the commit."""
        if self._one_edit:
            self.abort()

    def abort(self) -> None:
        """Kill all children, from any thread; a wait for an answer ends with an error."""
        for child in [*self._running.values()]:
            child.kill()

    def _expect_c(self) -> None:
        """Start the C runtime now, if TensorFlow is installed."""
        if self._wheel is not None and Program.CAPI not in self._running:
            # If a library is missing, the first question fails, or Python's TensorFlow gets it.
            with contextlib.suppress(ChildUnfit):
                self._start(Program.CAPI)

    def expect_python(self, *, whole: bool = False) -> None:
        """Start Python's TensorFlow now, because its start takes seconds and it will be asked.

        Args:
            whole: Whether functions are traced in it, so that all of it is imported in any case.
        """
        if whole:
            self._python.program = Program.PYTHON
        program = self._python.program
        wanted = self.mode in {"auto", "full", "run"} and program not in self._running
        if wanted and self._wheel is not None:
            with contextlib.suppress(ChildUnfit):  # then the first question fails
                self._start(program)

    def ask(self, program: Program, question: Callable[[Child, float], _Answer]) -> _Answer:
        """Ask a question; a child that dies is replaced before the next question.

        Args:
            program: The program of the child that is asked.
            question: The function that asks; it gets the child and the longest wait in seconds.

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

    def load_in_python(
        self, directory: Path, tags: Sequence[str], *, variables: bool = True
    ) -> PythonSignatures:
        """Load a model with ``tf.saved_model.load``, and return its signatures.

        Args:
            directory: The SavedModel.
            tags: Its tag-set.
            variables: Whether its variables are read; a model that does not load without them is
                loaded with them.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
            ChildError: The child died, hung or is unfit.
        """
        return self._python.load(directory, tags, variables=variables)

    def trace_in_python(self, question: Callable[[Child, float], Traced]) -> Traced:
        """Trace a recipe in the child that loads models in Python; see ``PythonLoader.trace``."""
        return self._python.trace(question)

    def op_defs(self) -> Mapping[str, Any]:
        """Return the operations that TensorFlow registers, by name.

        Raises:
            ValidationError: TensorFlow cannot be asked.
        """
        with self._blamed():
            payload = questions.op_list(self._child(Program.CAPI), self._limit)
        ops = schema.OpList.FromString(payload.data)
        return {op_def.name: op_def for op_def in ops.op}

    def infer(self, graph: bytes, tensors: Sequence[str]) -> Mapping[str, Shape]:
        """Return the shapes that TensorFlow infers for tensors of a ``GraphDef``, if it can.

        Raises:
            ValidationError: There is no TensorFlow, or an op library cannot be loaded.
        """
        for program in (Program.CAPI, Program.PYTHON):
            # A fault of the graph is reported when the model itself is loaded.
            with contextlib.suppress(ChildError):
                found = self.ask(program, partial(questions.infer, graph=graph, tensors=tensors))
                return {name: fact.shape for name, fact in found.tensors.items() if fact}
        return {}

    def look_up(
        self,
        model: SavedModel,
        meta_graph: MetaGraph,
        wanted: Mapping[str, TensorSpec],
        *,
        without_variables: bool = False,
    ) -> Validation:
        """Load the unedited model, and return dtype and shape of some tensors of its graph.

        Raises:
            ValidationError: TensorFlow does not load it, or a tensor is missing or has another
                dtype.
        """
        asked = model.directory, meta_graph, sorted(wanted)
        bare = self._describe_bare(*asked) if without_variables else None
        loader, description = bare or self._describe(*asked)
        if not description.ok:
            missing = partial(self.unregistered, meta_graph)
            raise unloadable(description, already=True, missing=missing)
        return Validation((loader,), specs(description, wanted))

    def validate(self, edited: Edited, model: SavedModel) -> Validation:
        """Load an edited model, and compare its signatures with the written ones.

        ``model`` is the model before the edit.

        Returns:
            The result. If ``tensors`` has other shapes than those with which the signatures were
            built, the caller must build them again with these shapes.

        Raises:
            ValidationError: The edited model does not load, or a signature is not in it as
                it was written.
        """
        others = {k: each for k, each in edited.after.signatures.items() if k not in edited.built}
        names = {tensor.name for each in others.values() for tensor in each.tensors()}
        ours = edited.tensors
        wanted = sorted({*ours, *(name for name in names if name)})
        try:
            bare = None
            if edited.without_variables:
                bare = self._describe_bare(edited.directory, edited.after, wanted)
            loader, description = bare or self._describe(edited.directory, edited.after, wanted)
        except CrashError as crash:
            words = self._crash_of(lambda: self._describe(model.directory, edited.before, ()))
            raise crash.beside(words) from crash
        if not description.ok:
            _, before = self._describe(model.directory, edited.before, ())
            missing = partial(self.unregistered, edited.before)
            raise unloadable(description, already=not before.ok, missing=missing)
        check_entries(description, edited.after)
        tensors = specs(description, ours)
        edited_ones = {key: each.signature for key, each in edited.built.items()}
        notes = shortened(list(already_wrong(others, description)))
        notes += [each for each in wrong_shapes(edited_ones, description) if each not in notes]
        if loader != _C_RUNTIME:
            text = "TensorFlow's C libraries were not found; its Python loader was asked instead"
            notes.append(Note("no-c-runtime", text))
        loaders, read = [loader], bare is None
        doubtful = edited.with_object_graph or any(
            each.python_in_doubt for each in edited.built.values()
        )
        if self.mode in {"full", "run"} or (self.mode == "auto" and doubtful):
            note, read_in_python = self._check_python(edited, model)
            read = read or read_in_python
            if note is None:
                loaders.append(_PYTHON)
            else:
                notes.append(note)
        return Validation(tuple(loaders), tensors, tuple(notes), variables_read=read)

    def unregistered(self, meta_graph: MetaGraph) -> list[str]:
        """Return the operations of a model that TensorFlow does not register, sorted."""
        with contextlib.suppress(ValidationError, ModelUnreadableError):
            registered, graph = self.op_defs(), meta_graph.graph
            used = {graph.wiring(name).op for name in graph}
            for name in meta_graph.functions:
                used.update(node.op for node in meta_graph.functions[name].node_def)
            return sorted(used - registered.keys() - set(meta_graph.functions))
        return []

    def fingerprint(self, directory: Path) -> bytes | str:
        """Compute the fingerprint of an edited model.

        Returns:
            The serialized ``FingerprintDef``, or the reason why there is none, as text.
        """
        try:
            payload = questions.fingerprint(self._child(Program.CAPI), directory, self._limit)
        except (ChildError, ValidationError) as error:
            return str(error)
        return payload.data if payload.ok else payload.message

    def _check_python(self, edited: Edited, model: SavedModel) -> tuple[Note | None, bool]:
        """Load the model in Python; return a note, if any, and whether variables were read."""
        try:
            loaded = self._load_in_python(
                edited.directory, edited.after, variables=not edited.without_variables
            )
        except CrashError as crash:
            how = self._crash_of(lambda: self._load_in_python(model.directory, edited.before))
            if not how:
                raise crash.beside("") from crash
            text = f"tf.saved_model.load was {how} with the unedited model, too"
            return Note("python-loader-failed-before", text), True
        if not loaded.ok:
            before = self._load_in_python(model.directory, edited.before)
            if before.ok:
                found = f"tf.saved_model.load refuses the edited model: {refusal(loaded)}"
                raise ValidationError(found, hint=why_in_doubt(edited))
            text = f"tf.saved_model.load did not load the model before either: {refusal(before)}"
            return Note("python-loader-failed-before", text), True
        expected = edited.listed
        missing = expected - set(loaded.signatures)
        if missing - edited.touched:
            before = self._load_in_python(model.directory, edited.before)
            lost = sorted((missing - edited.touched) & set(before.signatures))
            if lost:
                found = f"tf.saved_model.load no longer lists the signatures {lost}"
                raise ValidationError(found, hint="the model is unchanged")
        if edited.in_objects and not edited.with_object_graph:
            # Its signatures come from the object graph, which is not edited.
            return None, loaded.variables
        for key in sorted(missing & edited.touched):
            found = f"tf.saved_model.load does not list {key!r} in .signatures"
            raise ValidationError(found, hint="the model is unchanged")
        for key in edited.built.keys() & expected:
            check_python_view(edited.built[key].signature, loaded.signatures[key])
        return None, loaded.variables

    def _load_in_python(
        self, directory: Path, meta_graph: MetaGraph, *, variables: bool = True
    ) -> PythonSignatures:
        with self._blamed():
            return self.load_in_python(directory, meta_graph.tags, variables=variables)

    def _describe_bare(
        self, directory: Path, meta_graph: MetaGraph, names: Sequence[str]
    ) -> tuple[str, Description] | None:
        """Load the model without its variables; None if this fails, and it must load with them."""
        with (
            self._blamed(),
            without_variables(directory) as view,
            contextlib.suppress(ChildUnfit),
        ):
            if view is not None:
                self._child(Program.CAPI)  # Python's v1 loader restores them in any case
                try:
                    said = self._describe(view, meta_graph, names)
                except CrashError as crash:
                    if crash.was_killed:
                        raise
                    return None
                return said if said[1].ok else None
        return None

    def _describe(
        self, directory: Path, meta_graph: MetaGraph, names: Sequence[str]
    ) -> tuple[str, Description]:
        """Load the model with the C runtime or, if there is none, with Python's v1 loader."""
        with self._blamed():
            try:
                child, loader = self._child(Program.CAPI), _C_RUNTIME
            except ChildUnfit:
                child, loader = self._child(Program.PYTHON), _PYTHON_V1
            tags = meta_graph.tags
            return loader, questions.describe(child, directory, tags, names, self._limit)

    def _child(self, program: Program) -> Child:
        """Return the child for a program, started and with the op libraries loaded."""
        if self._wheel is None:
            self._wheel = installation.find()
        if self._wheel is None:
            hint = f"pip install tensorflow, or {WITHOUT}"
            raise ValidationError("TensorFlow is not installed", hint=hint)
        child = self._running.get(program)
        if child is None or child.closed:  # it died while it loaded an earlier model
            child = self._start(program)
        load_libraries(child, self._unloaded[program], self._limit)
        return child

    def _start(self, program: Program) -> Child:
        if self._wheel is None:
            raise ValueError("a child needs the place of TensorFlow")
        waiting = early.take() if program is Program.CAPI else None
        try:
            child = self._children.enter_context(waiting or Child.start(program, self._wheel))
        except OSError as error:
            message = f"no process can be started: {(error.strerror or str(error)).lower()}"
            raise ChildUnfit(message) from error
        self._running[program] = child
        self._unloaded[program] = list(reversed(self._libraries))
        return child

    def _crash_of(self, load: Callable[[], object]) -> str:
        """Return how TensorFlow's process ends when it loads a model; empty if it does not end."""
        try:
            load()
        except CrashError as crash:
            return crash.how
        return ""

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Turn the error of a child into a failed validation, with the last words of the child."""
        try:
            yield
        except ChildHung as error:
            found = f"TensorFlow gave no answer within {error.limit:g} s"
            hint = "the model is unchanged; wait longer with --time-limit"
            raise ValidationError(found, hint=hint) from error
        except ChildDied as error:
            words = f": {error.last_words}" if error.last_words else ""
            found = f"TensorFlow's process was {error.how} when it loaded the model{words}"
            raise CrashError(found, error) from error
        except ChildUnfit as error:
            found = f"TensorFlow cannot be loaded: {error}"
            raise ValidationError(found, hint=f"repair its installation, or {WITHOUT}") from error
