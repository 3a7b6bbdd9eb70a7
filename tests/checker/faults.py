"""The faults that tests plant, each with its models and the code that a check must report.

TensorFlow's own classes plant the faults of messages (``tests/oracle/planting.py``). This module
plants the faults of files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smpatch import warmup
from tests.oracle.client import Oracle

__all__ = ["EITHER", "FAULTS", "FIXTURES", "Case", "Fault", "cases", "planted"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"

TF1 = ("assets_extra_warmup", "classify_regress", "ref_variables", "while_loop")
"""Models without an object graph, in this order: with warm-up requests, with methods of TF Serving,
with variables of TensorFlow 1, with a loop."""

TF2 = ("module", "keras_functional", "unsorted_keys")
"""Models with an object graph and a fingerprint by the TensorFlow of the tests."""

EITHER = (*TF1, *TF2)

OF_NUMBERS = ("assets_extra_warmup", "ref_variables", "while_loop", *TF2)
"""Models whose first signature takes no strings. (Methods of TF Serving take strings.)"""


WITH_VARIABLES = ("ref_variables", "resource_variables", "module", "keras_functional")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that tests plant.

    Attributes:
        name: Its name in ``planting`` or ``_FILES``.
        words: Its description in the table.
        code: The code of the finding that must report it.
        models: The fixtures into which tests plant it.
        severity: The severity of the finding.
    """

    name: str
    words: str
    code: str
    models: tuple[str, ...] = EITHER
    severity: str = "fault"


