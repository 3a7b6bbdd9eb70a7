"""The tests run every session on every page; each prints the text of the page, byte for byte.

A test runs one page, from its first block to its last, in a fresh directory that contains only
``fixtures``. The tests do not run commands that need a network (``pip install``) or build an
environment (``make``); ``test_lists`` compares them with the project.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import smpatch
from smpatch.cli import guard
from smpatch.cli.command_line import ordered
from smpatch.cli.main import application
from tests.docs.pages import PAGES, ROOT, Page
from tests.oracle import programs
from tests.prove import ledger
from tests.tensorflow_says import OLDEST

KINDS = {"console", "python", "text", "sh", "toml"}
ELSEWHERE = {"docs/beam.md", "docs/stores.md"}
"""Pages whose sessions need Beam or a server: ``tests/beam`` and ``tests/stores`` run them."""

HERE = [page for page in PAGES if page.name not in ELSEWHERE]

FAILING = ' || echo "exit code $?"'
"""The end of a command line with which a page shows that a command fails."""

START = "in a clone of this repository"


class Reader:
    """A reader of one page, who types the commands of the page.

    Attributes:
        place: The directory in which the reader works.
    """

    def __init__(self, place: Path) -> None:
        """Put the fixtures at the place that they have in a clone."""
        self.place = place
        (place / "fixtures").symlink_to(ROOT / "fixtures")
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self._env = {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(self, *arguments: str, errors: bool = True) -> str:
        """Run a program, and return its output, with or without its stderr."""
        done = subprocess.run(
            arguments,
            cwd=self.place,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.PIPE,
            check=False,
            timeout=300,
            text=True,
        )
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    def shell(self, line: str) -> str:
        """Run a line of a session.

        A single command of smpatch runs in this process, which takes a fifth of the time; so does
        one that fails. With ``make prove`` all commands run as they are typed.
        """
        command = line.rstrip("\n").removesuffix(FAILING)
        program, *words = shlex.split(command)
        alone = program == "smpatch" and not set("|&><;$`\n") & set(re.sub("'[^']*'", "", command))
        if ledger.LONG or not alone:
            return self.run("/bin/sh", "-c", line)
        arguments = [each for word in words for each in self._matching(word)]
        printed = io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            patched.chdir(self.place)
            patched.setattr(sys, "argv", [program, *arguments])
            code = guard.run(application(*ordered(arguments)[:1]))
        if code and FAILING in line:
            return f"{printed.getvalue()}exit code {code}\n"
        assert code == 0, printed.getvalue()
        return printed.getvalue()

    def _matching(self, word: str) -> list[str]:
        """Return the paths that a shell makes of a word, or the word if there are none."""
        if "*" not in word:
            return [word]
        found = sorted(str(each.relative_to(self.place)) for each in self.place.glob(word))
        return found or [word]

    def python(self, program: str) -> str:
        """Run a program, and return its output.

        A program that imports TensorFlow runs in a process that has imported it already, and
        another one that calls smpatch in this process; with ``make prove``, each in a new process.
        """
        if "import tensorflow" in program and not ledger.LONG:
            return programs.run("-c", program, cwd=self.place)
        if "import smpatch" in program and "logging" not in program and not ledger.LONG:
            with (
                pytest.MonkeyPatch.context() as patched,
                contextlib.redirect_stdout(io.StringIO()) as printed,
            ):
                patched.chdir(self.place)
                exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - of a page
            return printed.getvalue()
        # TensorFlow writes to stderr while it is imported.
        return self.run(sys.executable, "-c", program, errors=False)

    def console(self, text: str) -> str:
        """Run the commands of a session, and return the new session: commands and output."""
        commands = [line for line in text.splitlines(keepends=True) if line.startswith("$ ")]
        return "".join(line + self.shell(line.removeprefix("$ ")) for line in commands)


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.name)
def test_a_session_prints_what_the_page_shows(page: Page, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    shown = [block.text for block in page.blocks]
    for number, block in enumerate(page.blocks):
        if block.kind == "console":
            assert _told(reader.console(block.text), page) == _told(block.text, page)
        elif block.kind == "python":
            printed = reader.python(block.text)
            assert [printed] == shown[number + 1 : number + 2], "its output belongs below it"
        elif block.kind == "toml":
            (reader.place / "patch.toml").write_text(block.text, encoding="utf-8")
            smpatch.load_patch(reader.place / "patch.toml")
        elif block.kind == "sh":
            for line in block.text.splitlines():
                if shlex.split(line)[0] == "python":
                    (printed,) = reader.shell(line).splitlines()
                    assert Path(printed).is_dir()


def _told(text: str, page: Page) -> str:
    """Replace the sizes that differ.

    With another TensorFlow, a new model names that TensorFlow; and functions have longer names if
    the process traced more functions before.
    """
    traced = not ledger.LONG and "smpatch compose" in page.text
    return re.sub(r"[\d,]+(?= bytes)", "N", text) if OLDEST or traced else text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_tested(page: Page) -> None:
    assert {block.kind for block in page.blocks} <= KINDS
    # No page has a fence without a word, a fence in a list, or code that is only indented.
    assert "```" not in page.prose
    assert not re.search(r"^(?: {4}|\t)", page.prose, re.MULTILINE)
    kinds = [block.kind for block in page.blocks]
    for number, kind in enumerate(kinds):
        assert kind != "text" or kinds[number - 1 : number] == ["python"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_with_sessions_says_where_they_start(page: Page) -> None:
    if any(block.kind == "console" for block in page.blocks):
        assert START in " ".join(page.prose.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_is_not_run_is_compared_elsewhere(page: Page) -> None:
    lines = [
        line for block in page.blocks if block.kind == "sh" for line in block.text.splitlines()
    ]
    assert {shlex.split(line)[0] for line in lines} <= {"pip", "make", "python"}


def test_an_embedding_is_shown_from_start_to_end() -> None:
    (page,) = (each for each in PAGES if 'signatures["embedding"]' in each.text)
    (program,) = (block.text for block in page.blocks if 'signatures["embedding"]' in block.text)
    assert 'tf.saved_model.load("keras")' in program
    before = page.text.partition(program)[0]
    typed = re.findall(r"^\$ smpatch ([\w-]+) keras\b", before, re.MULTILINE)
    assert typed == ["suggest", "add-predict", "show"]
