"""An edit sets an init op, and TensorFlow's session then has values that it lacked before.

No such edit may change a value that a signature gives.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Options, PatchFileError, UsageError, schema, wire
from smpatch.edits import Edit, Remove, SetInitOp
from smpatch.functions.load_time import INIT_OP, init_op, writers
from smpatch.patchfile import parse_patch
from smpatch.savedmodel.parts import GRAPH_DEF, META_GRAPHS
from tests.contract.models import FIXTURES
from tests.oracle import programs
from tests.oracle.client import Oracle, decoded, encoded

UNPROVED = Options(validate="none")
FILLER = "text_file_init/InitializeTableFromTextFileV2"
GROUP = "init_all_tables"


def _copy(name: str, to: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / name, to))


@pytest.fixture
def empty(tmp_path: Path, oracle: Oracle) -> Path:
    """A model whose table no init op fills."""
    directory = _copy("lookup_table", tmp_path / "model")
    oracle.ask("plant", directory=directory, fault="uninitialized")
    return directory


def _file(directory: Path) -> bytes:
    return (directory / "saved_model.pb").read_bytes()


def _shifted(directory: Path, oracle: Oracle) -> Any:  # noqa: ANN401 - numbers, or a refusal
    feed = {"word:0": encoded(np.array([b"blue", b"mauve"], object))}
    said = oracle.ask("run_signature", directory=directory, tags=["serve"], key="shift", feed=feed)
    return said.get("refused") or decoded(said["arrays"]["shifted"]).tolist()


@pytest.mark.parametrize("names", [(GROUP,), (FILLER,), (FILLER, GROUP)])
def test_a_table_without_values_has_them_after_the_edit(
    names: tuple[str, ...], empty: Path, oracle: Oracle
) -> None:
    assert "Table not initialized" in _shifted(empty, oracle)
    receipt = smpatch.set_init_op(empty, names, options=Options(backup=True))
    assert (receipt.outcome, receipt.loaders) == ("init-op-set", ("C runtime",))
    assert _shifted(empty, oracle) == _shifted(FIXTURES / "lookup_table", oracle) == [102, 99]
    report = smpatch.check(empty, options=CheckOptions(run=Feeding()))
    assert report.faults == ()
    assert [key for key, _ in report.ran] == ["shift"]
    once = _file(empty)
    assert smpatch.set_init_op(empty, names).outcome == "unchanged"
    assert _file(empty) == once
    smpatch.undo(empty)
    assert "Table not initialized" in _shifted(empty, oracle)


def test_an_init_op_takes_precedence_over_a_collection(tmp_path: Path, oracle: Oracle) -> None:
    directory = _copy("lookup_table", tmp_path / "model")
    before = init_op(smpatch.load(directory).meta_graph())
    assert before is not None
    assert (before.names, before.collection) == ((GROUP,), "saved_model_main_op")
    receipt = smpatch.set_init_op(directory, FILLER)
    assert [(each.key, each.was) for each in receipt.changes] == [(FILLER, GROUP)]
    assert _shifted(directory, oracle) == [102, 99]


def test_the_node_that_runs_several_goes_with_them(empty: Path, oracle: Oracle) -> None:
    smpatch.set_init_op(empty, (FILLER, "init"), options=UNPROVED)
    graph = smpatch.load(empty).meta_graph().graph
    assert list(graph.wiring("init_op").inputs) == [f"^{FILLER}", "^init"]
    again = smpatch.set_init_op(empty, ("init", FILLER), options=UNPROVED)
    assert again.outcome == "unchanged"
    assert _shifted(empty, oracle) == [102, 99]


def test_an_export_of_tensorflow_2_gets_its_own_init_op_back(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copy("string_lookup_asset", tmp_path / "model")
    feed = {"serving_default_word:0": encoded(np.array([b"red", b"mauve"], object))}
    about = {"tags": ["serve"], "key": "serving_default", "feed": feed}
    served = oracle.ask("run_signature", directory=directory, **about)
    theirs = smpatch.load(directory).meta_graph().entries[INIT_OP].value
    oracle.ask("plant", directory=directory, fault="uninitialized")
    assert "not initialized" in oracle.ask("run_signature", directory=directory, **about)["refused"]
    receipt = smpatch.set_init_op(directory, "NoOp")
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")
    assert [each.code for each in receipt.notes] == ["init-op-for-servers"]
    assert smpatch.load(directory).meta_graph().entries[INIT_OP].value == theirs
    assert oracle.ask("run_signature", directory=directory, **about) == served
    several = smpatch.set_init_op(directory, ("NoOp", "StatefulPartitionedCall_1"))
    assert [each.was for each in several.changes] == ["NoOp"]
    there = smpatch.load(directory).meta_graph()
    assert there.parts.appended_nodes == ("init_op",)
    assert oracle.ask("run_signature", directory=directory, **about) == served
    before = smpatch.set_init_op(directory, "NoOp", options=UNPROVED).size_after
    assert smpatch.load(directory).meta_graph().parts.appended_nodes == ()
    assert before == receipt.size_after


def test_numbers_before_and_after_are_compared_where_there_were_some(
    tmp_path: Path, empty: Path
) -> None:
    run = Options(validate="run")
    full = _copy("lookup_table", tmp_path / "full")
    assert smpatch.set_init_op(full, FILLER, options=run).numbers == {"shift": ("shifted",)}
    assert smpatch.set_init_op(empty, FILLER, options=run).numbers == {}


@pytest.mark.parametrize(
    ("name", "operations", "words"),
    [
        ("lookup_table", ("nope",), "no such node in the graph"),
        ("lookup_table", ("init_all_table",), "did you mean init_all_tables?"),
        ("lookup_table", ("init:0",), "name the operation: init"),
        ("lookup_table", ("^init",), "name the operation: init"),
        ("lookup_table", ("word",), "needs the placeholder 'word'"),
        ("lookup_table", ("shifted",), "needs the placeholder 'word'"),
        ("lookup_table", ("init",), "--init-op init,init_all_tables runs both"),
        ("lookup_table", (), "gives 'vocabulary' its value, and signatures need that"),
        ("ref_variables", ("init",), "may assign 'layer_1/b', 'layer_1/w', 'layer_2/w' anew"),
        ("resource_variables", ("layer_1/w/Assign",), "may assign 'layer_1/w' anew"),
        ("init_op_signature", ("init",), "may assign 'a' anew"),
        ("init_op_signature", (), "gives 'a' its value"),
        ("linear", (), "there is no init op to remove"),
        ("while_loop", ("loop/next_step",), "runs only inside a loop or branch"),
    ],
)
def test_what_is_refused(
    name: str, operations: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    directory = _copy(name, tmp_path / "model")
    before = _file(directory)
    with pytest.raises(smpatch.RefusedError, match=words.replace("?", r"\?")):
        smpatch.patch(directory, SetInitOp(operations), options=UNPROVED)
    assert _file(directory) == before


def test_what_no_signature_needs_may_go(tmp_path: Path, oracle: Oracle) -> None:
    directory = _copy("init_op_signature", tmp_path / "model")
    edits: Sequence[Edit] = [Remove(("scale",)), SetInitOp(())]
    receipt = smpatch.patch(directory, edits)
    assert receipt.outcome == "init-op-removed"
    said = oracle.ask("parse", directory=directory)
    assert said["meta_graphs"][0]["signatures"] == []
    assert smpatch.patch(directory, edits, once=True).changes == ()


def test_an_init_op_that_a_collection_names_stays(tmp_path: Path) -> None:
    directory = _copy("lookup_table", tmp_path / "model")
    smpatch.remove_signatures(directory, "shift", options=UNPROVED)
    with pytest.raises(smpatch.RefusedError, match="the collection 'saved_model_main_op' names"):
        smpatch.set_init_op(directory, None, options=UNPROVED)


def test_no_name_is_no_removal(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no operation is named"):
        smpatch.set_init_op(tmp_path, "")


def test_a_model_in_text_form(tmp_path: Path, empty: Path, oracle: Oracle) -> None:
    collected = _copy("lookup_table", tmp_path / "collected")
    for each in (empty, collected):
        oracle.ask("to_text", directory=each)
    found = init_op(smpatch.load(collected).meta_graph())
    assert found is not None
    assert (found.names, found.collection) == ((GROUP,), "saved_model_main_op")
    (fault,) = smpatch.check(empty, options=CheckOptions(validate="none")).faults
    assert fault.code == "table-not-filled"
    assert smpatch.check(collected, options=CheckOptions(validate="none")).faults == ()
    with pytest.raises(smpatch.RefusedError, match="cannot be given the node"):
        smpatch.set_init_op(empty, (FILLER, "init"))
    smpatch.set_init_op(empty, GROUP)
    assert _shifted(empty, oracle) == [102, 99]


def test_a_patch_file_names_the_init_op_once(empty: Path) -> None:
    text = 'version = 1\n[[edit]]\ninit-op = "init_all_tables"\n'
    edits = parse_patch(text).edits
    assert smpatch.patch(empty, edits, once=True).outcome == "init-op-set"
    second = smpatch.patch(empty, edits, once=True)
    assert (second.changes, [each.key for each in second.applied]) == ((), [GROUP])
    with pytest.raises(PatchFileError, match=r"edit\[0\] sets or removes the init op as well"):
        parse_patch(f"{text}[[edit]]\nno-init-op = true\n")


@pytest.mark.parametrize(("kind", "expected"), [("table", [7, 8, -1]), ("tables", [17, 28, -2])])
def test_tables_of_a_frozen_graph_are_filled(
    kind: str, expected: list[int], tmp_path: Path, oracle: Oracle
) -> None:
    frozen = oracle.ask("freeze", kind=kind, place=tmp_path)
    about = {"inputs": frozen["inputs"], "outputs": frozen["outputs"]}
    place = tmp_path / "without"
    without = smpatch.wrap_graph(tmp_path / "graph.pb", place, **about)
    (note,) = (each for each in without.notes if each.code == "empty-tables")
    names = note.text.partition("--init-op ")[2].removesuffix(" does").split(",")
    assert len(names) == len(expected) - 2 + (kind == "tables")
    (fault,) = smpatch.check(place, options=CheckOptions(validate="none")).faults
    assert fault.hint.endswith(f"smpatch edit {place} --init-op {','.join(names)}")
    feed = {"words:0": encoded(np.array([b"a", b"b", b"c"], object))}
    run = {"tags": ["serve"], "key": "serving_default", "feed": feed}
    refused = oracle.ask("run_signature", directory=place, **run)["refused"]
    assert "Table not initialized" in refused
    options = Options(dry_run=True)
    there = smpatch.wrap_graph(
        tmp_path / "graph.pb", tmp_path / "x", init_op=names, options=options, **about
    )
    assert there.notes == ()
    smpatch.wrap_graph(tmp_path / "graph.pb", tmp_path / "with", init_op=names, **about)
    smpatch.set_init_op(place, names)
    for each in (tmp_path / "with", place):
        said = oracle.ask("run_signature", directory=each, **run)
        assert decoded(said["arrays"]["ids"]).tolist() == expected
    if kind == "tables":
        with pytest.raises(smpatch.RefusedError, match=f"--init-op {names[0]},init_op runs both"):
            smpatch.set_init_op(place, names[0])


def test_two_operations_that_fill_one_table_are_refused(tmp_path: Path) -> None:
    """If the sizes are equal, the first that runs fills the table, and no error shows which."""
    directory = _copy("lookup_table", tmp_path / "model")
    graph = smpatch.load(directory).meta_graph().graph
    node = schema.NodeDef()
    node.CopyFrom(graph.node(FILLER).message())
    node.name = "other"
    _append(directory, bytes(node.SerializeToString()))
    assert "other" in smpatch.load(directory).meta_graph().graph
    before = _file(directory)
    with pytest.raises(smpatch.RefusedError, match="both fill 'vocabulary', and only the first"):
        smpatch.set_init_op(directory, (FILLER, "other"), options=UNPROVED)
    with pytest.raises(smpatch.RefusedError, match="gives 'vocabulary' its value"):
        smpatch.set_init_op(directory, "other", options=UNPROVED)
    assert _file(directory) == before


REFERENCES = """
import json, sys
import tensorflow as tf
from tensorflow.python.ops import gen_array_ops, gen_control_flow_ops
v1 = tf.compat.v1
v1.disable_v2_behavior()
v1.disable_control_flow_v2()
session = v1.Session()
v = v1.get_variable("v", initializer=5.0, use_resource=False)
x = v1.placeholder(tf.float32, [], "x")
y = v1.add(x, v, name="y")
same = gen_array_ops.ref_identity(v._variable, name="same")
tf.group(same, name="reads")
tf.group(v1.assign(same, 1.0), name="by_identity")

