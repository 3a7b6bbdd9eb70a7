"""Properties that all Predict requests to TF Serving share: the method, and remarks.

Source: TF Serving's ``servables/tensorflow/predict_util.cc`` (``VerifySignature``,
``VerifyRequestInputsSize``).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.describer.subject import METHODS, Subject, command, refuse
from smpatch.signature import CLASSIFY, PREDICT, REGRESS, TensorSpec

__all__ = ["check_method", "remarks"]

_REQUESTS = {CLASSIFY: "Classify", REGRESS: "Regress"}


def check_method(subject: Subject) -> None:
    """Refuse a method that TF Serving does not run, and a key that means another signature.

    Raises:
        RefusedError: The method is none of ``METHODS``, or the key is empty; the hint has the
            command that sets another.
    """
    if not subject.key:
        line = command("rename", subject.directory, "--from", "", "--to", "NEW")
        found = "TF Serving reads an empty key as 'serving_default'"
        refuse(subject, "", found, f"{line} gives it another")
    method = subject.signature.method_name
    if method not in METHODS:
        options = ("--signature", subject.key, "--method", PREDICT)
        line = command("edit", subject.directory, *options)
        refuse(subject, "", f"TF Serving does not run the method {method!r}", line)


def remarks(subject: Subject, interface: str) -> Iterator[str]:
    """Yield the comments at the top of a request, for the shell as for Python.

    Args:
        subject: The signature.
        interface: ``REST`` or ``gRPC``.
    """
    signature = subject.signature
    where = f"for the {interface} API of TF Serving"
    yield f"# The signature {subject.key!a} of {subject.model!a}, {where}."
    yield "# Numbers are zeros and strings are empty; replace them by your values."
    unknown = [
        alias
        for alias, spec in signature.inputs.items()
        if isinstance(spec, TensorSpec) and spec.shape is None
    ]
    if unknown:
        yield f"# Of unknown rank, and written as a row: {', '.join(map(ascii, unknown))}."
    request = _REQUESTS.get(signature.method_name)
    if request is not None:
        yield "# Each string is a serialized tf.train.Example."
        yield f"# The {request} API takes features by name; a signature does not have their names."
    if signature.defaults:
        names = ", ".join(map(ascii, signature.defaults))
        yield f"# These inputs have defaults, which only gRPC may leave out: {names}."
