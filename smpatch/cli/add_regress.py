"""``smpatch add-regress``: give a model the signature of TF Serving's Regress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing
from smpatch.signature import DEFAULT_KEY

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["add_regress"]


_Signature = Annotated[str, typer.Option(metavar="KEY", parser=text, help="The signature key.")]
_Tensor = "TENSOR"


@editing("add-regress", overwrite="Replace the signature that has the key.")
def add_regress(
    examples: Annotated[
        str,
        typer.Option(
            metavar=_Tensor, parser=text, help="The serialized tf.train.Examples, a string tensor."
        ),
    ],
    predictions: Annotated[
        str, typer.Option(metavar=_Tensor, parser=text, help="The predictions, a float32 tensor.")
    ],
    options: Options,
    model: Model = Path(),
    signature: _Signature = DEFAULT_KEY,
) -> Receipt:
    """Add a regress signature: one input of tf.train.Examples, one output of predictions.

    \b
    smpatch add-regress export/1 --examples tf_example:0 --predictions y:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import notation, patcher

    return patcher.add_regress(
        model,
        examples=notation.parse_tensor(examples, option="--examples"),
        predictions=notation.parse_tensor(predictions, option="--predictions"),
        signature=signature,
        options=options,
    )
