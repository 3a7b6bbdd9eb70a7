"""``smpatch rename``, ``copy``, ``remove``, ``retag``, ``copy-signatures``: keys and tags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, model_directory, named
from smpatch.cli.command_line import missing_key
from smpatch.cli.editing import editing
from smpatch.errors import UsageError

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Options, Receipt


_From = Annotated[
    str,
    named("KEY", "The key that the signature has.", "--from", keys=True),
]
_To = Annotated[str, named("KEY", "The key that it gets.", "--to")]


@editing("rename", overwrite="Replace the signature that has that key.")
def rename(
    source: _From,
    target: _To,
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Give a signature another key; what it says stays as it is.

    \b
    smpatch rename export/1 --from image_quality --to serving_default
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import verbs

    return verbs.rename_signature(model, source, target, options=options)


_Target = Annotated[str, named("KEY", "The key that it gets as well.", "--to")]


@editing("copy", overwrite="Replace the signature that has that key.")
def copy(
    source: _From,
    target: _Target,
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Serve a signature under a second key as well; both share the functions behind it.

    \b
    smpatch copy export/1 --from predict --to serving_default
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import verbs

    return verbs.copy_signature(model, source, target, options=options)


@editing("remove")
def remove(
    options: Options,
    model: Model = Path(),
    signature: Annotated[
        list[str] | None,
        named(
            "KEY,...",
            "Keys of signatures, or patterns such as 'debug_*'. May be repeated. Without it: "
            "the whole MetaGraph that has the tags of --tag-set.",
            keys=True,
            show_default=False,
        ),
    ] = None,
) -> Receipt:
    """Take signatures away, with what smpatch had appended for them alone, or a MetaGraph.

    What an exporter wrote for them (functions, nodes) stays, so that they can be added again.
    With --tag-set and without --signature, the whole MetaGraph that has these tags goes.

    \b
    smpatch remove export/1 --signature 'debug,tmp_*'
    smpatch remove export/1 --tag-set train
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from dataclasses import replace

    from smpatch import tensor_syntax, verbs

    if signature is None:
        if options.tag_set is None:
            raise missing_key(model, "remove", "--tag-set TAG,... removes a whole MetaGraph")
        if options.signature_def_only:
            hint = "remove signatures with --signature KEY,..., or the MetaGraph without it"
            found = "a whole MetaGraph has both halves of its signatures"
            raise UsageError(found, where="--signature-def-only", hint=hint)
        tags, others = options.tag_set, replace(options, tag_set=None)
        return verbs.remove_meta_graph(model, tags, options=others)
    keys = tensor_syntax.parse_list(signature, option="--signature")
    return verbs.remove_signatures(model, *keys, options=options)


@editing("retag", without=("tag_set", "signature_def_only"))
def retag(
    source: Annotated[
        str,
        named(
            "TAG,...|INDEX",
            "The tags that the MetaGraph has, or its place among the MetaGraphs, from 0.",
            "--from",
        ),
    ],
    target: Annotated[str, named("TAG,...", "The tags that it gets.", "--to")],
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Give a MetaGraph other tags. Loaders take the MetaGraph that has exactly those asked for.

    Tags that were saved as letters (s, e, r, v, e) are best named by place: --from 0.

    \b
    smpatch retag export/1 --from transform --to serve
    smpatch retag export/1 --from 0 --to serve,gpu
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax, verbs

    tags = tensor_syntax.parse_tags(source)
    is_place = source.isascii() and source.isdecimal() and len(source) < 10  # noqa: PLR2004 - an int32
    named = int(source) if is_place else tags
    return verbs.retag(model, named, tensor_syntax.parse_tags(target), options=options)


@editing("copy-signatures", overwrite="Replace signatures that have their keys.")
def copy_signatures(
    from_model: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=model_directory,
            help="The SavedModel directory that has the signatures.",
        ),
    ],
    options: Options,
    model: Model = Path(),
    signature: Annotated[
        list[str] | None,
        named(
            "KEY,...",
            "Which signatures. May be repeated. Default: all that can be taken over.",
            show_default=False,
        ),
    ] = None,
) -> Receipt:
    """Take signatures over from another export of the same graph, such as before a conversion.

    Those whose tensors are not in the model, or are others there, are left out and told.

    \b
    smpatch copy-signatures --from-model original/1 converted/1
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import other_export, tensor_syntax

    keys = None
    if signature is not None:
        keys = list(tensor_syntax.parse_list(signature, option="--signature"))
    return other_export.copy_signatures(model, from_model, keys=keys, options=options)
