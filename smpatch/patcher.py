"""The edits of the library: each function makes an edit of its arguments and carries it out.

``patch`` carries out a list of edits in one commit; the other functions call it with one edit.
This module takes the lock and loads the model; ``transaction`` does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from smpatch import arguments
from smpatch.already_applied import remaining
from smpatch.display import hinting
from smpatch.editing import Change
from smpatch.editing.sequence import edit_list
from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
)
from smpatch.errors import SmpatchError, UsageError
from smpatch.loader import load_file
from smpatch.options import Options, check_options
from smpatch.savedmodel.directory import naming, which_file, writing
from smpatch.signature import DEFAULT_KEY
from smpatch.store_edits import edit_copy, needs_copy
from smpatch.tensor_refs import TensorRef
from smpatch.transaction import Receipt, Transaction
from smpatch.validator import Validator
from smpatch.validator.lending import lent
from smpatch.validator.tracing import Tracer
from smpatch.writer import hold, recover

__all__ = [
    "Change",
    "Options",
    "Receipt",
    "add_classify",
    "add_predict",
    "add_regress",
    "copy_signature",
    "derive_signature",
    "edit_signature",
    "patch",
    "promote_function",
    "remove_signatures",
    "rename_signature",
    "retag",
]

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
        model: The model directory, or its URL in a store.
        edits: The edits, or one of them; each sees what those before it made.
        options: How the edits are done.
        validator: Who asks TensorFlow; None for one that lives as long as the call. Its mode
            counts, not that of the options.
        once: Leave out what the model is already, so that to do a list twice is the same as
            to do it once.

    Returns:
        What was done.

    Example:
        >>> from smpatch.edits import Copy, Rename
        >>> edits = [Rename("serving_default", "predict"), Copy("predict", "serving_default")]
        >>> [change.outcome for change in smpatch.patch("export/1", edits).changes]
        ['renamed', 'copied']

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
    if needs_copy(directory, chosen):
        return edit_copy(
            directory,
            chosen,
            lambda copy, local: patch(copy, several, options=local, validator=validator, once=once),
            loads=(chosen.validate if validator is None else validator.mode) != "none",
        )
    with writing(directory, "edited"), ExitStack() as held:
        if validator is None:
            asking = chosen.validate, libraries, chosen.time_limit
            validator = lent(*asking) or held.enter_context(Validator(*asking))
        if directory.is_dir() and not chosen.dry_run:
            # With --save-to the model is only read, beside other readers.
            shared = chosen.save_to is not None
            held.enter_context(hold(directory, timeout=chosen.lock_timeout, shared=shared))
        asked = None if validator.mode == "none" else validator.op_defs
        opened = load_file(directory, *which_file(directory), more_op_defs=asked)
        if not chosen.dry_run and chosen.save_to is None:
            recover(opened)
        with hinting(directory, chosen.tag_set), naming(opened.file):
            trace = Tracer(validator).trace
            if not once:
                return Transaction(opened, several, validator, chosen, trace).run()
            left = remaining(
                opened,
                several,
                tag_set=chosen.tag_set,
                with_object_graph=not chosen.signature_def_only,
                trace=trace,
            )
            chosen = replace(chosen, tag_set=left.tag_set)
            try:
                receipt = Transaction(opened, left.edits, validator, chosen, trace).run()
            except SmpatchError as error:
                if error.edit is not None:
                    error.edit += len(several) - len(left.edits)
                raise
            present = {
                key: each
                for meta_graph in opened.meta_graphs
                if meta_graph.tags == receipt.tag_set
                for key, each in meta_graph.signatures.items()
            }
            done = several[: len(several) - len(left.edits)]
            keys = (key for each in done for key in each.shown_keys)
            applied = tuple(Change(key, "unchanged", present.get(key)) for key in keys)
            return replace(receipt, applied=applied)


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

    Example:
        >>> smpatch.add_predict("export/1", inputs={"x": "x:0"}, outputs={"y": "y:0"}).key
        'serving_default'

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

    Example:
        >>> smpatch.promote_function("export/1", "encode").key
        'encode'

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

    Example:
        >>> outputs = {"features": "two_by_two_1/enc_2_1/Relu:0"}
        >>> smpatch.derive_signature(
        ...     "export/1", "serving_default", outputs=outputs, signature="features"
        ... ).outcome
        'added'

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

    Example:
        >>> smpatch.add_classify(
        ...     "export/1", examples="examples:0", scores="y:0", signature="scores"
        ... ).outcome
        'added'

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

    Example:
        >>> smpatch.add_regress(
        ...     "export/1", examples="examples:0", predictions="y:0", signature="price"
        ... ).outcome
        'added'

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

    Example:
        >>> smpatch.rename_signature("export/1", "serving_default", "predict").outcome
        'renamed'

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

    Example:
        >>> smpatch.copy_signature("export/1", "serving_default", "predict").outcome
        'copied'

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

    Example:
        >>> smpatch.remove_signatures("export/1", "scores_*").key
        'scores_only'

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

    Example:
        >>> edit = smpatch.EditSignature("serving_default", rename_inputs={"x": "image"})
        >>> smpatch.edit_signature("export/1", edit).outcome
        'edited'

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

    Example:
        >>> smpatch.retag("export/1", "train", "train,gpu").changes[0].outcome
        'retagged'

    Raises:
        SmpatchError: As ``patch``.
    """
    named = source if isinstance(source, int) else arguments.texts(source, "source")
    return patch(model, [Retag(named, arguments.texts(target, "target"))], options=options)


def _overwrite(options: Options | None) -> bool:
    return isinstance(options, Options) and options.overwrite
