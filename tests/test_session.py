"""A session: few children for many models, and the same results as the plain functions."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import smpatch
from smpatch.edits import AddPredict, Copy, Rename
from tests.writer import models

RUNTIME = smpatch.Options(validate="runtime")
CHECKED = smpatch.CheckOptions(validate="runtime")


def _copies(name: str, place: Path, count: int = 2) -> list[Path]:
    return [
        Path(shutil.copytree(models.FIXTURES / name, place / f"{name}-{number}"))
        for number in range(count)
    ]


@pytest.fixture
def started(caplog: pytest.LogCaptureFixture) -> Callable[[], list[int]]:
    """Return a function that returns the process numbers of the started children, by the log."""
    caplog.set_level(logging.INFO, "smpatch.runtime.process")

    def numbers() -> list[int]:
        words = [each.getMessage() for each in caplog.records]
        return [int(each.rpartition(" ")[2]) for each in words if " started, pid " in each]

    return numbers


@pytest.mark.own_children
def test_one_child_serves_edits_and_checks_of_many_models(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    several = _copies("linear", tmp_path, 4)
    edit = AddPredict({"x": "x:0"}, {"y": "y:0"}, "added")
    with smpatch.Session(RUNTIME, check_options=CHECKED) as session:
        for model in several:
            assert session.patch(model, edit).loaders == ("C runtime",)
            assert session.check(model).loaders == ("C runtime",)
    assert len(started()) == 1
    for model in several[:2]:
        smpatch.patch(model, Rename("added", "other"), options=RUNTIME)
    assert len(started()) == 3, "a plain function takes a child of its own"


def test_a_library_that_does_not_load_refuses_every_model_and_not_the_first_alone(
    tmp_path: Path,
) -> None:
    library = tmp_path / "bad.so"
    library.write_text("not a library")
    options = replace(RUNTIME, op_libraries=[library])
    several = _copies("linear", tmp_path)
    with smpatch.Session(options) as session:
        for model in several:
            with pytest.raises(smpatch.ValidationError, match=r"bad\.so"):
                session.rename_signature(model, "scale", "other")
    applied = smpatch.apply(several, [Rename("scale", "other")], options=options)
    assert all(isinstance(each.error, smpatch.ValidationError) for each in applied)


@pytest.fixture(scope="module")
def session() -> Iterator[smpatch.Session]:
    """A session whose children serve all models of the next test."""
    with smpatch.Session() as opened:
        yield opened


@pytest.mark.parametrize(
    "name", ["linear", "keras_functional", "lookup_table", "text_form", "wrong_dtype"]
)
def test_a_session_gives_what_the_plain_functions_give(
    name: str, tmp_path: Path, session: smpatch.Session
) -> None:
    one, other = _copies(name, tmp_path)
    key = next(iter(smpatch.load(one).signatures))
    edits = [Copy(key, "again"), Rename(key, "other")]
    ours = [session.patch(one, edit) for edit in edits]
    reports = session.check(one)
    theirs = [smpatch.patch(other, edit) for edit in edits]
    assert [replace(each, directory=other) for each in ours] == theirs
    trees = models.tree(one), models.tree(other)
    for each in trees:
        each.pop("fingerprint.pb", None)  # the file has a random number
    assert trees[0] == trees[1]
    expected = smpatch.check(other)
    # Hints contain commands with the model's path.
    assert repr(reports.findings).replace(str(one), str(other)) == repr(expected.findings)
    assert reports.loaders == expected.loaders


def test_errors_are_those_of_the_plain_functions(tmp_path: Path) -> None:
    (model,) = _copies("linear", tmp_path, 1)
    edit = AddPredict({"x": "x:0"}, {"y": "no_such"}, "added")
    with pytest.raises(smpatch.TensorNotFoundError) as plain:
        smpatch.patch(model, edit, options=RUNTIME)
    with smpatch.Session(RUNTIME) as session:
        with pytest.raises(smpatch.TensorNotFoundError) as caught:
            session.patch(model, edit)
        with pytest.raises(smpatch.UsageError, match="no edits"):
            session.patch(model, [])
        with pytest.raises(smpatch.ModelUnreadableError):
            session.check(tmp_path / "absent")
        assert session.copy_signature(model, "scale", "again").outcome == "copied"
    assert str(caught.value) == str(plain.value)


@pytest.mark.own_children
def test_a_child_that_was_killed_between_two_calls_is_replaced(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    several = _copies("linear", tmp_path, 3)
    with smpatch.Session(RUNTIME) as session:
        session.copy_signature(several[0], "scale", "again")
        (victim,) = started()
        os.kill(victim, signal.SIGKILL)
        os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
        for model in several[1:]:
            assert session.copy_signature(model, "scale", "again").loaders == ("C runtime",)
    assert len(started()) == 2


def test_children_are_replaced_after_so_many_models(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    with smpatch.Session(RUNTIME, recycle_after=2) as session:
        for model in _copies("linear", tmp_path, 5):
            session.copy_signature(model, "scale", "again")
        assert len(set(started())) == 3


def test_each_call_has_its_own_mode_and_options(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    one, other = _copies("linear", tmp_path)
    with smpatch.Session(smpatch.Options(validate="none")) as session:
        assert session.copy_signature(one, "scale", "again").loaders == ()
        assert started() == []
        full = smpatch.Options(validate="full")
        told = session.copy_signature(other, "scale", "again", options=full)
        assert told.loaders == ("C runtime", "tf.saved_model.load")
        assert session.patch(one, Copy("scale", "more")).loaders == ()
    assert len(started()) == 2


def test_the_children_end_with_the_session(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    (model,) = _copies("linear", tmp_path, 1)
    with smpatch.Session(RUNTIME) as session:
        session.copy_signature(model, "scale", "again")
    (child,) = started()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    before = models.tree(model)
    with pytest.raises(smpatch.UsageError, match="closed"):
        session.copy_signature(model, "scale", "more")
    assert models.tree(model) == before
    session.close()


def test_another_thread_is_refused(tmp_path: Path) -> None:
    (model,) = _copies("linear", tmp_path, 1)
    raised: list[smpatch.SmpatchError] = []
    with smpatch.Session() as session:

        def use() -> None:
            for call in (lambda: session.check(model), session.close):
                with pytest.raises(smpatch.UsageError) as caught:
                    call()
                raised.append(caught.value)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert ["another thread" in str(each) for each in raised] == [True, True]


def test_options_that_cannot_be_for_several_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(smpatch.UsageError, match="several models"):
        smpatch.Session(smpatch.Options(save_to=tmp_path / "new"))
    with pytest.raises(smpatch.UsageError, match="recycle_after"):
        smpatch.Session(recycle_after=0)


def test_undo_and_a_wrapped_graph_go_through_a_session(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    (model,) = _copies("linear", tmp_path, 1)
    before = (model / "saved_model.pb").read_bytes()
    graph = models.FIXTURES.parent / "graphs" / "frozen.pb"
    inputs, outputs = {"x": "features:0"}, {"y": "head/scores:0"}
    with smpatch.Session(RUNTIME) as session:
        kept = replace(RUNTIME, backup=True)
        session.copy_signature(model, "scale", "again", options=kept)
        session.undo(model)
        session.wrap_graph(graph, tmp_path / "wrapped", inputs=inputs, outputs=outputs)
    assert (model / "saved_model.pb").read_bytes() == before
    assert list(smpatch.load(tmp_path / "wrapped").signatures) == ["serving_default"]
    assert len(started()) == 1
