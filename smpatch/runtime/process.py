"""Start a child process that loads TensorFlow, send it requests, and always end it.

The child has an environment of its own and a session of its own (Ctrl-C reaches only the parent).
It writes its error output to a file without a name. A crash, a hang and a failed start are three
exceptions. After each of them, and after any other exception during a question, the child is ended.

The module ``questions`` has the questions and their meaning. This module does not import
TensorFlow, and does not start a failed child again: the caller decides whether to try again.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpatch.runtime.installation import import_path

if TYPE_CHECKING:
    from types import TracebackType

    from smpatch.runtime.installation import Wheel

_LOG = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
LAST_WORDS_BYTES = 1 << 16
# The longest wait between the end of a child's output and its end: the kernel frees its memory.
DYING_SECONDS = 10.0
# The rest of the environment (PYTHON*, TF_*, XLA_FLAGS, proxies, secrets) is left
# out: a validation must not depend on it. LD_PRELOAD is kept because on some
# ARM machines TensorFlow cannot be loaded without it.
KEPT_VARIABLES = (
    *("PATH", "HOME", "TMPDIR", "LANG", "TZ", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"),
)
SET_VARIABLES = {
    # Only errors and fatal messages.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # A validation uses no memory of a GPU, because a server may run on it.
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    # The rewrites of oneDNN change numbers, and remove interior tensors of some models.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


class Program(enum.Enum):
    """The programs that a child process runs."""

    CAPI = "capi_child"
    PYTHON = "python_child"
    LIGHT = "light_child"
    TRACER = "trace_child"


class ChildError(Exception):
    """There is no answer, and the child has ended."""


class ChildUnfit(ChildError):
    """TensorFlow cannot be loaded on this machine; this is not the fault of a model."""


class ChildDied(ChildError):
    """The process ended during a question, or was killed while it loaded TensorFlow.

    Attributes:
        how: How it ended, such as "killed by SIGABRT".
        last_words: The end of its error output, on one line; may be empty.
    """

    def __init__(self, how: str, last_words: str) -> None:
        """Make a message of both."""
        super().__init__(f"{how}: {last_words}" if last_words else how)
        self.how = how
        self.last_words = last_words

    @property
    def was_killed(self) -> bool:
        """Whether it was killed: by the kernel for lack of memory, or by ``Child.kill``."""
        return self.how.startswith("killed by SIGKILL")


class ChildHung(ChildError):
    """There is no answer within the limit.

    Attributes:
        limit: The limit in seconds.
    """

    def __init__(self, limit: float) -> None:
        """Store the limit."""
        super().__init__(f"no answer within {limit:g} s")
        self.limit = limit


class Child:
    """A process that has loaded TensorFlow, or is loading it.

    It is a context manager, whose exit ends the process.
    """

    def __init__(self, program: Program, process: subprocess.Popen[bytes], errors: int) -> None:
        """Take over a process; callers use ``start`` to make a child.

        Args:
            program: The program that runs in the process.
            process: The process, with binary pipes as its input and output.
            errors: The descriptor of the file with its error output.
        """
        if process.stdin is None or process.stdout is None:
            msg = "a child without pipes cannot be asked"
            raise ValueError(msg)
        self.program = program
        self._process = process
        self._requests = process.stdin
        self._replies = process.stdout
        self._errors = errors
        # A request may be larger than the pipe, and the child may have ended.
        os.set_blocking(self._requests.fileno(), False)
        self._outbox = bytearray()
        self._inbox = bytearray()
        self._greeted = False
        self._closed = False
        self._started = time.monotonic()
        self._logged = 0
        _LOG.info("%s started, pid %d", program.value, process.pid)

    @classmethod
    def start(cls, program: Program, wheel: Wheel) -> Child:
        """Start a child and return at once, while it loads TensorFlow.

        On Linux the child is killed when the *thread* that started it ends. So children cannot be
        started in a thread that then ends.

        Args:
            program: The program to run.
            wheel: The installed TensorFlow.

        Returns:
            The child; the first question raises ``ChildUnfit`` if it cannot load TensorFlow.

        Raises:
            ChildUnfit: The wheel does not have the libraries that the program needs.
            OSError: The process cannot be started.
        """
        request = _first_request(program, wheel)
        errors = _nameless_file()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
                _command(program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                cwd="/",
                env=_environment(program),
                start_new_session=True,
            )
        except BaseException:
            os.close(errors)
            raise
        child = cls(program, process, errors)
        try:
            child._post(request)
        except BaseException:
            child.close()
            raise
        return child

    def __enter__(self) -> Child:
        """Return this child."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, so that no more questions are possible."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Whether the process has ended, by itself or by ``close`` or ``kill``."""
        return self._closed or self._process.poll() is not None

    def kill(self) -> None:
        """Kill the process, from any thread; a wait for an answer then ends with an error."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def ask(self, request: dict[str, Any], limit_seconds: float) -> dict[str, Any]:
        """Ask one question and wait for its answer.

        Args:
            request: The request; its key ``do`` selects a method ``_do_...`` of the program.
            limit_seconds: The longest wait, including the time in which TensorFlow loads.

        Returns:
            The reply; its key ``ok`` is false if TensorFlow refused.

        Raises:
            ChildDied: The process ended before it answered.
            ChildHung: There was no answer within the limit.
            ChildUnfit: TensorFlow could not be loaded.
        """
        if self._closed:
            msg = "the child is closed"
            raise ValueError(msg)
        asked = time.monotonic()
        deadline = asked + limit_seconds
        question = request.get("do")
        where = self.program.value, self.pid
        _LOG.info("%s, pid %d: %s asked", *where, question, extra={"step": question})
        try:
            self._post(request)
            if not self._greeted:
                self._greet(deadline, limit_seconds)
            reply = self._receive(deadline, limit_seconds)
            self._log_errors()
            answer = "answered" if reply["ok"] else "refused"
            seconds = time.monotonic() - asked
            facts = (*where, question, answer, seconds)
            _LOG.info("%s, pid %d: %s %s after %.3f s", *facts, extra={"step": ""})
        except BaseException:
            # Otherwise an unread answer would be read as the answer to the next question.
            self.close()
            raise
        return reply

    def close(self) -> None:
        """End the process and reap it; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._end()
        try:
            self._log_errors()
            seconds = time.monotonic() - self._started
            _LOG.info("%s ended, pid %d, after %.3f s", self.program.value, self.pid, seconds)
        finally:
            self._requests.close()
            self._replies.close()
            os.close(self._errors)

    def _greet(self, deadline: float, limit: float) -> None:
        """Wait for the first line, which reports whether the child has loaded TensorFlow."""
        try:
            greeting = self._receive(deadline, limit)
        except ChildDied as error:
            if error.was_killed:
                raise
            raise ChildUnfit(f"its process ended: {error}") from error
        if not greeting["ok"]:
            raise ChildUnfit(_one_line(greeting["message"]))
        self._greeted = True

    def _post(self, request: dict[str, Any]) -> None:
        """Queue a request, and send as many bytes as the pipe takes now."""
        self._outbox += json.dumps(request).encode("ascii") + b"\n"
        self._send()

    def _send(self) -> None:
        """Write as many bytes of the waiting requests as the pipe takes."""
        try:
            written = os.write(self._requests.fileno(), self._outbox)
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The child has ended; the end of its output follows, and ``_death`` reports it.
            written = len(self._outbox)
        del self._outbox[:written]

    def _receive(self, deadline: float, limit: float) -> dict[str, Any]:
        """Wait for one line, and send the rest of the waiting requests meanwhile."""
        requests, replies = self._requests.fileno(), self._replies.fileno()
        end = self._inbox.find(b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(replies, selectors.EVENT_READ)
            if self._outbox and end < 0:
                selector.register(requests, selectors.EVENT_WRITE)
            while end < 0:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ChildHung(limit)
                ready = {key.fd for key, _ in selector.select(left)}
                if requests in ready:
                    self._send()
                    if not self._outbox:
                        selector.unregister(requests)
                if replies in ready:
                    chunk = os.read(replies, CHUNK_BYTES)
                    if not chunk:
                        raise self._death()
                    found = chunk.find(b"\n")
                    end = -1 if found < 0 else len(self._inbox) + found
                    self._inbox += chunk
        reply: dict[str, Any] = json.loads(self._inbox[:end])
        del self._inbox[: end + 1]
        return reply

    def _log_errors(self) -> None:
        """Log what the child has written to stderr since the last time."""
        if not _LOG.isEnabledFor(logging.DEBUG):
            return
        size = os.fstat(self._errors).st_size
        start = max(self._logged, size - LAST_WORDS_BYTES)
        self._logged = size
        for line in os.pread(self._errors, size - start, start).splitlines():
            text = _one_line(line.decode("utf-8", "replace"))
            _LOG.debug("%s, pid %d, stderr: %s", self.program.value, self.pid, text)

    def _death(self) -> ChildDied:
        """Return how the process ended, after the end of its output."""
        try:
            self._process.wait(DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
        from smpatch.runtime.messages import last_words  # noqa: PLC0415 - deaths are rare

        size = os.fstat(self._errors).st_size
        start = max(0, size - LAST_WORDS_BYTES)
        words = last_words(os.pread(self._errors, LAST_WORDS_BYTES, start))
        return ChildDied(_how(self._process.returncode), words)

    def _end(self) -> None:
        """Kill all processes of the session, and reap the child."""
        if self._process.poll() is None:
            # The child has no state to save, and a load may take minutes.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        self._process.wait()


def path_text(path: os.PathLike[str] | str) -> str:
    """Return a path as text for JSON; it may consist of any bytes.

    Relative paths are made absolute, because the child has another working directory.
    """
    return os.fsencode(Path(path).absolute()).decode("utf-8", "surrogateescape")


def _first_request(program: Program, wheel: Wheel) -> dict[str, Any]:
    """Return the request that makes the program load TensorFlow."""
    if program is not Program.CAPI:
        # The entry in which the wheel was found may not be in this path.
        path = [*import_path(sys.path)]
        root = str(wheel.root.parent)
        return {"path": path if root in path else [root, *path], "root": str(wheel.root)}
    if wheel.framework_library is None or wheel.cc_library is None:
        msg = f"no C libraries in {wheel.root}"
        raise ChildUnfit(msg)
    extension = wheel.saved_model_extension
    return {
        "framework": path_text(wheel.framework_library),
        "cc": path_text(wheel.cc_library),
        "extension": None if extension is None else path_text(extension),
    }


def _command(program: Program) -> list[str]:
    """Return the command line of a program."""
    if not sys.executable:
        msg = "Python reports no path of its interpreter (sys.executable is empty)"
        raise ChildUnfit(msg)
    # The C API needs no site-packages; Python starts faster without them.
    options = ["-I", "-S"] if program is Program.CAPI else ["-I"]
    if sys.dont_write_bytecode:
        options.append("-B")
    main = Path(__file__).with_name("child_main.py")
    return [sys.executable, *options, str(main), program.value, str(os.getpid())]


def _environment(program: Program) -> dict[str, str]:
    """Return the environment of a program."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    keras = {} if program is Program.CAPI else {"KERAS_BACKEND": "tensorflow"}
    return {**kept, **SET_VARIABLES, **keras}


def _nameless_file() -> int:
    """Return the descriptor of a file without a name."""
    # On Linux no writable directory is needed; a container may have none.
    with contextlib.suppress(AttributeError, OSError):
        return os.memfd_create("smpatch-errors", os.MFD_CLOEXEC)
    import tempfile  # noqa: PLC0415 - costs 4 ms, and only here

    descriptor, name = tempfile.mkstemp(prefix="smpatch-")
    Path(name).unlink()
    return descriptor


def _how(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return "killed by SIGKILL, as the kernel does when memory runs out"
    return f"killed by {name}"


def _one_line(text: str) -> str:
    """Return a message as one clean line."""
    from smpatch.runtime.messages import one_line  # noqa: PLC0415 - failures are rare

    return one_line(text)
