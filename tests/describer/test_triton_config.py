"""A configuration for Triton: protobuf reads it, and it fits Triton's own rules.

The schema is a few fields of Triton's ``model_config.proto``; the rules are those of
``ValidateIOShape`` in Triton's core and of ``CompareDims`` in its TensorFlow backend.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import smpatch
from smpatch import dtypes
from smpatch.signature import CompositeTensorSpec, SignatureDef, SparseTensorSpec, TensorSpec
from tests.describer.models import HOSTILE, Case, cases, made, row

TYPES = [
    *("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "STRING", "BF16"),
]
OF_TENSORFLOW = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}

_KINDS: dict[str, Any] = {"string": 9, "int64": 3, "int32": 5}
_ENUM: Any = 14
_MESSAGE: Any = 11


def _model_config() -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)

    def message(name: str, *fields: tuple[str, int, str, bool]) -> Any:  # noqa: ANN401 - as above
        made = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = made.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type_name = f".t.{kind}"
                added.type = _ENUM if kind == "DataType" else _MESSAGE
        return made

    message("Reshape", ("shape", 1, "int64", True))
    message("Parameter", ("string_value", 1, "string", False))
    shared = (("name", 1, "string", False), ("data_type", 2, "DataType", False))
    reshape = ("reshape", 5, "Reshape", False)
    message("Input", *shared, ("dims", 4, "int64", True), reshape)
    message("Output", *shared, ("dims", 3, "int64", True), reshape)
    config = message(
        "ModelConfig",
        ("name", 1, "string", False),
        ("platform", 2, "string", False),
        ("max_batch_size", 4, "int32", False),
        ("input", 5, "Input", True),
        ("output", 6, "Output", True),
        ("parameters", 14, "ModelConfig.ParametersEntry", True),
    )
    entry = config.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".t.Parameter")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))


CONFIG = _model_config()


def _parsed(text: str) -> Any:  # noqa: ANN401 - as above
    assert text.isascii()
    return text_format.Parse(text, CONFIG())


def _takes(config: Any, signature: SignatureDef) -> None:  # noqa: ANN401 - as above
    """Assert the same facts as Triton about a configuration and a signature."""
    batching = config.max_batch_size > 0
    for ios, specs in ((config.input, signature.inputs), (config.output, signature.outputs)):
        assert [each.name for each in ios] == list(specs)
        for io, spec in zip(ios, specs.values(), strict=True):
            assert isinstance(spec, TensorSpec)
            assert len(io.dims) > 0
            assert all(size >= 1 or size == -1 for size in io.dims)
            dims = list(io.reshape.shape if io.HasField("reshape") else io.dims)
            if io.HasField("reshape"):
                assert (batching, dims, list(io.dims)) == (True, [], [1])
            if spec.shape is not None:
                model = [-1 if size is None else size for size in spec.shape]
                assert model == [-1] * batching + dims
            dtype = dtypes.base(spec.dtype)
            name = OF_TENSORFLOW.get(dtype, dtype.upper())
            assert TYPES[io.data_type] == name


def _servable(case: Case) -> bool:
    return len(case.tags) == 1 and all(
        isinstance(spec, TensorSpec)
        and spec.shape != ()
        and (spec.shape is None or 0 not in spec.shape)
        and not dtypes.base(spec.dtype).startswith(("complex", "q", "bfloat"))
        for spec in (*case.signature.inputs.values(), *case.signature.outputs.values())
    )


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_triton_takes_the_configuration_of_every_signature_that_it_can_serve(case: Case) -> None:
    def described() -> str:
        return smpatch.describe(case.directory, "triton", case.key, tag_set=case.tags)

    if not _servable(case):
        with pytest.raises(smpatch.RefusedError):
            described()
        return
    config = _parsed(described())
    _takes(config, case.signature)
    assert (config.name, config.platform) == (case.directory.name, "tensorflow_savedmodel")
    key, tag = (
        config.parameters[name].string_value if name in config.parameters else default
        for name, default in (("TF_SIGNATURE_DEF", "serving_default"), ("TF_GRAPH_TAG", "serve"))
    )
    assert (key, (tag,)) == (case.key, case.tags)


def test_the_cases_have_both_kinds_of_configuration_and_refusals() -> None:
    kinds = {_servable(case) for case in cases()}
    assert kinds == {True, False}


def test_an_open_first_dimension_of_all_tensors_makes_batches(tmp_path: Path) -> None:
    image, row_ = row("image", "uint8", (None, 4, None)), row("label", "string")
    both = made(tmp_path / "m", {"image": image}, {"label": row_})
    config = _parsed(smpatch.describe(both))
    assert config.max_batch_size == 4
    assert _parsed(smpatch.describe(both, batch=32)).max_batch_size == 32
    assert (list(config.input[0].dims), list(config.output[0].dims)) == ([4, -1], [1])
    assert config.output[0].HasField("reshape")
    assert not config.input[0].HasField("reshape")


@pytest.mark.parametrize("shape", [(1,), (2, None), None])
def test_any_other_first_dimension_makes_none_and_all_sizes_are_written(
    shape: tuple[int | None, ...] | None, tmp_path: Path
) -> None:
    place = made(tmp_path / "m", {"x": row("x", shape=(None, 3))}, {"y": row("y", shape=shape)})
    config = _parsed(smpatch.describe(place))
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [-1, 3]
    assert list(config.output[0].dims) == [-1 if size is None else size for size in shape or (-1,)]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (row("x", shape=()), "rank is 0"),
        (row("x", shape=(None, 0)), "size 0"),
        (row("x", "complex64"), "no type complex64"),
        (row("x", "bfloat16"), "no type bfloat16"),
        (SparseTensorSpec("v:0", "i:0", "s:0", "float32", (None, 2)), "sparse"),
        (CompositeTensorSpec(b"", (TensorSpec("v:0", "float32", (None,)),)), "composite"),
    ],
)
@pytest.mark.parametrize("kind", ["input", "output"])
def test_a_tensor_that_triton_refuses_is_refused(
    spec: smpatch.TensorSpec, found: str, kind: str, tmp_path: Path
) -> None:
    x = row("x")
    specs = ({"t": spec}, {"y": x}) if kind == "input" else ({"x": x}, {"t": spec})
    place = made(tmp_path / "m", *specs)
    with pytest.raises(smpatch.RefusedError, match=found) as raised:
        smpatch.describe(place)
    assert raised.value.where == f"signature 'serving_default', {kind} 't'"


@pytest.mark.parametrize("tags", [("serve", "gpu"), ()])
def test_triton_takes_one_tag(tags: tuple[str, ...], tmp_path: Path) -> None:
    place = made(tmp_path / "m", {"x": row("x")}, {"y": row("y")}, tags=tags)
    with pytest.raises(smpatch.RefusedError, match="one tag") as raised:
        smpatch.describe(place)
    assert raised.value.hint.startswith("smpatch retag ")


@pytest.mark.parametrize(("key", "alias"), [("", "x"), ("a\0b", "x"), ("k", ""), ("k", "x\0")])
def test_names_that_triton_cuts_or_misses_are_refused(key: str, alias: str, tmp_path: Path) -> None:
    place = made(tmp_path / "m", {alias: row("x")}, {"y": row("y")}, key=key)
    with pytest.raises(smpatch.RefusedError, match="empty or has a zero byte"):
        smpatch.describe(place, signature=key)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_are(name: str, tmp_path: Path) -> None:
    inputs, outputs = {name: row("x")}, {f"y{name}": row("y")}
    place = made(tmp_path / "m", inputs, outputs, key=name, tags=(name,))
    config = _parsed(smpatch.describe(place, name=name))
    assert config.name == name
    assert [each.name for each in config.input] == list(inputs)
    assert [each.name for each in config.output] == list(outputs)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert parameters == {"TF_SIGNATURE_DEF": name, "TF_GRAPH_TAG": name}
    assert len(config.ListFields()) == 6


def test_it_says_that_newer_releases_of_triton_have_no_tensorflow_backend(tmp_path: Path) -> None:
    place = made(tmp_path / "m", {"x": row("x")}, {"y": row("y")})
    remarks = [line for line in smpatch.describe(place).splitlines() if line.startswith("#")]
    assert any("25.03" in line for line in remarks)
