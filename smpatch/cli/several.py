"""One command on one or several models.

With several models each line names its model, and the exit code is the highest of all. If a model
fails, the others are processed all the same. With ``--json`` the answers are one document, which
``schemas/models.json`` describes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import typer

from smpatch.cli import log
from smpatch.cli.terminal import data, talk
from smpatch.display import printable
from smpatch.errors import SmpatchError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of a command for one model.

    Attributes:
        lines: The lines for a person, escaped.
        body: The answer for JSON.
        exit_code: 0, or 1 for a fault or a difference.
        summary: One line for stderr if the lines are not printed; empty for none.
        notes: Lines for stderr after the summary.
    """

    lines: Sequence[str]
    body: Mapping[str, object]
    exit_code: int = 0
    summary: str = ""
    notes: Sequence[str] = ()


def answers(
    models: Sequence[Path], work: Callable[[Path], Answer]
) -> Iterator[tuple[Path, Answer | SmpatchError]]:
    """Yield the answer or the error for each model, one after the other."""
    for model in models:
        yield model, _tried(model, work)


def _tried(model: Path, work: Callable[[Path], Answer]) -> Answer | SmpatchError:
    try:
        return work(model)
    except SmpatchError as error:
        return error


def print_answers(
    command: str,
    found: Iterable[tuple[Path, Answer | SmpatchError]],
    *,
    several: bool,
    as_json: bool,
    quiet: bool = False,
) -> int:
    """Print the answers, and return the exit code.

    Raises:
        SmpatchError: There is only one model, and it failed.
    """
    worst = 0
    document: list[dict[str, object]] = []
    for model, answer in found:
        worst = max(worst, answer.exit_code)
        if isinstance(answer, SmpatchError):
            if not several:
                raise answer
            talk(failure(model, answer))
        else:
            name = f"{printable(str(model))}: " if several else ""
            if not (as_json or quiet):
                data("\n".join(_named(answer.lines, name)))
            elif as_json and not several:
                _write(command, answer.body)
            _remarks(answer, name, quiet=quiet, as_json=as_json)
        if as_json and several:
            document.append(_item(model, answer))
    if as_json and several:
        _write("models", {"command": command, "models": document})
    return worst


def _named(lines: Iterable[str], name: str) -> Iterator[str]:
    """Yield the lines, each with the name of the model before it; without a name, unchanged."""
    bare = name.removesuffix(": ")
    for line in lines:
        if not name:
            yield line
        elif line:
            # A heading begins with the model already.
            begins = line.startswith((f"{bare}/", f"{bare} (", name))
            yield line if begins else f"{name}{line}"


def failure(model: Path, error: SmpatchError) -> str:
    """Return the line about a model that failed, with the model if the error does not name it."""
    line, where = str(error), str(model)
    return printable(f"smpatch: {line}" if line.startswith(where) else f"smpatch: {where}: {line}")


def collected(finished: Iterator[_T], count: int, *, quiet: bool) -> Iterator[_T]:
    """Yield the results of finished models, and show their number on a terminal."""
    with _bar(count, quiet=quiet) as advance:
        for each in finished:
            yield each
            advance(1)


@contextmanager
def _bar(count: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal if there is more than one model."""
    if not shows_bar(count, quiet=quiet):
        yield lambda _: None
        return
    log.stop()
    with typer.progressbar(length=count, label="models", show_pos=True, file=sys.stderr) as bar:
        yield bar.update


def shows_bar(count: int, *, quiet: bool) -> bool:
    """Return whether a bar is shown while models are processed."""
    hidden = quiet or log.verbose() or count == 1
    return not hidden and sys.stderr is not None and sys.stderr.isatty()


def _remarks(answer: Answer, name: str, *, quiet: bool, as_json: bool) -> None:
    if answer.summary and (quiet or as_json):
        talk(f"smpatch: {answer.summary}")
    if not quiet:
        for note in answer.notes:
            talk(f"smpatch: note: {name}{note}")


def _item(model: Path, answer: Answer | SmpatchError) -> dict[str, object]:
    from smpatch.cli import machine

    body, error = (
        (None, machine.error_body(answer))
        if isinstance(answer, SmpatchError)
        else (answer.body, None)
    )
    return {"model": str(model), "exit_code": answer.exit_code, "result": body, "error": error}


def _write(what: str, body: object) -> None:
    from smpatch.cli import machine

    machine.write(what, body)
