"""From a request to a SignatureDef that is known to work, or a refusal that says why not.

Names are resolved in the graph, dtype and shape are taken from there, and every rule that
TensorFlow does not enforce when it should is enforced here: one SignatureDef that breaks
them makes a model unloadable in Python, or fails at the first request.

This room touches no file and starts no TensorFlow. What the file alone cannot tell it
takes from ``Knowledge``, when somebody has asked TensorFlow.

Sources: ``tensorflow/python/saved_model/load_v1_in_v2.py`` and ``wrap_function.py`` (what
the Python loader does to a signature), ``tensorflow/core/common_runtime/
graph_execution_state.cc`` (what a session refuses).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smpatch import dtypes
from smpatch.edits import AddPredict, RaggedRef, SparseRef, TensorRef
from smpatch.errors import (
    AliasError,
    RefusedError,
    SignatureExistsError,
    TensorUnservableError,
    UnreachableOutputError,
)
from smpatch.graph.index import GraphIndex
from smpatch.graph.reach import conditional, in_frame, reach
from smpatch.graph.resolve import Resolver, constant_shape
from smpatch.loader import MetaGraph
from smpatch.signature import (
    PREDICT,
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    predict_signature_def,
    ragged,
)

__all__ = ["Built", "Knowledge", "Note", "build"]

_RESAVABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
"""Input aliases with which a TF2 export can be loaded in Python and saved again."""

_IN_DOUBT = frozenset({"partly-fed", "reference-tensor"})
"""Notes on what Python's loader is known to refuse, in some models and TensorFlows."""

_MANY = 10
"""So many unfed placeholders are named; a graph can have thousands."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that is no reason to refuse.

    Attributes:
        code: A stable name for programs, such as ``unused-input``.
        text: One sentence for people.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What TensorFlow said of a model, beyond what the file says.

    Attributes:
        op_defs: Definitions (``OpDef``) of operations by name.
        tensors: Tensors by full name, with dtype and shape from TensorFlow's inference.
    """

    op_defs: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, TensorSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """A signature that passed every check.

    Attributes:
        key: The signature key.
        signature: The signature.
        tensors: The dense tensors it names, as the graph has them, by full name.
        unknown_shapes: Those of which nothing said the shape; it is unknown rank in the
            signature for want of an answer.
        notes: What is worth knowing.
    """

    key: str
    signature: SignatureDef
    tensors: Mapping[str, TensorSpec]
    unknown_shapes: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def python_in_doubt(self) -> bool:
        """Whether sessions serve it, but Python's loader may refuse the whole model for it."""
        return any(note.code in _IN_DOUBT for note in self.notes)


def build(meta_graph: MetaGraph, edit: AddPredict, known: Knowledge | None = None) -> Built:
    """Build the signature that ``edit`` asks for.

    Args:
        meta_graph: The MetaGraph whose tensors are named.
        edit: The request.
        known: What TensorFlow was asked, if it was.

    Returns:
        The signature with what was found on the way.

    Raises:
        RefusedError: One of its kinds, whichever rule is broken first.
    """
    _check_key(meta_graph, edit)
    _check_aliases(edit)
    tensors = _Tensors(meta_graph, known or Knowledge())
    inputs = {alias: tensors.spec(ref, f"input {alias}") for alias, ref in edit.inputs.items()}
    outputs = {alias: tensors.spec(ref, f"output {alias}") for alias, ref in edit.outputs.items()}
    if edit.without_inputs:
        signature = SignatureDef({}, outputs, PREDICT)
    else:
        try:
            signature = predict_signature_def(inputs, outputs)
        except ValueError as error:
            raise RefusedError(str(error)) from error
    _check_servable(inputs, outputs)
    fed = _check_distinct(inputs, outputs)
    notes = [
        *_check_graph(meta_graph, inputs, outputs, fed),
        *_reference_notes(outputs),
        *_no_input_notes(inputs),
        *_object_graph_notes(meta_graph, edit),
    ]
    return Built(
        edit.key, signature, tensors.found, tuple(sorted(tensors.unknown_shapes)), tuple(notes)
    )


