"""Operations that call back into the Python process in which they were made.

``tf.py_function`` and ``tf.numpy_function`` leave a number in the graph under which that process
keeps a function. No server has it, and no other Python process.

Source: ``tensorflow/python/ops/script_ops.py`` (``FuncRegistry``),
``tensorflow/core/ops/script_ops.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.checker.findings import Finding, fault
from smpatch.checker.subject import Subject
from smpatch.graph.behind import behind

__all__ = ["check_python_calls"]

_OPERATIONS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
_MARK = b"PyFunc"
"""A part of each of their names."""


def check_python_calls(subject: Subject) -> Iterator[Finding]:
    """Yield signatures that need a Python function."""
    meta_graph = subject.meta_graph
    data, pieces = meta_graph.parts.graph
    # One search through the bytes, for a graph of a million nodes would be walked in vain.
    if all(data.find(_MARK, start, end) < 0 for start, end in pieces):
        return
    for key, signature in meta_graph.signatures.items():
        names = [each.name for spec in signature.outputs.values() for each in spec.tensors()]
        for each in behind(meta_graph.graph, meta_graph.functions, names):
            if each.node.op in _OPERATIONS:
                text = f"it calls back into Python at {each}: no server can run that"
                hint = "export it without tf.py_function and tf.numpy_function"
                yield fault("python-function", subject.where(f"signature {key!r}"), text, hint)
                break
