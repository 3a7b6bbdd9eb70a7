"""Further questions: calls in Python, traces of functions, the working directory of a child.

A callable of this process is traced in this process, if TensorFlow is imported already.
"""

from __future__ import annotations

import binascii
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smpatch.runtime.process import Child, path_text
from smpatch.runtime.questions import (
    Array,
    RunResult,
    TensorFact,
    read_array,
    read_fact,
    refusal,
    wire_array,
)


def stand_in(child: Child, limit_seconds: float, directory: os.PathLike[str] | str) -> None:
    """Set the working directory of a child, for signatures that write files with relative paths.

    The directory may be removed after the last run of a signature.
    """
    child.ask({"do": "stand_in", "dir": path_text(directory)}, limit_seconds)


def call(child: Child, key: str, inputs: Mapping[str, Array], limit_seconds: float) -> RunResult:
    """Call a signature of the model that ``python_signatures`` has kept.

    ``inputs`` has the arrays by the name of the argument.

    Returns:
        The arrays by the name of the result, without sparse and ragged results; not ok if the
        signature does not have one of the arguments, or TensorFlow refuses.
    """
    return _called(child, {"do": "call", "key": key}, inputs, limit_seconds)


def call_function(
    child: Child, function: str, inputs: Mapping[str, Array], limit_seconds: float
) -> RunResult:
    """Call a traced function of the model that ``python_signatures`` has kept.

    Args:
        child: A child of the Python program.
        function: The path of the function in the object graph (``encoder.call``), or the name of
            its trace in the file.
        inputs: The arrays by the name of the argument.
        limit_seconds: The longest wait.

    Returns:
        The arrays by the name of the result: the key in a dict, else ``output_0`` and so on; not
        ok if there is no such function, or it has several traces or other arguments.
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a function cannot be traced.

    Attributes:
        found: The reason in words.
        where: The place in the user's file; may be empty.
        hint: Advice; may be empty.
    """

    found: str
    where: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """The result of a trace.

    Attributes:
        refusal: The reason why there is no function; None if there is one.
        inputs: Parameter to type and shape, in the order of the arguments.
        outputs: Pairs of the name of a result and its type and shape, in the order of the results;
            the name is None if the function returns one tensor without a name.
        functions: The function and the functions that it calls, each a serialized ``FunctionDef``.
        ops: The operations that they use.
        samples: Parameter to values for a test run, each a serialized ``TensorProto``.
        printed: The lines that the function printed.
        frozen_bytes: The size in bytes of the variables that became constants.
    """

    refusal: Refusal | None = None
    inputs: Mapping[str, TensorFact] = field(default_factory=dict)
    outputs: Sequence[tuple[str | None, TensorFact]] = ()
    functions: tuple[bytes, ...] = ()
    ops: tuple[str, ...] = ()
    samples: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    printed: tuple[str, ...] = ()
    frozen_bytes: int = 0


def trace(child: Child, limit_seconds: float, request: Mapping[str, Any]) -> Traced:
    """Trace a function in TensorFlow.

    Args:
        child: A child of the tracing program for a function of a file, of the Python program for
            another model, or of the Python or the light program for a recipe.
        limit_seconds: The longest wait.
        request: The ``file`` and the ``name`` of a function, or a ``recipe``, or another ``model``;
            the ``place``; the ``specs`` by alias; ``most_bytes``, the largest size of variables
            that may become constants; ``scratch``, a directory for temporary files.
    """
    reply = child.ask({"do": "trace", **_NOTHING, **request}, limit_seconds)
    return _read(reply)


def traced_here(request: Mapping[str, Any]) -> Traced:
    """Trace a ``callable`` of a request as for ``trace`` in the TensorFlow of this process."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        hint = "import it first, or name a function in a file: FILE.py:NAME"
        return Traced(Refusal("TensorFlow is not imported in this process", hint=hint))
    from smpatch.runtime.trace_request import trace_here  # noqa: PLC0415 - seldom needed

    return _read({"ok": True, **trace_here(tf, {**_NOTHING, **request})})


_NOTHING = {"file": "", "name": "", "recipe": None, "model": None, "scratch": None}


def _read(reply: Mapping[str, Any]) -> Traced:
    if not reply["ok"]:
        return Traced(Refusal(" ".join(f"{reply['kind']}: {reply['message']}".split())))
    printed = tuple(reply["printed"])
    if "refused" in reply:
        return Traced(Refusal(**reply["refused"]), printed=printed)
    return Traced(
        inputs={each["name"]: read_fact(each) for each in reply["inputs"]},
        outputs=[(each["name"], read_fact(each)) for each in reply["outputs"]],
        functions=tuple(map(binascii.a2b_base64, reply["functions"])),
        ops=tuple(reply["ops"]),
        samples={
            name: tuple(map(binascii.a2b_base64, each)) for name, each in reply["samples"].items()
        },
        printed=printed,
        frozen_bytes=reply["frozen_bytes"],
    )
