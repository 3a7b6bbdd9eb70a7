"""``--verbose``: it prints the log on stderr; without it there is no log."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from smpatch.runtime import installation
from smpatch.runtime.process import Child, ChildDied, Program
from tests.cli.conftest import FIXTURES, QUICK, Run

LINEAR = FIXTURES / "models" / "linear"

LINE = re.compile(r"smpatch: \d+\.\d{3} s: (.*)")


def _log(text: str) -> list[str]:
    """Return the lines of the log without the seconds; another line on stderr fails."""
    found = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found), text
    return [each[1] for each in found if each]


@pytest.mark.parametrize(
    "arguments",
    [("show", LINEAR), ("show", LINEAR, "--json"), ("diff", LINEAR, LINEAR, "--quiet")],
    ids=lambda given: " ".join(map(str, given[::2])),
)
def test_a_command_logs_only_with_verbose(arguments: tuple[str | Path, ...], shell: Run) -> None:
    silent, verbose = shell(*arguments), shell(*arguments, "--verbose")
    assert silent.err == ""
    assert (verbose.code, verbose.out) == (silent.code, silent.out)
    size = (LINEAR / "saved_model.pb").stat().st_size
    lines = _log(verbose.err)
    assert lines[0] == f"loaded {LINEAR / 'saved_model.pb'}, {size} bytes"


def test_an_edit_logs_its_steps_in_their_order(model: Callable[[str], Path], shell: Run) -> None:
    place = model("linear")
    request = ("edit", place, "--signature", "scale", "--rename-output", "product=p")
    silent = shell(*request, "--dry-run", "--json")
    assert (silent.code, silent.err) == (0, "")
    said = shell(*request, "--json", "--verbose")
    assert said.code == 0
    assert said.document["edit"]["changes"][0]["outcome"] == "edited"
    file = place / "saved_model.pb"
    log = "\n".join(each for each in _log(said.err) if not each.startswith("opens "))
    staging = rf"{re.escape(str(place))}/\.smpatch-\w+"
    assert re.fullmatch(
        rf"""capi_child started, pid (\d+)
loaded {file}, \d+ bytes
staging directory {staging} made
writes {staging}, \d+ bytes
wrote {staging}
capi_child, pid \1: describe asked
(?:capi_child, pid \1, stderr: .*\n)*capi_child, pid \1: describe answered after \d+\.\d+ s
commit: {staging}/saved_model\.pb is renamed to {file}
commit of {file} done, no backup
capi_child ended, pid \1, after \d+\.\d+ s""",
        log,
    ), log


def test_a_check_logs_both_programs_from_their_start_to_their_end(shell: Run) -> None:
    said = shell("check", LINEAR, "--run", "--verbose", "--quiet")
    assert (said.code, said.out) == (0, "")
    log = _log(said.err)
    assert re.fullmatch(r"capi_child started, pid \d+", log[0])
    assert not any(each.startswith(Program.LIGHT.value) for each in log)  # it calls no signature
    for program in (Program.CAPI, Program.PYTHON):
        (pid,) = [each.split()[-1] for each in log if each.startswith(f"{program.value} started")]
        ended = rf"{program.value} ended, pid {pid}, after [\d.]+ s"
        assert sum(bool(re.fullmatch(ended, each)) for each in log) == 1
        asked = [e.split()[-2] for e in log if re.match(rf"\w+, pid {pid}: \w+ asked", e)]
        answers = [e.split()[3] for e in log if re.match(rf"\w+, pid {pid}: \w+ answered", e)]
        assert asked == answers != []


def test_threads_of_apply_log_whole_lines(model: Callable[[str], Path], shell: Run) -> None:
    places = [model(name) for name in ("linear", "module", "sparse", "ragged")]
    patch = places[0].parent / "patch.toml"
    patch.write_text('version = 1\n[[edit]]\nretag = "serve"\nto = "other"\n')
    said = shell("apply", patch, *places, "--verbose", "--jobs", "4", *QUICK)
    assert said.code == 0, said.err
    done = [f"smpatch: {place}: edited" for place in places]
    assert sorted(each for each in said.err.splitlines() if each in done) == sorted(done)
    log = _log("\n".join(each for each in said.err.splitlines() if each not in done))
    for place in places:
        assert f"commit of {place / 'saved_model.pb'} done, no backup" in log


def test_an_error_is_one_line_after_the_log(shell: Run) -> None:
    said = shell("add-predict", LINEAR, "--inputs", "x:0", "--outputs", "Y:0", "--verbose", *QUICK)
    *log, error = said.err.splitlines()
    assert said.code == 4
    assert _log("\n".join(log))
    assert error == "smpatch: Y:0: no such node in the graph (did you mean y?)"


def test_names_in_the_log_do_not_reach_a_terminal_as_they_are(tmp_path: Path, shell: Run) -> None:
    place = tmp_path / "a\x1b[31m\nb"
    place.mkdir()
    (place / "saved_model.pb").write_bytes((LINEAR / "saved_model.pb").read_bytes())
    (line,) = _log(shell("show", place, "--verbose").err)
    assert r"/a\x1b[31m\nb/saved_model.pb" in line


def test_verbose_behind_two_dashes_is_a_directory(shell: Run) -> None:
    said = shell("show", "--", "--verbose")
    assert said.line == "smpatch: --verbose: no such directory"


@pytest.mark.own_children
def test_the_library_logs_below_its_own_name(
    model: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="smpatch")
    place = model("linear")
    smpatch.add_predict(place, inputs={"x": "x:0"}, outputs={"y": "y:0"}, signature="added")
    records = [each for each in caplog.records if each.name.startswith("smpatch.")]
    assert {each.levelno for each in records} == {logging.INFO}
    assert [each.getMessage().split()[0] for each in records] == [
        *("capi_child", "loaded", "staging", "writes", "wrote"),
        *("capi_child,", "capi_child,", "commit:", "commit", "capi_child"),
    ]


def test_what_a_child_writes_to_stderr_is_logged_once_also_when_it_dies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wheel = installation.find()
    assert wheel is not None
    caplog.set_level(logging.DEBUG, logger="smpatch")
    with Child.start(Program.CAPI, wheel) as child:
        child.ask({"do": "version"}, 120)
        before = [each for each in caplog.messages if ", stderr: " in each]
        child.kill()
        with pytest.raises(ChildDied):
            child.ask({"do": "fingerprint", "dir": str(LINEAR)}, 120)
    after = [each for each in caplog.messages if ", stderr: " in each]
    assert before == after[: len(before)]
    assert len(set(after)) == len(after)
    assert caplog.messages[-1].startswith(f"capi_child ended, pid {child.pid}, after ")


def test_a_program_without_a_handler_prints_nothing(shell: Run, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import smpatch; smpatch.load({str(LINEAR)!r})")
    said = shell(program, program=(sys.executable,))
    assert (said.code, said.out, said.err) == (0, "", "")
