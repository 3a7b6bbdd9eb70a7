"""JSON output against the schemas of the package, over every fixture; the schemas are strict."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import smpatch
from smpatch.cli.machine import VERSION
from smpatch.cli.terminal import OutputError
from tests.cli.conftest import BROKEN, FIXTURES, MODELS, QUICK, XY, Run
from tests.cli.schemas import NAMES, read, validator

# Fixtures whose candidate is refused without TensorFlow, or always, with words of the error.
BEYOND = {
    **dict.fromkeys(("no_op_list", "text_form", "text_newer_writer"), "validate with TensorFlow"),
    "ragged_sparse_inputs": "--signature-def-only",
}


VALIDATORS = {name: validator(name) for name in NAMES}


def _candidate(entry: dict[str, Any]) -> list[str]:
    """Return the options that request the candidate of a fixture."""
    candidate = entry["candidate"]
    notation = candidate["notation"]
    inputs = [notation] if notation else [f"i{n}={t}" for n, t in enumerate(candidate["inputs"])]
    outputs = [f"o{number}={tensor}" for number, tensor in enumerate(candidate["outputs"])]
    return [
        *("--tag-set", ",".join(candidate["tags"]), "--signature", "added"),
        *("--inputs", ",".join(inputs), "--outputs", ",".join(outputs)),
    ]


def _inner(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, dict):
        yield schema
    for each in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(each, (dict, list)):
            yield from _inner(each)


@pytest.mark.parametrize("name", [*NAMES, "common"])
def test_schemas_are_schemas_and_leave_no_object_open(name: str) -> None:
    schema = read(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.json"
    if name != "common":
        assert schema["properties"]["version"] == {"const": VERSION}
    for part in _inner(schema):
        if "properties" in part and isinstance(part["properties"], dict):
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


def test_what_two_schemas_describe_stands_in_one_of_them() -> None:
    seen: dict[str, str] = {}
    for name in (*NAMES, "common"):
        here = {json.dumps(each, sort_keys=True) for each in _inner(read(name))}
        for text in here:
            if '"properties"' in text and '"$schema"' not in text:
                assert seen.setdefault(text, name) == name, text


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    used = set()
    for name in (*NAMES, "common"):
        for part in _inner(read(name)):
            if "$ref" in part:
                file, _, pointer = part["$ref"].partition("#")
                if pointer.startswith("/properties/"):  # the result of a command
                    assert pointer == f"/properties/{file.removesuffix('.json')}"
                    assert (
                        file.removesuffix(".json") in read(file.removesuffix(".json"))["properties"]
                    )
                    continue
                used.add((file.removesuffix(".json") or name, pointer))
    defined = {
        (name, f"/$defs/{key}")
        for name in (*NAMES, "common")
        for key in read(name).get("$defs", {})
    }
    assert used == defined


def test_schemas_agree_on_what_a_receipt_is() -> None:
    """``apply`` has a receipt for each model, without a command and perhaps without changes."""
    edited = read("edit")["properties"]["edit"]["properties"]
    applied = read("apply")["$defs"]["receipt"]["properties"]
    assert {**applied, "command": edited["command"], "changes": edited["changes"]} == edited
    assert applied["changes"]["items"] == edited["changes"]["items"]


def test_the_kinds_of_error_are_the_classes_of_the_library() -> None:
    def below(kind: type[smpatch.SmpatchError]) -> Iterator[type[smpatch.SmpatchError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    assert OutputError in below(smpatch.SmpatchError)
    # A package may have subclasses of its own; JSON names a class of the error tree.
    public = {each.__name__ for each in below(smpatch.SmpatchError)}
    public &= {*smpatch.__all__, OutputError.__name__}
    kinds = read("common")["$defs"]["error"]["properties"]["kind"]["enum"]
    assert sorted(kinds) == sorted({*public, "Interrupted"})


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["dir"])
def test_show_of_every_fixture(entry: dict[str, Any], call: Run) -> None:
    said = call("show", FIXTURES / "models" / entry["dir"], "--json")
    assert said.code == 0
    VALIDATORS["show"].validate(said.document)
    shown = said.document["show"]["meta_graphs"]
    assert [each["tags"] for each in shown] == entry["tags"]
    reserved = {"__saved_model_init_op", "__saved_model_train_op"}
    assert [
        {key: each["method_name"] for key, each in part["signatures"].items()} for part in shown
    ] == [
        {key: method for key, method in part.items() if key not in reserved}
        for part in entry["signatures"]
    ]
    assert any(part["has_object_graph"] for part in shown) is entry["has_object_graph"]


@pytest.mark.parametrize(
    "entry", [each for each in MODELS if each.get("candidate")], ids=lambda entry: entry["dir"]
)
def test_add_predict_on_every_fixture(
    entry: dict[str, Any], call: Run, model: Callable[[str], Path]
) -> None:
    place = model(entry["dir"])
    request = ("add-predict", place, *_candidate(entry), "--json", *QUICK)
    rehearsed = call(*request, "--dry-run")
    if rehearsed.code:
        assert entry["dir"] in BEYOND, rehearsed.line
        VALIDATORS["error"].validate(rehearsed.document)
        assert BEYOND[entry["dir"]] in rehearsed.line
        return
    done = call(*request)
    assert done.code == 0
    for said, dry_run in ((rehearsed, True), (done, False)):
        VALIDATORS["add-predict"].validate(said.document)
        receipt = said.document["add_predict"]
        assert receipt["dry_run"] is dry_run
        assert (receipt["key"], receipt["outcome"]) == ("added", "added")
    assert {**rehearsed.document["add_predict"], "dry_run": False, "fingerprint": ""} == {
        **done.document["add_predict"],
        "fingerprint": "",
        "notes": [
            note
            for note in done.document["add_predict"]["notes"]
            if note["code"] != "stale-fingerprint"
        ],
    }
    size = (place / call("show", place, "--json").document["show"]["file"]).stat().st_size
    assert done.document["add_predict"]["size_after"] == size


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault["dir"])
def test_errors_of_every_broken_fixture(fault: dict[str, Any], call: Run) -> None:
    said = call("add-predict", FIXTURES / "broken" / fault["dir"], *XY, *QUICK, "--json")
    assert said.code == fault["exit_code"]
    VALIDATORS["error"].validate(said.document)
    error = said.document["error"]
    assert error["exit_code"] == said.code
    assert said.line == f"smpatch: {error['message']}"


def test_wrong_usage_is_an_object_too(call: Run) -> None:
    said = call("show", "--json", "--frobnicate")
    assert said.code == 2
    VALIDATORS["error"].validate(said.document)
    assert said.document["error"]["kind"] == "UsageError"


def test_json_behind_two_dashes_is_a_directory(call: Run) -> None:
    said = call("show", "--", "--json")
    assert (said.code, said.out) == (3, "")
    assert said.line == "smpatch: --json: no such directory"


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _paths(each, (*path, index))


def _at(document: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any JSON
    for step in path:
        document = document[step]
    return document


# Objects whose keys are names from the model, which a schema cannot require.
NAMED = {"signatures", "inputs", "outputs", "defaults", "reserved"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("show", ("show", FIXTURES / "models" / "defaults", "--json")),
        ("show", ("show", FIXTURES / "models" / "ragged", "--json")),
        ("show", ("show", FIXTURES / "models" / "sparse", "--json")),
        ("show", ("show", FIXTURES / "models" / "init_op_signature", "--json")),
        (
            "add-predict",
            (
                *("add-predict", FIXTURES / "models" / "module", "--dry-run", "--json", *QUICK),
                *("--signature", "k", "--inputs", "serving_default_x:0"),
                *("--outputs", "StatefulPartitionedCall:0"),
            ),
        ),
        (
            "diff",
            (
                *("diff", FIXTURES / "models" / "module"),
                *(FIXTURES / "models" / "string_lookup_asset", "--json"),
            ),
        ),
        (
            "edit",
            (
                *("rename", FIXTURES / "models" / "module", "--dry-run", "--json", *QUICK),
                *("--from", "serving_default", "--to", "another"),
            ),
        ),
        ("error", ("show", FIXTURES / "broken" / "truncated", "--json")),
    ],
)
def test_a_mangled_output_is_rejected(name: str, arguments: tuple[str, ...], call: Run) -> None:
    document = call(*arguments).document
    validator = VALIDATORS[name]
    assert validator.is_valid(document)
    for path in _paths(document):
        part = _at(document, path)
        mangled: list[Any] = []
        if isinstance(part, dict):
            if not path or path[-1] not in NAMED:
                mangled = [{**part, "surplus": 1}]
                mangled += [{k: v for k, v in part.items() if k != key} for key in part]
            else:
                mangled = [list(part)]
        elif path[-1] not in {"code", "text"}:
            mangled = [{"strange": part}]
        for each in mangled:
            whole = copy.deepcopy(document)
            if path:
                _at(whole, path[:-1])[path[-1]] = each
            else:
                whole = each
            assert not validator.is_valid(whole), (path, each)
