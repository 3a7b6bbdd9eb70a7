"""Calls of signatures in Python, as ``questions.run`` runs them in the C runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from smpatch.runtime.process import Child, path_text
from smpatch.runtime.questions import Array, RunResult, read_array, refusal, wire_array

__all__ = ["call", "call_function", "stand_in"]


def stand_in(child: Child, limit_seconds: float, directory: os.PathLike[str] | str) -> None:
    """Let relative paths of a child count from a directory, for signatures that write files.

    Args:
        child: Of either program.
        limit_seconds: Longest wait.
        directory: The directory, which may be removed when no signature runs any more.
    """
    child.ask({"do": "stand_in", "dir": path_text(directory)}, limit_seconds)


def call(child: Child, key: str, inputs: Mapping[str, Array], limit_seconds: float) -> RunResult:
    """Call a signature of the model that ``python_signatures`` has kept.

    Args:
        child: Of the Python program.
        key: The signature's key in ``.signatures``.
        inputs: By the argument's name.
        limit_seconds: Longest wait.

    Returns:
        The arrays by the result's name; not ok when the signature does not have the argument, or
        TensorFlow refuses.
    """
    return _called(child, {"do": "call", "key": key}, inputs, limit_seconds)


def call_function(
    child: Child, function: str, inputs: Mapping[str, Array], limit_seconds: float
) -> RunResult:
    """Call a traced function of the model that ``python_signatures`` has kept.

    Args:
        child: Of the Python program.
        function: Its path in the object graph (``encoder.call``), or the name that its trace
            has in the file.
        inputs: By the argument's name.
        limit_seconds: Longest wait.

    Returns:
        The arrays by result: the keys of a dict, else ``output_0`` and so on; not ok when
        there is no such function, or it has several traces or other arguments.
    """
    return _called(child, {"do": "call_function", "function": function}, inputs, limit_seconds)


def _called(
    child: Child, request: Mapping[str, Any], inputs: Mapping[str, Array], limit_seconds: float
) -> RunResult:
    fed = {name: wire_array(array) for name, array in inputs.items()}
    reply = child.ask({**request, "inputs": fed}, limit_seconds)
    if not reply["ok"]:
        return RunResult(**refusal(reply))
    return RunResult(arrays={name: read_array(array) for name, array in reply["arrays"].items()})
