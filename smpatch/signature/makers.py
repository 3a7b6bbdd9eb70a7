"""The functions of TensorFlow's API that make signatures.

``predict_signature_def``, ``classification_signature_def`` and ``regression_signature_def``
have the contracts of the functions in ``tf.compat.v1.saved_model``: the same arguments, the same
``ValueError`` with the same words, and for the same tensors the same bytes under
deterministic serialization, which is the only form that smpatch writes.

This module never imports TensorFlow. For a composite tensor, it uses the TensorFlow that the
caller has loaded.

Sources: ``tensorflow/python/saved_model/signature_def_utils_impl.py``,
``signature_constants.py``, ``utils_impl.py`` (``build_tensor_info``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from smpatch import dtypes
from smpatch.signature.specs import (
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    shape_from_proto,
)

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

EXAMPLES = "inputs"
"""The one input of Classify and Regress."""

CLASSES, SCORES = "classes", "scores"
"""The outputs of Classify, of which one may be missing."""

PREDICTIONS = "outputs"
"""The one output of Regress."""

DEFAULT_KEY = "serving_default"
"""The key that servers use if a request names none (``signature_constants.py``)."""


def predict_signature_def(
    inputs: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None
) -> SignatureDef:
    """Build a predict signature from tensors.

    Args:
        inputs: Alias to tensor: smpatch's own specs, or TensorFlow's symbolic, sparse and
            composite tensors.
        outputs: Alias to tensor, of the same kinds.

    Returns:
        The signature; its ``to_bytes()`` equals TensorFlow's for the same tensors.

    Example:
        >>> x = smpatch.TensorSpec("x:0", "float32", (None,))
        >>> smpatch.predict_signature_def({"x": x}, {"y": x}).method_name
        'tensorflow/serving/predict'

    Raises:
        ValueError: One of the arguments is ``None`` or empty.
        TypeError: A value is not a tensor of a graph.
        RuntimeError: A value is an eager tensor, which has no name in any graph.
    """
    if not inputs:
        raise ValueError("Prediction `inputs` cannot be None or empty.")
    if not outputs:
        raise ValueError("Prediction `outputs` cannot be None or empty.")
    return SignatureDef(
        inputs={alias: _as_spec(alias, tensor) for alias, tensor in inputs.items()},
        outputs={alias: _as_spec(alias, tensor) for alias, tensor in outputs.items()},
        method_name=PREDICT,
    )


def classification_signature_def(
    examples: Any,  # noqa: ANN401 - TensorFlow's classes are not imported here
    classes: Any,  # noqa: ANN401 - as above
    scores: Any,  # noqa: ANN401 - as above
) -> SignatureDef:
    """Build a classify signature from tensors.

    Args:
        examples: The tensor of serialized ``tf.train.Example`` messages, dense, string.
        classes: The tensor of class labels, string; None if only scores are served.
        scores: The tensor of scores, float32; None if only classes are served.

    Returns:
        The signature; its ``to_bytes()`` equals TensorFlow's for the same tensors.

    Example:
        >>> examples = smpatch.TensorSpec("examples:0", "string", (None,))
        >>> scores = smpatch.TensorSpec("y:0", "float32", (None, 2))
        >>> list(smpatch.classification_signature_def(examples, None, scores).outputs)
        ['scores']

    Raises:
        ValueError: ``examples`` or both others are ``None``, or one has the wrong type.
        TypeError: ``classes`` or ``scores`` is not a tensor of a graph.
        RuntimeError: A value is an eager tensor, which has no name in any graph.
    """
    if examples is None:
        raise ValueError("Classification `examples` cannot be None.")
    if not _is_tensor(examples):
        message = (
            "Classification `examples` must be a string Tensor. "
            f"Found `examples` of type {type(examples)}."
        )
        raise ValueError(message)
    if classes is None and scores is None:
        raise ValueError("Classification `classes` and `scores` cannot both be None.")
    fed = _as_spec("examples", examples)
    if _dtype(fed) != "string":
        message = (
            "Classification input tensors must be of type string. "
            f"Found tensors of type {dtypes.number(_dtype(fed))}"
        )
        raise ValueError(message)
    outputs: dict[str, Spec] = {}
    if classes is not None:
        outputs[CLASSES] = _as_spec("classes", classes)
        if _dtype(outputs[CLASSES]) != "string":
            # TensorFlow's message also ends with a needless backtick.
            message = (
                "Classification classes must be of type string Tensor. "
                f"Found tensors of type {dtypes.number(_dtype(outputs[CLASSES]))}.`"
            )
            raise ValueError(message)
    if scores is not None:
        outputs[SCORES] = _as_spec("scores", scores)
        if _dtype(outputs[SCORES]) != "float32":
            raise ValueError("Classification scores must be a float Tensor.")
    return SignatureDef({EXAMPLES: fed}, outputs, CLASSIFY)


def regression_signature_def(
    examples: Any,  # noqa: ANN401 - TensorFlow's classes are not imported here
    predictions: Any,  # noqa: ANN401 - as above
) -> SignatureDef:
    """Build a regress signature from tensors.

    Args:
        examples: The tensor of serialized ``tf.train.Example`` messages, dense, string.
        predictions: The tensor of predictions, float32.

    Returns:
        The signature; its ``to_bytes()`` equals TensorFlow's for the same tensors.

    Example:
        >>> examples = smpatch.TensorSpec("examples:0", "string", (None,))
        >>> price = smpatch.TensorSpec("y:0", "float32", (None, 1))
        >>> list(smpatch.regression_signature_def(examples, price).outputs)
        ['outputs']

    Raises:
        ValueError: An argument is ``None`` or has the wrong type.
        TypeError: ``predictions`` is not a tensor of a graph.
        RuntimeError: A value is an eager tensor, which has no name in any graph.
    """
    if examples is None:
        raise ValueError("Regression `examples` cannot be None.")
    if not _is_tensor(examples):
        message = (
            "Expected regression `examples` to be of type Tensor. "
            f"Found `examples` of type {type(examples)}."
        )
        raise ValueError(message)
    if predictions is None:
        raise ValueError("Regression `predictions` cannot be None.")
    fed = _as_spec("examples", examples)
    if _dtype(fed) != "string":
        message = (
            "Regression input tensors must be of type string. "
            f"Found tensors with type {dtypes.number(_dtype(fed))}."
        )
        raise ValueError(message)
    fetched = _as_spec("predictions", predictions)
    if _dtype(fetched) != "float32":
        message = (
            "Regression output tensors must be of type float. "
            f"Found tensors with type {dtypes.number(_dtype(fetched))}."
        )
        raise ValueError(message)
    return SignatureDef({EXAMPLES: fed}, {PREDICTIONS: fetched}, REGRESS)


def _is_tensor(value: Any) -> bool:  # noqa: ANN401 - anything may be handed in
    """Return whether a value is a ``Tensor`` for TensorFlow: dense, and not a variable."""
    # The class is compared by name, as in ``_as_spec``. The ``Tensor`` from which variables derive
    # is in another module.
    place = ("tensorflow.python.framework.tensor", "Tensor")
    classes = ((each.__module__, each.__name__) for each in type(value).__mro__)
    return isinstance(value, TensorSpec) or place in classes


def _dtype(spec: Spec) -> str:
    """Return the type in the ``TensorInfo`` of a spec; ``INVALID`` for a composite tensor."""
    return dtypes.INVALID if isinstance(spec, CompositeTensorSpec) else spec.dtype


def _as_spec(alias: str, tensor: Any) -> Spec:  # noqa: ANN401 - TensorFlow's classes are not imported here
    if isinstance(tensor, (TensorSpec, SparseTensorSpec, CompositeTensorSpec)):
        return tensor
    # The classes are compared by name: isinstance would need an import of TensorFlow.
    classes = {each.__name__ for each in type(tensor).__mro__}
    if "CompositeTensor" in classes and not classes & {"SparseTensor", "ResourceVariable"}:
        return _composite(tensor)
    dtype_number = getattr(getattr(tensor, "dtype", None), "as_datatype_enum", None)
    if dtype_number is None or not hasattr(tensor, "get_shape"):
        raise TypeError(f"{alias!r} is {type(tensor).__name__}, not a tensor of a graph")
    dtype, shape = dtypes.name(dtype_number), shape_from_proto(tensor.get_shape().as_proto())
    if "SparseTensor" in classes:
        return SparseTensorSpec(
            values=_graph_name(alias, tensor.values),
            indices=_graph_name(alias, tensor.indices),
            dense_shape=_graph_name(alias, tensor.dense_shape),
            dtype=dtype,
            shape=shape,
        )
    if "ResourceVariable" in classes:
        _graph_name(alias, tensor.handle)  # an eager variable's own name looks like a graph's
    return TensorSpec(_graph_name(alias, tensor), dtype, shape)


def _composite(tensor: Any) -> Spec:  # noqa: ANN401 - as above
    """Make the spec of a composite tensor with the TensorFlow that the caller has loaded."""
    tensorflow = sys.modules["tensorflow"]
    coder = sys.modules["tensorflow.python.saved_model.nested_structure_coder"]
    encoded = coder.encode_structure(tensorflow.type_spec_from_value(tensor)).type_spec_value
    parts = tensorflow.nest.flatten(tensor, expand_composites=True)
    return CompositeTensorSpec(
        encoded.SerializeToString(deterministic=True),
        tuple(_as_spec("component", part) for part in parts),
    )


def _graph_name(alias: str, tensor: Any) -> str:  # noqa: ANN401 - as above
    try:
        return str(tensor.name)
    except AttributeError as error:
        raise RuntimeError(f"{alias!r} is an eager tensor, which has no name in a graph") from error
