"""One edit of a model at a time, and the results if another program does not use the lock."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import writer
from smpatch.validator import Validator
from tests.writer import models

FILE = "saved_model.pb"
ROOT = Path(__file__).parents[2]

_HOLD = """
import fcntl, os, sys, time
kind = fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), kind)
print("held", flush=True)
time.sleep(60)
"""

_ADD = """
import sys
from pathlib import Path
import smpatch
from tests.writer import models
try:
    for key in sys.argv[3:]:
        models.add(Path(sys.argv[1]), key, validate=sys.argv[2])
except smpatch.SmpatchError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def hold(model: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that holds the model's lock."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(model), kind], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def _add(model: Path, validate: str, *keys: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", "-c", _ADD, str(model), validate, *keys],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


class TestWaiting:
    @pytest.mark.parametrize("kind", ["exclusive", "shared"])
    def test_no_longer_than_one_wants(
        self, model: Path, hold: Callable[[str], subprocess.Popen[str]], kind: str
    ) -> None:
        hold(kind)
        before = models.tree(model)
        with pytest.raises(smpatch.ConflictError, match="--lock-timeout") as caught:
            models.add(model, lock_timeout=0)
        assert caught.value.exit_code == 5
        assert models.tree(model) == before

    def test_until_the_other_is_done(self, model: Path) -> None:
        descriptor = os.open(model, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        released: list[float] = []

        def release() -> None:
            released.append(time.monotonic())
            os.close(descriptor)

        threading.Timer(0.3, release).start()
        models.add(model, lock_timeout=30)
        assert released

    def test_a_killed_process_holds_nothing(
        self, model: Path, hold: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        process = hold("exclusive")
        process.kill()
        process.wait()
        models.add(model, lock_timeout=0)

    def test_a_copy_is_made_beside_other_readers(
        self, model: Path, tmp_path: Path, hold: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        hold("shared")
        models.add(model, save_to=tmp_path / "out", lock_timeout=0)

    def test_a_copy_waits_for_a_writer(
        self, model: Path, tmp_path: Path, hold: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        hold("exclusive")
        with pytest.raises(smpatch.ConflictError):
            models.add(model, save_to=tmp_path / "out", lock_timeout=0)
        assert not (tmp_path / "out").exists()

    def test_a_rehearsal_waits_for_nobody(
        self, model: Path, hold: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        hold("exclusive")
        models.add(model, dry_run=True, lock_timeout=0)

    def test_directory_that_was_exchanged_meanwhile(self, model: Path, tmp_path: Path) -> None:
        descriptor = os.open(model, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

        def exchange() -> None:
            model.rename(tmp_path / "previous")
            models.linear(model)
            os.close(descriptor)

        threading.Timer(0.2, exchange).start()
        with writer.hold(model, timeout=30):
            again = os.open(model, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(again)

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
    def test_file_systems_without_locks(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refuse)
        with writer.hold(model, timeout=0) as lock:
            assert not lock.supported
        models.add(model)
        assert "added" in models.keys(model)
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}

    def test_a_directory_that_cannot_be_looked_at_is_not_said_to_be_locked(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stat = Path.stat

        def fail(path: Path, **named: bool) -> os.stat_result:
            if path == model:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return stat(path, **named)

        monkeypatch.setattr(Path, "stat", fail)
        with pytest.raises(smpatch.WriteError) as caught:
            writer.hold(model, timeout=30)
        monkeypatch.undo()
        assert caught.value.found == "cannot be locked: input/output error"
        assert not isinstance(caught.value, smpatch.ConflictError)


class TestTogether:
    def test_eight_signatures_by_eight_processes(self, model: Path) -> None:
        wanted = [f"key_{number}" for number in range(8)]
        processes = [
            _add(model, "runtime" if number < 2 else "none", key)
            for number, key in enumerate(wanted)
        ]
        said = [process.communicate(timeout=120)[0] for process in processes]
        assert said == [""] * 8
        assert models.keys(model) == {"scale", *wanted}
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}

    def test_the_same_key_by_two_processes(self, model: Path) -> None:
        processes = [_add(model, "none", "same") for _ in range(2)]
        said = [process.communicate(timeout=60)[0] for process in processes]
        assert sorted(process.returncode for process in processes) == [0, 4]
        refusal = max(said)
        assert "'same'" in refusal
        assert "--overwrite" in refusal
        assert models.keys(model) == {"scale", "same"}

    def test_threads_of_one_process(self, model: Path) -> None:
        wanted = {f"key_{number}" for number in range(6)}
        threads = [threading.Thread(target=models.add, args=(model, key)) for key in wanted]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert models.keys(model) == {"scale", *wanted}


def _rewrite(file: Path) -> None:
    """Change a byte; a listing shows only a new time."""
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))


def _exchange(file: Path) -> None:
    """Replace the file by another one with the same bytes and times."""
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def _redirect(file: Path) -> None:
    """Replace the file by a link to it under another name."""
    file.rename(file.with_name("moved.pb"))
    file.symlink_to("moved.pb")


class TestSomebodyDoesNotLock:
    @pytest.mark.parametrize("change", [_rewrite, _exchange, _redirect])
    @pytest.mark.parametrize("moment", ["stage", "commit"])
    def test_their_change_stays(
        self,
        printed: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: Callable[[Path], None],
        moment: str,
    ) -> None:
        theirs: list[models.Tree] = []

        def meanwhile() -> None:
            change(printed / FILE)
            theirs.append(
                {name: data for name, data in models.tree(printed).items() if ".smp" not in name}
            )

        if moment == "stage":
            mkdtemp = tempfile.mkdtemp

            def make(**named: Any) -> str:  # noqa: ANN401 - as the function it replaces
                made: str = mkdtemp(**named)
                meanwhile()
                return made

            monkeypatch.setattr(tempfile, "mkdtemp", make)
        else:

            def fingerprint(_validator: Validator, directory: Path) -> bytes:
                meanwhile()
                return models.fingerprint_of(directory)

            monkeypatch.setattr(Validator, "fingerprint", fingerprint)
        with pytest.raises(smpatch.ConflictError, match="another program changed") as caught:
            models.add(printed)
        assert caught.value.exit_code == 5
        assert models.tree(printed) == theirs[0]

    def test_model_that_vanishes(self, printed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fingerprint(_validator: Validator, directory: Path) -> bytes:
            (printed / FILE).unlink()
            return models.fingerprint_of(directory)

        monkeypatch.setattr(Validator, "fingerprint", fingerprint)
        with pytest.raises(smpatch.WriteError):
            models.add(printed)
        assert {each.name for each in printed.iterdir()} == {"variables", "fingerprint.pb"}

    def test_directory_that_is_exchanged_between_load_and_commit(
        self, printed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other directory has the same bytes, and is another model all the same."""
        before = models.tree(printed)

        def fingerprint(_validator: Validator, directory: Path) -> bytes:
            taken = models.fingerprint_of(directory)
            printed.rename(tmp_path / "previous")
            models.linear(printed, fingerprint=True)
            return taken

        monkeypatch.setattr(Validator, "fingerprint", fingerprint)
        with pytest.raises(smpatch.WriteError) as caught:
            models.add(printed)
        assert caught.value.exit_code == 5
        assert models.tree(printed) == before
        assert "added" not in models.keys(tmp_path / "previous")
