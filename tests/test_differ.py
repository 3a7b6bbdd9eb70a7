"""The differences between two models: changes that TensorFlow's classes made, and smpatch's edits.

Each test makes one change and compares the whole report, so that the report must have this
difference and no other.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from fixtures.make import raw
from smpatch.differ import Difference, Part
from tests.oracle.client import Oracle

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
NAMES = sorted(path.name for path in MODELS.iterdir() if path.is_dir())

GRAPH, OBJECT_GRAPH = raw.field(2, b""), raw.field(7, b"")
"""An empty graph and an empty object graph, as fields of a MetaGraph."""

Copy = Callable[..., Path]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Return a function that copies a fixture to a directory with another name."""

    def make(model: str, name: str) -> Path:
        return Path(shutil.copytree(MODELS / model, tmp_path / name, symlinks=True))

    return make


@pytest.fixture
def pair(copy: Copy, oracle: Oracle) -> Callable[..., Difference]:
    """Return a function that compares a model that TensorFlow wrote with its changed copy."""

    def compare(model: str, what: str, spelling: str = "deterministic") -> Difference:
        before, after = copy(model, "before"), copy(model, "after")
        oracle.ask("change", directory=before)
        oracle.ask("change", directory=after, what=what, spelling=spelling)
        return smpatch.diff(before, after)

    return compare


def signatures(found: Difference) -> list[str]:
    """Return one line for each signature that differs."""
    return [
        f"{each.half} {each.outcome} {each.was or ''}>{each.key}: "
        + ", ".join(f"{detail.kind} {detail.alias}".strip() for detail in each.details)
        for meta_graph in found.meta_graphs
        for each in meta_graph.signatures
    ]


def parts(found: Difference) -> list[str]:
    """Return one line for each other part, with the numbers added, removed and changed."""
    return [_part(part) for meta_graph in found.meta_graphs for part in meta_graph.parts]


def _part(part: Part) -> str:
    tallies = [
        f"{each.kind} +{each.added} -{each.removed} ~{each.changed}"
        + (" appended" if each.appended else "")
        + (" reordered" if each.reordered else "")
        for each in part.tallies
    ]
    return " | ".join([f"{part.name} {part.outcome}", *tallies])


OBJECT_CHANGED = "object_graph changed | objects +0 -0 ~1"
OBJECTS_APPENDED = (
    "object_graph changed | objects +1 -0 ~1 appended | concrete_functions +1 -0 ~0 appended"
)


@pytest.mark.parametrize(
    ("what", "said", "other"),
    [
        ("dtype", ["signature_def changed >serving_default: input x"], []),
        ("shape", ["signature_def changed >serving_default: input x"], []),
        ("tensor", ["signature_def changed >serving_default: input x"], []),
        ("dimension_name", ["signature_def changed >serving_default: other"], []),
        ("method", ["signature_def changed >serving_default: method"], []),
        ("default", ["signature_def changed >serving_default: default x"], []),
        (
            "init_op",
            ["signature_def changed >__saved_model_init_op: output __saved_model_init_op"],
            [],
        ),
        (
            "rename",
            [
                "signature_def renamed serving_default>another: ",
                "object_graph renamed serving_default>another: ",
            ],
            [OBJECT_CHANGED],
        ),
        ("keyword", ["object_graph changed >serving_default: keywords"], [OBJECT_CHANGED]),
        (
            "python_shape",
            ["object_graph changed >serving_default: input x"],
            ["object_graph changed | concrete_functions +0 -0 ~1"],
        ),
        ("node_changed", [], ["graph changed | nodes +0 -0 ~1"]),
        ("node_removed", [], ["graph changed | nodes +0 -1 ~0"]),
        ("node_inserted", [], ["graph changed | nodes +1 -0 ~0"]),
        ("node_appended", [], ["graph changed | nodes +1 -0 ~0 appended"]),
        ("producer", [], ["graph changed"]),
        ("function_changed", [], ["functions changed | functions +0 -0 ~1"]),
        ("function_removed", [], ["functions changed | functions +0 -1 ~0"]),
        ("gradient", [], ["functions changed"]),
        ("object_changed", [], [OBJECT_CHANGED]),
        ("saver", [], ["saver changed"]),
        ("collection", [], ["collections changed | collections +1 -0 ~0"]),
        ("asset", [], ["asset_table added | asset_files +1 -0 ~0 appended"]),
    ],
)
def test_one_change_is_found_and_nothing_else(
    what: str, said: list[str], other: list[str], pair: Callable[..., Difference]
) -> None:
    found = pair("module", what)
    assert (signatures(found), parts(found)) == (said, other)
    assert not found.same
    assert not found.identical
    assert found.files == ()


