"""The README says what is true: its examples are run and its lists are compared.

Nothing is normalised: what stands there as output is what comes out, byte for byte. What
needs a network (``pip install``) or builds an environment (``make``) is compared with what
it rests on instead.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from smpatch.cli.main import EXIT_CODES, application
from smpatch.errors import SmpatchError
from tests.tensorflow_says import OLDEST

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Of pip, of every program, of make prove and make bench, and of saved_model_cli.
NOT_OURS = {"--no-deps", "--group", "--help", "--readme", "--all"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of the README.

    Attributes:
        kind: The word behind the fence.
        text: What is inside.
    """

    kind: str
    text: str


Run = Callable[..., str]

BLOCKS = [
    Block(*each) for each in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
]


def _section(title: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def _commands() -> dict[str, set[str]]:
    """Return the options of each command, and of the program itself under no name."""
    group = typer.main.get_command(application())
    commands = {"": group, **getattr(group, "commands")}  # noqa: B009 - typer's classes are not public
    return {
        name: {option for each in command.params for option in each.opts if option[0] == "-"}
        for name, command in commands.items()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program where the README's reader would, and return what a terminal would show."""
    place = tmp_path_factory.mktemp("readme")
    (place / "fixtures").symlink_to(ROOT / "fixtures")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(arguments: list[str], *, talk: bool = True) -> str:
        done = subprocess.run(
            arguments,
            cwd=place,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if talk else subprocess.PIPE,
            check=False,
            timeout=300,
            text=True,
        )
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    return run


def test_what_is_shown_is_what_is_printed(run: Run) -> None:
    kinds = [block.kind for block in BLOCKS]
    assert kinds.count("console") >= 3
    assert kinds.count("python") >= 3
    for block, following in zip(BLOCKS, [*BLOCKS[1:], Block("", "")], strict=True):
        if block.kind == "console":
            lines = block.text.splitlines(keepends=True)
            printed = "".join(
                line + run(["/bin/sh", "-c", line.removeprefix("$ ")])
                for line in lines
                if line.startswith("$ ")
            )
            assert _told(printed) == _told(block.text)
        elif block.kind == "python":
            assert following.kind == "text", "what it prints belongs below it"
            # TensorFlow talks while it is imported.
            printed = run([sys.executable, "-c", block.text], talk=False)
            assert printed == following.text
        elif block.kind == "toml":
            Path(run(["/bin/pwd"]).strip(), "patch.toml").write_text(block.text, encoding="utf-8")
        elif block.kind == "sh":
            for line in block.text.splitlines():
                if shlex.split(line)[0] == "python":
                    (printed,) = run(["/bin/sh", "-c", line]).splitlines()
                    assert Path(printed).is_dir()


def _told(text: str) -> str:
    """Leave out what is another with another TensorFlow: a new model names the one that made it."""
    return re.sub(r"(?<=-> )\d+(?= bytes)", "N", text) if OLDEST else text


def test_an_embedding_is_shown_from_start_to_end() -> None:
    blocks = re.findall(
        r"^```(\w+)\n(.*?)^```$",
        _section("An embedding from a Keras model"),
        re.DOTALL | re.MULTILINE,
    )
    assert [kind for kind, _ in blocks] == ["console", "console", "python", "text"]
    typed = [
        line.split()[2]
        for kind, text in blocks
        for line in text.splitlines()
        if kind == "console" and line.startswith("$ smpatch ")
    ]
    assert typed == ["suggest", "add-predict", "show"]
    assert 'tf.saved_model.load("keras")' in blocks[2][1]
    assert 'signatures["embedding"]' in blocks[2][1]


def test_every_other_command_line_is_one_that_is_checked_here() -> None:
    lines = [line for block in BLOCKS if block.kind == "sh" for line in block.text.splitlines()]
    assert {shlex.split(line)[0] for line in lines} == {"pip", "make", "python"}
    assert {block.kind for block in BLOCKS} == {"console", "python", "text", "sh", "toml"}


def test_the_targets_are_in_the_makefile() -> None:
    named = set(re.findall(r"^make (\w+)$|`make (\w+)`", README, re.MULTILINE))
    targets = {one or other for one, other in named}
    assert {"demo", "test", "check", "bench"} <= targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^(\w+):.*## ", makefile, re.MULTILINE))


def test_what_pip_is_told_beside_tensorflow_cpu_is_what_the_package_needs() -> None:
    told = [shlex.split(line) for line in README.splitlines() if line.startswith("pip install")]
    assert told[:2] == [["pip", "install", "smpatch"], ["pip", "install", "--no-deps", "smpatch"]]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert listed
    ours = [Requirement(text) for text in re.findall(r'^    "(.*)",', listed[1], re.MULTILINE)]
    assert {each.name for each in ours} == {"protobuf", "tensorflow", "tomli", "typer"}
    assert {Requirement(text) for text in told[2][2:]} == {
        requirement for requirement in ours if requirement.name != "tensorflow"
    }


@pytest.mark.parametrize("command", sorted(_commands()))
def test_every_option_is_in_the_table_of_its_command_and_no_other(command: str) -> None:
    options = _commands()[command]
    if not command:
        assert all(f"{option}`" in README for option in options)
        return
    titles = re.findall(rf"^### (smpatch {command} .*)$", README, re.MULTILINE)
    assert len(titles) == 1, titles
    rows = [row for row in _section(titles[0]).splitlines() if row[:3] == "| `"]
    told = {option for row in rows for option in re.findall(r"`(-[-\w]+)", row.split(" | ")[0])}
    section = _section(titles[0])
    if "[options of all edits](#options-of-all-edits)" in section:
        _, _, but = section.partition("(#options-of-all-edits)")
        left_out = set(re.findall(r"`(-[-\w]+)", but.partition(".")[0]))
        told |= _options_of_all_edits() - left_out
    assert told == options - {"-h", "--help"}


def _options_of_all_edits() -> set[str]:
    rows = [row for row in _section("Options of all edits").splitlines() if row[:3] == "| `"]
    return {option for row in rows for option in re.findall(r"`(-[-\w]+)", row.split("|")[1])}


def test_no_option_is_mentioned_that_does_not_exist() -> None:
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose))
    assert mentioned - NOT_OURS <= set().union(*_commands().values())


def test_every_command_has_help_that_explains_each_option() -> None:
    group = typer.main.get_command(application())
    for command in (group, *getattr(group, "commands").values()):  # noqa: B009 - as above
        assert command.help
        for parameter in command.params:
            assert getattr(parameter, "help", None) or "--help" in parameter.opts, parameter.name


def test_the_exit_codes_are_those_of_the_help_and_of_the_errors() -> None:
    def below(kind: type[SmpatchError]) -> set[int]:
        return {kind.exit_code}.union(*(below(each) for each in kind.__subclasses__()))

    table = {
        int(code) for code in re.findall(r"^\| (\d+) \|", _section("Exit codes"), re.MULTILINE)
    }
    assert table == {0, 1, *below(SmpatchError), 130}
    assert table == {int(code) for code in re.findall(r"\b(\d+) \w", EXIT_CODES)}
