"""Checks whether a function or a signature of another model fits before or after a signature.

This module makes no node; TensorFlow makes a function from another model
(``runtime/trace_models.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from smpatch import dtypes
from smpatch.errors import RefusedError
from smpatch.fragments import Fragment, Mode, SignatureOf
from smpatch.graph.resolve import nearest
from smpatch.loader import load, served
from smpatch.signature import (
    DEFAULT_KEY,
    Shape,
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
    shape_text,
)


def inputs_before(needed: Mapping[str, Spec], fragment: Fragment) -> dict[str, Spec]:
    """Return the inputs that a signature has with a function before it.

    Args:
        needed: Its inputs without the function. An input of a function has a spec with an empty
            name, because it has no tensor yet.
        fragment: The function.

    Raises:
        RefusedError: The function yields a tensor that the signature does not take, or takes
            another tensor than the signature under the same name.
    """
    where = f"before {fragment}"
    for alias, spec in fragment.outputs.items():
        _check(spec, alias, needed, ("it yields", "input", where))
    left = {alias: spec for alias, spec in needed.items() if alias not in fragment.outputs}
    for alias, spec in fragment.inputs.items():
        if alias not in left:
            left[alias] = replace(spec, name="")
        else:
            _check(spec, alias, left, ("it takes", "input", where))
    return left


def outputs_after(
    yielded: Mapping[str, Spec], inputs: Mapping[str, Spec], fragment: Fragment
) -> dict[str, Spec]:
    """Return the outputs that a signature has with a function after it.

    Args:
        yielded: Its outputs without the function.
        inputs: Its inputs, which the function may take as well; if an output has the same name,
            the function takes the output.
        fragment: The function.

    Raises:
        RefusedError: The function takes a tensor that the signature does not yield, or yields a
            name that another output has.
    """
    where = f"after {fragment}"
    for alias, spec in fragment.inputs.items():
        there = yielded if alias in yielded or alias not in inputs else inputs
        kind = "output" if there is yielded else "input"
        _check(spec, alias, there, ("it takes", kind, where))
    left = {alias: spec for alias, spec in yielded.items() if alias not in fragment.inputs}
    for alias, spec in fragment.outputs.items():
        if alias in left:
            found = f"it yields {alias!r}, and the signature has an output of that name"
            hint = f"the function does not take {alias!r}; give its output another name"
            raise RefusedError(found, where=where, hint=hint)
        left[alias] = replace(spec, name="")
    return left


def _check(
    spec: TensorSpec, alias: str, there: Mapping[str, Spec], words: tuple[str, str, str]
) -> None:
    """Check that a tensor of a function fits one of the signature.

    Args:
        spec: The tensor of the function.
        alias: Its name.
        there: The inputs or the outputs of the signature.
        words: The verb of the function, the kind of tensor of the signature, and the place.
    """
    does, kind, where = words
    wanted = there.get(alias)
    if wanted is None:
        names = ", ".join(there) or "none"
        hint = nearest(alias, there) or f"it has {names}"
        found = f"{does} {alias!r}, and the signature has no {kind} of that name"
        raise RefusedError(found, where=where, hint=hint)
    if not isinstance(wanted, TensorSpec):
        found = f"the {kind} {alias!r} is a sparse or composite tensor"
        raise RefusedError(found, where=where, hint="only dense ones can be composed")
    dtype = dtypes.base(wanted.dtype)
    ours, theirs = _described(spec), f"{dtype} {shape_text(wanted.shape)}"
    found = f"{alias!r}: {does} {ours}, the signature's {kind} is {theirs}"
    if spec.dtype != dtype:
        hint = f"cast it: tf.cast({alias}, tf.{dtype})" if does == "it yields" else ""
        raise RefusedError(found, where=where, hint=hint)
    if not compatible(spec.shape, wanted.shape):
        one = (
            spec.shape is not None
            and wanted.shape is not None
            and compatible(spec.shape, wanted.shape[1:])
        )
        hint = "it is one example instead of a batch: use tf.map_fn over the batch" if one else ""
        raise RefusedError(found, where=where, hint=hint)
    if does == "it takes" and not _covers(spec.shape, wanted.shape):
        hint = "leave dimensions open: tf.TensorSpec([None, ...])"
        raise RefusedError(found, where=where, hint=hint)


def _covers(parameter: Shape, given: Shape) -> bool:
    """Return whether a parameter of a function takes every shape that its tensor may have."""
    if parameter is None:
        return True
    return given is not None and all(
        size is None or size == other for size, other in zip(parameter, given, strict=True)
    )


def _described(spec: TensorSpec) -> str:
    return f"{spec.dtype} {shape_text(spec.shape)}"


def addressed(asked: SignatureOf, place: Mode, there: Mapping[str, Spec]) -> SignatureOf:
    """Return a signature of another model with its key, and with names that the signature has.

    Args:
        asked: The request.
        place: The place of the other signature.
        there: The inputs that it may yield, or the outputs that it may take. If there is only one,
            and the other signature has only one, they belong together under any names.

    Raises:
        RefusedError: There is no such signature, or it has a tensor that is not dense.
        ModelUnreadableError: The directory is not a model.
    """
    where = f"{place} {asked}"
    meta_graph = served(load(asked.directory).meta_graphs)
    keys = list(meta_graph.signatures)
    key = asked.key
    if not key:
        if DEFAULT_KEY not in keys and len(keys) != 1:
            hint = f"write {asked}:KEY; it has {', '.join(keys) or 'none'}"
            raise RefusedError(f"the model has {len(keys)} signatures", where=where, hint=hint)
        key = DEFAULT_KEY if DEFAULT_KEY in keys else keys[0]
    signature = meta_graph.signature(key)
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            if not isinstance(spec, TensorSpec):
                found = f"its {kind} {alias!r} is a sparse or composite tensor"
                raise RefusedError(found, where=where, hint="only dense ones can be composed")
    if not signature.inputs or not signature.outputs:
        raise RefusedError("it needs an input and an output", where=where)
    ours = signature.outputs if place == "before" else signature.inputs
    names = {}
    if asked.alias:
        if len(ours) != 1:
            found = f"it has {len(ours)} outputs, and {asked.alias!r} is one input"
            raise RefusedError(found, where=where, hint=f"it has {', '.join(ours)}")
        names = dict.fromkeys(ours, asked.alias)
    elif len(ours) == len(there) == 1:
        names = dict(zip(ours, there, strict=True))
    # The other side keeps its names.
    inputs, outputs = ({}, names) if place == "before" else (names, {})
    tags = meta_graph.tags
    return replace(asked, key=key, tags=tags, input_names=inputs, output_names=outputs)


def signature_of(asked: SignatureOf) -> tuple[Path, SignatureDef]:
    """Return the directory of a model, and its signature with the names of the request."""
    meta_graph = load(asked.directory).meta_graph(asked.tags)
    found = meta_graph.signature(asked.key)
    inputs, outputs = (
        {names.get(alias, alias): spec for alias, spec in each.items()}
        for names, each in (
            (asked.input_names, found.inputs),
            (asked.output_names, found.outputs),
        )
    )
    return Path(os.fspath(asked.directory)), replace(found, inputs=inputs, outputs=outputs)
