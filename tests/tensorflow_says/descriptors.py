"""TensorFlow's message descriptors and type names.

Prints ``{"messages": {full name: {field: [number, type, label, type name, oneof]}},
"enums": {full name: {value: number}}, "names": {number: tf.DType.name},
"beside": a message of smpatch's own}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import smpatch.schema  # before TensorFlow, so that a clash of names would end this program

# isort: split
import tensorflow as tf
from google.protobuf import descriptor_pb2
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import graph_pb2, op_def_pb2, types_pb2
from tensorflow.core.protobuf import (
    fingerprint_pb2,
    saved_model_pb2,
    trackable_object_graph_pb2,
)


def collect(descriptor: Any, messages: dict[str, Any], enums: dict[str, Any]) -> None:  # noqa: ANN401 - protobuf's descriptors are made at run time
    """Add a message and all messages and enums to which it refers."""
    if descriptor.full_name in messages:
        return
    fields = messages.setdefault(descriptor.full_name, {})
    # By the message of descriptor.proto: protobuf 4.25 has no is_repeated, 7 no label.
    definition = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(definition)
    labels = {each.name: each.label for each in definition.field}
    for field in descriptor.fields:
        kind = field.message_type or field.enum_type
        oneof = field.containing_oneof
        fields[field.name] = [
            field.number,
            field.type,
            labels[field.name],
            kind.full_name if kind else None,
            oneof.name if oneof else None,
        ]
        if field.message_type:
            collect(field.message_type, messages, enums)
        if field.enum_type:
            values = field.enum_type.values
            enums[field.enum_type.full_name] = {each.name: each.number for each in values}


def main() -> None:
    """Print the answer."""
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    for kind in (
        saved_model_pb2.SavedModel,
        fingerprint_pb2.FingerprintDef,
        op_def_pb2.OpList,
        graph_pb2.GraphDef,
        trackable_object_graph_pb2.TrackableObjectGraph,
        example_pb2.Example,
    ):
        collect(kind.DESCRIPTOR, messages, enums)
    numbers = [number for number in types_pb2.DataType.values() if number]
    names = {number: tf.DType(number).name for number in numbers}
    own = smpatch.schema.SignatureDef(method_name="beside").SerializeToString()
    answer = {"messages": messages, "enums": enums, "names": names, "beside": own.hex()}
    sys.stdout.write("\n" + json.dumps(answer))


main()
