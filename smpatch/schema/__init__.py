"""Message classes for the parts of a SavedModel that smpatch decodes.

They come from smpatch's own ``saved_model.proto``, which is compiled into
``saved_model.binpb`` (a ``FileDescriptorSet``). They have a descriptor pool of their
own: with TensorFlow's names in protobuf's default pool, a later ``import
tensorflow`` in the same process would fail because of a duplicate file name.

This module does not import TensorFlow. A decoded message never replaces the bytes from which it
was decoded: smpatch writes new messages, and splices.

Sources: https://protobuf.dev/reference/python/api-docs/ (``descriptor_pool``,
``message_factory``) and the proto files named in ``saved_model.proto``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory

__all__ = [
    "AssetFileDef",
    "AttrEntry",
    "AttrValue",
    "ConcreteFunctionEntry",
    "DataType",
    "Example",
    "FingerprintDef",
    "FunctionDef",
    "FunctionDefLibrary",
    "GraphDef",
    "GraphWiring",
    "MetaInfoDef",
    "MetaInfoOps",
    "NodeDef",
    "NodeWiring",
    "ObjectReference",
    "OpDef",
    "OpList",
    "PredictionLog",
    "SavedConcreteFunction",
    "SavedObject",
    "SavedObjectGraph",
    "SaverDef",
    "SignatureDef",
    "SignatureDefEntry",
    "StructuredValue",
    "TensorInfo",
    "TensorProto",
    "TensorShapeProto",
    "TypeSpecProto",
    "VersionDef",
]

_DESCRIPTORS = Path(__file__).with_name("saved_model.binpb")


def _private_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_only_file(_DESCRIPTORS.read_bytes()))
    return pool


def _only_file(file_set: bytes) -> bytes:
    """Return the bytes of the only ``FileDescriptorProto`` of a set.

    This function parses the bytes itself, because the import of ``descriptor_pb2`` takes longer
    than the rest of this module.
    """
    length, shift, at = 0, 0, 1
    while file_set[at] & 0x80:
        length |= (file_set[at] & 0x7F) << shift
        shift += 7
        at += 1
    length |= file_set[at] << shift
    return file_set[at + 1 : at + 1 + length]


_POOL = _private_pool()


def _message(name: str) -> Any:  # noqa: ANN401 - protobuf makes these classes at run time; no static type exists
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"smpatch.{name}"))


AssetFileDef = _message("AssetFileDef")
AttrEntry = _message("AttrEntry")
AttrValue = _message("AttrValue")
ConcreteFunctionEntry = _message("ConcreteFunctionEntry")
Example = _message("Example")
FingerprintDef = _message("FingerprintDef")
FunctionDef = _message("FunctionDef")
FunctionDefLibrary = _message("FunctionDefLibrary")
GraphDef = _message("GraphDef")
GraphWiring = _message("GraphWiring")
MetaInfoDef = _message("MetaInfoDef")
MetaInfoOps = _message("MetaInfoOps")
NodeDef = _message("NodeDef")
NodeWiring = _message("NodeWiring")
ObjectReference = _message("TrackableObjectGraph.TrackableObject.ObjectReference")
OpDef = _message("OpDef")
OpList = _message("OpList")
PredictionLog = _message("PredictionLog")
SavedConcreteFunction = _message("SavedConcreteFunction")
SavedObject = _message("SavedObject")
SavedObjectGraph = _message("SavedObjectGraph")
SaverDef = _message("SaverDef")
SignatureDef = _message("SignatureDef")
SignatureDefEntry = _message("SignatureDefEntry")
StructuredValue = _message("StructuredValue")
TensorInfo = _message("TensorInfo")
TensorProto = _message("TensorProto")
TensorShapeProto = _message("TensorShapeProto")
TypeSpecProto = _message("TypeSpecProto")
VersionDef = _message("VersionDef")

DataType: dict[str, int] = {
    value.name: value.number for value in _POOL.FindEnumTypeByName("smpatch.DataType").values
}
