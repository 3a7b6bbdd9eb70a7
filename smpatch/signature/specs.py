"""Specs of tensors, and signatures, as values; to and from protobuf messages.

Sources: ``tensorflow/core/protobuf/meta_graph.proto``, ``tensorflow/python/saved_model/
utils_impl.py`` (``build_tensor_info``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import arguments, dtypes, schema
from smpatch.errors import ModelUnreadableError


def compatible(one: Shape, other: Shape) -> bool:
    """Return whether a tensor can have both shapes, as TensorFlow's ``is_compatible_with``."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def shape_text(shape: Shape) -> str:
    """Return a shape as ``[?, 3]``, ``[]`` for a scalar, ``<unknown rank>``."""
    if shape is None:
        return "<unknown rank>"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def parameter(alias: str) -> str:
    """Return the parameter that Python's loader makes of an input's alias and sorts by."""
    name = "".join(each if each.isalnum() else "_" for each in alias)
    return name if name[:1].isalpha() else f"arg_{name}"


def same_parameters(one: Iterable[str], other: Iterable[str]) -> bool:
    """Return whether Python's loader makes the same parameters of two lists of names.

    An exporter writes the names of a function's arguments unchanged in one place, and as names
    that Python allows in another (``0/reward``, ``arg_0_reward``).
    """
    return sorted(map(parameter, one)) == sorted(map(parameter, other))


Shape = tuple[int | None, ...] | None
"""Dimensions, None where unknown; None as a whole for unknown rank."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A dense tensor of a graph.

    Attributes:
        name: The tensor's name, ``op:index``.
        dtype: TensorFlow's name of the element type, such as ``float32``.
        shape: Dimensions, None where unknown; None as a whole for unknown rank.
    """

    name: str
    dtype: str
    shape: Shape

    def __post_init__(self) -> None:
        """Take types and shapes of TensorFlow and NumPy as well."""
        _take(self)

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the dense tensors of which this consists: itself."""
        return (self,)


@dataclass(frozen=True, slots=True)
class SparseTensorSpec:
    """A sparse tensor, which consists of three dense tensors (``TensorInfo.CooSparse``).

    Attributes:
        values: Name of the tensor of values, shape [n].
        indices: Name of the tensor of indices, int64, shape [n, rank].
        dense_shape: Name of the tensor of the dense shape, int64, shape [rank].
        dtype: Element type of the values.
        shape: The dense shape, as far as it is known.
    """

    values: str
    indices: str
    dense_shape: str
    dtype: str
    shape: Shape

    def __post_init__(self) -> None:
        """Take types and shapes of TensorFlow and NumPy as well."""
        _take(self)

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the three dense tensors, with their shapes as far as they are known."""
        rank = None if self.shape is None else len(self.shape)
        return (
            TensorSpec(self.values, self.dtype, (None,)),
            TensorSpec(self.indices, "int64", (None, rank)),
            TensorSpec(self.dense_shape, "int64", (rank,)),
        )


def _take(spec: TensorSpec | SparseTensorSpec) -> None:
    """Replace a type or a shape in another form by the form of this library."""
    if spec.dtype not in dtypes.KNOWN:
        object.__setattr__(spec, "dtype", arguments.dtype(spec.dtype, "dtype"))
    if spec.shape is not None and (
        type(spec.shape) is not tuple
        or any(size is not None and (type(size) is not int or size < 0) for size in spec.shape)
    ):
        object.__setattr__(spec, "shape", arguments.shape(spec.shape, "shape"))


