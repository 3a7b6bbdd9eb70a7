"""Calls of signatures in Python: what ``answers.run`` is for the C runtime."""

from __future__ import annotations

from collections.abc import Mapping

from smpatch.runtime.answers import Array, RunResult, read_array, refusal, wire_array
from smpatch.runtime.process import Child

__all__ = ["call"]


def call(child: Child, key: str, inputs: Mapping[str, Array], limit_seconds: float) -> RunResult:
    """Call a signature of the model that ``python_signatures`` has kept.

    Args:
        child: Of the Python program.
        key: The signature's key in ``.signatures``.
        inputs: By the argument's name.
        limit_seconds: Longest wait.

    Returns:
        The arrays by the result's name; not ok when the signature has no such argument, or
        TensorFlow says no.
    """
    request = {
        "do": "call",
        "key": key,
        "inputs": {name: wire_array(array) for name, array in inputs.items()},
    }
    reply = child.ask(request, limit_seconds)
    if not reply["ok"]:
        return RunResult(**refusal(reply))
    return RunResult(arrays={name: read_array(array) for name, array in reply["arrays"].items()})
