"""Records with other names; the expected bytes are protobuf's, for a message with these names."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from hypothesis import given
from hypothesis import strategies as st

from smpatch import wire
from smpatch.warmup import Fate, NotRewrittenError, rewritten, tfrecord
from smpatch.warmup.tfrecord import Record, framed, masked_checksum, read
from tests.oracle.serving_protos import prediction_log

PredictionLog = prediction_log(descriptor_pool.DescriptorPool())

KEYS = ["serving_default", "a", "b", "c" * 200]
ALIASES = ["x", "y", "z" * 130, "é"]
FATES = {
    "serving_default": Fate("main", {"x": "y", "y": "x"}, {"x": None}),
    "a": Fate("b", {"x": None, "y": "n" * 300}, {"y": "o", "é": "p"}),
    "b": Fate(None),
    "c" * 200: Fate("serving_default"),
}
UNKNOWN = [b"\x98\x06\x2a", b"\xa2\x06\x03abc", b""]
KINDS = ["predict", "predict_streamed", "classify", "regress", "multi_inference"]

names = st.sampled_from(["", *KEYS, "other"])
requests = st.fixed_dictionaries(
    {
        "key": names,
        "named": st.booleans(),
        "inputs": st.dictionaries(st.sampled_from(ALIASES), st.binary(max_size=300)),
        "filter": st.lists(st.sampled_from(ALIASES), unique=True),
        "unknown": st.sampled_from(UNKNOWN),
    }
)
logs = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "requests": st.lists(requests, min_size=1, max_size=3),
        "unknown": st.sampled_from(UNKNOWN),
    }
)


def _built(log: Mapping[str, Any]) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    built = PredictionLog()
    kind = log["kind"]
    held = getattr(built, f"{kind}_log")
    held.SetInParent()
    held.MergeFromString(log["unknown"])
    if kind == "multi_inference":
        held.request.input.example_list.examples.append(b"\x0a\x00")
    for number, each in enumerate(log["requests"]):
        if kind == "predict_streamed":
            request = held.request.add()
        elif kind == "multi_inference":
            request = held.request.tasks.add()
        elif number:
            break
        else:
            request = held.request
            request.SetInParent()
        if each["named"] or each["key"]:
            request.model_spec.name = "model"
            request.model_spec.signature_name = each["key"]
            request.model_spec.MergeFromString(each["unknown"])
        if kind.startswith("predict"):
            for alias, value in each["inputs"].items():
                request.inputs[alias] = b"\x08\x01" + wire.delimited(4, value)
            request.output_filter.extend(each["filter"])
        request.MergeFromString(each["unknown"])
    built.MergeFromString(log["unknown"])
    return built


def _changed(built: Any) -> Any:  # noqa: ANN401 - as above
    """Change the names in a message; return None if no request is left."""
    kind = built.WhichOneof("log_type")
    held = getattr(built, kind)
    if kind == "predict_streamed_log":
        several = held.request
    elif kind == "multi_inference_log":
        several = held.request.tasks
    else:
        return built if _follow(held.request) else None
    for place in reversed(range(len(several))):
        if not _follow(several[place]):
            del several[place]
    return built if several else None


def _follow(request: Any) -> bool:  # noqa: ANN401 - as above
    fate = FATES.get(request.model_spec.signature_name or "serving_default")
    if fate is None:
        return True
    if fate.key is None:
        return False
    request.model_spec.signature_name = fate.key
    if hasattr(request, "inputs"):
        fed = {fate.inputs.get(alias, alias): value for alias, value in request.inputs.items()}
        asked = [fate.outputs.get(alias, alias) for alias in request.output_filter]
        request.ClearField("inputs")
        request.ClearField("output_filter")
        for alias, value in fed.items():
            if alias is not None:
                request.inputs[alias] = value
        request.output_filter.extend(alias for alias in asked if alias is not None)
    return True


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - as above
    return bytes(message.SerializeToString(deterministic=True))


@given(log=logs, before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_a_record_says_what_protobuf_makes_of_it_and_its_neighbours_stay(
    log: Mapping[str, Any], before: bytes, after: bytes
) -> None:
    data = _bytes(_built(log))
    file = framed(before) + framed(data) + framed(after)
    record = Record(2, len(framed(before)), data)
    changed = wire.apply(file, rewritten(record, FATES))
    wanted = _changed(PredictionLog.FromString(data))
    kept = changed.removeprefix(framed(before)).removesuffix(framed(after))
    assert changed == framed(before) + kept + framed(after)
    if wanted is None:
        assert kept == b""
        return
    new = kept[12:-4]
    assert kept == framed(new)
    assert _bytes(PredictionLog.FromString(new)) == _bytes(wanted)


@given(log=logs, seed=st.integers(0, 1 << 30))
def test_what_is_given_in_parts_is_left_or_rewritten_rightly(
    log: Mapping[str, Any], seed: int
) -> None:
    """The fields of each message are in another order, and some are there twice."""
    data = _shuffled(_bytes(_built(log)), random.Random(seed))  # noqa: S311 - no secret
    try:
        splices = rewritten(Record(1, 0, data), FATES)
    except NotRewrittenError:
        return
    wanted = _changed(PredictionLog.FromString(data))
    changed = wire.apply(framed(data), splices)
    if wanted is None:
        assert changed == b""
    else:
        assert _bytes(PredictionLog.FromString(changed[12:-4])) == _bytes(wanted)


def _shuffled(data: bytes, source: random.Random, depth: int = 0) -> bytes:
    try:
        pieces = []
        for each in wire.fields(data):
            piece = data[each.start : each.end]
            if each.wire_type == wire.BYTES and depth < 4 and source.random() < 0.8:
                inner = _shuffled(each.bytes(data), source, depth + 1)
                piece = wire.delimited(each.number, inner)
            pieces += [piece] * (2 if source.random() < 0.1 else 1)
    except Exception:  # noqa: BLE001 - a text, not a message
        return data
    source.shuffle(pieces)
    return b"".join(pieces)


SIZES = [0, 1, 100, (1 << 14) - 1, 1 << 14, 70_001, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_checksums_are_tensorflows(size: int, oracle: Any, tmp_path: Any) -> None:  # noqa: ANN401 - fixtures
    data = random.Random(size).randbytes(size)  # noqa: S311 - no secret
    oracle.ask("write_records", file=tmp_path / "x" / "records", records=[data.hex()])
    assert (tmp_path / "x" / "records").read_bytes() == framed(data)
    with (tmp_path / "x" / "records").open("rb") as file:
        assert [each.data for each in read(file)] == [data]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_are_those_of_the_standard(data: bytes, value: int) -> None:
    """RFC 3720, B.4, and the check value of CRC-32C."""
    assert masked_checksum(data) == (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("size", SIZES)
def test_each_way_to_take_a_checksum_gives_the_same(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("google_crc32c.cext", reason="google-crc32c is not installed")
    data = random.Random(size).randbytes(size)  # noqa: S311 - no secret
    found = {masked_checksum(data)}
    monkeypatch.setattr(tfrecord, "_IN_LANES", 2)
    found.add(masked_checksum(data))
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    found.add(masked_checksum(data))
    monkeypatch.setitem(sys.modules, "numpy", None)
    found.add(masked_checksum(data))
    assert len(found) == 1
