"""Requests follow their signatures: TensorFlow replays them before and after each edit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch.arguments import constants
from smpatch.edits import (
    AddPredict,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    Remove,
    Rename,
    Retag,
)
from smpatch.warmup import PLACE
from tests.oracle.client import Oracle, encoded

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"

KEY = "serving_default"
UNKNOWN = "98062a"
"""Field 99 with a number; no schema has this field."""


def row(*numbers: float) -> Mapping[str, Any]:
    """Return a row of numbers in the oracle's form."""
    return encoded(np.array(numbers, np.float32))


INPUTS: Mapping[str, Any] = {"a": row(1, 2), "m": row(3, 4), "q": row(5, 6)}
PLAIN: Mapping[str, Any] = {"kind": "predict", "signature": KEY, "inputs": INPUTS, "extra": UNKNOWN}
FILTERED: Mapping[str, Any] = {**PLAIN, "filter": ["z", "b"]}
NAMELESS: Mapping[str, Any] = {**PLAIN, "signature": None}
STREAMED: Mapping[str, Any] = {
    "kind": "predict_streamed",
    "requests": [PLAIN, FILTERED],
    "extra": UNKNOWN,
}
ABC = [PLAIN, FILTERED, NAMELESS, STREAMED]

EXAMPLES = [0.5, 2.0, 3.0]
CLASSIFY: Mapping[str, Any] = {
    "kind": "classify",
    "signature": "classify",
    "examples": EXAMPLES,
    "extra": UNKNOWN,
}
REGRESS: Mapping[str, Any] = {"kind": "regress", "signature": "regress", "examples": EXAMPLES[:1]}
BOTH: Mapping[str, Any] = {
    "kind": "multi_inference",
    "tasks": ["classify", "regress"],
    "examples": EXAMPLES,
}
OF_EXAMPLES = [CLASSIFY, REGRESS, BOTH]

Names = Mapping[str, str | None]


@dataclass(frozen=True)
class Case:
    """An edit and its effect on requests.

    Attributes:
        edits: The edits.
        requests: The requests before.
        keys: Old key to new key; None if its requests are removed.
        outputs: Old output to new output; None if it is removed.
        model: The name of the fixture.
        same: The number of records whose bytes stay.
        options: The options of the edits.
    """

    edits: Sequence[Edit]
    requests: Sequence[Mapping[str, Any]] = tuple(ABC)
    keys: Names = field(default_factory=dict)
    outputs: Names = field(default_factory=dict)
    model: str = "unsorted_keys"
    same: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "a key": Case([Rename(KEY, "other")], keys={KEY: "other"}),
    "a long key": Case([Rename(KEY, "k" * 300)], keys={KEY: "k" * 300}),
    "inputs": Case([EditSignature(KEY, rename_inputs={"a": "image", "q": "é"})]),
    "inputs that swap": Case([EditSignature(KEY, rename_inputs={"a": "q", "q": "a"})]),
    "outputs": Case(
        [EditSignature(KEY, rename_outputs={"z": "b", "b": "zz"})],
        outputs={"z": "b", "b": "zz"},
        same=2,
    ),
    "all at once": Case(
        [
            EditSignature(KEY, rename_inputs={"m": "x" * 200}, rename_outputs={"b": "y"}),
            Rename(KEY, "one"),
            EditSignature("one", rename_inputs={"x" * 200: "n"}, drop_outputs=("k",)),
            Rename("one", "two"),
        ],
        keys={KEY: "two"},
        outputs={"b": "y", "k": None},
    ),
    "a dropped output": Case(
        [EditSignature(KEY, drop_outputs=("z",))], outputs={"z": None}, same=2
    ),
    "a removed signature": Case([Remove((KEY,))], keys={KEY: None}),
    "a copy": Case([Copy(KEY, "again")], same=4),
    "a copy and a rename": Case([Copy(KEY, "again"), Rename(KEY, "b")], keys={KEY: "b"}),
    "there and back": Case(
        [Rename(KEY, "b"), Copy("b", KEY, overwrite=True), Remove(("b",))], same=4
    ),
    "examples": Case(
        [Rename("classify", "c"), Rename("regress", "r")],
        OF_EXAMPLES,
        keys={"classify": "c", "regress": "r"},
        model="classify_regress",
    ),
    "keys that swap": Case(
        [Rename("classify", "c"), Rename("regress", "classify"), Rename("c", "regress")],
        OF_EXAMPLES,
        keys={"classify": "regress", "regress": "classify"},
        model="classify_regress",
    ),
    "one of two tasks": Case(
        [Remove(("classify",))], OF_EXAMPLES, {"classify": None}, model="classify_regress", same=1
    ),
    "a default": Case(
        [EditSignature(KEY, rename_inputs={"scale": "s"}, rename_outputs={"scaled": "y"})],
        [
            {"kind": "predict", "signature": KEY, "inputs": {"x": row(1, 2)}},
            {
                "kind": "predict",
                "signature": KEY,
                "inputs": {"x": row(1, 2), "scale": encoded(np.float32(3))},
            },
        ],
        outputs={"scaled": "y"},
        model="defaults",
        same=1,
    ),
    "the signature_def alone": Case(
        [Rename(KEY, "b")],
        [
            {
                "kind": "predict",
                "inputs": {
                    name: encoded(np.ones((1, 2), np.float32)) for name in ("left", "right")
                },
            }
        ],
        keys={KEY: "b"},
        model="keras_functional",
        options={"signature_def_only": True},
    ),
}


