"""Many models at a time: one outcome for each, every model whole, few starts of TensorFlow."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import batch, patcher, verbs
from smpatch.edits import AddPredict, Copy, Edit, Rename
from smpatch.errors import (
    ConflictError,
    ModelUnreadableError,
    RefusedError,
    SignatureExistsError,
    TensorNotFoundError,
    UsageError,
    ValidationError,
)
from smpatch.loader import load
from smpatch.options import Options
from smpatch.runtime.process import Child
from smpatch.transaction import Receipt
from smpatch.validator import Validator

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
EDITS = (AddPredict({"x": "x:0"}, {"y": "y:0"}, "added"),)
UNPROVED = Options(validate="none")

Make = Callable[[int], list[Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make copies of a small model."""

    def copies(count: int) -> list[Path]:
        places = [tmp_path / f"model-{number}" for number in range(count)]
        return [Path(shutil.copytree(MODELS / "linear", place)) for place in places]

    return copies


def _apply(
    models: list[Path], options: Options = UNPROVED, *, jobs: int = 2, edits: Sequence[Edit] = EDITS
) -> dict[str, batch.Outcome]:
    found = list(batch.apply(models, edits, options=options, jobs=jobs))
    assert len(found) == len(models)
    return {each.model.name: each for each in found}


def _edited(model: Path) -> bool:
    return "added" in load(model).signatures


def test_every_model_has_one_outcome_and_a_failure_stops_none(make: Make) -> None:
    models = make(6)
    (models[1] / "saved_model.pb").write_bytes(b"")
    shutil.rmtree(models[3])
    shutil.rmtree(models[4])
    shutil.copytree(MODELS / "keras_functional", models[4])
    found = _apply(models)
    errors = {name: type(each.error) for name, each in found.items() if each.error is not None}
    assert errors == {
        "model-1": ModelUnreadableError,
        "model-3": ModelUnreadableError,
        "model-4": TensorNotFoundError,
    }
    assert {name: each.exit_code for name, each in found.items() if each.exit_code} == {
        "model-1": 3,
        "model-3": 3,
        "model-4": 4,
    }
    for number in (0, 2, 5):
        receipt = found[f"model-{number}"].receipt
        assert receipt is not None
        assert receipt.directory == models[number]
        assert _edited(models[number])


def test_twice_is_once_for_each(make: Make) -> None:
    models = make(3)
    _apply(models[:2])
    assert [each.receipt.changes == () for each in _ordered(_apply(models))] == [True, True, False]
    assert [each.receipt.changes == () for each in _ordered(_apply(models))] == [True, True, True]
    taken = (AddPredict({"x": "x:0"}, {"z": "y:0"}, "added"),)
    errors = [type(each.error) for each in _apply(models, edits=taken).values()]
    assert errors == [SignatureExistsError] * 3


def _ordered(found: dict[str, batch.Outcome]) -> list[Any]:
    return [found[name] for name in sorted(found)]


