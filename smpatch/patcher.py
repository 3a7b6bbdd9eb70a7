"""The edits of the library: lock, load, bring the request to the main graph, do it.

``job`` knows the way that all of them go; here is what differs between them, and what has
to hold around them. Nothing is printed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from smpatch.edits import AddPredict, FromSignature, PromoteFunction, TensorRef
from smpatch.errors import UnreachableOutputError, UsageError, WriteError
from smpatch.job import Job, Options, Receipt
from smpatch.loader import MetaGraph, load, naming
from smpatch.planes.expose import expose
from smpatch.planes.promote import promote
from smpatch.signature import DEFAULT_KEY
from smpatch.validator import Judge, Mode
from smpatch.writer import hold, recover

__all__ = [
    "MODES",
    "Options",
    "Receipt",
    "add_predict",
    "derive_signature",
    "promote_function",
]

MODES: tuple[Mode, ...] = ("auto", "runtime", "full", "none")

_LONGEST = 1_000_000.0
"""Seconds; the system calls that wait take no more than twice as much."""

Edit = AddPredict | PromoteFunction | FromSignature


def add_predict(
    model: str | os.PathLike[str],
    *,
    inputs: Mapping[str, TensorRef],
    outputs: Mapping[str, TensorRef],
    signature: str = DEFAULT_KEY,
    options: Options | None = None,
) -> Receipt:
    """Add a predict signature to a SavedModel on disk.

    Args:
        model: The model directory.
        inputs: Alias to the tensor that is fed: ``op:index``, ``op`` where the operation
            has one output, the parts of a sparse or ragged tensor, or a whole spec.
        outputs: Alias to the tensor that is fetched, likewise.
        signature: The signature key.
        options: How the edit is done.

    Returns:
        What was done.

    Raises:
        UsageError: The options contradict each other, or nothing is fed or fetched.
        ModelUnreadableError: There is no readable SavedModel.
        RefusedError: The signature cannot work, or the key is taken.
        ConflictError: Somebody else edits the model.
        WriteError: The file system refused; the model is unchanged.
        ValidationError: TensorFlow does not accept the result; the model is unchanged.
    """
    for name, given in (("inputs", inputs), ("outputs", outputs)):
        if not given:
            raise UsageError(f"no {name} are given", hint="name at least one tensor")
    chosen = options or Options()
    _check_options(chosen)
    edit = AddPredict(inputs, outputs, signature, chosen.overwrite)
    return _patch(Path(model), edit, chosen)


def promote_function(  # noqa: PLR0913 - the parts of the request, each with a default, and how it is done
    model: str | os.PathLike[str],
    function: str,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    signature: str | None = None,
    options: Options | None = None,
) -> Receipt:
    """Give a traced function of a TensorFlow 2 export a signature of its own.

    Args:
        model: The model directory.
        function: Its path in the object graph (``encoder.call``), or the name of a concrete
            function where there are several traces.
        inputs: Alias to argument; the other arguments keep their names.
        outputs: Alias to structured output (a key of a dict, ``output_0``); None for all.
        signature: The signature key; None for the last part of the path.
        options: How the edit is done.

    Returns:
        What was done.

    Raises:
        RefusedError: There is no such function, it has several traces, or it captures
            something for which no tensor of the main graph surely stands.
        SmpatchError: As ``add_predict``.
    """
    chosen = options or Options()
    _check_options(chosen)
    edit = PromoteFunction(function, inputs, outputs, signature, chosen.overwrite)
    return _patch(Path(model), edit, chosen)


def derive_signature(
    model: str | os.PathLike[str],
    source: str,
    *,
    outputs: Mapping[str, str],
    signature: str,
    options: Options | None = None,
) -> Receipt:
    """Make a signature with the inputs of another one and other outputs.

    Args:
        model: The model directory.
        source: The key of the signature to start from.
        outputs: Alias to one of its outputs (by alias), a tensor of the main graph, or a
            tensor inside the functions that it calls.
        signature: The key of the new signature.
        options: How the edit is done.

    Returns:
        What was done.

    Raises:
        RefusedError: There is no such signature or tensor, or it is ambiguous.
        SmpatchError: As ``add_predict``.
    """
    if not outputs:
        raise UsageError("no outputs are given", hint="name at least one tensor")
    chosen = options or Options()
    _check_options(chosen)
    edit = FromSignature(source, outputs, signature, chosen.overwrite)
    try:
        return _patch(Path(model), edit, chosen)
    except UnreachableOutputError as error:
        # What is fed is the source's business; here nobody can add to it.
        hint = f"signature {source!r} does not feed that; name something that it computes"
        raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error


def _check_options(options: Options) -> None:
    if options.validate not in MODES:
        found = f"{options.validate!r} is no way to validate"
        raise UsageError(found, hint=f"one of {', '.join(MODES)}")
    if options.save_to is not None and not os.fspath(options.save_to):
        raise UsageError("the directory to save to has no name", hint="give --save-to a path")
    if options.backup and options.save_to is not None:
        found = "a backup and a new directory do not go together"
        raise UsageError(found, hint="with --save-to the original stays as it is")
    for name, seconds in (
        ("lock_timeout", options.lock_timeout),
        ("time_limit", options.time_limit),
    ):
        if not 0 <= seconds <= _LONGEST:  # also true for what is not a number
            found = f"{name} is {seconds}, no number of seconds from 0 to {_LONGEST:,.0f}"
            raise UsageError(found)
    for library in options.op_libraries:
        if not Path(library).is_file():
            raise UsageError("no such file", where=f"--op-library {os.fspath(library)}")


def _request(meta_graph: MetaGraph, edit: Edit, judge: Judge) -> tuple[MetaGraph, AddPredict]:
    """Bring an edit down to tensors of the main graph, extended where that is needed."""
    if isinstance(edit, PromoteFunction):
        return promote(meta_graph, edit)
    if isinstance(edit, FromSignature):
        return expose(meta_graph, edit, None if judge.mode == "none" else judge.infer)
    return meta_graph, edit


def _defined(meta_graph: MetaGraph, judge: Judge) -> MetaGraph:
    """Return a MetaGraph that defines its operations, on which hangs what functions yield."""
    if meta_graph.op_defs and meta_graph.functions.complete:
        return meta_graph
    return meta_graph.with_op_defs(judge.op_defs())


def _patch(directory: Path, edit: Edit, options: Options) -> Receipt:
    libraries = [Path(each).resolve() for each in options.op_libraries]
    with _unwritten(directory), ExitStack() as held:
        judge = held.enter_context(Judge(options.validate, libraries, options.time_limit))
        if directory.is_dir() and not options.dry_run:
            # With --save-to the model is only read, beside other readers.
            shared = options.save_to is not None
            held.enter_context(hold(directory, timeout=options.lock_timeout, shared=shared))
        model = load(directory)
        if not options.dry_run and options.save_to is None:
            recover(model)
        with naming(model.file):
            meta_graph = model.meta_graph(options.tag_set)
            if not isinstance(edit, AddPredict) and judge.mode != "none":
                meta_graph = _defined(meta_graph, judge)
            meta_graph, request = _request(meta_graph, edit, judge)
            job = Job(model, meta_graph, request, judge, options)
            return job.rehearse() if options.dry_run else job.do()


@contextmanager
def _unwritten(directory: Path) -> Iterator[None]:
    """Say what the file system refused where no room on the way has; a commit raises nothing."""
    try:
        yield
    except OSError as error:
        found = f"cannot be edited: {(error.strerror or str(error)).lower()}"
        where = str(error.filename or directory)
        raise WriteError(found, where=where, hint="the model is unchanged") from error
