"""Build a SignatureDef from a request, or refuse the request with the reason.

Names are resolved in the graph, dtype and shape are taken from there, and the result must keep
all the ``rules``.

This module opens no file and does not start TensorFlow: facts that the file does not record are in
``Inferred``.

Source: ``tensorflow/python/saved_model/signature_def_utils_impl.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from smpatch.errors import RefusedError
from smpatch.graph.index import GraphIndex
from smpatch.graph.resolve import Resolver, constant_shape
from smpatch.loader import MetaGraph
from smpatch.rules import (
    IN_DOUBT,
    Note,
    check_aliases,
    check_distinct,
    check_free,
    check_graph,
    check_key,
    check_method,
    check_servable,
    remarks,
)
from smpatch.shapes import MAX_RANK
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    classification_signature_def,
    compatible,
    predict_signature_def,
    ragged,
    regression_signature_def,
    shape_text,
)
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef


@dataclass(frozen=True, slots=True)
class Inferred:
    """The facts about a model that TensorFlow infers, and that the file does not record.

    Attributes:
        tensors: Tensors by full name, with dtype and shape from TensorFlow's inference.
    """

    tensors: Mapping[str, TensorSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wider:
    """The shapes of an input that must take more than the graph takes.

    Attributes:
        graph: The shape in the graph.
        shape: The shape in the signature.
    """

    graph: Shape
    shape: Shape


@dataclass(frozen=True, slots=True)
class Built:
    """A signature that passed every check.

    Attributes:
        key: The signature key.
        signature: The signature.
        tensors: The dense tensors it names, as the graph has them, by full name.
        unknown_shapes: The names of those whose shape is not known; the signature has an unknown
            rank for them.
        notes: The notes on the signature.
        wider: Alias to shapes, for the inputs that must take more than the graph takes.
    """

    key: str
    signature: SignatureDef
    tensors: Mapping[str, TensorSpec]
    unknown_shapes: tuple[str, ...]
    notes: tuple[Note, ...]
    wider: Mapping[str, Wider] = field(default_factory=dict)

    @property
    def python_in_doubt(self) -> bool:
        """Whether sessions serve it, but Python's loader may refuse the model because of it."""
        return any(note.code in IN_DOUBT for note in self.notes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The request for a signature on tensors of the main graph.

    Attributes:
        key: The signature key.
        inputs: Alias to the tensor that is fed.
        outputs: Alias to the tensor that is fetched.
        overwrite: Whether a signature that has the key already may be replaced.
        method: Its method name, predict, classify or regress.
        without_inputs: Whether the signature has no inputs.
        whole: The signature, if it is known as a whole.
        narrower: Whether a shape in a spec may be narrower than in the graph, as in an existing
            signature.
    """

    key: str
    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    overwrite: bool = False
    method: str = PREDICT
    without_inputs: bool = False
    whole: SignatureDef | None = None
    narrower: bool = False


def build(meta_graph: MetaGraph, wanted: Wanted, known: Inferred | None = None) -> Built:
    """Build a signature, with its tensors and the notes on it.

    ``known`` has the facts that TensorFlow inferred; it is None if TensorFlow was not asked.

    Raises:
        RefusedError: A rule is broken; the first broken rule decides the class of the error.
    """
    check_key(wanted.key)
    check_free(meta_graph, wanted.key, overwrite=wanted.overwrite)
    check_aliases(wanted.inputs, wanted.outputs)
    tensors = Tensors(meta_graph, known or Inferred(), narrower=wanted.narrower)
    fed_specs = {a: tensors.spec(ref, f"input {a}") for a, ref in wanted.inputs.items()}
    fetched_specs = {a: tensors.spec(ref, f"output {a}") for a, ref in wanted.outputs.items()}
    try:
        signature = _signature(wanted, fed_specs, fetched_specs)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    inputs, outputs = signature.inputs, signature.outputs
    check_servable(inputs, outputs)
    fed = check_distinct(inputs, outputs)
    notes = (*check_graph(meta_graph, inputs, outputs, fed), *remarks(meta_graph, inputs, outputs))
    return Built(wanted.key, signature, tensors.found, tuple(sorted(tensors.unknown_shapes)), notes)


def _signature(
    wanted: Wanted, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]
) -> SignatureDef:
    """Return the signature that is requested.

    Raises:
        RefusedError: It breaks a rule of its method.
        ValueError: There is no input or no output.
    """
    if wanted.whole is not None:
        return replace(wanted.whole, inputs=inputs, outputs=outputs)
    if wanted.method == CLASSIFY:
        check_method(SignatureDef(inputs, outputs, CLASSIFY))
        return classification_signature_def(
            inputs[EXAMPLES], outputs.get(CLASSES), outputs.get(SCORES)
        )
    if wanted.method == REGRESS:
        check_method(SignatureDef(inputs, outputs, REGRESS))
        return regression_signature_def(inputs[EXAMPLES], outputs[PREDICTIONS])
    if wanted.without_inputs:
        return SignatureDef({}, outputs, PREDICT)
    return predict_signature_def(inputs, outputs)


class Tensors:
    """Turns the references of a request into specs, and records their tensors.

    Attributes:
        found: The dense tensors by full name, as the graph has them.
        unknown_shapes: The names of those whose shape is not known.
    """

    def __init__(self, meta_graph: MetaGraph, known: Inferred, *, narrower: bool = False) -> None:
        """Use the specs of ``known``, or else of ``meta_graph``; see ``Wanted.narrower``."""
        self._narrower = narrower
        self.found: dict[str, TensorSpec] = {}
        self.unknown_shapes: set[str] = set()
        self._known = known
        self._graph: GraphIndex = meta_graph.graph
        self._resolver: Resolver = meta_graph.resolver()

    def spec(self, ref: TensorRef, where: str) -> Spec:
        """Return the spec of the tensor that a reference names.

        Errors name the use of the tensor with the words ``where``.

        Raises:
            RefusedError: There is no such tensor, or it does not fit the reference.
        """
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
        # TensorFlow takes a sparse tensor's shape from its dense shape.
        shape = constant_shape(self._graph, dense_shape.name)
        if shape is None and dense_shape.shape and dense_shape.shape[0] is not None:
            rank = dense_shape.shape[0]
            if not 0 <= rank <= MAX_RANK:
                found = f"{dense_shape.name} would be the shape of {rank} dimensions"
                raise RefusedError(found, where=where, hint=f"TensorFlow has up to {MAX_RANK}")
            shape = (None,) * rank
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
        """Check a whole spec against the graph; return it with the full names of its tensors."""
        if isinstance(spec, CompositeTensorSpec):
            components = tuple(self._agreed(each, where) for each in spec.components)
            return replace(spec, components=components)
        if isinstance(spec, SparseTensorSpec):
            parts = SparseRef(spec.values, spec.indices, spec.dense_shape)
            own: SparseTensorSpec | TensorSpec = self._sparse(parts, where)
        else:
            own = self._dense(spec.name)
        # A shape that is not known yet is compared after TensorFlow has inferred it.
        as_given = (isinstance(own, TensorSpec) and own.name in self.unknown_shapes) or (
            self._narrower and compatible(spec.shape, own.shape)
        )
        shape = spec.shape if as_given else own.shape
        _check_agreement(spec.dtype, spec.shape, own.dtype, shape, where)
        return replace(own, shape=spec.shape)


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
        found = f"the spec has the type {dtype}, and the graph has {own_dtype}"
        raise RefusedError(found, where=where)
    if shape is None:
        return
    narrower = own_shape is None or len(shape) != len(own_shape)
    if narrower or any(
        size is not None and size != own for size, own in zip(shape, own_shape or (), strict=False)
    ):
        ours, theirs = shape_text(shape), shape_text(own_shape)
        if own_shape is not None and len(shape) != len(own_shape):
            found = (
                f"the spec's shape {ours} has rank {len(shape)}, and the graph's {theirs} has rank "
                f"{len(own_shape)}"
            )
            hint = "the rank is the graph's; a signature may leave it out"
            raise RefusedError(found, where=where, hint=hint)
        found = f"the spec's shape {ours} is narrower than the graph's {theirs}"
        raise RefusedError(found, where=where, hint="a signature may relax a shape, not narrow it")
