"""The edits of the library: each verb makes a request of its arguments and has it done.

``patch`` does a list of requests in one commit; all other verbs are short for a list of one.
``job`` knows the way that all of them go; here is what has to hold around it: locks, options,
the model as it is on disk. Nothing is printed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from smpatch import arguments
from smpatch.already_applied import remaining
from smpatch.editing.step import Change
from smpatch.editing.tagging import check_alone
from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    Making,
    PromoteFunction,
    Remove,
    RemoveMetaGraph,
    Rename,
    Retag,
    SetInitOp,
    TensorRef,
)
from smpatch.errors import UsageError
from smpatch.loader import load_file
from smpatch.savedmodel.directory import naming, which_file, writing
from smpatch.signature import DEFAULT_KEY
from smpatch.transaction import Options, Receipt, Transaction
from smpatch.validator import Mode, Validator
from smpatch.writer import hold, recover

__all__ = [
    "MODES",
    "Change",
    "Options",
    "Receipt",
    "add_classify",
    "add_predict",
    "add_regress",
    "check_options",
    "copy_signature",
    "derive_signature",
    "edit_signature",
    "patch",
    "promote_function",
    "remove_signatures",
    "rename_signature",
    "retag",
]

MODES: tuple[Mode, ...] = ("auto", "runtime", "full", "run", "none")

_LONGEST = 1_000_000.0
"""Seconds; the system calls that wait take no more than twice as much."""

_Model = str | os.PathLike[str]


def patch(
    model: _Model,
    edits: Sequence[Edit] | Edit,
    *,
    options: Options | None = None,
    validator: Validator | None = None,
    once: bool = False,
) -> Receipt:
    """Do a list of edits to a SavedModel on disk, one after the other, in one commit.

    Args:
        model: The model directory.
        edits: The edits, or one of them; each sees what those before it made.
        options: How the edits are done.
        validator: Who asks TensorFlow; None for one that lives as long as the call. Its mode
            counts, not that of the options.
        once: Leave out what the model is already, so that to do a list twice is the same as
            to do it once.

    Returns:
        What was done.

    Raises:
        UsageError: The options contradict each other, or nothing is asked for.
        ModelUnreadableError: There is no readable SavedModel.
        RefusedError: One of the edits cannot be done.
        ConflictError: Somebody else edits the model.
        WriteError: The file system refused; the model is unchanged.
        ValidationError: TensorFlow does not accept the result; the model is unchanged.
    """
    chosen = Options() if options is None else options
    check_options(chosen)
    several = edit_list(edits)
    if not several:
        raise UsageError("no edits are given")
    libraries = [Path(each).resolve() for each in chosen.op_libraries]
    directory = arguments.path(model, "model")
    with writing(directory, "edited"), ExitStack() as held:
        if validator is None:
            validator = held.enter_context(Validator(chosen.validate, libraries, chosen.time_limit))
        if directory.is_dir() and not chosen.dry_run:
            # With --save-to the model is only read, beside other readers.
            shared = chosen.save_to is not None
            held.enter_context(hold(directory, timeout=chosen.lock_timeout, shared=shared))
        asked = None if validator.mode == "none" else validator.op_defs
        opened = load_file(directory, *which_file(directory), more_op_defs=asked)
        if not chosen.dry_run and chosen.save_to is None:
            recover(opened)
        with naming(opened.file):
            if not once:
                return Transaction(opened, several, validator, chosen).run()
            left = remaining(
                opened,
                several,
                tag_set=chosen.tag_set,
                with_object_graph=not chosen.signature_def_only,
            )
            chosen = replace(chosen, tag_set=left.tag_set)
            receipt = Transaction(opened, left.edits, validator, chosen).run()
            present = {
                key: each
                for meta_graph in opened.meta_graphs
                if meta_graph.tags == receipt.tag_set
                for key, each in meta_graph.signatures.items()
            }
            done = several[: len(several) - len(left.edits)]
            applied = tuple(Change(key, "unchanged", present.get(key)) for key in _keys(done))
            return replace(receipt, applied=applied)


def _keys(edits: Iterable[Edit]) -> Iterator[str]:
    """Yield the key that each edit is about; of a MetaGraph its tags."""
    for edit in edits:
        match edit:
            case Remove(keys):
                yield from keys
            case Rename(_, target) | Copy(_, target):
                yield target
            case Retag(_, tags) | RemoveMetaGraph(tags):
                yield ",".join(tags)
            case SetInitOp(names):
                yield ",".join(names)
            case PromoteFunction(function=function, key=None):
                yield function.rpartition(".")[2]
            case Making(key=key) | EditSignature(key=key) if key is not None:
                yield key


def edit_list(edits: object) -> tuple[Edit, ...]:
    """Return one or several edits as a tuple.

    Raises:
        UsageError: Something else is among them, or they cannot stand in one list.
    """
    given = tuple(edits) if isinstance(edits, Iterable) and not isinstance(edits, str) else (edits,)
    several = tuple(each for each in given if isinstance(each, Edit))
    for each in given:
        if not isinstance(each, Edit):
            found = f"{each!r} ({type(each).__name__}) is given"
            raise UsageError(found, where="edits", hint="such as smpatch.edits.Rename('a', 'b')")
    check_alone(several)
    return several


def add_predict(
    model: _Model,
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
    edit = AddPredict(inputs, outputs, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def promote_function(  # noqa: PLR0913 - the parts of the request, each with a default, and how it is done
    model: _Model,
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
    edit = PromoteFunction(function, inputs, outputs, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def derive_signature(
    model: _Model,
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
    edit = FromSignature(source, outputs, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def add_classify(  # noqa: PLR0913 - the parts of the request, and how it is done
    model: _Model,
    *,
    examples: TensorRef,
    classes: TensorRef | None = None,
    scores: TensorRef | None = None,
    signature: str = DEFAULT_KEY,
    options: Options | None = None,
) -> Receipt:
    """Add a classify signature, as TF Serving's Classify takes it.

    Args:
        model: The model directory.
        examples: The tensor of serialized ``tf.train.Example`` messages.
        classes: The tensor of class labels, strings.
        scores: The tensor of scores, float32; one of the two at least.
        signature: The signature key.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    edit = AddClassify(examples, classes, scores, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def add_regress(
    model: _Model,
    *,
    examples: TensorRef,
    predictions: TensorRef,
    signature: str = DEFAULT_KEY,
    options: Options | None = None,
) -> Receipt:
    """Add a regress signature, as TF Serving's Regress takes it.

    Args:
        model: The model directory.
        examples: The tensor of serialized ``tf.train.Example`` messages.
        predictions: The tensor of predictions, float32.
        signature: The signature key.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    edit = AddRegress(examples, predictions, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def rename_signature(
    model: _Model, source: str, target: str, *, options: Options | None = None
) -> Receipt:
    """Give a signature another key.

    Args:
        model: The model directory.
        source: The key that it has.
        target: The key that it gets.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    return patch(model, [Rename(source, target, _overwrite(options))], options=options)


def copy_signature(
    model: _Model, source: str, target: str, *, options: Options | None = None
) -> Receipt:
    """Serve a signature under a second key as well.

    Args:
        model: The model directory.
        source: The key that it has.
        target: The key that it gets as well.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    return patch(model, [Copy(source, target, _overwrite(options))], options=options)


def remove_signatures(
    model: _Model, *keys: str | Sequence[str], options: Options | None = None
) -> Receipt:
    """Take signatures away, with what was appended for them alone.

    Args:
        model: The model directory.
        keys: Keys, or patterns of them as file names have them.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    several = [key for each in keys for key in ([each] if isinstance(each, str) else each)]
    return patch(model, [Remove(tuple(several))], options=options)


def edit_signature(
    model: _Model, edit: EditSignature, *, options: Options | None = None
) -> Receipt:
    """Change a signature that is there: names, tensors, shapes, method, defaults.

    Args:
        model: The model directory.
        edit: What is to change, all at once.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    return patch(model, [edit], options=options)


def retag(
    model: _Model,
    source: Sequence[str] | str | int,
    target: Sequence[str] | str,
    *,
    options: Options | None = None,
) -> Receipt:
    """Give a MetaGraph other tags.

    Args:
        model: The model directory.
        source: The tags that it has, or its place among the MetaGraphs, from 0.
        target: The tags that it gets.
        options: How the edit is done.

    Raises:
        SmpatchError: As ``patch``.
    """
    named = source if isinstance(source, int) else arguments.texts(source, "source")
    return patch(model, [Retag(named, arguments.texts(target, "target"))], options=options)


def _overwrite(options: Options | None) -> bool:
    return isinstance(options, Options) and options.overwrite


def check_options(options: Options) -> None:
    """Refuse options that contradict each other, or that make no sense.

    Raises:
        UsageError: They do.
    """
    if not isinstance(options, Options):
        found = f"{options!r} is given"
        raise UsageError(found, where="options", hint="give smpatch.Options(...)")
    if options.validate not in MODES:
        found = f"{options.validate!r} is no way to validate"
        raise UsageError(found, hint=f"one of {', '.join(MODES)}")
    if options.feed is not None and options.validate != "run":
        hint = "validate by a run: --validate run"
        raise UsageError("values are given, and nothing is run", where="--feed", hint=hint)
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
        if not os.path.isfile(library):  # noqa: PTH113 - Path's raises of a name that is too long
            raise UsageError("no such file", where=f"--op-library {os.fspath(library)}")
