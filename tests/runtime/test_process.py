"""A child that crashes, hangs, prints or is killed does no harm, and none outlives its parent."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smpatch.runtime import process, questions
from smpatch.runtime.installation import Wheel
from smpatch.runtime.process import Child, ChildDied, ChildHung, ChildUnfit, Program
from tests.prove.ledger import LONG

LIMIT = 120.0
Pretend = Callable[[str], Wheel]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def is_reaped(child: Child) -> bool:
    """Return whether neither a process nor a zombie is left."""
    try:
        os.waitpid(child.pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def is_running(pid: int) -> bool:
    """Return whether a process runs; it need not be a child of this one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_start_returns_before_tensorflow_is_loaded(installed: Wheel) -> None:
    begin = time.monotonic()
    with Child.start(Program.PYTHON, installed):
        assert time.monotonic() - begin < 1.0


def test_leaving_leaves_nothing(installed: Wheel) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
    assert is_reaped(child)
    child.close()
    with pytest.raises(ValueError, match="closed"):
        questions.version(child, LIMIT)


def test_no_descriptor_is_left_open(installed: Wheel, models: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = descriptors()
    with Child.start(Program.CAPI, installed) as child:
        assert questions.describe(child, models / "kinds", ["serve"], [], LIMIT).ok
    with Child.start(Program.CAPI, installed) as child, pytest.raises(ChildHung):
        questions.version(child, 0.001)
    assert descriptors() == before


def test_a_crash_tells_the_signal(installed: Wheel, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    with (
        Child.start(Program.CAPI, installed) as child,
        pytest.raises(ChildDied, match=r"^killed by SIG(SEGV|ABRT)") as caught,
    ):
        questions.fingerprint(child, tmp_path, LIMIT)
    assert "cuInit" not in str(caught.value)
    assert is_reaped(child)
    assert list(tmp_path.iterdir()) == [tmp_path / "saved_model.pb"]


@linux
def test_a_crash_leaves_no_core_file(installed: Wheel) -> None:
    """A crash is an answer, and a core file of TensorFlow's takes gigabytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("there are no core files here")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with Child.start(Program.CAPI, installed) as child:
            assert questions.version(child, LIMIT)
            limits = Path(f"/proc/{child.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    (line,) = [each for each in limits.splitlines() if each.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


@linux
def test_what_the_child_has_started_ends_with_it(pretend: Pretend, tmp_path: Path) -> None:
    """A library of operations may run programs; none of them may outlive the child."""
    told = tmp_path / "helper"
    wheel = pretend(
        "import os, subprocess, time\n"
        "helper = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(told) + '.new'!r}, 'w').write(str(helper.pid))\n"
        f"os.rename({str(told) + '.new'!r}, {str(told)!r})\n"
        "time.sleep(600)\n"
    )
    with Child.start(Program.PYTHON, wheel):
        _until(told.exists)
        helper = int(told.read_text())
        assert is_running(helper)
    _until(lambda: not is_running(helper))


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (signal.SIGKILL, "killed by SIGKILL, as the kernel does when memory runs out"),
        (signal.SIGABRT, "killed by SIGABRT"),
    ],
)
def test_a_killed_child(installed: Wheel, number: int, how: str) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        os.kill(child.pid, number)
        with pytest.raises(ChildDied) as caught:
            questions.version(child, LIMIT)
        assert caught.value.how == how
        assert is_reaped(child)


def test_a_child_that_dies_at_its_start_tells_its_last_words(pretend: Pretend) -> None:
    wheel = pretend(
        "import os, sys\n"
        "os.write(2, b'I0000 00:00:1795369614.5 1 a.cc:1] chatter\\n')\n"
        "words = b'\\x1b[31mCheck failed\\x07: ' + b'x' * 5000\n"
        "os.write(2, b'F0000 00:00:1795369614.5 1 a.cc:2] ' + words)\n"
        "os.abort()\n"
    )
    with Child.start(Program.PYTHON, wheel) as child, pytest.raises(ChildUnfit) as caught:
        questions.version(child, LIMIT)
    words = "its process ended: killed by SIGABRT: Check failed : xxx"
    assert str(caught.value).startswith(words)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_child_that_exits_tells_its_status(pretend: Pretend) -> None:
    with (
        Child.start(Program.PYTHON, pretend("import os\nos._exit(7)\n")) as child,
        pytest.raises(ChildUnfit, match=r"^its process ended: exited with status 7$"),
    ):
        questions.version(child, LIMIT)


def test_a_tensorflow_that_cannot_be_imported_is_no_fault_of_a_model(pretend: Pretend) -> None:
    with (
        Child.start(Program.PYTHON, pretend("raise RuntimeError('two\\nlines')\n")) as child,
        pytest.raises(ChildUnfit, match=r"^RuntimeError: two lines$"),
    ):
        questions.version(child, LIMIT)
    assert is_reaped(child)


def test_libraries_that_are_none(tmp_path: Path) -> None:
    library = tmp_path / "libtensorflow_cc.so.2"
    library.write_bytes(b"not a library")
    wheel = Wheel(tmp_path, library, library, None)
    with (
        Child.start(Program.CAPI, wheel) as child,
        pytest.raises(ChildUnfit, match=r"libtensorflow_cc.so.2"),
    ):
        questions.version(child, LIMIT)


def test_libraries_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ChildUnfit, match="no C libraries"):
        Child.start(Program.CAPI, Wheel(tmp_path, None, None, None))


def test_noise_reaches_neither_the_replies_nor_the_parents_streams(
    pretend: Pretend, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel = pretend(
        "import os, subprocess, sys\n"
        "def load(directory, tags):\n"
        "    print('{}', flush=True)\n"
        "    os.write(1, b'{}\\n')\n"
        "    os.write(2, b'noise\\n' * 100_000)\n"
        "    subprocess.run(['echo', '{}'], check=True)\n"
        "    assert sys.stdin.read() == ''\n"
        "    raise OSError('reached the end')\n"
        "class saved_model:\n"
        "    load = staticmethod(load)\n"
        "import types\n"
        "class _V1:\n"
        "    reset_default_graph = staticmethod(lambda: None)\n"
        "compat = types.SimpleNamespace(v1=_V1)\n"
    )
    with Child.start(Program.PYTHON, wheel) as child:
        for _ in range(2):
            found = questions.python_signatures(child, "/model", None, LIMIT)
            assert found.message == "reached the end"
    assert capfd.readouterr() == ("", "")


def test_a_hang_ends_at_the_limit(installed: Wheel) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        os.kill(child.pid, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ChildHung, match=r"within 0.2 s"):
            questions.version(child, 0.2)
        assert 0.2 <= time.monotonic() - begin < 5
        assert is_reaped(child)


def test_a_child_that_does_not_read_hangs_no_writer(installed: Wheel) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        os.kill(child.pid, signal.SIGSTOP)
        large = questions.Array(1, (1 << 20,), bytes(4 << 20))
        with pytest.raises(ChildHung):
            questions.run(child, {"x:0": large}, [], 0.3)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)
def test_an_interrupt_ends_the_child(installed: Wheel) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        os.kill(child.pid, signal.SIGSTOP)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        old = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(KeyboardInterrupt):
                questions.version(child, LIMIT)
        finally:
            signal.signal(signal.SIGALRM, old)
        assert is_reaped(child)


def test_the_terminal_reaches_the_parent_alone(installed: Wheel) -> None:
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        assert os.getsid(child.pid) == child.pid
        assert os.getpgid(child.pid) == child.pid


# A tracer is started as a Python child is, with the same TensorFlow.
@pytest.mark.parametrize("program", [each for each in Program if LONG or each.name != "TRACER"])
def test_neither_environment_nor_directory_of_the_parent_matter(
    installed: Wheel,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: Program,
) -> None:
    for name in ("json", "ctypes", "tensorflow", "numpy", "binascii", "traps"):
        (tmp_path / f"{name}.py").write_text("import os\nos._exit(66)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "traps.py"))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "nonsense")
    monkeypatch.setenv("XLA_FLAGS", "--no_such_flag")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(models / "kinds")
    with Child.start(program, installed) as child:
        if program is Program.LIGHT:
            assert questions.python_signatures(child, Path("model"), ["serve"], LIMIT).ok
        else:
            found = questions.describe(child, Path("model"), ["serve"], ["partly:0"], LIMIT)
            assert found.tensors["partly:0"] is not None


@linux
def test_the_child_sees_a_small_environment(
    installed: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with Child.start(Program.CAPI, installed) as child:
        assert questions.version(child, LIMIT)
        told = Path(f"/proc/{child.pid}/environ").read_bytes().decode().split("\0")
        assert str(Path(f"/proc/{child.pid}/cwd").readlink()) == "/"
    variables = dict(line.split("=", 1) for line in told if line)
    assert variables["CUDA_VISIBLE_DEVICES"] == "-1"
    assert variables["TF_ENABLE_ONEDNN_OPTS"] == "0"
    # Python itself sets LC_CTYPE (PEP 538).
    known = {*process.KEPT_VARIABLES, *process.SET_VARIABLES, "LC_CTYPE"}
    assert variables.keys() <= known


PARENT = """
import os, sys, time
from smpatch.runtime import installation, process, questions
child = process.Child.start(process.Program[sys.argv[1]], installation.find())
if sys.argv[2] == "loaded":
    questions.version(child, 120)
print(child.pid, flush=True)
time.sleep(600)
"""


@linux
@pytest.mark.parametrize(
    ("program", "when"),
    [
        *((program, "loading") for program in Program),
        # The other two load the same TensorFlow in the same way: seconds of CPU time each.
        *((program, "loaded") for program in (Program if LONG else (Program.CAPI, Program.LIGHT))),
    ],
)
def test_the_child_dies_with_its_parent(program: Program, when: str) -> None:
    root = Path(process.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, program.name, when],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


@linux
def test_a_stopped_child_dies_with_its_parent() -> None:
    # A child that reads no pipe, as in the middle of a load, must die as well.
    root = Path(process.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, "CAPI", "loaded"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)
