"""Comparison of the written signatures with the loaded ones, and errors for refusals.

This module starts no process.

Source: ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from smpatch import dtypes, schema
from smpatch.errors import ValidationError
from smpatch.loader import MetaGraph
from smpatch.op_libraries import unregistered
from smpatch.rules import IN_DOUBT, Note
from smpatch.runtime.process import ChildDied
from smpatch.runtime.questions import (
    CompositeFact,
    Description,
    PythonSignature,
    PythonSignatures,
    TensorFact,
)
from smpatch.signature import (
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.validator.edited import Edited

WITHOUT = "skip the reload with --validate none"
"""A hint for errors about a missing TensorFlow or operation; never for a proof that failed."""

_MANY = 20
"""The most findings in other signatures that are reported one by one."""


def _python_differences(
    kind: str, ours: Mapping[str, Spec], theirs: Mapping[str, TensorFact | CompositeFact]
) -> Iterator[str]:
    """Yield the differences between the signature that Python lists and the written one."""
    expected = {name for alias, spec in ours.items() for name in _listed(kind, alias, spec)}
    if expected != set(theirs):
        yield f"tf.saved_model.load sees the {kind} {sorted(theirs)}, not {sorted(expected)}"
        return
    for alias, spec in ours.items():
        fact = theirs.get(alias)  # None for an input in several parts
        if isinstance(spec, TensorSpec) and isinstance(fact, TensorFact):
            dtype = dtypes.name(fact.dtype)
            if dtype != dtypes.base(spec.dtype) or not compatible(spec.shape, fact.shape):
                found, wanted = shape_text(fact.shape), shape_text(spec.shape)
                yield (
                    f"tf.saved_model.load sees {alias!r} of the {kind} as {dtype} {found}, "
                    f"not {spec.dtype} {wanted}"
                )


def _listed(kind: str, alias: str, spec: Spec) -> Iterator[str]:
    """Yield Python's names of an input or an output; the parts of an input have one each.

    Source: ``_EagerSavedModelLoader._extract_signatures`` in ``load_v1_in_v2.py``.
    """
    if kind == "outputs" or isinstance(spec, TensorSpec):
        yield alias
    elif isinstance(spec, SparseTensorSpec):
        yield from (f"{alias}_{part}" for part in ("indices", "values", "dense_shape"))
    else:
        yield from (f"{alias}_component_{place}" for place in range(len(spec.tensors())))


def check_python_view(ours: SignatureDef, theirs: PythonSignature) -> None:
    """Compare a written signature with the signature that Python lists.

    Raises:
        ValidationError: They differ.
    """
    for kind, written, listed in (
        ("inputs", ours.inputs, theirs.inputs),
        ("outputs", ours.outputs, theirs.outputs),
    ):
        for found in _python_differences(kind, written, listed):
            raise ValidationError(found, hint="the model is unchanged")


def check_entries(description: Description, after: MetaGraph) -> None:
    """Compare the map of signatures that TensorFlow parsed with the written map.

    Raises:
        ValidationError: They differ.
    """
    expected = {key: _canonical(entry.value) for key, entry in after.entries.items()}
    found = {}
    for data in description.signature_entries:
        entry = schema.SignatureDefEntry.FromString(data)
        found[entry.key] = _canonical(entry.value.SerializeToString())
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            if key not in found:
                what = "is missing"
            else:
                what = "is not as it was written" if key in expected else "is still there"
            message = f"in the model that TensorFlow loaded the signature {key!r} {what}"
            raise ValidationError(message, hint="the model is unchanged; please report this")


def _canonical(signature: bytes) -> bytes:
    message = schema.SignatureDef.FromString(signature)
    return bytes(message.SerializeToString(deterministic=True))


def specs(description: Description, wanted: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the tensors with the dtypes and shapes that TensorFlow has.

    Raises:
        ValidationError: A tensor is missing, or has another dtype than in the file.
    """
    specs = {}
    for name, ours in wanted.items():
        fact = description.tensors.get(name)
        if fact is None:
            found = f"the graph that TensorFlow loaded has no tensor {name}"
            raise ValidationError(found, hint="the model is unchanged")
        dtype = dtypes.name(fact.dtype)
        if dtype != ours.dtype:
            found = f"{name} is {dtype} in the graph that TensorFlow loaded, not {ours.dtype}"
            raise ValidationError(found, hint="the model is unchanged")
        specs[name] = TensorSpec(name, dtype, fact.shape)
    return specs


