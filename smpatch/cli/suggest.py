"""``smpatch suggest``: tensors and functions that could become a signature, with commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Json, Model, TagSet, named
from smpatch.cli.page import Html, Overwrite, check_options
from smpatch.cli.terminal import data, talk
from smpatch.display import columns, command_line, printable
from smpatch.errors import ValidationError
from smpatch.loader import load
from smpatch.savedmodel.directory import naming
from smpatch.signature import Shape, TensorSpec, shape_text

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.cli.suggested_commands import Commands
    from smpatch.functions.inner_tensors import Inner
    from smpatch.loader import MetaGraph
    from smpatch.page import Proposal
    from smpatch.suggestions import Function, Output, Suggestions
    from smpatch.validator import Validator


def suggest(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    model: Model = Path(),
    signature: Annotated[
        str | None,
        named(
            "KEY",
            "List the tensors between the inputs and outputs of this signature, in the main "
            "graph and inside the functions that it calls.",
            keys=True,
        ),
    ] = None,
    match: Annotated[
        str,
        named(
            "PATTERN",
            "List only tensors and functions of this pattern, such as '*Relu*'; in the main "
            "graph also tensors that other nodes consume.",
            show_default=False,
        ),
    ] = "",
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="List also what serves training, saving and watching: summaries, gradients, "
            "savers, assertions, shapes, switches.",
        ),
    ] = False,
    html: Html = None,
    overwrite: Overwrite = False,
    tag_set: TagSet = None,
    as_json: Json = False,
) -> None:
    """Suggest what could become a signature, with the command to type for each.

    Outputs of the main graph that nothing consumes, with the placeholders that they need;
    functions that were traced, those for training last; with --signature the tensors between
    its inputs and outputs, also inside the functions that it calls. TensorFlow is asked only
    for what the model does not say: shapes of inner tensors, operations of early exports. NEW
    stands where a key has to be chosen.

    \b
    smpatch suggest export/1
    smpatch suggest export/1 --signature serving_default --match '*Relu*'
    smpatch suggest export/1 --html page.html
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import tensor_syntax
    from smpatch.cli import machine, page
    from smpatch.cli.suggested_commands import Commands
    from smpatch.functions.dataflow import dataflow
    from smpatch.suggestions import suggest as look

    check_options(html, overwrite=overwrite, as_json=as_json)
    opened = load(model)
    meta_graph = opened.meta_graph(None if tag_set is None else tensor_syntax.parse_tags(tag_set))
    with naming(opened.file), _TensorFlow() as asked:
        meta_graph = asked.defined(meta_graph)
        wanted = None if html is not None else signature
        found = look(meta_graph, wanted, asked.infer, match=match, everything=everything)
        commands = Commands(model, tag_set, signature, meta_graph)
        if opened.form == "text" and meta_graph.has_object_graph and len(opened.meta_graphs) == 1:
            commands.leave_objects_alone()
        if html is not None:
            made = page.section(
                meta_graph,
                model,
                tag_set,
                signature=signature,
                proposals=_proposals(found, commands),
                notes=[asked.remark] if asked.remark else [],
                infer=asked.infer,
            )
            shown = page.Shown(match, everything)
            page.write_page(html, opened, model, [made], shown, overwrite=overwrite)
            return
    if asked.remark:  # after the block: an error in the block needs no remark
        talk(asked.remark)
    if as_json:
        flow = None if signature is None else dataflow(meta_graph, meta_graph.signatures[signature])
        machine.write_suggestions(meta_graph, found, commands.all(found), flow)
        return
    if signature is not None:
        lines = _inner_lines(found, signature, commands, match)
    else:
        lines = [
            *output_lines(
                found, meta_graph, lambda each: command_line(commands.output(each)), match=match
            ),
            *_function_lines(found.functions, commands),
            *_further_lines(found.deep, commands),
            *_composed_lines(found),
        ]
    nothing = "nothing that could become a signature was found"
    data("\n".join(lines) if lines else _unmatched(match) or nothing)


class _TensorFlow:
    """TensorFlow in a child process, which starts with the first question.

    If it cannot be asked, facts that the model does not record stay unknown.

    Attributes:
        remark: A line about the operations that have no definition; empty if all have one.
    """

    def __init__(self) -> None:
        self.remark = ""
        self._open = ExitStack()
        self._validator: Validator | None = None

    def __enter__(self) -> _TensorFlow:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def defined(self, meta_graph: MetaGraph) -> MetaGraph:
        """Return a MetaGraph with the definitions of its operations that are known."""
        from smpatch.suggestions import undefined

        if meta_graph.op_defs and meta_graph.functions.complete:
            return meta_graph
        with suppress(ValidationError):
            meta_graph = meta_graph.with_op_defs(self._asked().op_defs())
        missing = undefined(meta_graph)
        if missing:
            more = f" and {len(missing) - _FEW} more" if len(missing) > _FEW else ""
            names = printable(", ".join(each or "''" for each in missing[:_FEW])) + more
            left_out = "what these operations yield is left out"
            self.remark = f"note: nothing here defines {names}; {left_out}"
        return meta_graph

    def infer(self, graph: bytes, tensors: Sequence[str]) -> Mapping[str, Shape]:
        """Return the shapes that TensorFlow can infer, for some tensors of a ``GraphDef``."""
        with suppress(ValidationError):
            return self._asked().infer(graph, tensors)
        return {}

    def _asked(self) -> Validator:
        from smpatch.validator.lending import validator_for

        if self._validator is None:
            self._validator = self._open.enter_context(validator_for("runtime", (), _PATIENCE))
        return self._validator


