"""Rules of Triton's TensorFlow backend for tensors: their types, their ranks, batches.

``check --for triton`` and ``describe --as triton`` use them.

Sources: Triton's TensorFlow backend (``github.com/triton-inference-server/tensorflow_backend``):
``src/tensorflow_utils.cc`` (``ModelSupportsBatch``, ``CompareDims``, ``ConvertDataType``),
``src/tensorflow.cc`` (the rank of a model's tensors), ``mirror/tensorflow_backend_tf.cc`` (which
fields of a ``SignatureDef`` are read); Triton's ``core``: ``src/model_config_utils.cc``
(``ValidateIOShape``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smpatch import dtypes
from smpatch.signature import SignatureDef, Spec, TensorSpec

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "TYPE_BOOL",
        "string": "TYPE_STRING",
        "float16": "TYPE_FP16",
        "float32": "TYPE_FP32",
        "float64": "TYPE_FP64",
    }
    | {
        f"{kind}{bits}": f"TYPE_{kind.upper()}{bits}"
        for kind in ("int", "uint")
        for bits in (8, 16, 32, 64)
    }
)
"""The types that Triton has (``TRITONTF_DataType``), by the name that TensorFlow gives them."""


@dataclass(frozen=True, slots=True)
class Objection:
    """A property of a tensor that Triton refuses.

    Attributes:
        code: The code of the finding.
        text: The property.
        hint: The remedy; empty if there is none.
    """

    code: str
    text: str
    hint: str = ""


def objection(kind: str, spec: Spec) -> Objection | None:
    """Return why Triton refuses a tensor of a signature; None if it takes the tensor.

    Args:
        kind: ``input`` or ``output``.
        spec: The tensor.

    Example:
        >>> objection("input", TensorSpec("x:0", "complex64", (None,))).text
        'Triton has no type complex64'
    """
    if not isinstance(spec, TensorSpec):
        return Objection("not-dense", "Triton takes dense tensors only")
    if dtypes.base(spec.dtype) not in TYPES:
        return Objection("consumer-type", f"Triton has no type {spec.dtype}")
    if spec.shape == ():
        hint = "feed a row, as [1] or [?]" if kind == "input" else "yield a row, as [1] or [?]"
        text = "its rank is 0, which Triton refuses"
        return Objection("rank-zero", text, f"{hint}; the graph has to do it")
    if spec.shape is not None and 0 in spec.shape:
        return Objection("size-zero", "a dimension has size 0, which Triton refuses")
    return None


def batches(signature: SignatureDef) -> bool:
    """Return whether Triton makes batches: every first dimension has to be open.

    A tensor of unknown rank makes the answer no, because its first dimension may be anything.

    Example:
        >>> x = TensorSpec("x:0", "float32", (None, 3))
        >>> batches(SignatureDef({"x": x}, {}, "tensorflow/serving/predict"))
        True
    """
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return all(isinstance(each, TensorSpec) and bool(each.shape) for each in specs) and all(
        each.shape[0] is None for each in signature.tensors() if each.shape
    )