@dataclass(frozen=True, slots=True)
class CompositeTensorSpec:
    """A composite tensor that is not sparse, such as a ragged tensor.

    Attributes:
        type_spec: The ``TypeSpecProto`` that describes the composite tensor, serialized.
        components: The components in the order of ``tf.nest.flatten(expand_composites=True)``.
    """

    type_spec: bytes
    components: tuple[Spec, ...]

    @property
    def type_name(self) -> str:
        """The class of the type, such as ``RaggedTensorSpec``."""
        return str(schema.TypeSpecProto.FromString(self.type_spec).type_spec_class_name)

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the dense tensors of which this consists."""
        return tuple(tensor for each in self.components for tensor in each.tensors())


Spec = TensorSpec | SparseTensorSpec | CompositeTensorSpec


def names_of(specs: Iterable[Spec]) -> list[str]:
    """Return the full names (``op:index``) of the dense tensors of which some tensors consist."""
    names = (tensor.name for spec in specs for tensor in spec.tensors())
    # The C runtime reads a name without an index as the first output.
    return [name if ":" in name or not name else f"{name}:0" for name in names]


@dataclass(frozen=True, slots=True)
class SignatureDef:
    """A signature: named inputs, named outputs, a method name.

    Attributes:
        inputs: Alias to spec.
        outputs: Alias to spec.
        method_name: ``tensorflow/serving/predict`` or another name that a server accepts.
        defaults: Alias of an input to its default, a serialized ``TensorProto``.
    """

    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]
    method_name: str
    defaults: Mapping[str, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Serialize as TensorFlow does under ``SerializeToString(deterministic=True)``."""
        message = schema.SignatureDef(method_name=self.method_name)
        for specs, infos in ((self.inputs, message.inputs), (self.outputs, message.outputs)):
            for alias, spec in specs.items():
                infos[alias].CopyFrom(spec_proto(spec))
        for alias, value in self.defaults.items():
            message.defaults[alias].MergeFromString(value)
        return bytes(message.SerializeToString(deterministic=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> SignatureDef:
        """Decode a serialized ``SignatureDef``; its aliases are sorted.

        Raises:
            ModelUnreadableError: The bytes are not a ``SignatureDef``.
        """
        try:
            message = schema.SignatureDef.FromString(data)
        except DecodeError as error:
            raise ModelUnreadableError(f"a signature cannot be decoded: {error}") from error
        inputs, outputs = (
            {alias: spec_from_proto(infos[alias]) for alias in sorted(infos)}
            for infos in (message.inputs, message.outputs)
        )
        defaults = {
            alias: message.defaults[alias].SerializeToString(deterministic=True)
            for alias in sorted(message.defaults)
        }
        return cls(inputs, outputs, message.method_name, defaults)

    def tensors(self) -> Iterator[TensorSpec]:
        """Yield the dense tensors of all inputs and outputs."""
        for spec in (*self.inputs.values(), *self.outputs.values()):
            yield from spec.tensors()


def ragged(values: TensorSpec, row_splits: tuple[TensorSpec, ...]) -> CompositeTensorSpec:
    """Build the spec of a ragged tensor from its flat values and its row splits.

    It equals that of ``tf.RaggedTensor.from_nested_row_splits``, which takes the outermost first.

    ``values`` are the flat values, of rank 1 or more; ``row_splits`` begins with the outermost one.

    Source: ``RaggedTensorSpec._serialize`` in ``tensorflow/python/ops/ragged/ragged_tensor.py``.
    """
    type_spec = schema.TypeSpecProto(
        type_spec_class=schema.TypeSpecProto.RAGGED_TENSOR_SPEC,
        type_spec_class_name="RaggedTensorSpec",
        num_flat_components=1 + len(row_splits),
    )
    state = type_spec.type_state.tuple_value.values
    outermost = row_splits[0].shape
    rows = None if not outermost or outermost[0] is None else outermost[0] - 1
    if values.shape is None:
        shape: Shape = None
    else:
        shape = (rows, *[None] * len(row_splits), *values.shape[1:])
    state.add().tensor_shape_value.CopyFrom(shape_proto(shape))
    state.add().tensor_dtype_value = dtypes.number(values.dtype)
    state.add().int64_value = len(row_splits)
    state.add().tensor_dtype_value = dtypes.number(row_splits[0].dtype)
    return CompositeTensorSpec(
        type_spec.SerializeToString(deterministic=True), (values, *row_splits)
    )


def shape_from_proto(proto: Any) -> Shape:  # noqa: ANN401 - protobuf's classes are made at run time
    """Decode a ``TensorShapeProto``."""
    if proto.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in proto.dim)


def shape_proto(shape: Shape) -> Any:  # noqa: ANN401 - as above
    """Encode a shape as a ``TensorShapeProto``."""
    proto = schema.TensorShapeProto()
    if shape is None:
        proto.unknown_rank = True
    else:
        for size in shape:
            proto.dim.add(size=-1 if size is None else size)
    return proto


def spec_proto(spec: Spec) -> Any:  # noqa: ANN401 - as above
    """Encode a spec as a ``TensorInfo``."""
    info = schema.TensorInfo()
    if isinstance(spec, CompositeTensorSpec):
        info.composite_tensor.type_spec.MergeFromString(spec.type_spec)
        for component in spec.components:
            info.composite_tensor.components.append(spec_proto(component))
        return info
    info.dtype = dtypes.number(spec.dtype)
    info.tensor_shape.CopyFrom(shape_proto(spec.shape))
    if isinstance(spec, SparseTensorSpec):
        info.coo_sparse.values_tensor_name = spec.values
        info.coo_sparse.indices_tensor_name = spec.indices
        info.coo_sparse.dense_shape_tensor_name = spec.dense_shape
    else:
        info.name = spec.name
    return info


def spec_from_proto(info: Any) -> Spec:  # noqa: ANN401 - as above
    """Decode a ``TensorInfo``."""
    kind = info.WhichOneof("encoding")
    if kind == "composite_tensor":
        composite = info.composite_tensor
        return CompositeTensorSpec(
            composite.type_spec.SerializeToString(deterministic=True),
            tuple(spec_from_proto(component) for component in composite.components),
        )
    dtype, shape = dtypes.name(info.dtype), shape_from_proto(info.tensor_shape)
    if kind == "coo_sparse":
        coo = info.coo_sparse
        return SparseTensorSpec(
            coo.values_tensor_name,
            coo.indices_tensor_name,
            coo.dense_shape_tensor_name,
            dtype,
            shape,
        )
    return TensorSpec(info.name, dtype, shape)
