"""The verbs of the library: each makes an edit from its arguments and calls ``patch`` with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import smpatch.edits as kinds
from smpatch import arguments
from smpatch.errors import UsageError
from smpatch.options import Options
from smpatch.patcher import Receipt, patch
from smpatch.signature import DEFAULT_KEY
from smpatch.tensor_refs import TensorRef

_Model = str | os.PathLike[str]
_Function = Callable[..., object]


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
        inputs: Alias to the tensor that is fed: ``op:index``, ``op`` if the operation
            has one output, the parts of a sparse or ragged tensor, or a whole spec.
        outputs: Alias to the tensor that is fetched, likewise.
        signature: The signature key.
        options: The options of the edit.

    Example:
        >>> smpatch.add_predict("export/1", inputs={"x": "x:0"}, outputs={"y": "y:0"}).key
        'serving_default'

    Raises:
        UsageError: Nothing is fed or fetched.
        RefusedError: The signature cannot work, or the key is taken.
        SmpatchError: As ``patch``.
    """
    for name, given in (("inputs", inputs), ("outputs", outputs)):
        if not given:
            raise UsageError(f"no {name} are given", hint="name at least one tensor")
    edit = kinds.AddPredict(inputs, outputs, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def promote_function(  # noqa: PLR0913 - the parts of the request, each with a default, and the options
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
            function if the path has several traces.
        inputs: Alias to argument; the other arguments keep their names.
        outputs: Alias to structured output (a key of a dict, ``output_0``); None for all.
        signature: The signature key; None for the last part of the path.
        options: The options of the edit.

    Example:
        >>> smpatch.promote_function("export/1", "encode").key
        'encode'

    Raises:
        RefusedError: There is no such function, it has several traces, or the tensor of the main
            graph for one of its captures cannot be determined with certainty.
        SmpatchError: As ``patch``.
    """
    edit = kinds.PromoteFunction(function, inputs, outputs, signature, _overwrite(options))
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
        outputs: Alias to an output of the source (by alias), a tensor of the main graph, or a
            tensor inside the functions that the source calls.
        signature: The key of the new signature.
        options: The options of the edit.

    Example:
        >>> outputs = {"features": "two_by_two_1/enc_2_1/Relu:0"}
        >>> smpatch.derive_signature(
        ...     "export/1", "serving_default", outputs=outputs, signature="features"
        ... ).outcome
        'added'

    Raises:
        RefusedError: There is no such signature or tensor, or the name of a tensor is ambiguous.
        SmpatchError: As ``patch``.
    """
    if not outputs:
        raise UsageError("no outputs are given", hint="name at least one tensor")
    edit = kinds.FromSignature(source, outputs, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def compose_signature(  # noqa: PLR0913 - the parts of the request, and the options
    model: _Model,
    source: str,
    *,
    signature: str,
    before: Sequence[str | _Function] | str | _Function = (),
    after: Sequence[str | _Function] | str | _Function = (),
    bind: Mapping[str, object] | None = None,
    from_input: Mapping[str, str] | None = None,
    dummy_input: str | None = None,
    keep_as: str | None = None,
    options: Options | None = None,
) -> Receipt:
    """Make a signature of another one, with functions before and after it, and with constants.

    Args:
        model: The model directory.
        source: The key of the signature to start from, which stays as it is.
        signature: The key of the new signature.
        before: The functions that yield inputs of the source, in the order in which they run:
            functions of Python files (``pre.py:decode``), recipes
            (``image=decode_image(224, 224)``), and signatures of other models
            (``tokenizer/1:tokenize``). A file runs with the rights of the caller, in a process of
            its own. A callable of this process (a Python function, a ``tf.function`` or a concrete
            function) is traced in the TensorFlow that the caller has imported; it may capture
            constants and tables that do not change.
        after: The functions that take outputs of the source, likewise.
        bind: Input to its value: a number, a text, a truth value, nested lists of these, or an
            array. The value has the shape of the input, or the shape of its last dimensions and is
            repeated over the first ones; an open dimension is as large as in another input.
        from_input: Alias to a tensor between the inputs and outputs of the source, which becomes an
            input: a tensor of the main graph, or inside a function (``node:index``, with
            ``@call+call`` after it if that is ambiguous). The new signature does not compute
            operations before the tensor, and does not have inputs that only these need. ``before``
            and ``bind`` may name the alias.
        dummy_input: The alias of an added input that nothing reads, ``float32 [?]``, for a server
            that does not accept a signature without inputs.
        keep_as: Another key for the signature that has the key ``signature`` now; that signature
            may be the source.
        options: The options of the edit.

    Raises:
        UsageError: There is no such file or recipe, or nothing is to be composed.
        RefusedError: There is no such signature or input, a value does not fit its input, or a
            function cannot be traced or does not fit.
        SmpatchError: As ``patch``.

    Example:
        >>> compose_signature(
        ...     "export/1", "serving_default", bind={"is_training": False}, signature="serve"
        ... )  # doctest: +SKIP
    """
    if not (bind or before or after or from_input or dummy_input):
        hint = "give before, after, bind, from_input or dummy_input"
        raise UsageError("nothing is composed", hint=hint)
    from smpatch.fragments import asked_list

    constants = arguments.constants(bind or {}, "bind")
    put = asked_list(before, "before"), asked_list(after, "after")
    more = from_input or {}, dummy_input or ""
    edit = kinds.Compose(source, signature, constants, _overwrite(options), *put, *more)
    return patch(model, edit if keep_as is None else edit.keeping(keep_as), options=options)


def add_classify(  # noqa: PLR0913 - the parts of the request, and the options
    model: _Model,
    *,
    examples: TensorRef,
    classes: TensorRef | None = None,
    scores: TensorRef | None = None,
    signature: str = DEFAULT_KEY,
    options: Options | None = None,
) -> Receipt:
    """Add a classify signature, for the Classify method of TF Serving.

    Args:
        model: The model directory.
        examples: The tensor of serialized ``tf.train.Example`` messages.
        classes: The tensor of class labels, strings.
        scores: The tensor of scores, float32; ``classes``, ``scores`` or both must be given.
        signature: The signature key.
        options: The options of the edit.

    Example:
        >>> smpatch.add_classify(
        ...     "export/1", examples="examples:0", scores="y:0", signature="scores"
        ... ).outcome
        'added'

    Raises:
        SmpatchError: As ``patch``.
    """
    edit = kinds.AddClassify(examples, classes, scores, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def add_regress(
    model: _Model,
    *,
    examples: TensorRef,
    predictions: TensorRef,
    signature: str = DEFAULT_KEY,
    options: Options | None = None,
) -> Receipt:
    """Add a regress signature, for the Regress method of TF Serving.

    Args:
        model: The model directory.
        examples: The tensor of serialized ``tf.train.Example`` messages.
        predictions: The tensor of predictions, float32.
        signature: The signature key.
        options: The options of the edit.

    Example:
        >>> smpatch.add_regress(
        ...     "export/1", examples="examples:0", predictions="y:0", signature="price"
        ... ).outcome
        'added'

    Raises:
        SmpatchError: As ``patch``.
    """
    edit = kinds.AddRegress(examples, predictions, signature, _overwrite(options))
    return patch(model, [edit], options=options)


def rename_signature(
    model: _Model, source: str, target: str, *, options: Options | None = None
) -> Receipt:
    """Give a signature another key.

    Args:
        model: The model directory.
        source: The key that it has.
        target: The key that it gets.
        options: The options of the edit.

    Example:
        >>> smpatch.rename_signature("export/1", "serving_default", "predict").outcome
        'renamed'

    Raises:
        SmpatchError: As ``patch``.
    """
    return patch(model, [kinds.Rename(source, target, _overwrite(options))], options=options)


def copy_signature(
    model: _Model, source: str, target: str, *, options: Options | None = None
) -> Receipt:
    """Give a signature a second key.

    Args:
        model: The model directory.
        source: The key that it has.
        target: The second key.
        options: The options of the edit.

    Example:
        >>> smpatch.copy_signature("export/1", "serving_default", "predict").outcome
        'copied'

    Raises:
        SmpatchError: As ``patch``.
    """
    return patch(model, [kinds.Copy(source, target, _overwrite(options))], options=options)


def remove_signatures(
    model: _Model, *keys: str | Sequence[str], options: Options | None = None
) -> Receipt:
    """Remove signatures, with the parts of the model that were appended for them alone.

    Args:
        model: The model directory.
        keys: Keys, or patterns of keys such as ``scores_*``. A key such as ``s*`` that is also a
            pattern of other keys is refused; ``s[*]`` is this key alone.
        options: The options of the edit.

    Example:
        >>> smpatch.remove_signatures("export/1", "scores_*").key
        'scores_only'

    Raises:
        SmpatchError: As ``patch``.
    """
    lists = ([each] if isinstance(each, str) else arguments.texts(each, "keys") for each in keys)
    several = [key for each in lists for key in each]
    return patch(model, [kinds.Remove(tuple(several))], options=options)


def edit_signature(
    model: _Model, edit: kinds.EditSignature, *, options: Options | None = None
) -> Receipt:
    """Change parts of a signature: names, tensors, shapes, method, defaults.

    Args:
        model: The model directory.
        edit: All changes, which are made at once.
        options: The options of the edit.

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
        options: The options of the edit.

    Example:
        >>> smpatch.retag("export/1", "train", "train,gpu").changes[0].outcome
        'retagged'

    Raises:
        SmpatchError: As ``patch``.
    """
    is_place = hasattr(source, "__index__")  # also a NumPy integer
    named = cast("int", source) if is_place else arguments.texts(source, "source")
    return patch(model, [kinds.Retag(named, arguments.texts(target, "target"))], options=options)


def remove_meta_graph(
    model: _Model, tag_set: Sequence[str] | str, *, options: Options | None = None
) -> Receipt:
    """Remove a whole MetaGraph; the bytes of the others stay as they are.

    Variables and assets stay on disk, because other MetaGraphs may share them.

    Args:
        model: The model directory.
        tag_set: The tags that the MetaGraph has.
        options: The options of the edit, without ``tag_set``.

    Raises:
        TagSetError: No MetaGraph has the tags, several have them, or it is the only one.
        SmpatchError: As ``patch``.

    Example:
        >>> smpatch.remove_meta_graph("export/1", "train").outcome
        'meta-graph-removed'
    """
    return patch(
        model, [kinds.RemoveMetaGraph(arguments.texts(tag_set, "tag_set"))], options=options
    )


def set_init_op(
    model: _Model, operations: Sequence[str] | str | None, *, options: Options | None = None
) -> Receipt:
    """Set the init op, which servers run when they load the model, for example to fill tables.

    Args:
        model: The model directory.
        operations: Names of operations of the main graph that need no input; all of them are run.
            None removes the init op.
        options: The options of the edit.

    Raises:
        UsageError: No operation is named.
        RefusedError: There is no such operation, it cannot run when a model is loaded, it may
            assign variables that the checkpoint restores, or tables that signatures need would
            not be filled.
        SmpatchError: As ``patch``.

    Example:
        >>> smpatch.set_init_op("export/1", "init").outcome
        'init-op-set'
    """
    names = () if operations is None else arguments.texts(operations, "operations")
    if operations is not None and not names:
        raise UsageError(
            "no operation is named", where="operations", hint="None removes the init op"
        )
    return patch(model, [kinds.SetInitOp(names)], options=options)


def _overwrite(options: Options | None) -> bool:
    return isinstance(options, Options) and options.overwrite