FAULTS = (
    Fault("missing_input_tensor", "an input that the graph does not have", "missing-tensor"),
    Fault("missing_output_tensor", "an output that the graph does not have", "missing-tensor"),
    Fault("empty_name", "an output without a name", "no-name"),
    Fault("input_without_index", "an input's name without `:0`", "no-index"),
    Fault("output_without_index", "an output's name without `:0`", "no-index"),
    Fault("wrong_dtype_input", "a wrong type of an input", "dtype"),
    Fault("wrong_dtype_output", "a wrong type of an output", "dtype"),
    Fault("contradicting_shape_input", "a shape of an input that contradicts the graph", "shape"),
    Fault("contradicting_shape_output", "a shape of an output that contradicts the graph", "shape"),
    Fault(
        "shape_left_out",
        "a shape left out, which means a scalar",
        "shape-left-out",
        ("assets_extra_warmup", "ref_variables", *TF2),
    ),
    Fault("unfed_placeholder", "an output that needs a placeholder not fed", "unfed-placeholder"),
    Fault("frame_tensor", "an output inside a while loop", "while-frame"),
    Fault("resource_output", "an output that is a resource handle", "handle"),
    Fault("reference_output", "an output that is a reference of TensorFlow 1", "reference-output"),
    Fault("reference_itself", "an output that is a variable of TensorFlow 1", "reference-output"),
    Fault("partly_fed", "one output of an operation fed, another one needed", "partly-fed"),
    Fault("same_tensor_twice", "one tensor under two inputs", "fed-twice"),
    Fault("input_is_output", "one tensor as input and output", "fed-and-fetched"),
    Fault("keyword_alias", "an input called `class`", "alias"),
    Fault("empty_alias", "an input called nothing", "alias"),
    Fault("self_alias", "an input called `self`", "alias"),
    Fault("clashing_aliases", "inputs that Python writes alike", "alias"),
    Fault("empty_output_alias", "an output called nothing", "alias"),
    Fault("no_outputs", "no outputs", "no-outputs"),
    Fault("classify_rules", "classify, its rules broken", "classify-rules", OF_NUMBERS),
    Fault("regress_rules", "regress, its rules broken", "regress-rules"),
    Fault("unknown_method", "a method that no server knows", "unknown-method", EITHER, "note"),
    Fault("default_dtype", "a default of another type", "default-type", OF_NUMBERS),
    Fault("default_shape", "a default of another shape", "default-shape"),
    Fault("default_alias", "a default of an input that is not there", "default-without-input"),
    Fault("duplicate_key", "a signature key twice in the map", "duplicate-key"),
    Fault("init_op_missing", "an init op that the graph does not have", "reserved-operation"),
    Fault("tags_missing", "no tags", "no-tags"),
    Fault("tags_spelt", "the tags `s,e,r,v,e`", "spelt-tags"),
    Fault("key_of_one_half", "a key that only servers see", "halves-disagree", TF2),
    Fault("object_keyword", "an input that Python calls otherwise", "halves-disagree", TF2),
    Fault("object_function", "a function that Python does not find", "halves-disagree", TF2),
    Fault("object_dtype", "an output of another type in Python", "halves-disagree", TF2),
    Fault("stale_fingerprint", "a fingerprint from before an edit", "stale-fingerprint", TF2),
    Fault("warmup_signature", "a warm-up request to a signature that is gone", "warm-up-signature"),
    Fault("warmup_input", "a warm-up request that feeds an input that is gone", "warm-up-input"),
    Fault("warmup_damaged", "warm-up requests that are cut off", "warm-up-unreadable"),
    Fault("index_missing", "variables without their index", "variables-missing", WITH_VARIABLES),
    Fault("data_missing", "variables without their data", "variables-missing", WITH_VARIABLES),
    Fault("data_cut", "variables with data that is cut off", "variables-missing", WITH_VARIABLES),
    Fault("data_pointer", "a Git LFS pointer as the data", "variables-missing", WITH_VARIABLES),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One fault and one model."""

    fault: Fault
    model: str

    def __str__(self) -> str:
        """Return a name for the test."""
        return f"{self.fault.name}-{self.model}"


def cases() -> list[Case]:
    """Return every fault with each of its models."""
    return [Case(fault, model) for fault in FAULTS for model in fault.models]


def planted(case: Case, place: Path, oracle: Oracle) -> Path:
    """Copy the model to a place, plant the fault, and return the copy."""
    directory = Path(shutil.copytree(FIXTURES / case.model, place))
    by_file = _FILES.get(case.fault.name)
    if by_file is None:
        oracle.ask("plant", directory=directory, fault=case.fault.name)
    else:
        by_file(directory, oracle)
    return directory


def _request(signature: str, alias: str) -> str:
    """Return a predict request that feeds one input, in hexadecimal."""

    def field(number: int, data: bytes) -> bytes:
        return bytes((number << 3 | 2, len(data))) + data

    request = field(1, field(3, signature.encode())) + field(2, field(1, alias.encode()))
    return field(6, field(1, request)).hex()


def _warmup_signature(directory: Path, oracle: Oracle) -> None:
    oracle.ask(
        "write_records", file=directory / warmup.PLACE, records=[_request("planted_key", "x")]
    )


def _warmup_input(directory: Path, oracle: Oracle) -> None:
    key = oracle.ask("parse", directory=directory)["meta_graphs"][0]["signatures"]
    first = next(each for each in key if not each.startswith("__"))
    records = [_request(first, "planted_input")]
    oracle.ask("write_records", file=directory / warmup.PLACE, records=records)


def _warmup_damaged(directory: Path, oracle: Oracle) -> None:
    _warmup_signature(directory, oracle)
    file = directory / warmup.PLACE
    file.write_bytes(file.read_bytes()[:-1])


def _stale_fingerprint(directory: Path, oracle: Oracle) -> None:
    """Change a method name and nothing else, as TensorFlow's ``MethodNameUpdater`` does."""
    oracle.ask("plant", directory=directory, fault="unknown_method")


def _index_missing(directory: Path, _: Oracle) -> None:
    (directory / "variables" / "variables.index").unlink()


def _data(directory: Path) -> Path:
    return directory / "variables" / "variables.data-00000-of-00001"


def _data_missing(directory: Path, _: Oracle) -> None:
    _data(directory).unlink()


def _data_cut(directory: Path, _: Oracle) -> None:
    _data(directory).write_bytes(_data(directory).read_bytes()[:-1])


def _data_pointer(directory: Path, _: Oracle) -> None:
    size = _data(directory).stat().st_size
    lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{'0' * 64}", f"size {size}")
    _data(directory).write_text("\n".join((*lines, "")))


_FILES: dict[str, Callable[[Path, Oracle], None]] = {
    "data_cut": _data_cut,
    "data_missing": _data_missing,
    "data_pointer": _data_pointer,
    "index_missing": _index_missing,
    "stale_fingerprint": _stale_fingerprint,
    "warmup_damaged": _warmup_damaged,
    "warmup_input": _warmup_input,
    "warmup_signature": _warmup_signature,
}
