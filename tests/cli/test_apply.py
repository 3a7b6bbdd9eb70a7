"""``smpatch apply``: its text and its JSON about many models."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from smpatch.cli.apply import _OPTIONS
from smpatch.cli.main import application
from smpatch.loader import load
from tests.cli.conftest import FIXTURES, QUICK, Run, content
from tests.cli.test_schemas import VALIDATORS

PATCH = """
version = 1
[[edit]]
add-predict = "added"
inputs = "x:0"
outputs = "y:0"
[[edit]]
rename = "scale"
to = "renamed"
"""

MISSING = "x:0: no such node in the graph"
HINT = "(its export or its copy did not finish)"

Make = Callable[[int], list[Path]]


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    """Write a patch file whose edits the small fixture accepts."""
    file = tmp_path / "patch.toml"
    file.write_text(PATCH)
    return file


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes copies of a small model."""

    def copies(count: int) -> list[Path]:
        places = [tmp_path / f"model-{number}" for number in range(count)]
        return [Path(shutil.copytree(FIXTURES / "models" / "linear", each)) for each in places]

    return copies


def test_a_summary_of_what_was_done(call: Run, patch: Path, make: Make) -> None:
    models = make(3)
    said = call("apply", patch, models[0], *QUICK)
    assert (said.code, said.err) == (0, "")
    assert said.out == "1 model: 1 edited; not reloaded (--validate none)\n"
    assert set(load(models[0]).signatures) == {"added", "renamed"}
    said = call("apply", patch, *models, *QUICK)
    assert said.out == ("3 models: 2 edited, 1 already applied; not reloaded (--validate none)\n")
    said = call("apply", patch, *models, *QUICK, "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_reloaded_and_with_a_backup(call: Run, patch: Path, make: Make) -> None:
    models = make(2)
    said = call("apply", patch, *models, "--backup", "--jobs", "1")
    assert (said.code, said.out, said.err) == (0, "2 models: 2 edited\n", "")
    for model in models:
        before = (FIXTURES / "models" / "linear" / "saved_model.pb").read_bytes()
        assert (model / "saved_model.pb.backup").read_bytes() == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    call: Run, patch: Path, make: Make
) -> None:
    models = make(3)
    call("apply", patch, models[0], *QUICK)
    (models[1] / "saved_model.pb").unlink()
    before = [content(model) for model in models]
    said = call("apply", patch, *models, *QUICK, "--dry-run")
    file = models[2] / "saved_model.pb"
    assert said.out == (
        f"added would be added to {file} (MetaGraph serve)\n"
        f"scale would be renamed to renamed in {file} (MetaGraph serve)\n"
        "3 models: 1 would be edited, 1 already applied, 1 would fail; nothing was written\n"
    )
    assert said.code == 3
    assert [content(model) for model in models] == before


def test_each_failure_has_its_line_and_the_worst_gives_the_exit_code(
    call: Run, patch: Path, make: Make
) -> None:
    models = make(4)
    (models[1] / "saved_model.pb").write_bytes(b"")
    shutil.rmtree(models[2])
    shutil.copytree(FIXTURES / "models" / "keras_functional", models[2])
    said = call("apply", patch, *models, *QUICK, "--jobs", "1")
    assert said.code == 4
    assert said.err.splitlines() == [
        f"smpatch: {models[1]}/saved_model.pb: the file is empty {HINT}",
        f"smpatch: {models[2]}: {patch}, line 3 (add-predict added): {MISSING}",
    ]
    assert said.out == "4 models: 2 edited, 2 failed; not reloaded (--validate none)\n"


def test_json_of_every_outcome(call: Run, patch: Path, make: Make) -> None:
    models = make(3)
    call("apply", patch, models[0], *QUICK)
    (models[1] / "saved_model.pb").unlink()
    for options in ((), ("--dry-run",)):
        said = call("apply", patch, *models, *QUICK, "--json", *options)
        VALIDATORS["apply"].validate(said.document)
        body = said.document["apply"]
        assert said.code == 3
        assert body["counts"] == {"edited": 1, "unchanged": 1, "failed": 1}
        assert [each["model"] for each in body["models"]] == [str(each) for each in models]
        assert [each["exit_code"] for each in body["models"]] == [0, 3, 0]
        assert body["models"][1]["error"]["kind"] == "ModelUnreadableError"
        assert body["models"][1]["receipt"] is None
        changes = body["models"][2]["receipt"]["changes"]
        assert [(each["key"], each["outcome"], each["was"]) for each in changes] == [
            ("added", "added", None),
            ("renamed", "renamed", "scale"),
        ]
        (models[2] / "saved_model.pb").write_bytes(
            (FIXTURES / "models" / "linear" / "saved_model.pb").read_bytes()
        )