def test_outcomes_come_as_models_are_finished(make: Make) -> None:
    models = make(3)
    descriptor = os.open(models[0], os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with closing(batch.apply(models, EDITS, options=UNPROVED, jobs=2)) as finished:
            assert [next(finished).model, next(finished).model] == models[1:]
            assert not _edited(models[0])
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            assert next(finished).model == models[0]
    finally:
        os.close(descriptor)
    assert _edited(models[0])


def test_a_model_that_another_edits_is_an_outcome_of_its_own(make: Make) -> None:
    models = make(2)
    descriptor = os.open(models[0], os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        found = _apply(models, Options(validate="none", lock_timeout=0.1))
    finally:
        os.close(descriptor)
    assert isinstance(found["model-0"].error, ConflictError)
    assert found["model-1"].error is None


@pytest.mark.parametrize("way", ["same", "dots", "link to it", "link to its file", "link above"])
def test_the_same_model_twice_is_told_and_nothing_done(
    way: str, make: Make, tmp_path: Path
) -> None:
    models = make(2)
    again = tmp_path / "again"
    if way == "same":
        again = models[0]
    elif way == "dots":
        again = models[1] / ".." / models[0].name
    elif way == "link to it":
        again.symlink_to(models[0])
    elif way == "link to its file":
        again.mkdir()
        (again / "saved_model.pb").symlink_to(models[0] / "saved_model.pb")
    else:
        again.symlink_to(tmp_path)
        again /= models[0].name
    with pytest.raises(UsageError) as caught:
        batch.apply([*models, again], EDITS, options=UNPROVED)
    assert caught.value.where == str(again)
    assert not any(map(_edited, models))


def test_models_that_only_share_bytes_are_two(make: Make) -> None:
    models = make(2)
    (models[1] / "saved_model.pb").unlink()
    os.link(models[0] / "saved_model.pb", models[1] / "saved_model.pb")
    assert [each.error for each in _apply(models).values()] == [None, None]
    assert all(map(_edited, models))


def test_new_directories_have_their_models_names(make: Make, tmp_path: Path) -> None:
    models = make(2)
    found = _apply(models, Options(validate="none", save_to=tmp_path / "new"))
    assert {each.receipt.directory for each in _ordered(found)} == {
        tmp_path / "new" / "model-0",
        tmp_path / "new" / "model-1",
    }
    assert not any(map(_edited, models))
    assert _edited(tmp_path / "new" / "model-0")


def test_two_models_of_one_name_keep_their_paths_below_the_common_directory(tmp_path: Path) -> None:
    models = [tmp_path / "models" / name / "1" for name in ("a", "b")]
    for model in models:
        shutil.copytree(MODELS / "linear", model)
    options = Options(save_to=tmp_path / "new", validate="none")
    assert {each.error for each in batch.apply(models, EDITS, options=options)} == {None}
    made = [tmp_path / "new" / name / "1" for name in ("a", "b")]
    assert [_edited(model) for model in (*made, *models)] == [True, True, False, False]
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == ["a", "b"]


def test_a_new_model_with_a_fingerprint_is_made_once(tmp_path: Path) -> None:
    """TensorFlow makes a part of the file anew: the second application was refused."""
    edits, options = [Rename("serving_default", "k")], Options(save_to=tmp_path, validate="none")
    for said in ("renamed", "unchanged"):
        (outcome,) = batch.apply([MODELS / "module"], edits, options=options)
        assert outcome.error is None
        assert outcome.receipt is not None
        assert outcome.receipt.outcome == said
    file = tmp_path / "module" / "fingerprint.pb"
    data = file.read_bytes()
    for wrong in (b"\xff", data.replace(data[1:4], b"abc")):
        file.write_bytes(wrong)
        (outcome,) = batch.apply([MODELS / "module"], edits, options=options)
        assert "its fingerprint.pb is not the one" in str(outcome.error)


@pytest.mark.parametrize("names", [("m", "m/m"), ("a", "a/b", "c/b")])
def test_no_new_model_is_made_inside_another_one(names: tuple[str, ...], tmp_path: Path) -> None:
    models = [tmp_path / name for name in names]
    for model in models:
        shutil.copytree(MODELS / "linear", model, dirs_exist_ok=True)
    options = Options(save_to=tmp_path / "new", validate="none")
    with pytest.raises(UsageError, match="would be saved inside the new model of"):
        batch.apply(models, EDITS, options=options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "jobs"), [(UNPROVED, 0), (Options(time_limit=-1), 1), (Options(backup=True), 1)]
)
def test_what_makes_no_sense_is_told_before_anything_is_done(
    options: Options, jobs: int, make: Make, tmp_path: Path
) -> None:
    models = make(1)
    if options.backup:
        options = Options(backup=True, save_to=tmp_path / "new")
    with pytest.raises(UsageError):
        batch.apply(models, EDITS, options=options, jobs=jobs)
    assert not _edited(models[0])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """Collect the children that the library starts."""
    children: list[Child] = []
    start = Child.start

    def spy(*arguments: Any) -> Child:  # noqa: ANN401 - all arguments
        children.append(start(*arguments))
        return children[-1]

    monkeypatch.setattr(Child, "start", spy)
    return children


def _gone(child: Child) -> bool:
    try:
        os.kill(child.pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.own_children
def test_tensorflow_starts_once_for_each_worker(make: Make, started: list[Child]) -> None:
    models = make(8)
    found = _apply(models, Options(validate="runtime"))
    assert [each.receipt.loaders for each in _ordered(found)] == [("C runtime",)] * 8
    assert len(started) == 2
    assert all(map(_gone, started))


@pytest.mark.own_children
def test_a_child_that_died_on_one_model_is_replaced_for_the_next(
    make: Make, started: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = make(3)

    def deadly(model: Path, *arguments: Any, validator: Validator, **more: Any) -> Receipt:  # noqa: ANN401
        if model == models[1]:
            validator.abort()
        return patcher.patch(model, *arguments, validator=validator, **more)

    monkeypatch.setattr(batch, "patch", deadly)
    found = _apply(models, Options(validate="runtime"), jobs=1)
    error = found["model-1"].error
    assert isinstance(error, ValidationError)
    assert "killed by SIGKILL" in str(error)
    assert [_edited(model) for model in models] == [True, False, True]
    assert len(started) == 2


def test_a_fault_of_smpatchs_own_is_not_taken_for_an_outcome(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any, **__: Any) -> Receipt:  # noqa: ANN401 - all arguments
        message = "a fault"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(batch, "patch", faulty)
    with pytest.raises(ZeroDivisionError):
        _apply(make(3))
    assert _workers() == []


def _workers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each is not threading.main_thread()]


# An exception between two lines can interrupt the making of a file object. The interpreter
# closes this file at its collection, with a warning.
breaks_off = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning",
    "ignore:unclosed file:ResourceWarning",
)


@breaks_off
def test_whoever_stops_asking_leaves_every_model_whole(make: Make, started: list[Child]) -> None:
    models = make(30)
    whole = {(MODELS / "linear" / "saved_model.pb").read_bytes()}
    options = Options(validate="runtime")
    with closing(batch.apply(models, EDITS, options=options, jobs=2)) as finished:
        for _ in range(3):
            assert next(finished).error is None
    edited = [model for model in models if _edited(model)]
    assert 3 <= len(edited) < len(models)
    whole.add((edited[0] / "saved_model.pb").read_bytes())
    assert {(model / "saved_model.pb").read_bytes() for model in models} == whole
    # An edit that is stopped between two lines may leave its directory; the next one removes it.
    left = [each.parent for each in models[0].parent.glob("*/.smpatch-*")]
    assert len(left) <= 2
    for model in left:
        verbs.copy_signature(model, "scale", "copied", options=UNPROVED)
    assert [*models[0].parent.glob("*/.smpatch-*")] == []
    assert all(map(_gone, started))
    assert _workers() == []


@breaks_off
@pytest.mark.own_children
@pytest.mark.parametrize("validate", ["none", "full"])
def test_stopping_does_not_wait_for_what_takes_long(
    validate: Any,  # noqa: ANN401 - a mode
    make: Make,
) -> None:
    """It does not wait for a lock that another program holds, or for TensorFlow."""
    models = make(2)
    descriptor = os.open(models[1], os.O_RDONLY)
    try:
        if validate == "none":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finished = batch.apply(models[1:], EDITS, options=Options(validate=validate), jobs=1)
        begin = time.monotonic()
        with pytest.raises(_Stopped), closing(finished):
            _wait(finished)
        assert time.monotonic() - begin < 20
    finally:
        os.close(descriptor)
    assert not _edited(models[1])
    assert _workers() == []


class _Stopped(BaseException):
    """The exception in the place of the one that a signal raises on the command line."""


def _stop(*_: object) -> None:
    raise _Stopped


def _wait(finished: Generator[batch.Outcome, None, None]) -> None:
    """Take outcomes until a signal interrupts, after one second."""
    before = signal.signal(signal.SIGALRM, _stop)
    signal.alarm(1)
    try:
        list(finished)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_edits_may_be_any_of_the_library(make: Make) -> None:
    edits: list[Edit] = [*EDITS]
    assert [each.error for each in batch.apply(make(1), edits, options=UNPROVED)] == [None]


def test_where_nothing_is_to_do_the_receipt_has_the_signature_that_is_there(make: Make) -> None:
    (model,) = make(1)
    edits = [Rename("scale", "double"), Copy("double", "twice")]
    for outcome in ("copied", "unchanged"):
        (finished,) = _receipts(model, edits)
        assert (finished.outcome, finished.key) == (outcome, "twice")
        assert finished.signature == smpatch.load(model).signatures["twice"]
    assert finished.changes == ()


def _receipts(model: Path, edits: Sequence[Edit]) -> list[Receipt]:
    found = [each.receipt for each in batch.apply([model], edits, options=UNPROVED)]
    return [each for each in found if each is not None]


def test_saving_again_leaves_a_new_model_of_the_same_bytes_and_refuses_another(
    make: Make, tmp_path: Path
) -> None:
    models = make(2)
    for model in models:
        (model / "variables").mkdir(exist_ok=True)
        (model / "variables" / "more").write_bytes(b"data")
    new = tmp_path / "new"
    options = Options(validate="none", save_to=new)
    assert {each.error for each in batch.apply(models, EDITS, options=options)} == {None}
    first = {path: path.stat() for path in sorted(new.rglob("*"))}
    (new / "model-1" / "variables" / "more").write_bytes(b"date")
    for dry_run in (True, False):
        again = replace(options, dry_run=dry_run)
        one, other = sorted(batch.apply(models, EDITS, options=again), key=lambda each: each.model)
        assert one.receipt is not None
        assert one.receipt.directory == new / "model-0"
        assert {change.outcome for change in one.receipt.changes} == {"unchanged"}
        assert isinstance(other.error, RefusedError)
        assert "its variables/more is not the one that the edits make" in str(other.error)
    for path, status in first.items():
        now = path.stat()
        assert (now.st_ino, now.st_size) == (status.st_ino, status.st_size)
        if path.is_file() and "model-0" in path.parts:
            assert now.st_mtime_ns == status.st_mtime_ns
    assert sorted(each.name for each in new.iterdir()) == ["model-0", "model-1"]
    assert (new / "model-1" / "variables" / "more").read_bytes() == b"date"


def test_a_file_that_is_not_a_model_is_never_taken_for_one(make: Make, tmp_path: Path) -> None:
    models = make(1)
    (tmp_path / "new" / "model-0").mkdir(parents=True)
    (tmp_path / "new" / "model-0" / "notes").write_text("mine")
    (found,) = batch.apply(
        models, EDITS, options=Options(validate="none", save_to=tmp_path / "new")
    )
    assert isinstance(found.error, RefusedError)
    assert "the directory is not empty" in str(found.error)
