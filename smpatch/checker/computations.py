"""Whether both halves of an export compute the same.

Two witnesses. The structural fingerprints of what ``signature_def`` names are compared with those
of the functions from which Python takes its signatures. They identify a captured variable by
the place in which a call passes it, so the second witness looks at the restore function: the
variable that it fills for an object must be the one that the calls pass for that object.

Keras writes some variables as two objects and passes one for the other; then both have one
name, and nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.checker.findings import Finding, fault
from smpatch.checker.subject import Subject
from smpatch.graph.bodies import FingerprintError
from smpatch.planes.compare import disagreements
from smpatch.proof.sameness import python_computation, signature_computation

__all__ = ["check_computations"]


def check_computations(subject: Subject) -> Iterator[Finding]:
    """Yield signatures that compute something else in Python than in a server."""
    meta_graph = subject.meta_graph
    if subject.python_reads_signature_def or not meta_graph.has_object_graph:
        return
    objects = meta_graph.objects
    crossed = {each.number: each for each in meta_graph.captures.crossed()}
    other_names = {each.key for each in disagreements(meta_graph)}
    for key in meta_graph.signatures.keys() & objects.signatures.keys() - other_names:
        where = subject.where(f"signature {key!r}")
        concrete = objects.concrete_functions[objects.signatures[key].concrete_function_name]
        wrong = [crossed[number] for number in concrete.bound_inputs if number in crossed]
        for each in wrong[:1]:
            text = (
                f"Python takes the variable {each.name!r} (object {each.number}) where servers "
                f"take {each.passed!r}: they compute different numbers"
            )
            yield fault("halves-differ", where, text)
        if not wrong and not _are_equal(subject, key):
            text = "Python's function computes something else than signature_def names"
            hint = "smpatch check --run compares the numbers"
            yield fault("halves-differ", where, text, hint)


def _are_equal(subject: Subject, key: str) -> bool:
    """Return whether the halves have one fingerprint; also where that cannot be found out."""
    meta_graph = subject.meta_graph
    signature = meta_graph.signatures[key]
    inputs, outputs = (
        {alias: tuple(each.name for each in spec.tensors()) for alias, spec in specs.items()}
        for specs in (signature.inputs, signature.outputs)
    )
    try:
        ours = signature_computation(meta_graph, inputs, outputs).outputs
        theirs = python_computation(meta_graph, key, by_tensor=True).outputs
    except FingerprintError:
        return True
    # A composite tensor has its parts in signature_def, and one alias in Python.
    return ours.keys() != theirs.keys() or ours == theirs