def already_wrong(
    signatures: Mapping[str, SignatureDef], description: Description
) -> Iterator[Note]:
    """Yield notes on faults of the signatures that the edit did not touch."""
    for where, spec in _places(signatures):
        for found in _disagreements(spec, description):
            yield Note("already-wrong", f"{where}: {found} (as before the edit)")


def wrong_shapes(
    signatures: Mapping[str, SignatureDef], description: Description
) -> Iterator[Note]:
    """Yield a note for each shape of an edited signature that its graph contradicts.

    An edit refuses a new contradiction; types are compared when the signature is built.
    """
    for where, spec in _places(signatures):
        fact = description.tensors.get(spec.name) if isinstance(spec, TensorSpec) else None
        if isinstance(spec, TensorSpec) and fact is not None:
            for found in _wrong_shape(spec, fact):
                yield Note("already-wrong", f"{where}: {found} (as before the edit)")


def _places(signatures: Mapping[str, SignatureDef]) -> Iterator[tuple[str, Spec]]:
    """Yield each input and output, with its place as text."""
    for key, signature in signatures.items():
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
            for alias, spec in specs.items():
                yield f"signature {key!r}, {kind} {alias!r}", spec


def shortened(notes: list[Note]) -> list[Note]:
    """Return the first notes and the number of the others; a model can have thousands."""
    if len(notes) <= _MANY:
        return notes
    text = f"and {len(notes) - _MANY} more such findings in signatures that were not edited"
    return [*notes[:_MANY], Note("already-wrong", text)]


def _disagreements(spec: Spec, description: Description) -> Iterator[str]:
    for tensor in spec.tensors():
        if tensor.name in description.operations:
            yield f"{tensor.name!r} names an operation, not a tensor"
            continue
        fact = description.tensors.get(tensor.name)
        if fact is None:
            yield f"the graph has no tensor {tensor.name!r}"
        elif isinstance(spec, TensorSpec):
            yield from _differences(tensor, fact)


def _differences(tensor: TensorSpec, fact: TensorFact) -> Iterator[str]:
    dtype = dtypes.name(fact.dtype)
    if dtypes.base(dtype) != dtypes.base(tensor.dtype):
        yield f"{tensor.name} is {dtype}, the signature says {tensor.dtype}"
    yield from _wrong_shape(tensor, fact)


def _wrong_shape(tensor: TensorSpec, fact: TensorFact) -> Iterator[str]:
    if not compatible(tensor.shape, fact.shape):
        graph, own = shape_text(fact.shape), shape_text(tensor.shape)
        yield f"{tensor.name} has the shape {graph}, the signature says {own}"


def unloadable(
    description: Description, *, already: bool, missing: Callable[[], Sequence[str]]
) -> ValidationError:
    """Return the error for a model that does not load.

    Args:
        description: The answer of TensorFlow.
        already: Whether it did not load before the edit either.
        missing: The function that returns all operations of the model that TensorFlow does not
            register.
    """
    when = "it did not load before either" if already else "the model is unchanged"
    lacking = unregistered(description.message, missing)
    if lacking is not None:
        listed, options = lacking
        found = f"TensorFlow has no operation {listed}, which the model needs"
        hint = f"{when}; load its library with {options}, or {WITHOUT}"
        return ValidationError(found, hint=hint)
    found = f"TensorFlow does not load the model: {description.message}"
    return ValidationError(found, hint=f"{when}; {WITHOUT}" if already else when)


def why_in_doubt(edited: Edited) -> str:
    """Return a hint for a model that Python's loader refuses, with the known causes."""
    texts = [n.text for built in edited.built.values() for n in built.notes if n.code in IN_DOUBT]
    if not texts:
        return "the model is unchanged; please report this"
    return "; ".join(("the model is unchanged", *texts))


def refusal(said: PythonSignatures) -> str:
    """Return why Python does not load a model; a ``KeyError`` has its key as message, or none."""
    if said.kind == "KeyError" or not said.message:
        return f"{said.kind}: {said.message}" if said.message else said.kind
    return said.message


class CrashError(ValidationError):
    """TensorFlow's process ended while it loaded a model."""

    def __init__(self, found: str, death: ChildDied) -> None:
        """Take the text of the error, and how the process ended."""
        super().__init__(found, hint="the model is unchanged")
        self.how = death.how
        self.was_killed = death.was_killed

    def beside(self, before: str) -> ValidationError:
        """Return the error with a hint on the unedited model.

        Args:
            before: How the unedited model ended the process; empty if it did not.
        """
        hint = "the unedited model does not end it; the model is unchanged"
        if before:
            hint = f"the unedited model ends it, too: {before}; the model is unchanged; {WITHOUT}"
        return ValidationError(self.found, hint=hint)
