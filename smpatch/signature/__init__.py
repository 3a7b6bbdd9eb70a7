"""Signatures as values, and the functions of TensorFlow's API that make them.

``specs`` has the values (specs of tensors, and ``SignatureDef``), and turns them into bytes and
back. ``makers`` makes signatures from tensors. This package reads no graph and does not import
TensorFlow.
"""

from smpatch.signature.makers import (
    CLASSES,
    CLASSIFY,
    DEFAULT_KEY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    classification_signature_def,
    predict_signature_def,
    regression_signature_def,
)
from smpatch.signature.specs import (
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    compatible,
    names_of,
    parameter,
    ragged,
    same_parameters,
    shape_from_proto,
    shape_proto,
    shape_text,
    spec_from_proto,
    spec_proto,
)

__all__ = [
    "CLASSES",
    "CLASSIFY",
    "DEFAULT_KEY",
    "EXAMPLES",
    "PREDICT",
    "PREDICTIONS",
    "REGRESS",
    "SCORES",
    "CompositeTensorSpec",
    "Shape",
    "SignatureDef",
    "SparseTensorSpec",
    "Spec",
    "TensorSpec",
    "classification_signature_def",
    "compatible",
    "names_of",
    "parameter",
    "predict_signature_def",
    "ragged",
    "regression_signature_def",
    "same_parameters",
    "shape_from_proto",
    "shape_proto",
    "shape_text",
    "spec_from_proto",
    "spec_proto",
]