def test_a_detail_has_what_was_and_what_is(pair: Callable[..., Difference]) -> None:
    (each,) = pair("module", "shape").meta_graphs[0].signatures
    (detail,) = each.details
    name = "serving_default_x:0"
    assert detail.before == smpatch.TensorSpec(name, "float32", (None, 2))
    assert detail.after == smpatch.TensorSpec(name, "float32", (3, 2))


def test_a_shape_that_is_left_out_is_not_that_of_a_scalar(pair: Callable[..., Difference]) -> None:
    # In smpatch's specs both are (), but for some readers they differ.
    found = pair("defaults", "scale_shape_left_out")
    assert signatures(found) == ["signature_def changed >serving_default: other"]


def test_the_object_graph_gone_takes_pythons_signatures_along(
    pair: Callable[..., Difference],
) -> None:
    found = pair("module", "no_object_graph")
    details = "input x, output score, keywords, positional, function"
    assert signatures(found) == [f"object_graph removed >serving_default: {details}"]
    (part,) = found.meta_graphs[0].parts
    assert (part.name, part.outcome, part.counts) == ("object_graph", "removed", True)


def test_other_tags_are_another_model(pair: Callable[..., Difference]) -> None:
    found = pair("module", "retag")
    (only,) = found.meta_graphs
    assert (only.tags_before, only.tags_after) == (("serve",), ("serve", "gpu"))
    assert (only.retagged, only.signatures, found.same) == (True, (), False)


def test_the_list_of_operations_is_told_and_does_not_count(
    pair: Callable[..., Difference],
) -> None:
    found = pair("module", "op_list")
    assert (parts(found), found.same) == (["meta_info changed"], True)


def test_another_order_of_nodes_is_the_same_graph(pair: Callable[..., Difference]) -> None:
    found = pair("module", "nodes_reversed")
    assert parts(found) == ["graph recoded | nodes +0 -0 ~0 reordered"]
    assert found.same


@pytest.mark.parametrize("spelling", ["default", "text"])
@pytest.mark.parametrize("model", ["defaults", "keras_functional", "module", "sparse", "ragged"])
def test_the_same_message_spelt_otherwise_is_the_same_model(
    model: str, spelling: str, pair: Callable[..., Difference]
) -> None:
    found = pair(model, "nothing", spelling)
    assert found.same
    assert signatures(found) == []
    assert {part.outcome for part in found.meta_graphs[0].parts} <= {"recoded", "unknown"}
    assert found.after.form == ("text" if spelling == "text" else "binary")


@pytest.mark.parametrize("what", ["dtype", "node_changed", "function_changed", "python_shape"])
def test_a_change_is_found_across_forms(what: str, pair: Callable[..., Difference]) -> None:
    assert not pair("module", what, "text").same


@pytest.mark.parametrize("before", ["deterministic", "text"])
@pytest.mark.parametrize(
    ("what", "said"),
    [("gradient", "functions changed"), ("collections_removed", "collections removed")],
)
def test_a_gradient_and_lost_collections_are_found_in_text_form(
    before: str, what: str, said: str, copy: Copy, oracle: Oracle
) -> None:
    places = copy("module", "before"), copy("module", "after")
    oracle.ask("change", directory=places[0], spelling=before)
    oracle.ask("change", directory=places[1], what=what, spelling="text")
    found = smpatch.diff(*places)
    assert any(each.startswith(said) for each in parts(found))
    assert not found.same


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_the_same_as_its_copy(name: str, copy: Copy) -> None:
    found = smpatch.diff(MODELS / name, copy(name, "copy"))
    assert (found.same, found.identical, found.files) == (True, True, ())
    assert {(each.signatures, each.parts) for each in found.meta_graphs} == {((), ())}