def test_a_wrong_file_is_told_fault_by_fault_and_nothing_done(
    call: Run, patch: Path, make: Make
) -> None:
    models = make(2)
    patch.write_text(PATCH + '[[edit]]\nremve = "k"\n[[edit]]\ncopy = "added"\n')
    before = [content(model) for model in models]
    said = call("apply", patch, *models, "--json")
    assert said.code == 3
    assert said.err.splitlines() == [
        f"smpatch: {patch}: edit[2] (line 10): it has no verb (did you mean remove or rename?)",
        f"smpatch: {patch}: edit[3] (line 12): to is missing",
    ]
    VALIDATORS["error"].validate(said.document)
    assert said.document["error"]["kind"] == "PatchFileError"
    assert [(each["path"], each["line"]) for each in said.document["error"]["faults"]] == [
        ("edit[2]", 10),
        ("edit[3]", 12),
    ]
    assert [content(model) for model in models] == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "missing argument 'PATCH.toml'"),
        (("{patch}",), 2, "missing argument 'MODEL...'"),
        (("{patch}", "{model}", "{model}/"), 2, "is named twice"),
        (("{patch}", "{model}", "--jobs", "0"), 2, "'--jobs'"),
        (("{patch}", "{model}", "--backup", "--save-to", "new"), 2, "do not go together"),
        (("{model}", "{patch}"), 3, "cannot be read: is a directory"),
        (("gone.toml", "{model}"), 3, "gone.toml: cannot be read: no such file or directory"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], code: int, words: str, call: Run, patch: Path
) -> None:
    model = Path(shutil.copytree(FIXTURES / "models" / "linear", patch.parent / "model"))
    before = content(model)
    said = call("apply", *(each.format(patch=patch, model=model) for each in arguments))
    assert (said.code, words in said.line) == (code, True), said.line
    assert content(model) == before


def test_new_models_are_saved_under_their_names(
    call: Run, patch: Path, make: Make, tmp_path: Path
) -> None:
    models = make(2)
    said = call("apply", patch, *models, *QUICK, "--save-to", tmp_path / "new")
    assert said.code == 0
    for model in models:
        assert "added" in load(tmp_path / "new" / model.name).signatures
        assert "added" not in load(model).signatures


EDITS_WITHOUT_A_SIGNATURE = {
    "removed": 'copy = "scale"\nto = "twice"\n[[edit]]\nremove = ["scale"]\n',
    "renamed": 'rename = "scale"\nto = "twice"\n',
    "retagged": 'retag = "serve"\nto = "serve,gpu"\n',
}


@pytest.mark.parametrize("edit", EDITS_WITHOUT_A_SIGNATURE.values(), ids=EDITS_WITHOUT_A_SIGNATURE)
def test_a_dry_run_about_a_saved_model_says_nothing_false(
    edit: str, call: Run, make: Make, tmp_path: Path
) -> None:
    """The line said that a signature runs at the load of the model, and has the tags as its key."""
    file = tmp_path / "edits.toml"
    file.write_text(f"version = 1\n[[edit]]\n{edit}")
    (model,) = make(1)
    command = ("apply", file, model, *QUICK, "--save-to", tmp_path / "new")
    assert call(*command).code == 0
    said = call(*command, "--dry-run")
    assert said.code == 0
    *lines, summary = said.out.splitlines()
    assert summary == "1 model: 1 already applied; nothing was written"
    for line in lines:
        assert re.fullmatch(r"nothing to do: twice in \S+ has this state already .*", line)


def test_options_of_the_document_and_of_the_command_line(call: Run, tmp_path: Path) -> None:
    source = FIXTURES / "models" / "several_tag_sets"
    tags = [",".join(each.tags) for each in load(source).meta_graphs]
    patch = tmp_path / "patch.toml"
    signature = next(iter(load(source).meta_graphs[0].signatures))
    edit = f'[[edit]]\ncopy = "{signature}"\nto = "copied"\n'
    for number, option in enumerate(("", f'tag-set = "{tags[0]}"\n')):
        model = Path(shutil.copytree(source, tmp_path / f"model-{number}"))
        patch.write_text(f"version = 1\n{option}{edit}")
        said = call("apply", patch, model, *QUICK)
        assert (said.code == 0) is bool(option)
        said = call("apply", patch, model, *QUICK, "--tag-set", tags[0])
        assert said.code == 0
        assert "copied" in load(model).meta_graph(tags[0].split(",")).signatures


def test_a_remark_on_many_models_is_made_once(call: Run, patch: Path, tmp_path: Path) -> None:
    models = [tmp_path / f"model-{number}" for number in range(3)]
    for model in models:
        shutil.copytree(FIXTURES / "models" / "module", model)
    patch.write_text('version = 1\nsignature-def-only = true\n[[edit]]\ncopy = "serving_default"\n'
                     'to = "k"\n')  # fmt: skip
    said = call("apply", patch, *models, *QUICK)
    notes = [line for line in said.err.splitlines() if "the object graph is not changed" in line]
    assert len(notes) == 1
    assert notes[0].startswith(f"smpatch: note: {models[0]} and 2 more: the object graph")