_PATIENCE = 60.0
"""The longest wait for an answer of TensorFlow, in seconds."""

_FEW = 5
"""The most operations that a remark names."""


def output_lines(
    found: Suggestions,
    meta_graph: MetaGraph,
    command: Callable[[Output], str],
    *,
    match: str = "",
) -> list[str]:
    """Return lines with the outputs of the main graph, each with its command."""
    if not found.outputs:
        return []
    served = {
        tensor.name: f"output {alias} of {key}"
        for key, signature in meta_graph.signatures.items()
        for alias, spec in signature.outputs.items()
        for tensor in spec.tensors()
    }
    title = f"Tensors of the main graph that match {printable(match)}"
    lines = [title if match else "Outputs of the main graph that nothing consumes"]
    for each in found.outputs:
        if each.spec.name in served:
            lines.append(f"  {_sketch(each.spec)}  (already {printable(served[each.spec.name])})")
        else:
            lines += [f"  {_sketch(each.spec)}", f"    {command(each)}"]
    if found.more_outputs:
        lines.append(f"  and {found.more_outputs} more that were not looked at")
    return lines


def _function_lines(functions: Sequence[Function], commands: Commands) -> list[str]:
    lines = ["Functions that were traced"] if functions else []
    for each in functions:
        lines.append(f"  {_call(each)}")
        refusal = printable(f"not possible: {each.refusal}")
        lines.append(f"    {refusal if each.refusal else command_line(commands.function(each))}")
    return lines


def _call(each: Function) -> str:
    """Return a function with its arguments and results, in the syntax of Python."""
    traced = each.traced
    given = [_argument(name, spec) for name, spec in traced.inputs.items()]
    yielded = ", ".join(_argument(name, spec) for name, spec in traced.outputs.items())
    call = f"{traced.path or traced.function}({', '.join([*given, *traced.constants])})"
    # A function whose results cannot be served has no outputs here.
    remark = f"  (for training: {each.remark})" if each.remark else ""
    return printable(call) + (f" -> {yielded}" if yielded else "") + remark


def _proposals(found: Suggestions, commands: Commands) -> list[Proposal]:
    """Return the proposals of a page: outputs and functions."""
    from smpatch.page import Proposal

    outputs = [Proposal(_sketch(each.spec), commands.output(each)) for each in found.outputs]
    functions = [
        Proposal(_call(each), () if each.refusal else commands.function(each), each.refusal)
        for each in found.functions
    ]
    return [*outputs, *functions]


def _further_lines(keys: Sequence[str], commands: Commands) -> list[str]:
    if not keys:
        return []
    lines = ["Inside the functions that a signature calls are more; these list them"]
    return [*lines, *(f"  {commands.look_into(key)}" for key in keys)]


def _composed_lines(found: Suggestions) -> list[str]:
    lines = ["Signatures that are composed"] if found.composed else []
    return [*lines, *(printable(f"  {key}  {each}") for key, each in found.composed.items())]


def _unmatched(pattern: str) -> str:
    """Return a line for a pattern that nothing matches; empty if there is no pattern."""
    said = "upper and lower case letters are different, and * is any text"
    return f"nothing matches {printable(pattern)} ({said})" if pattern else ""


def _inner_lines(found: Suggestions, signature: str, commands: Commands, pattern: str) -> list[str]:
    """Return lines with the inner tensors as a tree of calls."""
    from smpatch.graph.index import op_of
    from smpatch.graph.operations import automatic

    inner = found.inner
    shown = [each for each in inner if not automatic(op_of(each.spec.name))]
    if not shown:
        nothing = "no tensor between the inputs and outputs of"
        return [_unmatched(pattern) or f"{nothing} {printable(signature)} can be exposed"]
    names = commands.spelled(found)
    lines: list[str] = []
    between = [each for each in shown if not each.calls]
    if between:
        lines.append(f"Between the inputs and outputs of {printable(signature)}")
        lines += columns([_row(each) for each in between], indent="  ")
    if len(shown) > len(between):
        lines.append(f"Inside the functions that {printable(signature)} calls")
    bodies = {each.calls: each.function for each in inner}
    shown_ways: set[tuple[str, ...]] = set()
    for calls, tensors in groupby(shown[len(between) :], key=lambda each: each.calls):
        for depth in range(1, len(calls) + 1):
            way = calls[:depth]
            if way not in shown_ways:
                shown_ways.add(way)
                body = bodies.get(way, "a function")
                lines.append(f"{'  ' * depth}{printable(way[-1])} calls {printable(body)}")
        rows = []
        for each in tensors:
            name = names[each]
            # The text to write if the name is not enough.
            longer = f"write {printable(name)}" if name != each.spec.name else ""
            rows.append((*_row(each), longer))
        lines += columns(rows, indent="  " * (len(calls) + 1))
    lines.append("To get the last of them as a signature:")
    return [*lines, f"  {commands.inner(names[shown[-1]])}"]


def _row(each: Inner) -> tuple[str, ...]:
    spec = each.spec
    return (printable(spec.name), printable(each.op), spec.dtype, shape_text(spec.shape))


def _sketch(spec: TensorSpec) -> str:
    return f"{printable(spec.name)}  {spec.dtype} {shape_text(spec.shape)}"


def _argument(name: str, spec: TensorSpec) -> str:
    return f"{printable(name)}: {spec.dtype} {shape_text(spec.shape)}"
