"""Defaults of inputs for another batch than their own.

A server puts the default in place of an input that a request leaves out, and it makes no rows:
a default of one row meets a batch of three. Whether that works is decided by the graph, which
may broadcast it.

Source: ``tensorflow_serving/servables/tensorflow/predict_util.cc``
(``PreProcessPrediction``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from smpatch.checker.findings import Finding, note
from smpatch.errors import ModelUnreadableError
from smpatch.runtime.questions import Array
from smpatch.signature import (
    Shape,
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.values import preview

__all__ = ["check_rows", "forms", "left_out"]


def check_rows(where: str, alias: str, signature: SignatureDef) -> Iterator[Finding]:
    """Yield a default that has a fixed number of rows where the batch is open.

    Args:
        where: The place of the default.
        alias: The input that has it.
        signature: Its signature; types and shapes are known to fit.
    """
    spec = signature.inputs[alias]
    if not isinstance(spec, TensorSpec) or not _is_open(spec.shape):
        return
    others = (other for name, other in signature.inputs.items() if name not in signature.defaults)
    if not any(isinstance(each, TensorSpec) and _is_open(each.shape) for each in others):
        return
    try:
        _, shape, _ = preview(signature.defaults[alias])
    except ModelUnreadableError:
        return  # reported already
    if not shape:
        return  # a scalar has no rows
    text = (
        f"its shape is {shape_text(shape)}: a request with another batch than {shape[0]} that "
        "leaves the input out works only if the graph broadcasts it"
    )
    yield note("default-batch", where, text, _advice(shape, spec.shape))


def _advice(shape: tuple[int | None, ...], wanted: Shape) -> str:
    if compatible((), wanted):
        return "a scalar is broadcast to every batch where the graph takes one"
    if shape[0] != 1:
        return f"of {shape_text((1, *shape[1:]))} a graph that broadcasts makes every batch"
    return "smpatch check --run --batch 1,3 runs it with the defaults"


def _is_open(shape: Shape) -> bool:
    return shape is None or shape[:1] == (None,)


def left_out(
    values: Mapping[str, tuple[Array, ...]], defaults: Mapping[str, Array]
) -> dict[str, tuple[Array, ...]]:
    """Return what a signature is fed where a request leaves out all inputs with a default."""
    return {**values, **{alias: (array,) for alias, array in defaults.items() if alias in values}}


def forms(array: Array, spec: Spec) -> Iterator[Array]:
    """Yield a default in the forms that more graphs broadcast: one row, and a scalar.

    Args:
        array: The default; only one whose rows, or elements, are equal has other forms.
        spec: The input.
    """
    if not isinstance(spec, TensorSpec) or not array.shape or 0 in array.shape:
        return
    shapes: list[tuple[int, ...]] = [(1, *array.shape[1:]), ()]
    for shape in shapes:
        times = _count(array.shape) // _count(shape)
        if shape != array.shape and compatible(shape, spec.shape):
            data = array.data[: len(array.data) // times]
            strings = array.strings[: len(array.strings) // times]
            if (data * times, strings * times) == (array.data, array.strings):
                yield replace(array, shape=shape, data=data, strings=strings)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
