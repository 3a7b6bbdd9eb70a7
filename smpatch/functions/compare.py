"""Differences between the two halves of a TensorFlow 2 export.

This module only reports facts. An edit leaves a disagreement as it is, because the file does not
show which half is right.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpatch.graph.objects import ObjectGraph, keyword_arguments
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, same_parameters


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One signature that TF Serving and Python read differently.

    Attributes:
        key: The signature key.
        found: The difference, in words.
    """

    key: str
    found: str


def disagreements(meta_graph: MetaGraph) -> tuple[Disagreement, ...]:
    """Return the signatures that servers and Python read differently, sorted by key.

    Args:
        meta_graph: The MetaGraph. If the model has several, Python reads ``signature_def``, too.
    """
    return differences(meta_graph) if meta_graph.is_only else ()


def differences(meta_graph: MetaGraph) -> tuple[Disagreement, ...]:
    """Return the differences of keys, inputs and outputs between both halves, sorted by key.

    There is none without an object graph.
    """
    if not meta_graph.has_object_graph:
        return ()
    objects = meta_graph.objects
    in_signature_def, in_object_graph = meta_graph.signatures, objects.signatures
    found = []
    for key in sorted(in_signature_def.keys() | in_object_graph.keys()):
        if key not in in_object_graph:
            words = "only in signature_def: tf.saved_model.load(...).signatures does not list it"
        elif key not in in_signature_def:
            words = "only in the object graph: TF Serving and the C runtime do not have it"
        else:
            words = _difference(in_signature_def[key], objects, key)
        if words:
            found.append(Disagreement(key, words))
    return tuple(found)


def _difference(signature: SignatureDef, objects: ObjectGraph, key: str) -> str:
    bare = objects.signatures[key]
    concrete = objects.concrete_functions.get(bare.concrete_function_name)
    if concrete is None:
        return (
            f"broken: the object graph does not have its function {bare.concrete_function_name!r}"
        )
    keywords = set(bare.argument_keywords)
    named = same_parameters(keywords, keyword_arguments(concrete))
    results = concrete.output_signature.dict_value.fields
    dense = all(each.WhichOneof("kind") == "tensor_spec_value" for each in results.values())
    # If Python has a composite tensor, signature_def has its parts, which are more.
    for kind, comparable, ours, theirs in (
        ("inputs", named, set(signature.inputs), keywords),
        ("outputs", dense, set(signature.outputs), set(results)),
    ):
        if ours != theirs and (comparable or len(ours) == len(theirs)):
            seen = f"{sorted(ours)} in signature_def, {sorted(theirs)} in Python"
            return f"different: its {kind} are {seen}"
    return ""