# `raw.regrow` cannot read groups.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "unknown_group"])
def test_a_graph_in_two_pieces_is_the_same(name: str, copy: Copy) -> None:
    """The bytes differ, so that ``diff`` takes the graph of each fixture apart."""
    after = copy(name, "after")
    file = after / "saved_model.pb"
    if not file.exists():
        text = after / "saved_model.pbtxt"
        text.write_bytes(b"# a remark\n" + text.read_bytes())
    else:
        # Parsers merge a field that occurs twice; an empty one adds nothing.
        objects = any(each.has_object_graph for each in smpatch.load(after).meta_graphs)
        more = GRAPH + (OBJECT_GRAPH if objects else b"")
        file.write_bytes(raw.regrow(file.read_bytes(), (2,), lambda each: each + more))
    found = smpatch.diff(MODELS / name, after)
    assert (found.same, found.identical) == (True, False)
    assert {each.signatures for each in found.meta_graphs} == {()}
    assert set(parts(found)) <= {"object_graph recoded"}


class TestEdits:
    """The differences that smpatch's own edits make."""

    options = smpatch.Options(validate="none")

    def test_a_main_graph_signature_is_one_entry(self, copy: Copy) -> None:
        before, after = copy("linear", "before"), copy("linear", "after")
        tensors = {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}}
        smpatch.add_predict(after, **tensors, signature="new", options=self.options)
        found = smpatch.diff(before, after)
        assert signatures(found) == ["signature_def added >new: method, input x, output y"]
        assert (parts(found), found.files, found.same) == ([], (), False)
        again = smpatch.diff(after, before)
        assert signatures(again) == ["signature_def removed >new: method, input x, output y"]

    def test_a_promoted_function_is_on_both_halves_and_appended(self, copy: Copy) -> None:
        before, after = copy("module", "before"), copy("module", "after")
        smpatch.promote_function(after, "encode", options=self.options)
        found = smpatch.diff(before, after)
        more = "keywords, positional, function"
        assert signatures(found) == [
            "signature_def added >encode: method, input x, output output_0",
            f"object_graph added >encode: input x, output output_0, {more}",
        ]
        assert parts(found) == [
            "graph changed | nodes +2 -0 ~0 appended",
            "functions changed | functions +1 -0 ~0 appended",
            OBJECTS_APPENDED,
        ]
        (function,) = found.meta_graphs[0].parts[1].tallies[0].names
        assert function.startswith("+__inference_signature_wrapper_encode_")
        assert {(each.path, each.counts) for each in found.files} <= {("fingerprint.pb", False)}

    def test_the_object_graph_may_stay_behind(self, copy: Copy) -> None:
        before, after = copy("module", "before"), copy("module", "after")
        smpatch.add_predict(
            after,
            inputs={"x": "serving_default_x:0"},
            outputs={"y": "StatefulPartitionedCall:0"},
            signature="new",
            options=smpatch.Options(validate="none", signature_def_only=True),
        )
        found = smpatch.diff(before, after)
        assert signatures(found) == ["signature_def added >new: method, input x, output y"]
        assert (parts(found), found.meta_graphs[0].has_object_graph) == ([], True)

    def test_a_model_that_python_saved_again_has_another_graph(
        self, copy: Copy, oracle: Oracle, tmp_path: Path
    ) -> None:
        before, after = copy("module", "before"), tmp_path / "after"
        asked = {"directory": before, "tags": ["serve"], "to": after}
        assert not oracle.ask("save_again", **asked).get("error")
        found = smpatch.diff(before, after)
        assert not found.same
        changed = {part.name for part in found.meta_graphs[0].parts if part.counts}
        assert {"graph", "functions", "object_graph"} <= changed


