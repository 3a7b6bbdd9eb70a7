"""``smpatch add-classify``: give a model the signature of TF Serving's Classify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing
from smpatch.errors import UsageError
from smpatch.signature import DEFAULT_KEY

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["add_classify"]


_Signature = Annotated[str, typer.Option(metavar="KEY", parser=text, help="The signature key.")]
_Tensor = "TENSOR"


@editing("add-classify", overwrite="Replace the signature that has the key.")
def add_classify(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    examples: Annotated[
        str,
        typer.Option(
            metavar=_Tensor, parser=text, help="The serialized tf.train.Examples, a string tensor."
        ),
    ],
    options: Options,
    model: Model = Path(),
    classes: Annotated[
        str | None,
        typer.Option(metavar=_Tensor, parser=text, help="The class labels, a string tensor."),
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(metavar=_Tensor, parser=text, help="The scores, a float32 tensor."),
    ] = None,
    signature: _Signature = DEFAULT_KEY,
) -> Receipt:
    """Add a classify signature: one input of tf.train.Examples, classes or scores or both.

    \b
    smpatch add-classify export/1 --examples tf_example:0 --classes labels:0 --scores probs:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import notation, patcher

    if classes is None and scores is None:
        hint = "name what it yields: the labels, the scores, or both"
        raise UsageError("neither --classes nor --scores is given", hint=hint)
    return patcher.add_classify(
        model,
        examples=notation.parse_tensor(examples, option="--examples"),
        classes=None if classes is None else notation.parse_tensor(classes, option="--classes"),
        scores=None if scores is None else notation.parse_tensor(scores, option="--scores"),
        signature=signature,
        options=options,
    )
