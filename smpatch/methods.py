"""What TF Serving asks of a signature by its method.

Serving has a rule for each of its own methods; any other name, and Predict, asks nothing of
the names and types of what is fed and fetched. This room looks at one signature: whether its
tensors are in the graph, and what becomes of a breach, others decide.

Sources: ``tensorflow/python/saved_model/signature_def_utils_impl.py``
(``_is_valid_classification_signature`` and its siblings); ``classifier.cc`` and
``regressor.cc`` of TensorFlow Serving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from smpatch.errors import RefusedError
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    SignatureDef,
    Spec,
    TensorSpec,
)

__all__ = ["METHODS", "Breach", "breaches", "check_method"]

METHODS = {"predict": PREDICT, "classify": CLASSIFY, "regress": REGRESS}
"""The methods that Serving knows, by their short names."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule of its method that a signature breaks.

    Attributes:
        about: The half of the signature that breaks it.
        found: What that half is, and what it would have to be.
        hint: What would work.
    """

    about: Literal["inputs", "outputs"]
    found: str
    hint: str


def breaches(signature: SignatureDef) -> Iterator[Breach]:
    """Yield the rules of its method that a signature breaks, that of its inputs first."""
    method = signature.method_name
    if method not in {CLASSIFY, REGRESS}:
        return
    inputs, outputs = _dtypes(signature.inputs), _dtypes(signature.outputs)
    if inputs != {EXAMPLES: "string"}:
        found = f"its inputs are {_listed(inputs)}, and {method} takes one, {EXAMPLES}: string"
        yield Breach("inputs", found, "serialized tf.train.Example messages, under that name")
    if method == REGRESS:
        kept, yields = outputs == {PREDICTIONS: "float32"}, f"{PREDICTIONS}: float32"
    else:
        allowed = {CLASSES: "string", SCORES: "float32"}
        kept = bool(outputs) and outputs.items() <= allowed.items()
        yields = f"{CLASSES}: string, {SCORES}: float32, or both"
    if not kept:
        found = f"its outputs are {_listed(outputs)}, and {method} yields {yields}"
        yield Breach("outputs", found, "rename, drop or add outputs")


def check_method(signature: SignatureDef) -> None:
    """Refuse what TF Serving would not serve by the signature's method.

    Raises:
        RefusedError: A rule of the method is broken.
    """
    for breach in breaches(signature):
        raise RefusedError(breach.found, hint=breach.hint)


def _dtypes(specs: Mapping[str, Spec]) -> dict[str, str]:
    return {
        alias: spec.dtype if isinstance(spec, TensorSpec) else "a sparse or composite tensor"
        for alias, spec in specs.items()
    }


def _listed(dtypes_of: Mapping[str, str]) -> str:
    return ", ".join(f"{alias}: {dtype}" for alias, dtype in dtypes_of.items()) or "none"