def prepared(place: Path, name: str, requests: Sequence[Mapping[str, Any]], oracle: Oracle) -> Path:
    """Copy a fixture, and give it requests."""
    model = Path(shutil.copytree(MODELS / name, place / "model"))
    oracle.ask("write_requests", file=model / PLACE, requests=requests)
    return model


def read(model: Path, oracle: Oracle) -> list[str]:
    """Return the records that TensorFlow's reader reads."""
    records: list[str] = oracle.ask("read_requests", file=model / PLACE)["records"]
    return records


def ran(model: Path, oracle: Oracle) -> list[dict[str, Any]]:
    """Replay the requests; all of them must run."""
    said = oracle.ask("replay", directory=model)
    assert "refused" not in said, said["refused"]
    found: list[dict[str, Any]] = said["ran"]
    return found


def expected(case: Case, before: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the expected results of a replay after the edits of a case."""
    kept = []
    for each in before:
        key = case.keys.get(each["signature"], each["signature"])
        if key is not None:
            outputs = {case.outputs.get(a, a): value for a, value in each["outputs"].items()}
            outputs.pop(None, None)
            kept.append({**each, "signature": key, "outputs": outputs})
    return kept


@pytest.mark.parametrize("form", ["in place", "save to", "text"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_replay_gives_what_it_gave(tmp_path: Path, oracle: Oracle, case: Case, form: str) -> None:
    model = prepared(tmp_path, case.model, case.requests, oracle)
    if form == "text":
        oracle.ask("to_text", directory=model)
        case = replace(case, options={"signature_def_only": True})
    before, records = ran(model, oracle), read(model, oracle)
    source = (model / PLACE).read_bytes()
    options = {"validate": "none", **case.options}
    if form == "save to":
        options["save_to"] = tmp_path / "out"
    receipt = smpatch.patch(model, case.edits, options=smpatch.Options(**options))
    result = tmp_path / "out" if form == "save to" else model
    assert ran(result, oracle) == expected(case, before)
    after = read(result, oracle)
    assert len(set(after) & set(records)) == case.same
    # A field that no schema has is removed only with its request.
    assert (
        sum(each.count(UNKNOWN) for each in after) == sum(each.count(UNKNOWN) for each in records)
        or None in case.keys.values()
    )
    assert receipt.warm_up == ("kept" if case.same == len(records) else "rewritten")
    if form == "save to":
        assert (model / PLACE).read_bytes() == source
    if case.same == len(records):
        assert (result / PLACE).read_bytes() == source


def test_a_patch_file_twice_is_once(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    edits = [EditSignature(KEY, rename_inputs={"a": "image"}), Rename(KEY, "one")]
    options = smpatch.Options(validate="none")
    seen = []
    for _ in range(2):
        (outcome,) = smpatch.apply(model, edits, options=options)
        assert outcome.error is None
        seen.append((model / PLACE).read_bytes())
    assert seen[0] == seen[1]
    ran(model, oracle)


def warm_up_notes(receipt: smpatch.Receipt) -> dict[str, str]:
    return {note.code: note.text for note in receipt.notes if note.code.startswith("warm-up")}


def edit(model: Path, *edits: Edit, **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Edit without TensorFlow."""
    return smpatch.patch(model, edits, options=smpatch.Options(**{"validate": "none", **options}))


def test_keep_warmup_leaves_the_file_and_says_what_breaks(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    before = (model / PLACE).read_bytes()
    receipt = edit(model, Rename(KEY, "other"), keep_warmup=True)
    assert (model / PLACE).read_bytes() == before
    assert receipt.warm_up == "kept"
    assert "names signature 'serving_default'" in warm_up_notes(receipt)["warm-up"]
    assert "refused" in oracle.ask("replay", directory=model)


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "classify_regress", OF_EXAMPLES, oracle)
    before = (model / PLACE).read_bytes()
    told = edit(model, Remove(("classify",)), dry_run=True)
    assert (model / PLACE).read_bytes() == before
    done = edit(model, Remove(("classify",)))
    assert warm_up_notes(told) == warm_up_notes(done)
    assert warm_up_notes(done)["warm-up-rewritten"].endswith(
        "of 3 records, 1 rewritten and 1 removed"
    )
    assert (told.warm_up, done.warm_up) == ("rewritten", "rewritten")


def test_a_request_for_dropped_outputs_alone_asks_for_all(tmp_path: Path, oracle: Oracle) -> None:
    only = {**PLAIN, "filter": ["z"]}
    model = prepared(tmp_path, "unsorted_keys", [PLAIN, only], oracle)
    receipt = edit(model, EditSignature(KEY, drop_outputs=("z",)))
    assert [sorted(each["outputs"]) for each in ran(model, oracle)] == [["b", "k"]] * 2
    assert warm_up_notes(receipt)["warm-up-all-outputs"].startswith("record 2 of ")


def test_a_dropped_or_bound_input_is_fed_no_more(tmp_path: Path, oracle: Oracle) -> None:
    first = {"kind": "predict", "signature": "s", "inputs": {"x": row(1), "more": row(1, 2)}}
    model = prepared(tmp_path, "linear", [], oracle)
    edit(model, AddPredict({"x": "x:0", "more": "product:0"}, {"y": "y:0"}, "s"))
    oracle.ask("write_requests", file=model / PLACE, requests=[first])
    assert [each["outputs"] for each in ran(model, oracle)]
    edit(model, EditSignature("s", drop_inputs=("x",)))
    (request,) = smpatch.warmup_requests(model)
    assert list(request.inputs) == ["more"]
    ran(model, oracle)


def test_a_signature_made_anew_under_its_key_loses_what_it_binds(
    tmp_path: Path, oracle: Oracle
) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    before = ran(model, oracle)
    edit(
        model,
        Compose(KEY, KEY, constants({"m": 3.0}, "bind"), overwrite=True),
        FromSignature(KEY, {"first": "b", "z": "z"}, KEY, overwrite=True),
    )
    assert [sorted(each.inputs) for each in smpatch.warmup_requests(model)] == [["a", "q"]] * 5
    kept = [
        {("first" if a == "b" else a): v for a, v in each["outputs"].items() if a != "k"}
        for each in before
    ]
    after = ran(model, oracle)
    # For ``m`` the requests fed 3 and 4; now it is 3 in all of them.
    assert [sorted(each["outputs"]) for each in after] == [sorted(each) for each in kept]


SCORES: Mapping[str, Any] = {"kind": "classify", "signature": "scores_only", "examples": EXAMPLES}
SCALE: Mapping[str, Any] = {"kind": "predict", "signature": "scale", "inputs": {"x": row(1)}}


@pytest.mark.parametrize(
    ("name", "request_", "made", "words"),
    [
        (
            "unsorted_keys",
            PLAIN,
            EditSignature(KEY, shapes={"a": (3,)}),
            "a request to 'serving_default' feeds 'a' as [2], and the input is [3]",
        ),
        (
            "classify_regress",
            SCORES,
            EditSignature("scores_only", method_name="predict"),
            "a classify request calls 'scores_only', whose method is different",
        ),
        (
            "linear",
            SCALE,
            AddPredict({"z": "x:0"}, {"y": "y:0"}, "scale", overwrite=True),
            "a request feeds the input 'x', which 'scale' does not have",
        ),
    ],
    ids=["shape", "method", "inputs"],
)
def test_what_a_request_contradicts_is_said_and_left(  # noqa: PLR0913, PLR0917 - fixtures and a case
    tmp_path: Path, oracle: Oracle, name: str, request_: Mapping[str, Any], made: Edit, words: str
) -> None:
    model = prepared(tmp_path, name, [request_, request_], oracle)
    before = (model / PLACE).read_bytes()
    ran(model, oracle)
    receipt = edit(model, made)
    assert (model / PLACE).read_bytes() == before
    assert (
        f"2 records (1, 2) of {PLACE} cannot follow: {words}" in warm_up_notes(receipt)["warm-up"]
    )
    key = request_["signature"]
    receipt = edit(model, Rename(key, "other"))
    # The request did not fit the signature before, and its key follows the rename all the same.
    assert {each.signature for each in smpatch.warmup_requests(model)} == {"other"}


def test_requests_go_to_the_metagraph_that_servers_load(tmp_path: Path, oracle: Oracle) -> None:
    request = {"kind": "predict", "signature": KEY, "inputs": {"x": row(1)}}
    model = prepared(tmp_path, "several_tag_sets", [request], oracle)
    before = (model / PLACE).read_bytes()
    receipt = edit(model, Rename("train", KEY), tag_set=("train",))
    assert (model / PLACE).read_bytes() == before
    assert not warm_up_notes(receipt)
    edit(model, Rename(KEY, "other"), tag_set=("serve",))
    assert [each.signature for each in smpatch.warmup_requests(model)] == ["other"]
    receipt = edit(model, Retag(("serve",), ("old",)))
    assert "it calls the signature 'other', which is not there" in warm_up_notes(receipt)["warm-up"]
