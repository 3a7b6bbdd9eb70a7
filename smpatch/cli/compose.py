"""``smpatch compose``: a signature with functions before and after another one, and constants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, named
from smpatch.cli.editing import editing

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Options, Receipt


def _recipes(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if not value:
        return
    from smpatch.cli.terminal import data
    from smpatch.display import columns
    from smpatch.recipes import RECIPES

    for place in ("before", "after"):
        for each in RECIPES:
            if each.place != place:
                continue
            data(f"--{place} {each.example}")
            data(f"  {each.help}")
            rows = [(argument.name, argument.kind, argument.words) for argument in each.arguments]
            data("\n".join(columns(rows, indent="    ")))
    raise typer.Exit


@editing("compose", overwrite="Replace the signature that has the key.")
def compose(  # noqa: PLR0913 - the options of the command
    from_signature: Annotated[
        str,
        named("KEY", "The signature to start from; it stays as it is.", keys=True),
    ],
    signature: Annotated[str, named("KEY", "The key of the new signature.")],
    before: Annotated[
        list[str] | None,
        named(
            "FILE.py:NAME|RECIPE|DIR:KEY",
            "What yields inputs of the signature: a function of a Python file, a recipe "
            "such as 'image=decode_image(224, 224)', or a signature of another "
            "model. May be repeated; the first runs first.",
        ),
    ] = None,
    after: Annotated[
        list[str] | None,
        named(
            "FILE.py:NAME|RECIPE|DIR:KEY",
            "What takes outputs of the signature, likewise, such as "
            "'top_k(scores, 5, labels=labels.txt)'.",
        ),
    ] = None,
    bind: Annotated[
        list[str] | None,
        named(
            "INPUT=VALUE",
            "An input that becomes a constant and is not an input of the new signature. The "
            "value is JSON, or a file FILE.npy; it has the input's shape or that of its last "
            "dimensions, and is then repeated for each of the batch. May be repeated.",
        ),
    ] = None,
    *,
    from_input: Annotated[
        list[str] | None,
        named(
            "ALIAS=TENSOR",
            "A tensor between the inputs and outputs that becomes an input, also one inside a "
            "function. What lies before it is not computed, and inputs that only that needs go. "
            "May be repeated.",
        ),
    ] = None,
    dummy_input: Annotated[
        str | None,
        named("ALIAS", "An input that nothing reads, float32 [?], for a signature without inputs."),
    ] = None,
    pass_: Annotated[
        list[str] | None,
        named(
            "INPUT[=ALIAS]",
            "An input that comes out as an output, too, such as a key. May be repeated.",
            "--pass",
        ),
    ] = None,
    keep_as: Annotated[
        str | None,
        named(
            "KEY", "The key under which the signature is kept that has the key of the new one now."
        ),
    ] = None,
    recipes: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option(
            "--recipes",
            callback=_recipes,
            is_eager=True,
            help="List the recipes and their arguments.",
        ),
    ] = False,
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Make a signature of another one: with functions before and behind it, and constants.

    A Python file is your own code and runs with your rights, in a process of its own.
    smpatch compose --recipes lists the recipes with their arguments.

    \b
    smpatch compose --from-signature raw --signature jpeg --before 'image=decode_image(224, 224)'
    smpatch compose --from-signature raw --signature text --before pre.py:tokenize
    smpatch compose --from-signature embed --signature serve --after classifier/1:serving_default
    smpatch compose export/1 --from-signature serving_default --signature serve --bind dropout=0.0
    smpatch compose --from-signature predict --signature serve --bind 'ids=[0, 1]' --bind w=w.npy
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax, verbs

    passed = [each.partition("=") for each in pass_ or ()]
    kept = [f"{alias or name}=identity({name!r})" for name, _, alias in passed]
    return verbs.compose_signature(
        model,
        from_signature,
        signature=signature,
        before=before or (),
        after=[*(after or ()), *kept],
        from_input=tensor_syntax.parse_names(from_input or (), option="--from-input"),
        dummy_input=dummy_input,
        bind=tensor_syntax.parse_constants(bind or (), option="--bind"),
        keep_as=keep_as,
        options=options,
    )
