"""Every file system call of an edit fails once, at each count until the edit completes.

Afterwards the model must be the old one or the new one, to the byte. An exception means the old
one, and then the directory lists as it did before.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import warmup
from smpatch.validator import Validator
from tests.prove import ledger
from tests.prove.ledger import Count
from tests.writer import faults, models
from tests.writer.models import Tree

FAULTS = {"EIO": faults.error(errno.EIO), "Ctrl-C": faults.interrupt}
if ledger.LONG:  # code that catches them treats these errors as any other
    FAULTS |= {
        "ENOSPC": faults.error(errno.ENOSPC),
        "EACCES": faults.error(errno.EACCES),
        "EINTR": faults.error(errno.EINTR),
    }

# More than any edit of such a small model makes; a run that never ends is a failure.
MOST_CALLS = 400

OLDER = {
    "model/saved_model.pb.backup": "an older backup",
    "model/fingerprint.pb.backup": "and its fingerprint",
}
REQUESTS = str(warmup.PLACE)
OLDER_REQUESTS = {f"model/{REQUESTS}.backup": "and its requests"}


@dataclass(frozen=True)
class Way:
    """A way to do an edit.

    Attributes:
        fingerprint: Whether the model has one.
        options: The options of the edit.
        result: The directory of the edited model, below the working directory.
        prepared: The directories that are there before.
        older: Whether a backup is there before.
        undo: Whether the run undoes an edit that kept a backup, and does no edit.
        requests: Whether the model has a warm-up request, which the edit changes.
    """

    fingerprint: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    result: str = "model"
    prepared: tuple[str, ...] = ()
    older: bool = False
    undo: bool = False
    requests: bool = False


WAYS = {
    "in place": Way(),
    "in place, fingerprint": Way(fingerprint=True),
    "in place, backup": Way(options=(("backup", True),)),
    "in place, backup, fingerprint": Way(fingerprint=True, options=(("backup", True),)),
    "in place, newer backup": Way(options=(("backup", True),), older=True),
    "in place, newer backup, fingerprint": Way(
        fingerprint=True, options=(("backup", True),), older=True
    ),
    "undo": Way(undo=True),
    "undo, fingerprint": Way(fingerprint=True, undo=True),
    "in place, requests": Way(requests=True),
    "in place, newer backup, fingerprint, requests": Way(
        fingerprint=True, options=(("backup", True),), older=True, requests=True
    ),
    "undo, requests": Way(undo=True, requests=True),
    "save to, requests": Way(result="out", requests=True),
    "save to": Way(result="out"),
    "save to, fingerprint": Way(fingerprint=True, result="out"),
    "save to an empty directory": Way(result="out", prepared=("out",)),
    "save to below missing directories": Way(result="a/b/out"),
}


@dataclass(frozen=True)
class Outcome:
    """One run that met a fault."""

    layer: faults.Layer
    receipt: smpatch.Receipt | smpatch.Undone | None
    raised: BaseException | None
    before: Tree
    after: Tree


def _run(work: Path, way: Way, count: int, fault: faults.Fault) -> Outcome:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    model = models.linear(work / "model", fingerprint=way.fingerprint, requests=way.requests)
    for name in way.prepared:
        (work / name).mkdir()
    if way.undo:
        models.add(model, backup=True)
    if way.older:
        for name, text in {**OLDER, **(OLDER_REQUESTS if way.requests else {})}.items():
            (work / name).write_text(text)
    options = dict(way.options)
    if way.result != "model":
        options["save_to"] = work / way.result
    before = models.tree(work)
    receipt: smpatch.Receipt | smpatch.Undone | None = None
    raised = None
    with faults.at(count, fault) as layer:
        try:
            receipt = models.undo(model) if way.undo else models.add(model, **options)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the tests check its class
            raised = error
    return Outcome(layer, receipt, raised, before, models.tree(work))


def _outcomes(work: Path, way: Way, fault: faults.Fault) -> Iterator[Outcome]:
    """Yield a run with a fault at each call; outside ``make prove`` at every third call."""
    step = 1 if ledger.LONG else 3
    for count in range(1 + [*WAYS.values()].index(way) % step, MOST_CALLS, step):
        outcome = _run(work, way, count, fault)
        if not outcome.layer.struck:
            return
        yield outcome
    pytest.fail(f"the edit makes more than {MOST_CALLS} calls")


@pytest.fixture(autouse=True)
def _fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(_validator: Validator, directory: Path) -> bytes | str:
        try:
            return models.fingerprint_of(directory)
        except OSError as error:  # an error of the child process is an answer
            return str(error)

    monkeypatch.setattr(Validator, "fingerprint", computed)


@pytest.mark.proof("calls of Python")
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_old_or_new_whatever_fails(tmp_path: Path, way: Way, name: str, count: Count) -> None:
    whole = _run(tmp_path / "whole", way, MOST_CALLS, FAULTS[name])
    assert whole.receipt is not None
    assert not way.requests or models.requests_fit(tmp_path / "whole" / way.result)
    new = whole.after[f"{way.result}/saved_model.pb"]
    assert new is not None
    assert new != whole.before["model/saved_model.pb"]
    met: Counter[bool] = Counter()
    for outcome in _outcomes(tmp_path / "work", way, FAULTS[name]):
        met[outcome.raised is None] += 1
        count.add(**{"interruptions" if name == "Ctrl-C" else "faults": 1})
        with count.case(f"call {met.total()}, {outcome.layer.order[-1]}"):
            if outcome.raised is not None:
                _check_old(outcome, name)
            else:
                _check_new(outcome, way, whole)
    count.settle()
    # Both sides of the commit were hit.
    assert met[False] > 10
    assert met[True] > 0


@pytest.mark.proof("calls of Python")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_new_whatever_moves_fewer_bytes_than_asked(tmp_path: Path, way: Way, count: Count) -> None:
    whole = _run(tmp_path / "whole", way, MOST_CALLS, faults.short)
    moves = [number for number, name in enumerate(whole.layer.order, 1) if name in faults.MOVES]
    for call in moves:
        outcome = _run(tmp_path / "work", way, call, faults.short)
        count.add(faults=1)
        with count.case(f"call {call}"):
            assert outcome.raised is None
            assert outcome.after == whole.after
    count.settle()
    assert moves or way.undo  # an undo makes links and moves no bytes


def _check_old(outcome: Outcome, name: str) -> None:
    if name == "Ctrl-C":
        assert isinstance(outcome.raised, KeyboardInterrupt)
    else:
        assert isinstance(outcome.raised, smpatch.SmpatchError)
        assert outcome.raised.exit_code in {3, 5}
    assert outcome.after == outcome.before


def _check_new(outcome: Outcome, way: Way, whole: Outcome) -> None:
    receipt = outcome.receipt
    assert receipt is not None
    assert whole.receipt is not None
    codes = {note.code for note in receipt.notes}
    after, expected = dict(outcome.after), dict(whole.after)
    assert whole.receipt is not None
    if receipt.backup is None and whole.receipt.backup is not None:
        # A note reports it, and the previous file is where the next edit finds it.
        assert "after-commit" in codes
        _check_kept_backup(outcome)
        for tree in (after, expected):
            for name in [
                each
                for each in tree
                if ".smpatch-" in each or each.endswith((".backup", ".undone"))
            ]:
                del tree[name]
    if receipt.warm_up == "kept" != whole.receipt.warm_up:
        # They could not be read, or replaced: a note reports it, and they are as they were.
        assert codes & {"warm-up", "warm-up-unreadable"}
        requests = f"{way.result}/{REQUESTS}"
        assert after.pop(requests) == outcome.before[f"model/{REQUESTS}"]
        expected.pop(requests)
        # The kept requests are the same as these.
        kept = expected.pop(f"{requests}.backup", None)
        assert after.pop(f"{requests}.backup", None) == kept
    elif receipt.warm_up != whole.receipt.warm_up:
        # A note reports it, and the new requests are where the next edit finds them.
        assert receipt.warm_up == "stale"
        assert "after-commit" in codes
        (kept,) = [data for name, data in outcome.after.items() if name.endswith("-warm-up")]
        assert kept == whole.after[f"model/{REQUESTS}"]
        for tree in (after, expected):
            for name in [each for each in tree if ".smpatch-" in each]:
                del tree[name]
            del tree[f"model/{REQUESTS}"]
    if receipt.fingerprint != whole.receipt.fingerprint:
        # The stand-in or the second rename failed: a note reports it, and the old one stays.
        assert receipt.fingerprint == _other_fingerprint(way, receipt)
        assert codes & {"stale-fingerprint", "no-fingerprint", "after-commit"} or way.undo
        after.pop(f"{way.result}/fingerprint.pb", None)
        expected.pop(f"{way.result}/fingerprint.pb")
    assert after == expected


def _other_fingerprint(way: Way, receipt: smpatch.Receipt | smpatch.Undone) -> str:
    if way.undo and receipt.fingerprint == "refreshed":
        return "refreshed"  # the kept fingerprint could not be read
    return "stale" if way.result == "model" else "absent"


def _check_kept_backup(outcome: Outcome) -> None:
    (kept,) = [data for name, data in outcome.after.items() if name.endswith("-previous")]
    assert kept == outcome.before["model/saved_model.pb"]
    if OLDER.keys() & outcome.before.keys():
        name = "model/saved_model.pb.backup"
        assert outcome.after[name] == outcome.before[name]


def test_the_layer_sees_the_calls_that_matter(tmp_path: Path) -> None:
    def calls(way: Way) -> set[str]:
        return set(_run(tmp_path / "work", way, MOST_CALLS, faults.interrupt).layer.calls)

    assert calls(WAYS["in place, backup, fingerprint"]) >= {
        *("open", "write", "fsync", "replace", "link", "chown", "utime", "copystat", "chmod"),
        *("symlink", "mkdir", "unlink", "rmdir", "flock", "file.write", "stat"),
    }
    assert calls(WAYS["save to"]) >= {"rename", "pread", "fsync", "mkdir", "chmod", "copystat"}


def test_a_second_interruption_does_not_keep_the_fingerprint_from_being_refreshed(
    tmp_path: Path,
) -> None:
    model = models.linear(tmp_path / "model", fingerprint=True)
    interruptions = iter(range(5))

    def insist(_name: str) -> None:
        if next(interruptions, None) is not None:
            raise KeyboardInterrupt

    with faults.at(0, insist) as layer:
        layer.on["replace"] = 2
        receipt = models.add(model)
    assert receipt.fingerprint == "refreshed"
    assert (model / "fingerprint.pb").read_bytes() == models.fingerprint_of(model)
    assert "the interruption came when the model had changed already" in [
        note.text for note in receipt.notes
    ]
