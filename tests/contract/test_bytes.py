"""An edit keeps everything that the request does not name, byte for byte."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import takewhile

import pytest

import smpatch
from smpatch import SignatureExistsError, validator, wire
from smpatch.builder import build
from smpatch.edits import AddPredict
from smpatch.savedmodel.draft import Draft
from smpatch.writer import merge
from tests.contract.editing import Edit, add, snapshot
from tests.contract.models import FIXTURES, KEY, Candidate, Case
from tests.contract.wire_form import grown_from, without_signature
from tests.oracle.client import Oracle

LIMIT = 120.0


def test_no_edit_gives_identical_bytes(case: Case) -> None:
    model = smpatch.load(case.directory)
    assert wire.apply(model.data, ()) == model.file.read_bytes()


def test_reading_touches_nothing(case: Case) -> None:
    before = snapshot(case.directory)
    model = smpatch.load(case.directory)
    for each in model.meta_graphs:
        _ = each.tags, each.tensorflow_version, each.signatures, each.reserved, each.op_defs
        assert list(each.graph)
    assert snapshot(case.directory) == before


def test_tensorflow_reads_the_same_meta_graphs(case: Case, oracle: Oracle) -> None:
    parsed = oracle.ask("parse", directory=case.directory)["meta_graphs"]
    found = [
        {
            "tags": list(each.tags),
            "tensorflow_version": each.tensorflow_version,
            "has_object_graph": each.has_object_graph,
            "signatures": sorted({*each.signatures, *each.reserved}),
            "nodes": list(each.graph),
        }
        for each in smpatch.load(case.directory).meta_graphs
    ]
    assert found == parsed


def test_tensorflow_sees_exactly_that_signature_added(
    case: Case, candidate: Candidate, edit: Edit, oracle: Oracle
) -> None:
    difference = oracle.ask("compare", before=case.directory, after=edit.directory)
    written = base64.b64encode(edit.receipt.signature.to_bytes()).decode()
    assert difference["signatures"] == [[_index(case, candidate), KEY, written]]
    assert difference["functions"] == difference["concrete_functions"]
    assert len(difference["functions"]) == case.with_object_graph
    assert difference["children"] == [KEY] * case.with_object_graph
    assert difference["else_equal"]


def test_bytes_outside_the_splices_are_identical(
    case: Case, candidate: Candidate, edit: Edit
) -> None:
    name = smpatch.load(case.directory).file.name
    old, new = edit.before[name].content, edit.after[name].content
    assert len(new) == edit.receipt.size_after > len(old) == edit.receipt.size_before
    if case.with_object_graph:
        # The path is MetaGraph, object graph, nodes, object; or MetaGraph, graph, library.
        assert grown_from(old, new, levels=3)
    elif name.endswith(".pb"):
        assert without_signature(new, old, _index(case, candidate), KEY) == old
    else:
        assert _in_common(old, new) + _in_common(old[::-1], new[::-1]) >= len(old)


def test_other_files_are_the_same(case: Case, edit: Edit) -> None:
    changed = {smpatch.load(case.directory).file.name, "fingerprint.pb"}
    assert edit.after.keys() == edit.before.keys()
    for name in edit.before.keys() - changed:
        assert edit.after[name] == edit.before[name]
    for name in changed & edit.before.keys():
        assert edit.after[name].mode == edit.before[name].mode


def test_form_stays_and_text_keeps_its_lines(case: Case, edit: Edit) -> None:
    model = smpatch.load(edit.directory)
    name = model.file.name
    assert name == smpatch.load(case.directory).file.name
    if model.form == "text":
        lines = iter(edit.after[name].content.splitlines())
        assert all(line in lines for line in edit.before[name].content.splitlines())


def test_fingerprint_is_what_tensorflow_computes(edit: Edit, oracle: Oracle) -> None:
    if "fingerprint.pb" not in edit.before:
        assert edit.receipt.fingerprint == "absent"
        assert "fingerprint.pb" not in edit.after
        return
    told = oracle.ask("fingerprint", directory=edit.directory)
    assert edit.receipt.fingerprint == "refreshed"
    assert told["stored"] == told["computed"]
    assert edit.after["fingerprint.pb"] != edit.before["fingerprint.pb"]


def test_second_add_is_refused_and_changes_nothing(candidate: Candidate, edit: Edit) -> None:
    with pytest.raises(SignatureExistsError, match=KEY):
        add(edit.directory, candidate, edit.options)
    assert snapshot(edit.directory) == edit.after


def test_equal_overwrite_leaves_the_file_untouched(candidate: Candidate, edit: Edit) -> None:
    receipt = add(edit.directory, candidate, replace(edit.options, overwrite=True))
    assert receipt.outcome == "unchanged"
    assert receipt.signature == edit.receipt.signature
    assert receipt.loaders == edit.receipt.loaders
    assert snapshot(edit.directory) == edit.after


def test_text_keeps_fields_that_no_schema_has() -> None:
    """TensorFlow refuses such a file, so the edit is done without the reload."""
    model = smpatch.load(FIXTURES / "text_newer_writer")
    with validator.Validator("runtime", (), LIMIT) as asked:
        defined = model.meta_graph().with_op_defs(asked.op_defs())
    built = build(defined, AddPredict({"x": "x:0"}, {"y": "y:0"}, KEY).wanted)
    draft = Draft.of(model.meta_graph().parts).put(KEY, built.signature.to_bytes())
    plan = merge(model, [model.meta_graph().with_parts(draft)])
    (splice,) = plan.splices
    assert splice.start == splice.end
    new = wire.apply(model.data, plan.splices)
    for unknown in (b"from_the_future: 'yes'", b"cost { flops: 3 }", b"also: [1, 2, 3]"):
        assert unknown in new
    assert KEY.encode() in splice.replacement


def _in_common(one: bytes, other: bytes) -> int:
    """Return the number of equal bytes at the start of two files."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _index(case: Case, candidate: Candidate) -> int:
    tags = [set(each.tags) for each in smpatch.load(case.directory).meta_graphs]
    return tags.index(set(candidate.tags))