def body(i):
    with tf.control_dependencies([v1.assign(v, 1.0)]):
        return i + 1

tf.group(v1.while_loop(lambda i: i < 1, body, [tf.constant(0)]), name="in_a_loop")
yes = v1.placeholder_with_default(True, [])
tf.group(v1.cond(yes, lambda: v1.assign(v, 1.0) + 0.0, lambda: 0.0), name="in_a_branch")
low, high = gen_control_flow_ops.ref_switch(v._variable, yes)
merged, _ = gen_control_flow_ops.ref_merge([low, high])
tf.group(v1.assign(merged, 1.0), name="behind_a_merge")
chosen = gen_control_flow_ops.ref_select(tf.constant(0), [v._variable, v._variable])
tf.group(v1.assign(chosen, 1.0), name="behind_a_choice")
frame = gen_control_flow_ops.ref_enter(v._variable, "frame")
left = gen_control_flow_ops.ref_exit(frame)
tf.group(v1.assign(left, 1.0), name="behind_a_loop")
session.run(v1.global_variables_initializer())
described = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
for place, main_op in ((sys.argv[1], None), (sys.argv[2], "by_identity")):
    builder = v1.saved_model.Builder(place)
    builder.add_meta_graph_and_variables(
        session, ["serve"], {"sum": described},
        main_op=main_op and session.graph.get_operation_by_name(main_op), clear_devices=True)
    builder.save()
