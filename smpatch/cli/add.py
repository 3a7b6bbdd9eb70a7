"""``smpatch add-predict``, ``add-classify``, ``add-regress``: new signatures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from smpatch.cli.arguments import Model, named
from smpatch.cli.editing import editing
from smpatch.errors import UsageError
from smpatch.signature import DEFAULT_KEY

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Options, Receipt


_TENSORS = "[ALIAS=]TENSOR,..."


@editing("add-predict", overwrite="Replace the signature that has the key.")
def add_predict(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    options: Options,
    inputs: Annotated[
        list[str] | None,
        named(
            _TENSORS,
            "What is fed. A tensor is op:index, or op where the operation has one output. "
            "With --function the arguments to rename, as ALIAS=ARGUMENT. May be repeated.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        named(
            _TENSORS,
            "What is fetched, likewise. With --function its results (a key, output_0), all "
            "by default. With --from-signature its outputs by alias, tensors of the main graph, "
            "or tensors inside the functions that it calls.",
        ),
    ] = None,
    model: Model = Path(),
    signature: Annotated[
        str | None,
        named(
            "KEY",
            f"The signature key. Default: {DEFAULT_KEY}; with --function its name.",
            show_default=False,
        ),
    ] = None,
    function: Annotated[
        str | None,
        named(
            "NAME",
            "Make the signature from a function that was traced but not exported: its path, "
            "such as encoder.call, or the name of one trace.",
        ),
    ] = None,
    from_signature: Annotated[
        str | None,
        named(
            "KEY",
            "Make the signature from another one: its inputs, with other --outputs.",
            keys=True,
        ),
    ] = None,
) -> Receipt:
    """Add a predict signature, prove it by reloading with TensorFlow, and put it in place.

    Nothing else in the model changes. Without an alias, an input or output is called what
    its operation is called: head/Softmax:0 becomes Softmax. `smpatch suggest` proposes what
    to write.

    \b
    smpatch add-predict export/1 --inputs x:0 --outputs scores=head/Softmax:0
    smpatch add-predict --inputs 'ids=ragged(values=v:0,row_splits=r:0)' --outputs y:0
    smpatch add-predict --inputs 'ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)' --outputs y:0
    smpatch add-predict --function encode --outputs embedding=output_0
    smpatch add-predict --from-signature serving_default --signature embedding --outputs enc/Relu:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax, verbs

    if function is not None:
        _refuse("--function", {"--from-signature": from_signature})
        return verbs.promote_function(
            model,
            function,
            inputs=_names(inputs, "--inputs"),
            outputs=_names(outputs, "--outputs"),
            signature=signature,
            options=options,
        )
    if from_signature is not None:
        _refuse("--from-signature", {"--inputs": inputs})
        return verbs.derive_signature(
            model,
            from_signature,
            outputs=_names(_needed(outputs, "--outputs"), "--outputs") or {},
            signature=_needed(signature, "--signature"),
            options=options,
        )
    return verbs.add_predict(
        model,
        inputs=tensor_syntax.parse_tensors(_needed(inputs, "--inputs"), option="--inputs"),
        outputs=tensor_syntax.parse_tensors(_needed(outputs, "--outputs"), option="--outputs"),
        signature=DEFAULT_KEY if signature is None else signature,
        options=options,
    )


_Given = TypeVar("_Given")


def _needed(given: _Given | None, option: str) -> _Given:
    if given is None:
        hint = "see smpatch add-predict --help; smpatch suggest proposes what to write"
        raise UsageError(f"missing option '{option}'", hint=hint)
    return given


def _refuse(option: str, others: Mapping[str, object]) -> None:
    for name, given in others.items():
        if given is not None:
            found = f"{option} and {name} do not go together"
            raise UsageError(found, hint="see smpatch add-predict --help")


def _names(texts: list[str] | None, option: str) -> dict[str, str] | None:
    from smpatch import tensor_syntax

    return None if texts is None else tensor_syntax.parse_names(texts, option=option)


_Signature = Annotated[str, named("KEY", "The signature key.")]
_Tensor = "TENSOR"
_Examples = Annotated[
    str,
    named(_Tensor, "The serialized tf.train.Examples, a string tensor."),
]


@editing("add-classify", overwrite="Replace the signature that has the key.")
def add_classify(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    examples: _Examples,
    options: Options,
    model: Model = Path(),
    classes: Annotated[
        str | None,
        named(_Tensor, "The class labels, a string tensor."),
    ] = None,
    scores: Annotated[
        str | None,
        named(_Tensor, "The scores, a float32 tensor."),
    ] = None,
    signature: _Signature = DEFAULT_KEY,
) -> Receipt:
    """Add a classify signature: one input of tf.train.Examples, classes or scores or both.

    \b
    smpatch add-classify export/1 --examples tf_example:0 --classes labels:0 --scores probs:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax, verbs

    if classes is None and scores is None:
        hint = "name what it yields: the labels, the scores, or both"
        raise UsageError("neither --classes nor --scores is given", hint=hint)
    return verbs.add_classify(
        model,
        examples=tensor_syntax.parse_tensor(examples, option="--examples"),
        classes=None
        if classes is None
        else tensor_syntax.parse_tensor(classes, option="--classes"),
        scores=None if scores is None else tensor_syntax.parse_tensor(scores, option="--scores"),
        signature=signature,
        options=options,
    )


@editing("add-regress", overwrite="Replace the signature that has the key.")
def add_regress(
    examples: _Examples,
    predictions: Annotated[str, named(_Tensor, "The predictions, a float32 tensor.")],
    options: Options,
    model: Model = Path(),
    signature: _Signature = DEFAULT_KEY,
) -> Receipt:
    """Add a regress signature: one input of tf.train.Examples, one output of predictions.

    \b
    smpatch add-regress export/1 --examples tf_example:0 --predictions y:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax, verbs

    return verbs.add_regress(
        model,
        examples=tensor_syntax.parse_tensor(examples, option="--examples"),
        predictions=tensor_syntax.parse_tensor(predictions, option="--predictions"),
        signature=signature,
        options=options,
    )
