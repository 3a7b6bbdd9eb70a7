"""Files beside the model: stale fingerprints, and warm-up requests that no server can answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Feeding, schema, warmup
from smpatch.checker import CONSUMERS
from smpatch.checker.files import check_fingerprint
from tests.checker.faults import FIXTURES
from tests.oracle.client import Oracle

PARTS = (
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
)


def _codes(tensorflow: str, **changed: int) -> list[tuple[str, str]]:
    """Return the findings if TensorFlow computes a fingerprint with these changes for a fixture."""
    model = smpatch.load(FIXTURES / "module")
    now = schema.FingerprintDef.FromString((model.directory / "fingerprint.pb").read_bytes())
    now.uuid = "another each time"
    for name, number in changed.items():
        if name == "version":
            now.version.producer = number
        else:
            setattr(now, name, number)
    found = check_fingerprint(model, now.SerializeToString(), tensorflow)
    return [(each.code, each.severity) for each in found]


WRITER = smpatch.load(FIXTURES / "module").meta_graphs[0].tensorflow_version


@pytest.mark.parametrize("part", PARTS)
def test_only_the_same_tensorflow_can_tell_that_a_fingerprint_is_stale(part: str) -> None:
    assert _codes(WRITER, **{part: 1}) == [("stale-fingerprint", "fault")]
    assert _codes("2.99.0", **{part: 1}) == [("other-fingerprint", "note")]
    # Another version of the algorithm gives other numbers, which prove nothing.
    assert _codes(WRITER, **{part: 1, "version": 99}) == [("other-fingerprint", "note")]


def test_a_file_that_was_written_anew_is_no_other_model() -> None:
    assert _codes(WRITER, saved_model_checksum=1) == [("other-checksum", "note")]
    assert _codes("2.99.0", saved_model_checksum=1) == []
    assert _codes(WRITER) == []


def test_a_pipe_in_the_place_of_a_fingerprint_is_not_waited_for(tmp_path: Path) -> None:
    model = smpatch.load(Path(shutil.copytree(FIXTURES / "linear", tmp_path / "model")))
    os.mkfifo(model.directory / "fingerprint.pb")
    program = "import sys; from smpatch import load; from smpatch.checker import files; "
    program += "print(*[each.code for each in files.check_fingerprint(load(sys.argv[1]), b'', '')])"
    command = [sys.executable, "-c", program, str(model.directory)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert said == b"fingerprint-unreadable\n"


def test_a_fingerprint_that_is_none_and_one_that_is_not_computed(tmp_path: Path) -> None:
    model = smpatch.load(Path(shutil.copytree(FIXTURES / "module", tmp_path / "model")))
    (found,) = check_fingerprint(model, "the process died", "")
    assert (found.code, found.severity) == ("fingerprint-not-computed", "note")
    (model.directory / "fingerprint.pb").write_bytes(b"\xff")
    (found,) = check_fingerprint(model, b"", "")
    assert found.code == "fingerprint-unreadable"
    (model.directory / "fingerprint.pb").unlink()
    assert list(check_fingerprint(model, b"", "")) == []


def field(number: int, value: bytes | str) -> bytes:
    """Return a length-delimited field of fewer than 128 bytes."""
    data = value.encode() if isinstance(value, str) else value
    return bytes((number << 3 | 2, len(data))) + data


def spec(key: str) -> bytes:
    """Return the field of a request that names its signature."""
    return field(1, field(3, key))


FLOATS, INTS, STRINGS = 1, 3, 7
"""Numbers of types (``types.proto``)."""


def tensor(dtype: int, *sizes: int, value: bytes = b"") -> bytes:
    """Return a tensor; ``value`` is its field of values, empty for zeros."""
    shape = b"".join(field(2, bytes((8, size))) for size in sizes)
    return bytes((8, dtype)) + field(2, shape) + value


def fed(alias: str, value: bytes) -> bytes:
    """Return the field that feeds an input of a request."""
    return field(2, field(1, alias) + field(2, value))


ROW = fed("x", tensor(FLOATS, 2))
"""An input for the signature ``scale``, which takes ``x: float32 [?]``."""


def _requests(place: Path, oracle: Oracle, name: str, logs: Sequence[bytes]) -> list[str]:
    directory = Path(shutil.copytree(FIXTURES / name, place / "model"))
    records = [log.hex() for log in logs]
    oracle.ask("write_records", file=directory / warmup.PLACE, records=records)
    report = smpatch.check(directory, options=CheckOptions(validate="none"))
    return sorted(each.code for each in report.faults)


@pytest.mark.parametrize(
    ("log", "codes"),
    [
        (field(6, field(1, spec("scale") + ROW)), []),
        (field(6, field(1, spec("scale"))), ["warm-up-input"]),  # no input
        (field(7, field(1, spec("scale"))), []),  # a later request of a stream may feed it
        (
            field(6, field(1, spec("scale") + ROW + field(3, "z"))),
            ["warm-up-output"],
        ),
        (field(6, field(1, ROW)), ["warm-up-signature"]),  # serving_default
        # An input without a type, of another type, of another rank.
        (field(6, field(1, spec("scale") + field(2, field(1, "x")))), ["warm-up-type"]),
        (field(6, field(1, spec("scale") + fed("x", tensor(INTS, 2)))), ["warm-up-type"]),
        (field(6, field(1, spec("scale") + fed("x", tensor(FLOATS, 2, 2)))), ["warm-up-shape"]),
        (field(7, field(1, spec("scale") + fed("x", tensor(INTS, 2)))), ["warm-up-type"]),
        (field(2, field(1, spec("scale"))), ["warm-up-input", "warm-up-method"]),
        (field(4, field(1, field(1, spec("scale")))), ["warm-up-input", "warm-up-method"]),
        (field(6, field(1, spec("scale") + ROW + field(3, "product") * 2)), ["warm-up-output"]),
        # TF Serving answers no session_run request: "Unsupported log_type for warmup".
        (field(5, field(1, field(2, field(1, "x:0")) + field(3, "y:0"))), ["warm-up-method"]),
        (
            field(5, field(1, spec("scale") + field(2, field(1, "x")) + b"\x30\x01")),
            ["warm-up-method"],
        ),
        (field(5, field(1, field(2, field(1, "gone:0")))), ["warm-up-method", "warm-up-tensor"]),
    ],
)
def test_requests_that_no_server_can_answer(
    tmp_path: Path, oracle: Oracle, log: bytes, codes: list[str]
) -> None:
    # The check reports the same fault of two records once.
    assert _requests(tmp_path, oracle, "assets_extra_warmup", [log, log]) == codes


EXAMPLE = field(2, field(1, field(1, b"")))
"""The field of a request with one example, which has no features."""


@pytest.mark.parametrize(("examples", "codes"), [(EXAMPLE, []), (b"", ["warm-up-input"] * 4)])
def test_requests_by_method_and_those_without_an_example_that_a_server_refuses(
    examples: bytes, codes: list[str], tmp_path: Path, oracle: Oracle
) -> None:
    both = field(1, spec("classify")) + field(1, spec("regress"))
    logs = [
        field(2, field(1, spec("classify") + examples)),
        field(3, field(1, spec("regress") + examples)),
        field(4, field(1, both + examples)),
    ]
    assert _requests(tmp_path, oracle, "classify_regress", logs) == codes


@pytest.mark.parametrize(("records", "codes"), [(1000, []), (1001, ["warm-up-records"])])
def test_more_than_a_thousand_records_are_too_many_for_a_server(
    records: int, codes: list[str], tmp_path: Path, oracle: Oracle
) -> None:
    log = field(6, field(1, spec("scale") + ROW))
    assert _requests(tmp_path, oracle, "assets_extra_warmup", [log] * records) == codes


def test_requests_run_with_their_own_values_and_with_defaults(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    # After this edit three columns fit the signature; they do not fit the graph.
    edit = smpatch.EditSignature("serving_default", shapes={"x": (None, None)})
    smpatch.patch(directory, [edit], options=smpatch.Options(validate="none"))
    logs = [
        field(6, field(1, spec("serving_default") + fed("x", tensor(FLOATS, 2, columns))))
        for columns in (2, 3, 3)
    ]
    records = [log.hex() for log in logs]
    oracle.ask("write_records", file=directory / warmup.PLACE, records=records)
    quick = CheckOptions(validate="runtime")
    assert smpatch.check(directory, options=quick).ok
    options = CheckOptions(validate="runtime", run=Feeding(batches=(2,)), ignore=["run-fails"])
    found = smpatch.check(directory, options=options).faults
    (fault,) = found
    assert fault.code == "warm-up-fails"
    assert fault.text.startswith("record 2, a request to 'serving_default', fails: ")


def test_a_request_that_leaves_an_input_with_a_default_out_runs(
    tmp_path: Path, oracle: Oracle
) -> None:
    log = field(6, field(1, spec("serving_default") + fed("x", tensor(FLOATS, 2))))
    directory = Path(shutil.copytree(FIXTURES / "defaults", tmp_path / "model"))
    oracle.ask("write_records", file=directory / warmup.PLACE, records=[log.hex()])
    options = CheckOptions(validate="runtime", run=Feeding())
    assert smpatch.check(directory, options=options).findings == ()


def _mutated(data: bytes, number: int) -> bytes:
    """Return the data with one changed byte; the number chooses its place and its value."""
    place = number * 7919 % len(data)
    return data[:place] + bytes((data[place] ^ (1 + number * 31 % 255),)) + data[place + 1 :]


@pytest.mark.parametrize("name", ["assets_extra_warmup", "module", "sparse", "while_loop"])
def test_damage_is_a_finding_or_an_error_and_never_a_traceback(tmp_path: Path, name: str) -> None:
    directory = Path(shutil.copytree(FIXTURES / name, tmp_path / "model"))
    file = directory / "saved_model.pb"
    whole = file.read_bytes()
    said = set()
    for number in range(400):
        file.write_bytes(_mutated(whole, number))
        said.add(_outcome(directory, CheckOptions(validate="none")))
        _outcome(directory, CheckOptions(validate="none", consumers=CONSUMERS))
    assert said == {"ok", "fault", "unreadable"}


def _outcome(directory: Path, options: CheckOptions) -> str:
    try:
        return "ok" if smpatch.check(directory, options=options).ok else "fault"
    except smpatch.ModelUnreadableError:
        return "unreadable"
