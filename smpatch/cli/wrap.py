"""``smpatch wrap``: a frozen graph becomes a SavedModel with its signature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import (
    Json,
    OpLibraries,
    ProofFeed,
    Quiet,
    TimeLimit,
    Validate,
    directory,
    named,
)
from smpatch.cli.interruption import watching
from smpatch.errors import UsageError
from smpatch.signature import DEFAULT_KEY

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Options
    from smpatch.suggestions import Output

_TENSORS = "[ALIAS=]TENSOR,..."
_TAG = "serve"
_PLACE = "DIR"
"""The placeholder of a directory that the user has to choose."""


def wrap(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    graph: Annotated[
        Path,
        typer.Argument(
            metavar="GRAPH", help="The file that holds the frozen GraphDef, .pb or .pbtxt."
        ),
    ],
    save_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=directory,
            help="The SavedModel directory to make, absent or empty.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        named(
            _TENSORS,
            "What is fed. A tensor is op:index, or op where the operation has one output. "
            "May be repeated.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        named(_TENSORS, "What is fetched, likewise."),
    ] = None,
    signature: Annotated[str, named("KEY", "The signature key.")] = DEFAULT_KEY,
    before: Annotated[
        list[str] | None,
        named(
            "FILE.py:NAME|RECIPE|DIR:KEY",
            "What yields these inputs, as for smpatch compose. May be repeated.",
        ),
    ] = None,
    after: Annotated[
        list[str] | None,
        named(
            "FILE.py:NAME|RECIPE|DIR:KEY",
            "What takes these outputs, as for smpatch compose. May be repeated.",
        ),
    ] = None,
    bind: Annotated[
        list[str] | None,
        named(
            "INPUT=VALUE",
            "One of these inputs that becomes a constant, as for smpatch compose. May be repeated.",
        ),
    ] = None,
    tag_set: Annotated[str, named("TAG,...", "The tags of the MetaGraph.")] = _TAG,
    init_op: Annotated[
        list[str] | None,
        named(
            "NAME,...",
            "The operation that servers run when they load the model, such as one that fills "
            "tables; of several all run.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but make the directory.")
    ] = False,
    validate: Validate = "auto",
    feed: ProofFeed = None,
    op_library: OpLibraries = None,
    time_limit: TimeLimit = 600.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a SavedModel of a frozen graph, with a predict signature, proved by reloading.

    The graph's bytes are copied as they are. Without --inputs and --outputs: what they could
    be, with the command to type for each.

    \b
    smpatch wrap frozen.pb
    smpatch wrap frozen.pb --save-to export/1 --inputs x:0 --outputs scores=head/Softmax:0
    smpatch wrap net.pb --save-to net/1 --inputs x:0,train:0 --outputs y:0 --bind train=false
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import frozen_graph, tensor_syntax
    from smpatch.cli.editing import report
    from smpatch.patcher import Options

    options = Options(
        dry_run=dry_run,
        validate=validate,
        feed=feed,
        op_libraries=op_library or (),
        time_limit=time_limit,
    )
    tags = tensor_syntax.parse_tags(tag_set)
    if inputs is None or outputs is None:
        missing = "--inputs" if inputs is None else "--outputs"
        end = [
            *([] if signature == DEFAULT_KEY else ["--signature", signature]),
            *([] if tag_set == _TAG else ["--tag-set", tag_set]),
            *(word for each in before or () for word in ("--before", each)),
            *(word for each in after or () for word in ("--after", each)),
            *(word for each in bind or () for word in ("--bind", each)),
            *(word for name in init_op or () for word in ("--init-op", name)),
            *(word for library in op_library or () for word in ("--op-library", str(library))),
        ]
        from smpatch.display import model_words

        start = ["smpatch", "wrap", *model_words(graph), "--save-to", str(save_to or _PLACE)]
        hint = _suggest(graph, options, (start, end), show=not (as_json or quiet))
        raise UsageError(f"missing option '{missing}'", hint=hint)
    if save_to is None:
        hint = f"name the directory to make: --save-to {_PLACE}"
        raise UsageError("missing option '--save-to'", hint=hint)
    with watching(graph, save_to):
        receipt = frozen_graph.wrap_graph(
            graph,
            save_to,
            inputs=tensor_syntax.parse_tensors(inputs, option="--inputs"),
            outputs=tensor_syntax.parse_tensors(outputs, option="--outputs"),
            signature=signature,
            before=before or (),
            after=after or (),
            bind=tensor_syntax.parse_constants(bind or (), option="--bind"),
            tags=tags,
            init_op=tensor_syntax.parse_list(init_op or (), option="--init-op"),
            options=options,
        )
        report("wrap", receipt, as_json=as_json, quiet=quiet)


def _suggest(
    graph: Path, options: Options, words: tuple[list[str], list[str]], *, show: bool
) -> str:
    """Print the outputs that could be served, and return the hint of the error."""
    from smpatch import frozen_graph
    from smpatch.cli.suggest import output_lines
    from smpatch.cli.suggested_commands import passable
    from smpatch.cli.terminal import data
    from smpatch.display import command_line

    def command(each: Output) -> str:
        fed = ",".join(passable(spec.name) for spec in each.inputs)
        start, end = words
        line = [*start, "--inputs", fed, "--outputs", each.spec.name, *end]
        return command_line(line)

    meta_graph, found = frozen_graph.suggest_for_graph(graph, options=options)
    if not found.outputs:
        return "nothing in this graph depends on a placeholder; see smpatch wrap --help"
    if not show:
        return f"such as: {command(found.outputs[0])}"
    data("\n".join(output_lines(found, meta_graph, command)))
    return "above is what could be served"
