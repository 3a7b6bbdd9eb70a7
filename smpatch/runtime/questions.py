"""The questions to a child process, and the answers as frozen values.

Other packages use this module; only this package uses the lines on the pipe. If TensorFlow
refuses, the answer has ``ok`` False and TensorFlow's message. A refusal is a result and not an
exception, because the same refusal before and after an edit means that the edit is not the cause.
The exceptions are ``ChildDied``, ``ChildHung`` and ``ChildUnfit``. Variables that are still in a
store are read before a model is loaded with them (``absent``). A question waits ``limit_seconds``
at most.

The numbers of data types are from ``DataType`` in TensorFlow's ``types.proto``, which the C API
uses too; 100 more means a reference.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smpatch.runtime import absent
from smpatch.runtime.messages import one_line, without_frames
from smpatch.runtime.process import path_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from smpatch.runtime.process import Child


@dataclass(frozen=True, slots=True)
class TensorFact:
    """The facts of a tensor in TensorFlow.

    Attributes:
        dtype: The number of the data type.
        shape: Dimensions, None where unknown; None as a whole for unknown rank.
    """

    dtype: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class CompositeFact:
    """An argument or a result of a signature that is not a dense tensor.

    Attributes:
        words: TensorFlow's words for its type.
    """

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, which may be a refusal of TensorFlow.

    Attributes:
        ok: Whether the request succeeded.
        code: TensorFlow's status code of a refusal.
        kind: The class of the Python exception; empty from the C API.
        message: TensorFlow's words of a refusal, on one line.
    """

    ok: bool = True
    code: int = 0
    kind: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description(Answer):
    """The facts of a model that was loaded into a session.

    Attributes:
        tensors: The facts by each requested name of a tensor; None if the graph does not have it.
        operations: The requested names that are names of operations, not of tensors.
        signature_entries: The entries of the ``signature_def`` map (key in field 1, value in
            field 2), in no particular order.
    """

    tensors: Mapping[str, TensorFact | None] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    signature_entries: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference(Answer):
    """The facts of a graph that was made without a session.

    Attributes:
        tensors: The facts by each requested name of a tensor; None if the graph does not have it.
    """

    tensors: Mapping[str, TensorFact | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload(Answer):
    """A serialized message."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PythonSignature:
    """A signature in the form that ``tf.saved_model.load`` gives it.

    Attributes:
        inputs: The facts by the name of the argument.
        outputs: The facts by the name of the result.
    """

    inputs: Mapping[str, TensorFact | CompositeFact]
    outputs: Mapping[str, TensorFact | CompositeFact]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSignatures(Answer):
    """The signatures of a model that was loaded by ``tf.saved_model.load``.

    Attributes:
        signatures: The signatures by key, including keys that begin with ``__``.
        variables: Whether the variables of the model were read.
    """

    signatures: Mapping[str, PythonSignature] = field(default_factory=dict)
    variables: bool = True


@dataclass(frozen=True, slots=True)
class Array:
    """The value of a tensor.

    Attributes:
        dtype: The number of the data type.
        shape: The dimensions.
        data: The elements, row-major and little endian; empty for strings.
        strings: The elements of an array of strings, row-major.
    """

    dtype: int
    shape: tuple[int, ...]
    data: bytes = b""
    strings: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Answer):
    """The result of a run.

    Attributes:
        arrays: The arrays by the fetched name.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)


def describe(  # noqa: PLR0913 - a question and its limit
    child: Child,
    directory: os.PathLike[str] | str,
    tags: Sequence[str],
    tensors: Sequence[str],
    limit_seconds: float,
    *,
    keep: bool = False,
    plain: bool = False,
) -> Description:
    """Load a model as TF Serving does, and report the facts of some names in its graph.

    The names are those of tensors (``op:index``) or of operations. A child of the C API's program
    can keep the session open for ``run``, and can run the graph ``plain``: without TensorFlow's
    optimizers, so that other parts of the graph do not change the bits of a result. ``tags`` is
    the exact tag-set of a MetaGraph.
    """
    absent.provide(directory)
    reply = child.ask(
        {
            "do": "describe",
            "dir": path_text(directory),
            "tags": [*tags],
            "tensors": [*tensors],
            "keep": keep,
            "plain": plain,
        },
        limit_seconds,
    )
    if not reply["ok"]:
        return Description(**refusal(reply))
    found: dict[str, dict[str, Any] | None] = reply["tensors"]
    operations = frozenset(name for name, fact in found.items() if fact and "operation" in fact)
    return Description(
        tensors={
            name: None if fact is None else read_fact(fact)
            for name, fact in found.items()
            if name not in operations
        },
        operations=operations,
        signature_entries=tuple(map(binascii.a2b_base64, reply["signatures"])),
    )


def infer(child: Child, limit_seconds: float, graph: bytes, tensors: Sequence[str]) -> Inference:
    """Make a graph in TensorFlow, and report the types and shapes that it infers for some tensors.

    ``graph`` is a serialized ``GraphDef``, and ``tensors`` are full names (``op:index``).

    Returns:
        The facts; not ok if, for example, TensorFlow does not have an operation.
    """
    request = {"do": "infer", "graph": _base64(graph), "tensors": [*tensors]}
    reply = child.ask(request, limit_seconds)
    if not reply["ok"]:
        return Inference(**refusal(reply))
    found: dict[str, dict[str, Any] | None] = reply["tensors"]
    return Inference(
        tensors={name: None if fact is None else read_fact(fact) for name, fact in found.items()}
    )


