"""smpatch's own messages against TensorFlow's: numbers, types, labels, oneofs, enums."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from smpatch import schema
from tests.tensorflow_says import OLDEST, ask

_ELSEWHERE = {
    "Any": "google.protobuf.Any",
    "AttrEntry": "NodeDef.AttrEntry",
    "BoolValue": "google.protobuf.BoolValue",
    "ConcreteFunctionEntry": "SavedObjectGraph.ConcreteFunctionsEntry",
    "MetaInfoDef": "MetaGraphDef.MetaInfoDef",
    "MetaInfoOps": "MetaGraphDef.MetaInfoDef",
    "NodeWiring": "NodeDef",
    "GraphWiring": "GraphDef",
    "SignatureDefEntry": "MetaGraphDef.SignatureDefEntry",
}
"""Messages with another place, or only some fields, in smpatch's schema: TensorFlow's names."""

_SERVING = frozenset(
    {
        "ExampleList",
        "ExamplesRequest",
        "InferenceTask",
        "Input",
        "ModelSpec",
        "MultiInferenceRequest",
        "NamedTensorProto",
        "PredictRequest",
        "PredictionLog",
        "SessionRunRequest",
    }
)
"""Messages of TF Serving, which is not installed; ``tests/warm_up`` compares them."""

_FILE = schema.GraphDef.DESCRIPTOR.file

_SINCE_2_16 = frozenset(
    {"FingerprintDef.uuid"}
    | {
        f"DataType.DT_{name}{reference}"
        for name in (
            *("INT2", "UINT2", "FLOAT4_E2M1FN", "FLOAT8_E4M3FNUZ", "FLOAT8_E4M3B11FNUZ"),
            "FLOAT8_E5M2FNUZ",
        )
        for reference in ("", "_REF")
    }
)
"""Fields and types that the oldest TensorFlow does not have yet."""


def _with_nested(descriptor: Any) -> list[Any]:  # noqa: ANN401 - protobuf's descriptors are made at run time
    return [
        descriptor,
        *(inner for each in descriptor.nested_types for inner in _with_nested(each)),
    ]


MESSAGES = [
    each
    for top in _FILE.message_types_by_name.values()
    if top.name not in _SERVING
    for each in _with_nested(top)
]


def _theirs(full_name: str) -> str:
    """Return TensorFlow's name for a message or enum of smpatch."""
    own = full_name.removeprefix("smpatch.")
    top, dot, rest = own.partition(".")
    theirs = _ELSEWHERE.get(top, top)
    return theirs if theirs.startswith("google.") else f"tensorflow.{theirs}{dot}{rest}"


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The descriptors of TensorFlow's messages and enums."""
    said: dict[str, Any] = ask("descriptors", tmp_path_factory)
    return said


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name[8:])
def test_every_field_is_tensorflows(message: Any, theirs: dict[str, Any]) -> None:  # noqa: ANN401 - as above
    expected = theirs["messages"][_theirs(message.full_name)]
    definition = descriptor_pb2.DescriptorProto()
    message.CopyToProto(definition)
    labels = {each.name: each.label for each in definition.field}
    for field in message.fields:
        if OLDEST and f"{message.name}.{field.name}" in _SINCE_2_16:
            assert field.name not in expected
            continue
        kind = field.message_type or field.enum_type
        oneof = field.containing_oneof
        assert [
            field.number,
            field.type,
            labels[field.name],
            _theirs(kind.full_name) if kind else None,
            oneof.name if oneof else None,
        ] == expected[field.name], field.name


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name[8:])
def test_a_oneof_is_whole(message: Any, theirs: dict[str, Any]) -> None:  # noqa: ANN401 - as above
    """A choice that the schema lacked would be read as if the field had no choice."""
    expected = theirs["messages"][_theirs(message.full_name)]
    for oneof in message.oneofs:
        members = {name for name, (*_, within) in expected.items() if within == oneof.name}
        assert {field.name for field in oneof.fields} == members


def test_a_graph_is_whole(theirs: dict[str, Any]) -> None:
    """A graph in text form is read by this schema, and is then written in binary form."""
    met, left_out = _left_out(schema.GraphDef.DESCRIPTOR, theirs)
    assert left_out == {"GraphDef.debug_info"}
    assert {"OpDef", "FullTypeDef", "VariantTensorDataProto"} <= met


def test_an_object_graph_is_whole(theirs: dict[str, Any]) -> None:
    """An unknown field could refer to an object, so that no object could be removed."""
    met, left_out = _left_out(schema.SavedObjectGraph.DESCRIPTOR, theirs)
    assert left_out == set()
    assert {"SaveableObject", "SlotVariableReference", "StructuredValue"} <= met


def _left_out(root: Any, theirs: dict[str, Any]) -> tuple[set[str], set[str]]:  # noqa: ANN401 - as above
    """Return the messages below one, and the fields of TensorFlow that they do not have."""
    met: list[Any] = []
    waiting = [root]
    while waiting:
        message = waiting.pop()
        met.append(message)
        below = (field.message_type for field in message.fields)
        waiting += [each for each in below if each and each not in met and each not in waiting]
    left_out = {
        f"{each.name}.{field}"
        for each in met
        if not each.GetOptions().map_entry
        for field in theirs["messages"][_theirs(each.full_name)].keys() - each.fields_by_name.keys()
    }
    return {each.name for each in met}, left_out


def test_enums_are_tensorflows(theirs: dict[str, Any]) -> None:
    enums = [*_FILE.enum_types_by_name.values()]
    enums += [enum for message in MESSAGES for enum in message.enum_types]
    assert {enum.name for enum in enums} >= {"DataType", "TypeSpecClass"}
    for enum in enums:
        own = {value.name: value.number for value in enum.values}
        expected = theirs["enums"][_theirs(enum.full_name)]
        later = {each for each in own if OLDEST and f"{enum.name}.{each}" in _SINCE_2_16}
        assert {name: own[name] for name in own.keys() - later} == expected


def test_data_types_are_those_of_the_enum() -> None:
    values = _FILE.enum_types_by_name["DataType"].values
    assert {value.name: value.number for value in values} == schema.DataType


def test_every_class_that_is_exported_decodes_its_own_message() -> None:
    for name in schema.__all__:
        if name != "DataType":
            assert getattr(schema, name).DESCRIPTOR.name == name


@pytest.mark.parametrize("program", ["descriptors", "signatures"])
def test_lives_beside_tensorflow_whichever_comes_first(
    program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One program imports smpatch's schema before TensorFlow, the other after it."""
    data = bytes.fromhex(ask(program, tmp_path_factory)["beside"])
    assert schema.SignatureDef.FromString(data).method_name == "beside"