class TestMetaGraphs:
    """Several MetaGraphs, which are paired by their tags, then by their place."""

    @staticmethod
    def model(place: Path, *tag_sets: str) -> Path:
        place.mkdir()
        body = b""
        for tags in tag_sets:
            info = b"".join(raw.field(4, each.encode()) for each in tags.split(","))
            node = raw.field(1, raw.field(1, tags.encode()))
            body += raw.field(2, raw.field(1, info) + raw.field(2, node))
        (place / "saved_model.pb").write_bytes(body)
        return place

    def compare(self, tmp_path: Path, ones: list[str], others: list[str]) -> list[tuple[str, str]]:
        found = smpatch.diff(
            self.model(tmp_path / "before", *ones), self.model(tmp_path / "after", *others)
        )
        tags = [(each.tags_before or (), each.tags_after or ()) for each in found.meta_graphs]
        return [(",".join(before), ",".join(after)) for before, after in tags]

    def test_the_order_of_meta_graphs_and_of_tags_is_no_matter(self, tmp_path: Path) -> None:
        pairs = self.compare(tmp_path, ["serve", "gpu,serve"], ["serve,gpu", "serve"])
        assert pairs == [("serve", "serve"), ("gpu,serve", "serve,gpu")]

    def test_what_has_no_partner_by_tags_gets_one_by_place(self, tmp_path: Path) -> None:
        pairs = self.compare(tmp_path, ["a", "serve", "b"], ["serve", "c", "d"])
        assert pairs == [("a", "c"), ("serve", "serve"), ("b", "d")]

    def test_what_stays_alone_was_added_or_removed(self, tmp_path: Path) -> None:
        assert self.compare(tmp_path, ["a", "b"], ["b"]) == [("a", ""), ("b", "b")]
        shutil.rmtree(tmp_path / "before")
        shutil.rmtree(tmp_path / "after")
        assert self.compare(tmp_path, ["b"], ["a", "b"]) == [("b", "b"), ("", "a")]


class TestTextOfANewerWriter:
    """Fields that the schema does not have, in two models in text form, are compared as text."""

    places = (
        ("versions { producer: 987", "graph changed"),
        ('name: "y" op: "AddV2"', "graph changed"),
        ('attr { key: "T" value { type: DT_FLOAT } }', "graph changed"),
        ("library {", "functions changed"),
        ("saver_def {", "saver changed"),
        ("object_graph_def {", "object_graph changed"),
        ('tensorflow_version: "2.21.0"', "meta_info changed"),
    )

    @staticmethod
    def _write(copy: Copy, name: str, place: str, more: str) -> Path:
        model = copy("text_form", name)
        file = model / "saved_model.pbtxt"
        text = file.read_text()
        for each in ("object_graph_def {}", "saver_def { max_to_keep: 5 }"):
            text = text.replace("  signature_def: {", f"  {each}\n  signature_def: {{", 1)
        text = text.replace("    versions {", "    library { function {} }\n    versions {")
        assert place in text
        file.write_text(text.replace(place, f"{place} {more}", 1))
        return model

    @pytest.mark.parametrize(("place", "said"), places)
    @pytest.mark.parametrize("other", ["", "new_field { a: 2 }", "new_field { b: 1 }", "77: 1"])
    def test_a_change_is_found(self, place: str, said: str, other: str, copy: Copy) -> None:
        """The decoded messages have no such field, so that the models were the same."""
        before = self._write(copy, "before", place, "new_field { a: 1 }")
        found = smpatch.diff(before, self._write(copy, "after", place, other))
        assert parts(found) == [said]
        assert found.same == said.startswith("meta_info")

    @pytest.mark.parametrize(("place", "said"), places)
    def test_equal_ones_are_the_same(self, place: str, said: str, copy: Copy) -> None:
        before = self._write(copy, "before", place, "new_field { a: 1 }")
        after = self._write(copy, "after", place, " # it was\n new_field { a: 1 }")
        found = smpatch.diff(before, after)
        assert (parts(found), found.same, found.identical) == ([], True, False), said

    def test_one_of_a_signature_is_found(self, copy: Copy) -> None:
        place = 'name: "x:0"'
        before = self._write(copy, "before", place, "new_field: 1")
        for more, same in (("new_field: 1", True), ("", False), ("new_field: 2", False)):
            after = self._write(copy, f"after {more}", place, f"{more} # it was\n")
            found = smpatch.diff(before, after)
            assert found.same is same
            assert signatures(found) == ([] if same else ["signature_def changed >scale: other"])

    def test_blanks_around_the_version_of_the_format_do_not_count(self, copy: Copy) -> None:
        """Blanks were reported as another version of the format."""
        version = "saved_model_schema_version: 1"
        for number, (written, same) in enumerate(
            (("saved_model_schema_version:  1 # one", True), (f"{version}0", False))
        ):
            after = copy("text_form", str(number))
            file = after / "saved_model.pbtxt"
            file.write_text(file.read_text().replace(version, written))
            found = smpatch.diff(MODELS / "text_form", after)
            assert (found.same_around, found.same) == (same, same)
