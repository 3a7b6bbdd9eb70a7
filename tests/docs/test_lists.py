"""The lists of the pages have exactly the items that the program and the project have."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator

import pytest
import typer
from packaging.requirements import Requirement

import smpatch
from smpatch.checker import CONSUMERS
from smpatch.cli.main import EXIT_CODES, application
from smpatch.edits.edit_signature import CHANGES
from smpatch.errors import SmpatchError
from smpatch.patchfile.document import _KINDS
from tests.docs.pages import PAGES, README, ROOT, Page, page

COMMANDS = page("docs/commands.md")
# Options of pip, of every program, of make prove and make bench, and of saved_model_cli.
NOT_OURS = {"--no-deps", "--group", "--help", "--write", "--all"}
NOT_OURS |= {"--models", "--outcomes", "--runner", "--direct"}  # of smpatch.beam and of Beam


def _commands() -> dict[str, set[str]]:
    """Return the options of each command, and those of the program itself under an empty name."""
    group = typer.main.get_command(application())
    commands = {"": group, **getattr(group, "commands")}  # noqa: B009 - typer's classes are not public
    return {
        name: {option for each in command.params for option in each.opts if option[0] == "-"}
        for name, command in commands.items()
    }


def _options(rows: str) -> set[str]:
    """Return the options in the first column of a table."""
    found = [row.split(" | ")[0] for row in rows.splitlines() if row.startswith("| `")]
    return {option for cell in found for option in re.findall(r"`(-[-\w]+)", cell)}


@pytest.mark.parametrize("command", sorted(_commands()))
def test_every_option_is_in_the_table_of_its_command_and_no_other(command: str) -> None:
    options = _commands()[command]
    if not command:
        assert all(f"{option}`" in COMMANDS.text for option in options)
        return
    titles = re.findall(rf"^#+ (smpatch {command} .*)$", COMMANDS.text, re.MULTILINE)
    assert len(titles) == 1, titles
    section = COMMANDS.section(titles[0])
    listed = _options(section)
    _, link, but = section.partition("[options of all edits](#options-of-all-edits)")
    if link:
        left_out = set(re.findall(r"`(-[-\w]+)", but.partition(".")[0]))
        listed |= _options(COMMANDS.section("Options of all edits")) - left_out
    assert listed == options - {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_option_is_mentioned_that_does_not_exist(page: Page) -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.prose))
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

    rows = COMMANDS.section("Exit codes")
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", rows, re.MULTILINE)}
    assert table == {0, 1, *below(SmpatchError), 130}
    assert table == {int(code) for code in re.findall(r"\b(\d+) \w", EXIT_CODES)}


def test_the_targets_are_in_the_makefile() -> None:
    targets = {
        target
        for page in PAGES
        for found in re.findall(r"^make (\w+)|`make (\w+)", page.text, re.MULTILINE)
        for target in found
        if target
    }
    assert {"demo", "test", "check", "bench", "prove"} <= targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^(\w+):.*## ", makefile, re.MULTILINE))


def test_the_installation_beside_tensorflow_cpu_names_what_the_package_needs() -> None:
    lines = [
        shlex.split(line) for line in README.text.splitlines() if line.startswith("pip install")
    ]
    assert lines[:2] == [["pip", "install", "."], ["pip", "install", "--no-deps", "."]]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert listed
    ours = [Requirement(text) for text in re.findall(r'^    "(.*)",', listed[1], re.MULTILINE)]
    assert {each.name for each in ours} == {"protobuf", "tensorflow", "tomli", "typer"}
    assert {Requirement(text) for text in lines[2][2:]} == {
        requirement for requirement in ours if requirement.name != "tensorflow"
    }


def test_the_codes_of_findings_are_those_of_the_checks() -> None:
    check = page("docs/check.md")
    cells = re.findall(r"^\| (`[^|]*) \| (?:fault|note)", check.text, re.MULTILINE)
    listed = [code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)]
    assert len(listed) == len(set(listed))
    named, texts = set(), set()
    for tree in _sources("checker", "warmup", "rules.py"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in {
                "fault",
                "note",
                "_fault",
                "Misfit",
            }:
                first = node.args[0]
                named |= {first.value} if isinstance(first, ast.Constant) else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    assert named <= set(listed)
    made = {f"required-{part}" for part in ("input", "output")}
    assert set(listed) <= named | texts | made


def _sources(*rooms: str) -> Iterator[ast.Module]:
    for room in rooms:
        place = ROOT / "smpatch" / room
        for file in (place, *place.rglob("*.py")):
            if file.is_file():
                yield ast.parse(file.read_text(encoding="utf-8"))


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_the_readers_are_those_of_the_checks() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", page("docs/check.md").section("Readers"), re.MULTILINE)
    assert tuple(rows) == CONSUMERS


def test_the_verbs_of_a_patch_file_are_those_of_the_program() -> None:
    format_ = page("docs/patch-files.md").section("Format")
    rows = re.findall(r"^\| `([a-z-]+)` \|[^|]*\|(.*)\|$", format_, re.MULTILINE)
    keys = {verb: cell.strip() for verb, cell in rows}
    assert keys.keys() == _KINDS.keys()
    assert keys["edit"] == ", ".join(f"`{change}`" for change in CHANGES)


def test_the_schemas_are_those_that_are_installed() -> None:
    rows = re.findall(
        r"\| `(\w+)` \| `([\w-]+)\.json` \|$", page("docs/json.md").text, re.MULTILINE
    )
    schemas = {file.stem for file in (ROOT / "smpatch/cli/schemas").glob("*.json")}
    assert {schema for _, schema in rows} == schemas - {"common"}
    assert "`common.json`" in page("docs/json.md").text
    assert all(key == schema.replace("-", "_") for key, schema in rows)


def test_the_functions_are_those_of_the_library() -> None:
    cells = re.findall(r"^\| (`.*?) \|", page("docs/library.md").section("Functions"), re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    functions = {name for name in smpatch.__all__ if inspect.isroutine(getattr(smpatch, name))}
    assert listed == functions


def test_the_errors_are_those_of_the_library() -> None:
    rows = page("docs/library.md").section("Errors")
    listed = re.findall(r"^\| (&nbsp; )?`(\w+)` \| (\d) \|", rows, re.MULTILINE)
    parent = SmpatchError
    for indented, name, code in listed:
        kind = getattr(smpatch, name)
        assert kind.__bases__ == (parent if indented else SmpatchError,)
        assert kind.exit_code == int(code)
        parent = parent if indented else kind
    errors = {name for name in smpatch.__all__ if name.endswith("Error")}
    assert {name for _, name, _ in listed} == errors - {"SmpatchError"}