class _Tensors:
    """Turns the references of a request into specs, and remembers what it met."""

    def __init__(self, meta_graph: MetaGraph, known: Knowledge) -> None:
        self.found: dict[str, TensorSpec] = {}
        self.unknown_shapes: set[str] = set()
        self._known = known
        self._graph: GraphIndex = meta_graph.graph
        self._resolver: Resolver = meta_graph.resolver(known.op_defs)

    def spec(self, ref: TensorRef, where: str) -> Spec:
        if isinstance(ref, str):
            return self._dense(ref)
        if isinstance(ref, RaggedRef):
            return self._ragged(ref, where)
        if isinstance(ref, SparseRef):
            return self._sparse(ref, where)
        return self._agreed(ref, where)

    def _dense(self, name: str) -> TensorSpec:
        resolved = self._resolver.resolve(name)
        spec = self._known.tensors.get(resolved.spec.name)
        if spec is None:
            spec = resolved.spec
            if not resolved.shape_known:
                self.unknown_shapes.add(spec.name)
        self.found[spec.name] = spec
        return spec

    def _sparse(self, ref: SparseRef, where: str) -> SparseTensorSpec:
        values, indices = self._dense(ref.values), self._dense(ref.indices)
        dense_shape = self._dense(ref.dense_shape)
        _check_part(values, None, 1, where)
        _check_part(indices, {"int64"}, 2, where)
        _check_part(dense_shape, {"int64"}, 1, where)
        # What TensorFlow knows of a sparse tensor's shape is what its dense shape says.
        shape = constant_shape(self._graph, dense_shape.name)
        if shape is None and dense_shape.shape and dense_shape.shape[0] is not None:
            shape = (None,) * dense_shape.shape[0]
        return SparseTensorSpec(values.name, indices.name, dense_shape.name, values.dtype, shape)

    def _ragged(self, ref: RaggedRef, where: str) -> CompositeTensorSpec:
        values = self._dense(ref.values)
        splits = tuple(self._dense(name) for name in ref.row_splits)
        for each in splits:
            _check_part(each, {"int64", "int32"}, 1, where)
        if len({each.dtype for each in splits}) > 1:
            found = "its row_splits have different types"
            raise RefusedError(found, where=where, hint="use one of int32 and int64 for all")
        if values.shape == ():
            found = f"{values.name} is a scalar, and ragged values have a dimension"
            raise RefusedError(found, where=where)
        return ragged(values, splits)

    def _agreed(self, spec: Spec, where: str) -> Spec:
        """Check a whole spec against the graph; it is used as it was given."""
        if isinstance(spec, CompositeTensorSpec):
            for component in spec.components:
                self._agreed(component, where)
            return spec
        if isinstance(spec, SparseTensorSpec):
            parts = SparseRef(spec.values, spec.indices, spec.dense_shape)
            own = self._sparse(parts, where)
            _check_agreement(spec.dtype, spec.shape, own.dtype, own.shape, where)
            return spec
        dense = self._dense(spec.name)
        # A shape that nothing has said yet is compared when TensorFlow has been asked.
        shape = spec.shape if dense.name in self.unknown_shapes else dense.shape
        _check_agreement(spec.dtype, spec.shape, dense.dtype, shape, where)
        return spec


def _check_part(spec: TensorSpec, types: set[str] | None, rank: int, where: str) -> None:
    if types is not None and spec.dtype not in types:
        wanted = " or ".join(sorted(types))
        raise RefusedError(f"{spec.name} is {spec.dtype}, where {wanted} is needed", where=where)
    if spec.shape is not None and len(spec.shape) != rank:
        found = f"{spec.name} has rank {len(spec.shape)}, where rank {rank} is needed"
        raise RefusedError(found, where=where)