def test_a_terminal_shows_a_bar(patch: Path, make: Make) -> None:
    models = make(3)
    (models[1] / "saved_model.pb").unlink()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "smpatch", "apply", patch, *models, *QUICK],
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux raises this at the end
        pass
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 3
    assert out.decode().startswith("3 models: 2 edited, 1 failed")
    text = shown.decode()
    assert re.search(r"models\s+\[#+\]\s+3/3", text), text
    # The error is below the bar, not in the middle of it.
    assert text.rstrip().splitlines()[-1].startswith(f"smpatch: {models[1]}: no saved_model.pb")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_every_model_whole_and_says_how_many_were_edited(
    number: signal.Signals, code: int, patch: Path, make: Make
) -> None:
    models = make(40)
    process = subprocess.Popen(
        [sys.executable, "-m", "smpatch", "apply", patch, *models, "--json", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )
    deadline = time.monotonic() + 60
    while sum("added" in load(model).signatures for model in models) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    edited = sum("added" in load(model).signatures for model in models)
    assert 3 <= edited < 40
    words = f"{edited} of 40 models were edited, the others are unchanged"
    assert (process.returncode, words in err.decode()) == (code, True), err
    assert json.loads(out)["error"]["hint"] == words
    files = {(model / "saved_model.pb").read_bytes() for model in models}
    assert len(files) == 2
    assert [*models[0].parent.glob("*/.smpatch-*")] == []


FAILING = {
    'rename = "scale"\nto = "other"\n[[edit]]\nadd-predict = "serving_default"\n'
    'inputs = "x:0"\noutputs = "Y:0"': (6, "Y:0: no such node in the graph (did you mean y?)"),
    'rename = "gone"\nto = "predict"': (3, "rename 'gone': no such signature"),
    'copy = "gone"\nto = "predict"': (3, "copy 'gone': no such signature"),
    'rename = "scale"\nto = "taken"': (3, "choose another to, or replace it with overwrite = true"),
    'edit = "gone"\nmethod = "predict"': (3, "edit 'gone': no such signature"),
    'add-predict = "taken"\ninputs = "x:0"\noutputs = "y:0"': (
        *(3, "choose another add-predict, or replace it with overwrite = true"),
    ),
    'add-predict = "other"\ninputs = "n=unfed:0"\noutputs = "y:0"': (3, "no such node"),
    'retag = "gone"\nto = "gpu"': (3, "no MetaGraph has the tag-set 'gone'"),
    'edit = "scale"\ndrop-input = "x"\nadd-input = { y = "y:0" }': (3, "(edit scale): "),
}
"""The text below ``[[edit]]``, to the line of the edit that fails and the words of the error."""


@pytest.mark.parametrize("edit", FAILING)
def test_an_error_names_the_line_and_the_keys_of_the_file_and_no_option_that_apply_lacks(
    edit: str, call: Run, model: Callable[[str], Path], tmp_path: Path
) -> None:
    place = model("linear")
    assert call("copy", place, "--from", "scale", "--to", "taken", *QUICK, "--quiet").code == 0
    file = tmp_path / "patch.toml"
    file.write_text(f"version = 1\n\n[[edit]]\n{edit}\n")
    line, words = FAILING[edit]
    said = call("apply", file, place, *QUICK, "--json")
    assert said.line.startswith(f"smpatch: {place}: {file}, line {line} (")
    assert words in said.line
    outside = re.sub(r"smpatch [a-z-]+ [^;)]*", "", said.line.removeprefix("smpatch: "))
    assert re.findall(r"--[a-z-]+", outside) == []
    (outcome,) = said.document["apply"]["models"]
    assert f"smpatch: {place}: {outcome['error']['message']}" == said.line


def test_the_options_that_errors_may_name_are_those_of_apply() -> None:
    command = getattr(typer.main.get_command(application("apply")), "commands")["apply"]  # noqa: B009 - typer's classes are not public
    own = {name for each in command.params for name in each.opts if name.startswith("--")}
    assert own - {"--help"} == _OPTIONS


def test_verbose_prints_a_line_for_each_model(
    call: Run, shell: Run, patch: Path, make: Make
) -> None:
    one, other = make(2)
    assert call("apply", patch, one, *QUICK, "--quiet").code == 0
    said = shell("apply", patch, one, other, *QUICK, "--verbose")
    lines = said.err.splitlines()
    assert f"smpatch: {one}: already applied" in lines
    assert f"smpatch: {other}: edited" in lines
