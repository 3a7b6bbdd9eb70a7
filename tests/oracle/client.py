"""Start the oracle, send questions to it, and start it again after a model has crashed it.

Nothing here imports TensorFlow. The answers are JSON objects; ``loading`` and ``parsing`` have
most of their formats.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["Oracle", "OracleDiedError", "Value", "decoded", "encoded"]

Value = Mapping[str, Any]
"""An array in the form for the pipe: dtype, shape, and data or strings in base64."""

_ROOT = Path(__file__).resolve().parents[2]

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    # The rewrites of oneDNN change numbers, and lose interior tensors of some models.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


class OracleDiedError(Exception):
    """TensorFlow ended its process in the middle of a question."""


class Oracle:
    """TensorFlow in a process of its own; the context manager ends the process."""

    def __init__(self) -> None:
        """Prepare; the process starts with the first question."""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the oracle

    def __enter__(self) -> Oracle:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._end()
        self._errors.close()

    def ask(self, do: str, **about: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Ask one question; arguments may be paths.

        Raises:
            OracleDiedError: TensorFlow crashed; the next question starts a new process.
        """
        process = self._process or self._start()
        request = json.dumps({"do": do, **about}, default=os.fspath).encode() + b"\n"
        reply = b""
        if process.stdin is not None and process.stdout is not None:
            try:
                process.stdin.write(request)
                process.stdin.flush()
                reply = process.stdout.readline()
            except BrokenPipeError:
                reply = b""
        if not reply:
            code = self._end()
            raise OracleDiedError(f"TensorFlow ended with {code}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(reply)
        if "bug" in answer:
            raise AssertionError(answer["bug"])
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.oracle"],
            cwd=_ROOT,
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        return self._process

    def _end(self) -> int:
        if self._process is None:
            return 0
        self._process.kill()
        self._process.communicate()
        code, self._process = self._process.returncode, None
        return code

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode(errors="replace").strip()


def encoded(array: Any) -> Value:  # noqa: ANN401 - numpy's arrays of any type
    """Return an array in the form for the pipe; the elements of an object array are bytes."""
    # As objects, because NumPy's own arrays of bytes lose zeros at the end of an element.
    values = np.array(array, dtype=object) if isinstance(array, bytes) else np.asarray(array)
    value = {"dtype": values.dtype.name, "shape": list(values.shape)}
    if values.dtype == object:
        strings = [base64.b64encode(each).decode() for each in values.ravel()]
        return {**value, "dtype": "string", "strings": strings}
    return {**value, "data": base64.b64encode(values.tobytes()).decode()}


def decoded(value: Value) -> Any:  # noqa: ANN401 - as above
    """Return the array of a value from the pipe."""
    if value["dtype"] == "string":
        strings = [base64.b64decode(each) for each in value["strings"]]
        array = np.empty(len(strings), dtype=object)
        array[:] = strings
        return array.reshape(value["shape"])
    data = base64.b64decode(value["data"])
    return np.frombuffer(data, np.dtype(value["dtype"])).reshape(value["shape"])
