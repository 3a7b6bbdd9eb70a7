"""A frozen graph becomes a SavedModel: TensorFlow freezes, loads, runs and compares."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import CheckOptions, Feeding, frozen_graph, schema, wire
from smpatch.errors import ConflictError, RefusedError, UsageError, ValidationError, WriteError
from smpatch.writer.copying import write_pieces
from tests.oracle.client import Oracle, decoded

FROZEN = ("session", "function", "functions", "keras", "strings")
"""The kinds of graphs: frozen by TensorFlow, and one that never had variables."""

NO_RELOAD = smpatch.Options(validate="none")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A graph that the oracle made, with the oracle's answer about it."""

    place: Path
    said: dict[str, Any]

    @property
    def file(self) -> Path:
        """The graph in binary form."""
        return self.place / "graph.pb"

    def wrap(self, save_to: Path, *, form: str = "pb", **more: Any) -> smpatch.Receipt:  # noqa: ANN401 - options
        """Make a SavedModel of the graph, with all of its inputs and outputs."""
        given = {"inputs": self.said["inputs"], "outputs": self.said["outputs"], **more}
        return smpatch.wrap_graph(self.place / f"graph.{form}", save_to, **given)


Make = Callable[[str], Frozen]


@pytest.fixture(scope="session")
def frozen(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that lets the oracle make a graph, once for each kind."""
    made: dict[str, Frozen] = {}

    def make(kind: str) -> Frozen:
        if kind not in made:
            place = tmp_path_factory.mktemp(kind)
            made[kind] = Frozen(place, oracle.ask("freeze", kind=kind, place=place))
        return made[kind]

    return make


def _graph_def(directory: Path) -> bytes:
    """Return the bytes of the graph in a SavedModel."""
    (meta_graph,) = smpatch.load(directory).meta_graphs
    data, pieces = meta_graph.parts.graph
    return b"".join(data[start:end] for start, end in pieces)


@pytest.mark.parametrize("form", ["pb", "pbtxt"])
@pytest.mark.parametrize("kind", FROZEN)
class TestWrapped:
    def test_serves_the_numbers_of_the_graph_in_every_loader(
        self, kind: str, form: str, frozen: Make, oracle: Oracle, tmp_path: Path
    ) -> None:
        graph = frozen(kind)
        receipt = graph.wrap(tmp_path / "new", form=form)
        assert receipt.loaders == ("C runtime",)
        assert receipt.directory == tmp_path / "new"
        assert [each.name for each in (tmp_path / "new").iterdir()] == ["saved_model.pb"]
        assert list(tmp_path.iterdir()) == [tmp_path / "new"]
        about = {"directory": tmp_path / "new", "tags": ["serve"], "key": "serving_default"}
        ran = oracle.ask("run_signature", **about, feed=graph.said["feed"])
        assert ran["arrays"] == graph.said["arrays"]
        inputs = {alias: ["dense", name] for alias, name in graph.said["inputs"].items()}
        called = oracle.ask("call", **about, inputs=inputs, feed=graph.said["feed"])
        assert called == {"stage": "call", "arrays": graph.said["arrays"]}

    def test_is_what_tensorflows_builder_writes(
        self, kind: str, form: str, frozen: Make, oracle: Oracle, tmp_path: Path
    ) -> None:
        graph = frozen(kind)
        graph.wrap(tmp_path / "ours", form=form, signature="s", tags=("serve", "gpu"))
        theirs = {"export": tmp_path / "theirs", "key": "s", "tags": ["serve", "gpu"]}
        named = {"inputs": graph.said["inputs"], "outputs": graph.said["outputs"]}
        oracle.ask("build_like", graph=graph.file, **named, **theirs)
        found = oracle.ask("compare_parts", ours=tmp_path / "ours", theirs=tmp_path / "theirs")
        assert found["different"] == []
        assert found["ops"] >= 4


@pytest.mark.parametrize("kind", FROZEN)
def test_the_graphs_bytes_are_those_of_the_file(kind: str, frozen: Make, tmp_path: Path) -> None:
    graph = frozen(kind)
    graph.wrap(tmp_path / "new", options=NO_RELOAD)
    assert _graph_def(tmp_path / "new") == graph.file.read_bytes()


@pytest.mark.parametrize("kind", FROZEN)
def test_a_text_becomes_what_tensorflow_reads_in_it(
    kind: str, frozen: Make, oracle: Oracle, tmp_path: Path
) -> None:
    graph = frozen(kind)
    graph.wrap(tmp_path / "new", form="pbtxt", options=NO_RELOAD)
    said = oracle.ask("as_binary", text=graph.place / "graph.pbtxt")
    assert _graph_def(tmp_path / "new").hex() == said["graph"]


def test_fields_that_no_schema_knows_stay(frozen: Make, tmp_path: Path) -> None:
    graph, newer = frozen("strings"), tmp_path / "newer.pb"
    first = next(wire.fields(graph.file.read_bytes()))
    node = graph.file.read_bytes()[first.value : first.end] + b"\xfa\x3e\x03odd"  # field 1007
    newer.write_bytes(wire.delimited(1, node) + graph.file.read_bytes()[first.end :])
    given = {"inputs": graph.said["inputs"], "outputs": graph.said["outputs"]}
    receipt = smpatch.wrap_graph(newer, tmp_path / "new", **given)
    assert receipt.loaders == ("C runtime",)
    assert _graph_def(tmp_path / "new") == newer.read_bytes()


def test_the_full_reload_asks_pythons_loader_too(frozen: Make, tmp_path: Path) -> None:
    receipt = frozen("function").wrap(tmp_path / "1", options=smpatch.Options(validate="full"))
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")


def test_a_rehearsal_writes_nothing_and_says_the_same(frozen: Make, tmp_path: Path) -> None:
    graph = frozen("session")
    place = tmp_path / "deep" / "new"
    rehearsed = graph.wrap(place, options=smpatch.Options(dry_run=True))
    assert list(tmp_path.iterdir()) == []
    done = graph.wrap(place)
    assert (rehearsed.dry_run, done.dry_run) == (True, False)
    for name in ("directory", "size_before", "size_after", "signature", "tag_set", "notes"):
        assert getattr(rehearsed, name) == getattr(done, name)
    assert done.size_before == graph.file.stat().st_size
    assert done.size_after == (place / "saved_model.pb").stat().st_size


class TestNotFrozen:
    def test_outputs_that_need_variables_are_refused(self, frozen: Make, tmp_path: Path) -> None:
        graph = frozen("variables")
        with pytest.raises(RefusedError, match=r"not frozen.*'old', 'new', whose values"):
            graph.wrap(tmp_path / "new")
        assert list(tmp_path.iterdir()) == []

    def test_outputs_that_need_none_are_served_with_a_note(
        self, frozen: Make, tmp_path: Path
    ) -> None:
        receipt = frozen("variables").wrap(tmp_path / "new", outputs={"y": "spare:0"})
        (note,) = receipt.notes
        assert (note.code, "'old', 'new'" in note.text) == ("lost-variables", True)
        assert receipt.loaders == ("C runtime",)

    def test_tables_that_nobody_fills_are_noted(self, frozen: Make, tmp_path: Path) -> None:
        receipt = frozen("table").wrap(tmp_path / "new")
        assert [note.code for note in receipt.notes] == ["empty-tables"]
        assert "requests that need one fail" in receipt.notes[0].text
        options = CheckOptions(validate="runtime", run=Feeding())
        (fault,) = smpatch.check(tmp_path / "new", options=options).faults
        assert (fault.code, "'hash_table'" in fault.text) == ("table-not-filled", True)

    @pytest.mark.parametrize("kind", ["variables behind the input", "table of the request"])
    def test_state_that_no_request_needs_is_no_reason_to_refuse(
        self, kind: str, frozen: Make, oracle: Oracle, tmp_path: Path
    ) -> None:
        """Nodes before the input are not computed, and a request may fill a table itself."""
        graph = frozen(kind)
        graph.wrap(tmp_path / "new")
        about = {"directory": tmp_path / "new", "tags": ["serve"], "key": "serving_default"}
        ran = oracle.ask("run_signature", **about, feed=graph.said["feed"])
        assert ran["arrays"] == graph.said["arrays"]

    @pytest.mark.parametrize("kind", ["mutable table", "dense table"])
    def test_a_mutable_table_without_its_content_is_refused(
        self, kind: str, frozen: Make, tmp_path: Path
    ) -> None:
        """TensorFlow reports no error: each lookup gives the default."""
        graph = frozen(kind)
        assert decoded(graph.said["arrays"]["values"]).tolist() == [-1, -1]
        with pytest.raises(RefusedError, match="each lookup would give its default"):
            graph.wrap(tmp_path / "new")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kind", ["mutable table", "dense table"])
    def test_a_command_was_proposed_that_is_refused(self, kind: str, frozen: Make) -> None:
        with pytest.raises(RefusedError, match="each lookup would give its default"):
            frozen_graph.suggest_for_graph(frozen(kind).file)

    def test_nothing_is_suggested_of_them(self, frozen: Make) -> None:
        _, found = frozen_graph.suggest_for_graph(frozen("variables").file)
        assert [each.spec.name for each in found.outputs] == ["spare:0"]


def test_suggests_what_the_graph_computes(frozen: Make) -> None:
    for kind in FROZEN:
        graph = frozen(kind)
        _, found = frozen_graph.suggest_for_graph(graph.file)
        (each,) = (
            each for each in found.outputs if each.spec.name in graph.said["outputs"].values()
        )
        assert [spec.name for spec in each.inputs] == list(graph.said["inputs"].values())


class TestRefused:
    def test_what_its_head_brings_to_the_limit(
        self, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No model above protobuf's size limit is written, even if the graph is below it."""
        graph = frozen("strings")
        monkeypatch.setattr(frozen_graph, "SIZE_LIMIT", graph.file.stat().st_size + 1)
        with pytest.raises(RefusedError, match="the SavedModel would have"):
            graph.wrap(tmp_path / "new", options=NO_RELOAD)
        assert not list(tmp_path.iterdir())

    def test_a_destination_in_use(self, frozen: Make, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine").touch()
        with pytest.raises(RefusedError, match="new: the directory is not empty"):
            frozen("strings").wrap(tmp_path / "new", options=NO_RELOAD)
        assert [each.name for each in tmp_path.rglob("*")] == ["new", "mine"]

    def test_an_empty_destination_is_taken(self, frozen: Make, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        frozen("strings").wrap(tmp_path / "new", options=NO_RELOAD)
        assert (tmp_path / "new" / "saved_model.pb").exists()

    def test_beside_the_graph_is_no_place_inside_a_model(
        self, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "graph.pb").write_bytes(frozen("strings").file.read_bytes())
        monkeypatch.chdir(tmp_path)
        given: dict[str, Any] = {
            "inputs": {"lines": "lines:0"},
            "outputs": {"n": "length"},
            "options": NO_RELOAD,
        }
        assert smpatch.wrap_graph("graph.pb", "new", **given).directory == Path("new")
        assert sorted(each.name for each in tmp_path.iterdir()) == ["graph.pb", "new"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_place_that_cannot_be_written(self, frozen: Make, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(WriteError, match="nothing was written"):
            frozen("strings").wrap(tmp_path / "new", options=NO_RELOAD)

    def test_a_file_where_a_directory_should_be(self, frozen: Make, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(WriteError, match="file is not a directory"):
            frozen("strings").wrap(tmp_path / "file" / "new", options=NO_RELOAD)
        assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == []

    def test_a_tensor_that_is_not_there(self, frozen: Make, tmp_path: Path) -> None:
        with pytest.raises(smpatch.TensorNotFoundError, match="lenght"):
            frozen("strings").wrap(tmp_path / "new", outputs={"n": "lenght:0"})

    def test_an_input_that_is_missing(self, frozen: Make, tmp_path: Path) -> None:
        with pytest.raises(smpatch.UnreachableOutputError, match="lines"):
            frozen("strings").wrap(
                tmp_path / "new", inputs={"n": "length:0"}, outputs={"j": "joined"}
            )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"inputs": {}}, "no inputs"),
            ({"outputs": {}}, "no outputs"),
            ({"tags": ()}, "no tags"),
            ({"tags": ("a,b",)}, "not a usable tag"),
            ({"tags": ("",)}, "not a usable tag"),
            ({"tags": ("a", "a")}, "twice"),
            ({"options": smpatch.Options(save_to="x")}, "save_to does not apply"),
            ({"options": smpatch.Options(backup=True)}, "backup does not apply"),
            ({"options": smpatch.Options(tag_set=("a",))}, "tag_set does not apply"),
        ],
    )
    def test_what_makes_no_sense(
        self, given: dict[str, Any], words: str, frozen: Make, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=words):
            frozen("strings").wrap(tmp_path / "new", **given)

    def test_what_tensorflow_does_not_load_is_said_of_the_graph(self, tmp_path: Path) -> None:
        """The error must not name the file that TensorFlow loaded: it is in a temporary place."""
        graph = schema.GraphDef()
        graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
        graph.node.add(name="y", op="Identity", input=["x"]).attr["T"].type = 3
        (tmp_path / "wrong.pb").write_bytes(graph.SerializeToString())
        with pytest.raises(ValidationError) as raised:
            smpatch.wrap_graph(
                tmp_path / "wrong.pb", tmp_path / "new", inputs={"x": "x"}, outputs={"y": "y"}
            )
        assert ".smpatch-" not in str(raised.value)
        assert "TensorFlow does not load" in str(raised.value)
        assert raised.value.hint.startswith("nothing was written")
        assert list(tmp_path.iterdir()) == [tmp_path / "wrong.pb"]


class TestDisturbed:
    def test_a_change_of_the_graph_meanwhile_is_noticed(
        self, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = tmp_path / "graph.pb"
        graph.write_bytes(frozen("strings").file.read_bytes())

        def written_over(*arguments: Any) -> None:  # noqa: ANN401 - as in the function replaced
            write_pieces(*arguments)
            graph.write_bytes(graph.read_bytes()[:-1])

        monkeypatch.setattr(frozen_graph, "write_pieces", written_over)
        with pytest.raises(ConflictError, match="another program changed the file"):
            Frozen(tmp_path, frozen("strings").said).wrap(tmp_path / "new", options=NO_RELOAD)
        assert list(tmp_path.iterdir()) == [graph]

    @pytest.mark.parametrize("step", ["write_pieces", "patch"])
    def test_an_interruption_leaves_nothing_behind(
        self, step: str, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: Any, **__: Any) -> None:  # noqa: ANN401 - as above
            assert [each.name for each in tmp_path.iterdir()] == ["deep"]
            assert [each.name[:9] for each in (tmp_path / "deep").iterdir()] == [".smpatch-"]
            raise KeyboardInterrupt

        monkeypatch.setattr(frozen_graph, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            frozen("strings").wrap(tmp_path / "deep" / "new", options=NO_RELOAD)
        assert list(tmp_path.iterdir()) == []

    def test_a_rehearsal_is_not_swept_away_by_others(
        self, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A save to the directory of temporary files removes unlocked staging files there."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        true, others = smpatch.patch, iter(["first"])

        def beside_another(*arguments: Any, **named: Any) -> smpatch.Receipt:  # noqa: ANN401 - as above
            for each in others:
                frozen("strings").wrap(tmp_path / each, options=NO_RELOAD)
            return true(*arguments, **named)

        monkeypatch.setattr(frozen_graph, "patch", beside_another)
        rehearsal = smpatch.Options(validate="none", dry_run=True)
        assert frozen("strings").wrap(tmp_path / "new", options=rehearsal).dry_run
        assert [each.name for each in tmp_path.iterdir()] == ["first"]

    def test_what_a_killed_one_left_behind_is_swept(self, frozen: Make, tmp_path: Path) -> None:
        left = tmp_path / ".smpatch-left" / "model"
        left.mkdir(parents=True)
        (left / "saved_model.pb").write_bytes(b"half")
        frozen("strings").wrap(tmp_path / "new", options=NO_RELOAD)
        assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_operations_that_nobody_registers_are_left_out_of_the_list(tmp_path: Path) -> None:
    graph = schema.GraphDef()
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    graph.node.add(name="odd", op="TheirOwnOp")
    graph.node.add(name="y", op="Identity", input=["x"]).attr["T"].type = 1
    (tmp_path / "odd.pb").write_bytes(graph.SerializeToString())
    given: dict[str, Any] = {"inputs": {"x": "x"}, "outputs": {"y": "y"}}
    with pytest.raises(ValidationError, match=r"no operation 'TheirOwnOp'.*--op-library"):
        smpatch.wrap_graph(tmp_path / "odd.pb", tmp_path / "new", **given)
    smpatch.wrap_graph(tmp_path / "odd.pb", tmp_path / "new", **given, options=NO_RELOAD)
    (meta_graph,) = smpatch.load(tmp_path / "new").meta_graphs
    assert list(meta_graph.op_defs) == ["Identity", "Placeholder"]


TABLE = """
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
node { name: "y" op: "Identity" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "t" op: "HashTableV2" attr { key: "key_dtype" value { type: DT_STRING } }
       attr { key: "value_dtype" value { type: DT_INT64 } } }
"""


class Like:
    """A tensor of a ``tf.Graph``, as far as the library looks at one."""

    dtype, shape = "float32", None

    def __init__(self, name: str) -> None:
        """Take the name."""
        self.name = name


@pytest.mark.parametrize("form", ["tensors", "pairs", "iterators"])
def test_inputs_and_outputs_in_every_form_that_an_edit_takes(form: str, tmp_path: Path) -> None:
    """The graph has a table, so that what the outputs need is looked up."""
    file = tmp_path / "graph.pbtxt"
    file.write_text(TABLE)
    given: Any = {
        "tensors": ({"x": Like("x:0")}, {"y": Like("y:0")}),
        "pairs": ([("x", "x:0")], [("y", "y:0")]),
        "iterators": (iter([("x", "x:0")]), iter([("y", "y:0")])),
    }[form]
    smpatch.wrap_graph(
        file, tmp_path / "model", inputs=given[0], outputs=given[1], options=NO_RELOAD
    )
    signature = smpatch.load(tmp_path / "model").signatures["serving_default"]
    assert (list(signature.inputs), list(signature.outputs)) == (["x"], ["y"])


def test_options_that_are_no_options_are_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.pbtxt").write_text(TABLE)
    with pytest.raises(UsageError, match=r"^options: "):
        frozen_graph.suggest_for_graph(tmp_path / "graph.pbtxt", options=1)  # type: ignore[arg-type] # refused
    with pytest.raises(UsageError, match=r"^options: "):
        smpatch.copy_signatures(tmp_path, tmp_path, options=1)  # type: ignore[arg-type] # refused