def run(
    child: Child,
    feeds: Mapping[str, Array],
    fetches: Sequence[str],
    limit_seconds: float,
    *,
    targets: Sequence[str] = (),
) -> RunResult:
    """Run the session that ``describe`` has kept in a child of the C API's program.

    ``feeds`` has the arrays by tensor name, ``fetches`` the names of tensors, and ``targets`` the
    names of operations that run for their effects.
    """
    reply = child.ask(
        {
            "do": "run",
            "feeds": {name: wire_array(array) for name, array in feeds.items()},
            "fetches": [*fetches],
            "targets": [*targets],
        },
        limit_seconds,
    )
    if not reply["ok"]:
        return RunResult(**refusal(reply))
    return RunResult(arrays={name: read_array(array) for name, array in reply["arrays"].items()})


def fingerprint(child: Child, directory: os.PathLike[str] | str, limit_seconds: float) -> Payload:
    """Compute the ``FingerprintDef`` of a model.

    TensorFlow crashes on an empty ``saved_model.pb`` (``ChildDied``).

    Only a child of the C API's program answers.

    Returns:
        The message; not ok for a model in text form, which has no fingerprint.
    """
    return _payload(child.ask({"do": "fingerprint", "dir": path_text(directory)}, limit_seconds))


def op_list(child: Child, limit_seconds: float) -> Payload:
    """Return the operations of TensorFlow and of loaded libraries, as a serialized ``OpList``.

    Only a child of the C API's program answers.
    """
    return _payload(child.ask({"do": "op_list"}, limit_seconds))


def load_library(child: Child, file: os.PathLike[str] | str, limit_seconds: float) -> Answer:
    """Load a library of custom operations into a child.

    A child of any program answers; the answer is not ok if the library was not loaded.
    """
    reply = child.ask({"do": "library", "file": path_text(file)}, limit_seconds)
    return Answer() if reply["ok"] else Answer(**refusal(reply))


def version(child: Child, limit_seconds: float) -> str:
    """Return the version of the TensorFlow that a child has loaded."""
    text: str = child.ask({"do": "version"}, limit_seconds)["version"]
    return text


def python_signatures(  # noqa: PLR0913 - a question and its limit
    child: Child,
    directory: os.PathLike[str] | str,
    tags: Sequence[str] | None,
    limit_seconds: float,
    *,
    keep: bool = False,
    variables: bool = True,
) -> PythonSignatures:
    """Load a model by ``tf.saved_model.load`` and report its signatures.

    The child is one of the Python program; without ``keep`` it may be the light one. With ``keep``
    the model stays for ``python_questions.call``, and its functions run without TensorFlow's
    optimizers. Without ``variables`` the variables have no values. ``tags`` may be None if the
    model has only one MetaGraph.
    """
    if variables:
        absent.provide(directory)
    reply = child.ask(
        {
            "do": "load",
            "dir": path_text(directory),
            "tags": None if tags is None else [*tags],
            "keep": keep,
            "variables": variables,
        },
        limit_seconds,
    )
    if not reply["ok"]:
        return PythonSignatures(**refusal(reply), variables=variables)
    return PythonSignatures(
        variables=variables,
        signatures={
            key: PythonSignature(
                inputs={name: _spec(spec) for name, spec in signature["inputs"].items()},
                outputs={name: _spec(spec) for name, spec in signature["outputs"].items()},
            )
            for key, signature in reply["signatures"].items()
        },
    )


def refusal(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an answer that is a refusal, from a reply of a child."""
    return {
        "ok": False,
        "code": reply["code"],
        "kind": reply.get("kind", ""),
        "message": one_line(without_frames(reply["message"])),
    }


def _payload(reply: dict[str, Any]) -> Payload:
    if not reply["ok"]:
        return Payload(**refusal(reply))
    return Payload(data=binascii.a2b_base64(reply["data"]))


def read_fact(reply: dict[str, Any]) -> TensorFact:
    """Return the facts of a tensor in a reply; a size of -1 becomes None."""
    shape: list[int] | None = reply["shape"]
    known = None if shape is None else tuple(None if size < 0 else size for size in shape)
    return TensorFact(reply["dtype"], known)


def _spec(reply: dict[str, Any]) -> TensorFact | CompositeFact:
    return CompositeFact(one_line(reply["composite"])) if "composite" in reply else read_fact(reply)


def wire_array(array: Array) -> dict[str, Any]:
    """Return an array in the form for the pipe."""
    return {
        "dtype": array.dtype,
        "shape": [*array.shape],
        "data": _base64(array.data),
        "strings": [_base64(string) for string in array.strings],
    }


def read_array(reply: dict[str, Any]) -> Array:
    """Return an array from the pipe."""
    return Array(
        dtype=reply["dtype"],
        shape=tuple(reply["shape"]),
        data=binascii.a2b_base64(reply.get("data", "")),
        strings=tuple(map(binascii.a2b_base64, reply.get("strings", ()))),
    )


def _base64(data: bytes) -> str:
    """Return bytes in base64, as text for JSON."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