after = {}
for name in sys.argv[3:]:
    session.run(v1.global_variables_initializer())
    session.run(session.graph.get_operation_by_name(name))
    after[name] = float(session.run(v))
print(json.dumps(after))
"""

ASSIGNING = (
    *("by_identity", "in_a_loop", "in_a_branch"),
    *("behind_a_merge", "behind_a_choice", "behind_a_loop"),
)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models with operations that assign through references; the init op of one assigns."""
    room = tmp_path_factory.mktemp("references")
    said = programs.run(*("-c", REFERENCES, room / "without", room / "with", "reads", *ASSIGNING))
    assert json.loads(said.splitlines()[-1]) == {"reads": 5.0, **dict.fromkeys(ASSIGNING, 1.0)}
    return room / "without", room / "with"


@pytest.mark.parametrize("name", ASSIGNING)
def test_an_assignment_through_a_reference_is_found_where_the_init_op_before_only_read_it(
    name: str, references: tuple[Path, Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(references[0], tmp_path / "model"))
    assert smpatch.set_init_op(directory, "reads", options=UNPROVED).outcome == "init-op-set"
    with pytest.raises(smpatch.RefusedError, match="may assign 'v' anew"):
        smpatch.set_init_op(directory, name, options=UNPROVED)


def test_a_value_that_was_assigned_through_a_reference_is_not_lost(
    references: tuple[Path, Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(references[1], tmp_path / "model"))
    with pytest.raises(smpatch.RefusedError, match="gives 'v' its value"):
        smpatch.set_init_op(directory, "reads", options=UNPROVED)


def test_a_circle_of_nodes_that_pass_on_a_table_ends(tmp_path: Path) -> None:
    directory = _copy("lookup_table", tmp_path / "model")
    for name, other in (("one", "two"), ("two", "one")):
        _append(
            directory, schema.NodeDef(name=name, op="Identity", input=[other]).SerializeToString()
        )
    taking = schema.NodeDef(name="taking", op="InitializeTableV2", input=["one"])
    _append(directory, taking.SerializeToString())
    assert writers(smpatch.load(directory).meta_graph(), ["taking"]) == frozenset()


def _append(directory: Path, node: bytes) -> None:
    """Append a node to the graph of the only MetaGraph."""
    data = _file(directory)
    (whole,) = (each for each in wire.fields(data) if each.number == META_GRAPHS)
    more = wire.delimited(GRAPH_DEF, wire.delimited(1, node))  # pieces of a message are merged
    body = wire.delimited(META_GRAPHS, whole.bytes(data) + more)
    (directory / "saved_model.pb").write_bytes(data[: whole.start] + body + data[whole.end :])
