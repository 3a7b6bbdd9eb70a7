"""Findings of TensorFlow's loaders: refusals, and the types and shapes of tensors.

An operation that this TensorFlow does not have is a note: the servers of the model may have it. A
type of a Python package that is not imported here is a note too: no server needs it. Each other
refusal of a loader is a fault.

This module runs no signature; ``running`` does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from smpatch import schema
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.errors import ValidationError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.op_libraries import unregistered
from smpatch.runtime import questions
from smpatch.runtime.process import ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.runtime.questions import Answer, PythonSignatures, TensorFact
from smpatch.validator import Validator
from smpatch.validator.variables import without_variables

C_RUNTIME, PYTHON_V1, PYTHON = "C runtime", "Python loader (v1)", "tf.saved_model.load"

_PACKAGES = {"tfp": "tensorflow_probability"}
"""The package that registers a type, by the first part of the name of the type."""

_UNKNOWN_TYPE = re.compile(r"The type '([^']+)' has not been registered")
"""The error of ``type_spec_registry.py``: a package registers its types when it is imported."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of loading a MetaGraph into a session.

    Attributes:
        loader: The name of the loader that loaded it; empty if none did.
        facts: Type and shape of the tensors that signatures name.
        op_defs: Definitions of operations, if the model has none itself.
        findings: The reason for which it did not load, or the faults of the loaded model.
        variables_read: Whether the variables were read.
    """

    loader: str = ""
    facts: Mapping[str, TensorFact | None] = field(default_factory=dict)
    op_defs: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    variables_read: bool = True


def load_in_c(
    validator: Validator, model: SavedModel, meta_graph: MetaGraph, *, variables: bool = True
) -> Loaded:
    """Load with the C runtime or, if there is none, with Python's v1 loader.

    Args:
        validator: The validator that asks TensorFlow.
        model: The model.
        meta_graph: One of its MetaGraphs.
        variables: Whether its variables are read; a model that does not load without them is
            loaded with them.

    Raises:
        ValidationError: There is no TensorFlow.
    """
    names = {tensor.name for each in meta_graph.signatures.values() for tensor in each.tensors()}
    # Python and TF Serving complete a name without an index.
    wanted = sorted({name for name in names if name} | {f"{n}:0" for n in names if ":" not in n})
    subject = Subject(model, meta_graph)

    def question(
        child: Any,  # noqa: ANN401 - a Child
        limit: float,
        directory: Path = model.directory,
    ) -> questions.Description:
        return questions.describe(child, directory, meta_graph.tags, wanted, limit, keep=True)

    loader, program = C_RUNTIME, Program.CAPI
    try:
        if not variables:
            with without_variables(model.directory) as view, _once_more():
                bare = view and validator.ask(program, partial(question, directory=view))
                if bare and bare.ok:
                    op_defs = {} if meta_graph.op_defs else _op_defs(validator)
                    return Loaded(loader, bare.tensors, op_defs, variables_read=False)
        try:
            said = validator.ask(program, question)
        except ChildUnfit:
            loader, program = PYTHON_V1, Program.PYTHON
            said = validator.ask(program, question)
        op_defs = {}
        if not meta_graph.op_defs and program is Program.CAPI:
            op_defs = _op_defs(validator)
    except ChildError as error:
        return Loaded(findings=(without_answer(subject, loader, error),))
    if not said.ok:
        return Loaded(op_defs=op_defs, findings=(_refused(validator, subject, loader, said),))
    return Loaded(loader, said.tensors, op_defs)


@contextlib.contextmanager
def _once_more() -> Iterator[None]:
    """Ignore the error of a child, unless the time ran out, or the child was killed."""
    try:
        yield
    except ChildError as error:
        if isinstance(error, ChildHung) or (isinstance(error, ChildDied) and error.was_killed):
            raise


def load_in_python(validator: Validator, subject: Subject, *, variables: bool = True) -> Loaded:
    """Load with ``tf.saved_model.load``; report a refusal, and signatures that it does not list.

    Args:
        validator: The validator that asks TensorFlow.
        subject: The MetaGraph to load.
        variables: Whether its variables are read; a model that does not load without them is
            loaded with them.

    Raises:
        ValidationError: There is no TensorFlow.
    """
    tags: Sequence[str] = subject.meta_graph.tags
    directory = subject.model.directory
    try:
        said = validator.load_in_python(directory, tags, variables=variables)
    except ChildError as error:
        return Loaded(findings=(without_answer(subject, PYTHON, error),))
    if not said.ok:
        return Loaded(findings=(_refused(validator, subject, PYTHON, said),))
    return Loaded(PYTHON, findings=tuple(_unlisted(subject, said)), variables_read=said.variables)


def _unlisted(subject: Subject, said: PythonSignatures) -> Iterator[Finding]:
    objects = subject.meta_graph.objects.signatures if subject.meta_graph.has_object_graph else {}
    for key in sorted(set(objects) - set(said.signatures)):
        if subject.concerns(key) and not subject.python_reads_signature_def:
            text = f"{PYTHON} does not list it in .signatures"
            yield fault("python-signature", subject.where(f"signature {key!r}"), text)


def without_answer(subject: Subject, loader: str, error: ChildError) -> Finding:
    """Return the finding about a child process that gave no answer.

    Raises:
        ValidationError: TensorFlow does not start on this machine, so that it can find no fault.
    """
    if isinstance(error, ChildHung):
        text = f"{loader} gave no answer within {error.limit:g} s"
        return fault("loader-hangs", subject.where(), text, "wait longer with --time-limit")
    if isinstance(error, ChildDied):
        words = f": {error.last_words}" if error.last_words else ""
        return fault("loader-crashes", subject.where(), f"{loader} was {error.how}{words}")
    found = f"{loader} cannot be asked: {error}"
    hint = "repair the installation of TensorFlow, or check without it with --validate none"
    raise ValidationError(found, hint=hint) from error


def _refused(validator: Validator, subject: Subject, loader: str, said: Answer) -> Finding:
    lacking = unregistered(said.message, partial(validator.unregistered, subject.meta_graph))
    if lacking is not None:
        listed, options = lacking
        text = f"this TensorFlow has no operation {listed}, so that nothing was loaded"
        hint = f"load its library with {options}"
        return note("unregistered-operation", subject.where(), text, hint)
    unknown = _UNKNOWN_TYPE.search(said.message)
    if loader == PYTHON and unknown is not None:
        first = unknown[1].partition(".")[0]
        package = _PACKAGES.get(first, first)
        text = f"{PYTHON} needs the Python type {unknown[1]!r}, which is not imported here"
        hint = f"servers do not need it; in Python, import {package} before the model is loaded"
        return note("unregistered-type", subject.where(), text, hint)
    code = "python-loader" if loader == PYTHON else "c-runtime"
    kind = f"{said.kind}: " if said.kind else ""
    text = f"{loader} does not load the model: {kind}{said.message}"
    return fault(code, subject.where(), text)


def _op_defs(validator: Validator) -> Mapping[str, Any]:
    payload = validator.ask(Program.CAPI, questions.op_list)
    return {each.name: each for each in schema.OpList.FromString(payload.data).op}