def _check_agreement(
    dtype: str, shape: Shape, own_dtype: str, own_shape: Shape, where: str
) -> None:
    if dtype != own_dtype:
        raise RefusedError(f"the spec says {dtype}, the graph {own_dtype}", where=where)
    if shape is None:
        return
    narrower = own_shape is None or len(shape) != len(own_shape)
    if narrower or any(
        size is not None and size != own for size, own in zip(shape, own_shape or (), strict=False)
    ):
        found = f"the spec's shape {shape} is narrower than the graph's {own_shape}"
        raise RefusedError(found, where=where, hint="a signature may relax a shape, not narrow it")


def _check_key(meta_graph: MetaGraph, edit: AddPredict) -> None:
    where = f"signature {edit.key!r}"
    if not edit.key or not edit.key.isprintable():
        raise AliasError("not a usable signature key", where=where, hint="use letters and _")
    if edit.key.startswith("__saved_model_"):
        found = "the key is reserved: TensorFlow runs what it names at load time"
        raise AliasError(found, where=where, hint="choose another --signature")
    taken = edit.key in meta_graph.entries or edit.key in meta_graph.objects.signatures
    if taken and not edit.overwrite:
        hint = "choose another --signature, or replace it with --overwrite"
        raise SignatureExistsError("the key is taken", where=where, hint=hint)


def _check_aliases(edit: AddPredict) -> None:
    for kind, aliases in (("input", edit.inputs), ("output", edit.outputs)):
        for alias in aliases:
            where = f"{kind} {alias!r}"
            if not alias or not alias.isprintable():
                raise AliasError("not a usable alias", where=where, hint="use letters and _")
            if kind == "input" and (keyword.iskeyword(alias) or alias == "self"):
                found = "Python cannot pass an argument of that name"
                hint = f"choose another alias: --inputs {alias}_={edit.inputs[alias]}"
                raise AliasError(found, where=where, hint=hint if _is_name(edit, alias) else "")
    arguments: dict[str, str] = {}
    for alias in edit.inputs:
        other = arguments.setdefault(_argument(alias), alias)
        if other != alias:
            found = f"Python writes it like the input {other!r}, as {_argument(alias)!r}"
            hint = "choose another alias: letters, digits and _ stay as they are"
            raise AliasError(found, where=f"input {alias!r}", hint=hint)


def _argument(alias: str) -> str:
    """Return what Python's loader calls the argument (``sanitize_arg_name``)."""
    name = "".join(each if each.isalnum() else "_" for each in alias)
    return name if name[0].isalpha() else f"arg_{name}"


def _is_name(edit: AddPredict, alias: str) -> bool:
    return isinstance(edit.inputs[alias], str)


