"""``smpatch suggest``: what of a model could become a signature, and what to type for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Json, Model, TagSet, text
from smpatch.cli.streams import data
from smpatch.cli.terminal import columns, printable, shape
from smpatch.loader import load
from smpatch.signature import TensorSpec

if TYPE_CHECKING:  # `smpatch show` does without what looks for suggestions
    from smpatch.planes.expose import Inner
    from smpatch.planes.promote import Promotable
    from smpatch.suggestions import Output, Suggestions

__all__ = ["suggest"]


def suggest(
    model: Model = Path(),
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            parser=text,
            help="Look into the functions that this signature calls, for inner tensors.",
        ),
    ] = None,
    tag_set: TagSet = None,
    as_json: Json = False,
) -> None:
    """Suggest what could become a signature, with the command to type for each.

    Outputs of the main graph that nothing consumes, with the placeholders that they need;
    functions that were traced; with --signature the tensors inside its functions. Needs no
    TensorFlow.
    """
    from smpatch import notation
    from smpatch.cli import machine
    from smpatch.suggestions import suggest as look

    opened = load(model)
    meta_graph = opened.meta_graph(None if tag_set is None else notation.parse_tags(tag_set))
    found = look(meta_graph, signature)
    commands = _Commands(model, tag_set, signature, found)
    if as_json:
        machine.write_suggestions(meta_graph, found, commands.all())
        return
    if signature is not None:
        lines = _inner_lines(found.inner, signature, commands)
    else:
        lines = [
            *_output_lines(found, commands),
            *_function_lines(found.functions, commands),
        ]
    data("\n".join(lines) if lines else "nothing that could become a signature was found")


_PASSED_ON = frozenset({"Identity", "PartitionedCall", "StatefulPartitionedCall"})
"""Operations whose results were computed elsewhere; no example to show."""


class _Commands:
    """What to type for each suggestion."""

    def __init__(
        self, model: Path, tag_set: str | None, signature: str | None, found: Suggestions
    ) -> None:
        self._found = found
        self._signature = signature or ""
        self._start = ["smpatch", "add-predict"]
        self._end = [] if tag_set is None else ["--tag-set", tag_set]
        if model != Path():
            self._start.append(str(model))
        from collections import Counter

        self._traces = Counter(each.path for each in found.functions)
        self._names = Counter(each.spec.name for each in found.inner)

    def all(self) -> dict[object, str]:
        """Return the commands of all suggestions, functions by the name of the function."""
        return {
            **{each: self.output(each) for each in self._found.outputs},
            **{each.function: self.function(each) for each in self._found.functions},
            **{each: self.inner(each) for each in self._found.inner},
        }

    def output(self, each: Output) -> str:
        inputs = ",".join(spec.name for spec in each.inputs)
        return self._line("--inputs", inputs, "--outputs", each.spec.name)

    def function(self, each: Promotable) -> str:
        name = each.path if each.path and self._traces[each.path] == 1 else each.function
        return self._line("--function", name)

    def inner(self, each: Inner) -> str:
        tensor = each.spec.name if self._names[each.spec.name] == 1 else each.path
        return self._line(
            "--from-signature", self._signature, "--signature", "NEW", "--outputs", tensor
        )

    def _line(self, *words: str) -> str:
        import shlex

        return printable(shlex.join([*self._start, *words, *self._end]))


def _output_lines(found: Suggestions, commands: _Commands) -> list[str]:
    if not found.outputs:
        return []
    lines = ["Outputs of the main graph that nothing consumes"]
    for each in found.outputs:
        lines += [f"  {_sketch(each.spec)}", f"    {commands.output(each)}"]
    if found.more_outputs:
        lines.append(f"  and {found.more_outputs} more that were not looked at")
    return lines


def _function_lines(functions: Sequence[Promotable], commands: _Commands) -> list[str]:
    # What TensorFlow keeps for itself (initializers, Keras's internals) is not proposed.
    offered = [each for each in functions if not _internal(each.path)]
    lines = ["Functions that were traced"] if offered else []
    for each in offered:
        given = ", ".join(_argument(name, spec) for name, spec in each.inputs.items())
        yielded = ", ".join(_argument(name, spec) for name, spec in each.outputs.items())
        lines.append(
            f"  {printable(each.path or each.function)}({given}) -> {yielded or 'nothing'}"
        )
        if each.outputs:
            lines.append(f"    {commands.function(each)}")
    return lines


def _inner_lines(inner: Sequence[Inner], signature: str, commands: _Commands) -> list[str]:
    """Return the inner tensors as a tree of calls."""
    if not inner:
        return [f"{printable(signature)} calls no functions"]
    lines = [f"Inside the functions that {printable(signature)} calls"]
    calls: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    for each in inner:
        if each.calls != calls:
            lines += columns(rows)
            rows = []
            calls = each.calls
            indent = "  " * len(calls)
            lines.append(f"{indent}{printable(calls[-1])} calls {printable(each.function)}")
        indent = "  " * (len(calls) + 1)
        row = (f"{indent}{printable(each.spec.name)}", each.op, each.spec.dtype)
        rows.append((*row, shape(each.spec.shape)))
    lines += columns(rows)
    computed = [each for each in inner if each.op not in _PASSED_ON] or inner
    return [*lines, "To expose one of them:", f"  {commands.inner(computed[-1])}"]


def _sketch(spec: TensorSpec) -> str:
    return f"{printable(spec.name)}  {spec.dtype} {shape(spec.shape)}"


def _argument(name: str, spec: TensorSpec) -> str:
    return f"{printable(name)}: {spec.dtype} {shape(spec.shape)}"


def _internal(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))
