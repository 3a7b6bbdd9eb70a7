"""The questions that other modules may ask a child, and the answers as frozen values.

Other packages use this module; the lines on the pipe stay inside the package. When TensorFlow
refuses, the answer has ``ok`` False and its message; that is a result, not an exception, because
the same refusal before and after an edit means that the edit is not the cause. Exceptions are
``ChildDied``, ``ChildHung``, ``ChildUnfit``. Variables that are still in a store are read before
a model is loaded with them (``absent``).

Numbers of data types are those of ``DataType`` in TensorFlow's ``types.proto``, which the C API
shares; 100 more means a reference.
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

__all__ = [
    "Answer",
    "Array",
    "CompositeFact",
    "Description",
    "Inference",
    "Payload",
    "PythonSignature",
    "PythonSignatures",
    "RunResult",
    "TensorFact",
    "describe",
    "fingerprint",
    "infer",
    "load_library",
    "op_list",
    "python_signatures",
    "read_array",
    "read_fact",
    "refusal",
    "run",
    "version",
    "wire_array",
]


@dataclass(frozen=True, slots=True)
class TensorFact:
    """The facts of a tensor in TensorFlow.

    Attributes:
        dtype: Number of the data type.
        shape: Dimensions, None where unknown; None as a whole for unknown rank.
    """

    dtype: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class CompositeFact:
    """A signature's argument or result that is not a dense tensor.

    Attributes:
        words: TensorFlow's words for its type.
    """

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether TensorFlow did what was asked.

    Attributes:
        ok: It did.
        code: Its status code when it did not.
        kind: The class of the Python exception, empty from the C API.
        message: Its words, on one line.
    """

    ok: bool = True
    code: int = 0
    kind: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description(Answer):
    """A model that was loaded into a session.

    Attributes:
        tensors: Each tensor name that was asked for; None when the graph does not have it.
        operations: Those of the names that name an operation, not a tensor.
        signature_entries: The entries of the ``signature_def`` map (key in field 1, value in
            field 2), in no particular order.
    """

    tensors: Mapping[str, TensorFact | None] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    signature_entries: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference(Answer):
    """A graph that was put together without a session.

    Attributes:
        tensors: Each tensor name that was asked for; None when the graph does not have it.
    """

    tensors: Mapping[str, TensorFact | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload(Answer):
    """A serialized message.

    Attributes:
        data: Its bytes.
    """

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PythonSignature:
    """A signature as ``tf.saved_model.load`` presents it.

    Attributes:
        inputs: By the argument's name.
        outputs: By the result's name.
    """

    inputs: Mapping[str, TensorFact | CompositeFact]
    outputs: Mapping[str, TensorFact | CompositeFact]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSignatures(Answer):
    """A model that was loaded by ``tf.saved_model.load``.

    Attributes:
        signatures: By key, those that begin with ``__`` included.
        variables: Whether its variables were read.
    """

    signatures: Mapping[str, PythonSignature] = field(default_factory=dict)
    variables: bool = True


@dataclass(frozen=True, slots=True)
class Array:
    """The value of a tensor.

    Attributes:
        dtype: Number of the data type.
        shape: Dimensions.
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
        arrays: By the name that was fetched.
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

    Args:
        child: Of either program.
        directory: The SavedModel.
        tags: Its tag-set, exactly.
        tensors: Names of tensors (``op:index``) or operations.
        limit_seconds: Longest wait.
        keep: Leave the session open for ``run``; for the C API's program only.
        plain: Run the graph as it is written, without TensorFlow's optimizers, so that what
            else is in it does not change the bits of a result.

    Returns:
        The facts.
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
    """Put a graph together, and report what TensorFlow infers of some of its tensors.

    Args:
        child: Of either program.
        limit_seconds: Longest wait.
        graph: A ``GraphDef``.
        tensors: Names of tensors (``op:index``).

    Returns:
        The facts; not ok if, for example, TensorFlow does not register an operation.
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
    """Run the session that ``describe`` has kept.

    Args:
        child: Of the C API's program.
        feeds: By tensor name.
        fetches: Tensor names.
        limit_seconds: Longest wait.
        targets: Names of operations to run for their effects.

    Returns:
        The fetched arrays.
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

    Args:
        child: Of the C API's program.
        directory: The SavedModel.
        limit_seconds: Longest wait.

    Returns:
        The message; not ok for a model in text form, which has no fingerprint.
    """
    return _payload(child.ask({"do": "fingerprint", "dir": path_text(directory)}, limit_seconds))


def op_list(child: Child, limit_seconds: float) -> Payload:
    """Return every operation that TensorFlow and the loaded libraries register.

    Args:
        child: Of the C API's program.
        limit_seconds: Longest wait.

    Returns:
        An ``OpList``.
    """
    return _payload(child.ask({"do": "op_list"}, limit_seconds))


def load_library(child: Child, file: os.PathLike[str] | str, limit_seconds: float) -> Answer:
    """Load a library of custom operations into a child.

    Args:
        child: Of either program.
        file: The shared library.
        limit_seconds: Longest wait.

    Returns:
        Whether it was loaded.
    """
    reply = child.ask({"do": "library", "file": path_text(file)}, limit_seconds)
    return Answer() if reply["ok"] else Answer(**refusal(reply))


def version(child: Child, limit_seconds: float) -> str:
    """Return the version of the TensorFlow that a child has loaded.

    Args:
        child: Of either program.
        limit_seconds: Longest wait.
    """
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

    Args:
        child: Of the Python program.
        directory: The SavedModel.
        tags: Its tag-set; None lets TensorFlow take the only one.
        limit_seconds: Longest wait.
        keep: Keep the model for ``python_questions.call``, and let its functions run as they are
            written, without TensorFlow's optimizers.
        variables: Read the variables; without it they have no values.

    Returns:
        The signatures.
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
    """Return the parts of an answer that is a refusal."""
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
    """Return a tensor's facts; -1 on the pipe is None here."""
    shape: list[int] | None = reply["shape"]
    known = None if shape is None else tuple(None if size < 0 else size for size in shape)
    return TensorFact(reply["dtype"], known)


def _spec(reply: dict[str, Any]) -> TensorFact | CompositeFact:
    return CompositeFact(one_line(reply["composite"])) if "composite" in reply else read_fact(reply)


def wire_array(array: Array) -> dict[str, Any]:
    """Return an array as the pipe carries it."""
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
    """Return bytes as JSON can carry them."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