def _check_servable(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> None:
    for kind, specs, verb in (("input", inputs, "fed"), ("output", outputs, "fetched")):
        for alias, spec in specs.items():
            for tensor in spec.tensors():
                if dtypes.base(tensor.dtype) in dtypes.UNSERVABLE:
                    found = f"{tensor.name} is a {tensor.dtype} handle, which cannot be {verb}"
                    raise TensorUnservableError(found, where=f"{kind} {alias!r}")


def _check_distinct(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> dict[str, str]:
    """Return the fed tensors by name with their aliases, when each is fed once and not fetched."""
    fed: dict[str, str] = {}
    for alias, spec in inputs.items():
        for tensor in spec.tensors():
            if tensor.name in fed:
                found = f"{tensor.name} is already the input {fed[tensor.name]!r}"
                hint = "a tensor can be fed once"
                raise AliasError(found, where=f"input {alias!r}", hint=hint)
            fed[tensor.name] = alias
    for alias, spec in outputs.items():
        for tensor in spec.tensors():
            if tensor.name in fed:
                found = f"{tensor.name} is the input {fed[tensor.name]!r} too"
                hint = "sessions refuse to fetch what they are fed"
                raise AliasError(found, where=f"output {alias!r}", hint=hint)
    return fed


def _check_graph(
    meta_graph: MetaGraph,
    inputs: Mapping[str, Spec],
    outputs: Mapping[str, Spec],
    fed: Mapping[str, str],
) -> Iterable[Note]:
    """Check what the outputs need, and that nothing lies inside a while loop."""
    graph = meta_graph.graph
    fetched = [tensor.name for spec in outputs.values() for tensor in spec.tensors()]
    walk = reach(graph, fetched, set(fed))
    loops = not meta_graph.op_defs or not {"Enter", "RefEnter"}.isdisjoint(meta_graph.op_defs)
    for kind, specs, possible in (("input", inputs, loops), ("output", outputs, walk.loops)):
        for alias, spec in specs.items() if possible else ():
            for tensor in spec.tensors():
                door = in_frame(graph, tensor.name)
                if door is not None:
                    found = f"{tensor.name} lies inside the while loop that {door!r} enters"
                    hint = "name a tensor before or after the loop, such as its Exit"
                    raise TensorUnservableError(found, where=f"{kind} {alias!r}", hint=hint)
    if walk.unfed:
        raise _unfed(walk.unfed, outputs)
    notes = _partly_fed_notes(walk.partly_fed, fed)
    for alias in dict.fromkeys(fed.values()):
        names = {name for name, owner in fed.items() if owner == alias}
        if not names & walk.used:
            text = f"no output depends on the input {alias!r} ({', '.join(sorted(names))})"
            notes.append(Note("unused-input", text))
    for name in fetched if walk.branches else ():
        switch = conditional(graph, name)
        if switch is not None:
            text = f"{name} is yielded only when the conditional at {switch!r} takes its branch"
            notes.append(Note("conditional-output", text))
    return notes


def _partly_fed_notes(nodes: Iterable[str], fed: Mapping[str, str]) -> list[Note]:
    notes = []
    for name in nodes:
        given = ", ".join(sorted(tensor for tensor in fed if tensor.rpartition(":")[0] == name))
        text = (
            f"{given} is fed, and {name!r} runs all the same, for something else of it is "
            "needed; sessions serve that, tf.saved_model.load may not load the model with it"
        )
        notes.append(Note("partly-fed", text))
    return notes


def _unfed(paths: tuple[tuple[str, ...], ...], outputs: Mapping[str, Spec]) -> RefusedError:
    nodes = {
        tensor.name.rpartition(":")[0]: alias
        for alias, spec in outputs.items()
        for tensor in spec.tensors()
    }
    needed = [f"{path[-1]!r}" for path in paths[:_MANY]]
    more = f" and {len(paths) - _MANY} more" if len(paths) > _MANY else ""
    plural = "s" if len(paths) > 1 else ""
    found = f"needs the placeholder{plural} {', '.join(needed)}{more}, which no input feeds"
    options = ",".join(f"{path[-1]}:0" for path in paths[:_MANY])
    where = f"output {nodes.get(paths[0][0], paths[0][0])!r}"
    return UnreachableOutputError(found, where=where, hint=f"add --inputs {options}")


def _reference_notes(outputs: Mapping[str, Spec]) -> Iterable[Note]:
    for spec in outputs.values():
        for tensor in spec.tensors():
            if dtypes.is_ref(tensor.dtype):
                text = (
                    f"{tensor.name} is a reference to a TF1 variable; sessions serve it, "
                    "tf.saved_model.load may not load the model with it"
                )
                yield Note("reference-tensor", text)


def _no_input_notes(inputs: Mapping[str, Spec]) -> Iterable[Note]:
    if not inputs:
        text = "the signature has no inputs; TF Serving's Predict does not accept that"
        yield Note("no-inputs", text)


def _object_graph_notes(meta_graph: MetaGraph, edit: AddPredict) -> Iterable[Note]:
    if not meta_graph.has_object_graph:
        return
    for alias in edit.inputs:
        if not _RESAVABLE.fullmatch(alias):
            text = f"TensorFlow cannot save a loaded model again that has an input {alias!r}"
            yield Note("alias-not-resavable", text)
