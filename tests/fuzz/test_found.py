"""Defects that hostile models have shown; the name of each test says what went wrong.

The mutations of ``test_models`` found most of them. Some were found by reading code that the
mutations reach too seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import smpatch
from fixtures.make import raw
from smpatch import Options, RefusedError, checker, differ, patchfile
from smpatch.edits import Remove
from smpatch.errors import PatchFileError
from smpatch.graph.captures import _restored
from smpatch.graph.objects import ObjectGraph
from smpatch.schema import FunctionDef, SavedObjectGraph
from smpatch.values import preview
from tests.fuzz import targets
from tests.prove.ledger import LONG

LINEAR = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "linear" / "saved_model.pb"
_META_GRAPH, _GRAPH, _SAVER, _SIGNATURE, _OBJECT_GRAPH = 2, 2, 3, 5, 7
_FLOATS = raw.field(1, b"\x32\x01\x01")
"""An ``AttrValue`` that lists one type."""

Place = Callable[[bytes], Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a function that writes a model file and returns its directory."""

    def write(data: bytes) -> Path:
        (tmp_path / "saved_model.pb").write_bytes(data)
        return tmp_path

    return write


def _with(more: bytes, *path: int) -> bytes:
    """Append bytes to the message at a path of field numbers in the small model."""
    return raw.regrow(LINEAR.read_bytes(), path, lambda message: message + more)


def _attr(key: bytes, value: bytes) -> bytes:
    return raw.field(5, raw.field(1, key) + raw.field(2, value))


def _call(name: bytes, function: bytes, given: bytes) -> bytes:
    """Return the body of a node that calls a function with one tensor."""
    attrs = _attr(b"Tin", _FLOATS) + _attr(b"Tout", _FLOATS)
    attrs += _attr(b"f", raw.field(10, raw.field(1, function)))
    return (
        raw.field(1, name) + raw.field(2, b"StatefulPartitionedCall") + raw.field(3, given) + attrs
    )


def _function(name: bytes, calls: Sequence[bytes]) -> bytes:
    """Return a library entry: a function that calls others."""
    arg = raw.tag(3, raw.VARINT) + b"\x01"
    signature = raw.field(1, name)
    signature += raw.field(2, raw.field(1, b"a") + arg) + raw.field(3, raw.field(1, b"o") + arg)
    nodes = [_call(b"c%d" % at, each, b"a") for at, each in enumerate(calls)]
    returned = raw.field(4, raw.field(1, b"o") + raw.field(2, b"c0:output:0"))
    body = raw.field(1, signature) + b"".join(raw.field(3, node) for node in nodes) + returned
    return raw.field(1, body)


def _calling(functions: bytes) -> bytes:
    """Return a model whose signature ``s`` calls the function ``f0`` of a library."""
    graph = raw.field(2, functions) + raw.field(1, _call(b"call", b"f0", b"x"))
    model = _with(graph, _META_GRAPH, _GRAPH)
    op_def = b"".join(
        (
            raw.field(1, b"StatefulPartitionedCall"),
            raw.field(2, raw.field(1, b"args") + raw.field(6, b"Tin")),
            raw.field(3, raw.field(1, b"output") + raw.field(6, b"Tout")),
            raw.field(4, raw.field(1, b"Tin") + raw.field(2, b"list(type)")),
            raw.field(4, raw.field(1, b"Tout") + raw.field(2, b"list(type)")),
        )
    )

    def info(alias: bytes, name: bytes) -> bytes:
        return raw.field(1, alias) + raw.field(2, raw.field(1, name) + b"\x10\x01\x1a\x02\x18\x01")

    signature = raw.field(1, info(b"x", b"x:0")) + raw.field(2, info(b"y", b"call:0"))
    signature += raw.field(3, b"tensorflow/serving/predict")
    more = raw.field(1, raw.field(2, raw.field(1, op_def)))
    more += raw.field(_SIGNATURE, raw.field(1, b"s") + raw.field(2, signature))
    return raw.regrow(model, (_META_GRAPH,), lambda meta_graph: meta_graph + more)


def _signatures(count: int) -> Iterator[bytes]:
    """Yield the entries of ``count`` signatures, ``k0`` and so on."""
    info = raw.field(1, b"x") + raw.field(2, raw.field(1, b"x:0") + b"\x10\x01")
    value = raw.field(2, raw.field(1, info) + raw.field(3, b"tensorflow/serving/predict"))
    for at in range(count):
        yield raw.field(_SIGNATURE, raw.field(1, b"k%d" % at) + value)


def _inside(directory: Path) -> targets.Said:
    with targets.frugal():
        return targets.run("suggest", str(directory), "--signature", "s")


def test_functions_that_call_each_other_in_a_circle_are_looked_into_once(place: Place) -> None:
    said = _inside(place(_calling(_function(b"f0", [b"f1"]) + _function(b"f1", [b"f0"]))))
    assert said.code == 0
    assert said.out.count("c0:0") >= 1


def test_few_functions_that_make_more_calls_than_memory_holds_are_refused(place: Place) -> None:
    """Sixty functions of two calls each give 2**60 ways: ten kilobytes took all memory."""
    functions = [_function(b"f%d" % at, [b"f%d" % (at + 1)] * 2) for at in range(60)]
    said = _inside(place(_calling(b"".join(functions) + _function(b"f60", []))))
    assert said.code == 4
    assert "too many or too deeply nested functions" in said.complaint


def test_calls_nested_a_thousand_deep_are_no_recursion_error(place: Place) -> None:
    functions = [_function(b"f%d" % at, [b"f%d" % (at + 1)]) for at in range(3000)]
    directory = place(_calling(b"".join(functions)))
    assert _inside(directory).code == 4
    with pytest.raises(RefusedError):
        smpatch.derive_signature(
            directory,
            "s",
            outputs={"y": "c7:0"},
            signature="new",
            options=Options(validate="none"),
        )


def test_node_that_promises_a_million_outputs_costs_nothing(place: Place) -> None:
    """The outputs of each such node were listed once for each output, which took hours."""
    count = raw.tag(3, raw.VARINT) + raw.varint(60_000)
    op_def = raw.field(1, b"Many") + raw.field(2, raw.field(1, b"i") + b"\x18\x01")
    op_def += raw.field(3, raw.field(1, b"o") + b"\x18\x01" + raw.field(5, b"N"))
    node = raw.field(1, b"many") + raw.field(2, b"Many") + raw.field(3, b"x") + _attr(b"N", count)
    model = _with(raw.field(1, raw.field(2, raw.field(1, op_def))), _META_GRAPH)
    model = raw.regrow(model, (_META_GRAPH, _GRAPH), lambda graph: graph + raw.field(1, node))
    directory = place(model)
    with targets.frugal():
        assert targets.run("suggest", str(directory), "--json").code == 0
    promised = _attr(b"N", raw.tag(3, raw.VARINT) + raw.varint(2**40))
    longer = raw.regrow(
        model,
        (_META_GRAPH, _GRAPH, 1),
        lambda each: each.replace(_attr(b"N", count), promised),
    )
    with targets.frugal():
        assert targets.run("suggest", str(place(longer))).code == 3


def test_saver_that_is_none_is_no_traceback(place: Place) -> None:
    directory = place(_with(raw.field(_SAVER, raw.field(1, b"\xff")), _META_GRAPH))
    said = targets.run("suggest", str(directory))
    assert said.code == 3
    assert str(directory / "saved_model.pb") in said.complaint
    assert "saver" in said.complaint


def test_function_whose_number_has_thousands_of_digits_is_no_traceback(place: Place) -> None:
    """Python does not read a number of more than 4300 digits."""
    directory = place(_calling(_function(b"f0", []) + _function(b"f_" + b"9" * 5000, [])))
    assert smpatch.load(directory).meta_graph().functions.last_number == 0


@pytest.mark.parametrize(
    ("names", "last"),
    [
        ([b"f_1", b"g_999999999999999999", b"h_1000000000000000000"], 10**18),
        ([b"f_1", b"g_00000000000000000000000000000007"], 7),
        ([b"f_1", b"g_9223372036854775807"], 1),
        ([b"f_1", b"g_9223372036854775806", b"h_9999999999999999999"], 1),
    ],
)
def test_a_new_function_gets_a_number_of_its_own_that_tensorflow_reads(
    place: Place, names: list[bytes], last: int
) -> None:
    """Numbers of 19 digits, and zeros before a number, did not count."""
    directory = place(_calling(b"".join(_function(name, []) for name in names)))
    assert smpatch.load(directory).meta_graph().functions.last_number == last


def test_restoring_nodes_without_their_inputs_restore_nothing() -> None:
    function = FunctionDef()
    function.signature.input_arg.add().name = "handle"
    for inputs in ([], ["handle"], ["handle", "read"]):
        function.node_def.add(name="assign", op="AssignVariableOp", input=inputs)
    function.node_def.add(name="read", op="Identity", input=["restore:tensors:x"])
    function.node_def.add(name="restore", op="RestoreV2")
    assert list(_restored(function)) == []


def test_shape_of_millions_of_dimensions_is_not_multiplied() -> None:
    dims = raw.field(2, raw.tag(1, raw.VARINT) + raw.varint(2**62)) * 300_000
    tensor = raw.tag(1, raw.VARINT) + b"\x01" + raw.field(2, dims)
    begin = time.process_time()
    dtype, shape, _ = preview(tensor)
    assert time.process_time() - begin < 5
    assert dtype == "float32"
    assert shape is not None
    assert len(shape) == 300_000


def test_dense_shape_of_a_sparse_tensor_that_promises_every_dimension_there_is(
    place: Place,
) -> None:
    def node(name: bytes, dtype: int, sizes: Sequence[int]) -> bytes:
        dims = b"".join(raw.field(2, raw.tag(1, raw.VARINT) + raw.varint(size)) for size in sizes)
        attrs = _attr(b"dtype", raw.tag(6, raw.VARINT) + raw.varint(dtype))
        attrs += _attr(b"shape", raw.field(7, dims))
        return raw.field(1, raw.field(1, name) + raw.field(2, b"Placeholder") + attrs)

    nodes = node(b"v", 1, [5]) + node(b"i", 9, [5, 2]) + node(b"s", 9, [2**62])
    directory = place(_with(nodes, _META_GRAPH, _GRAPH))
    with pytest.raises(RefusedError, match="dimensions"):
        smpatch.add_predict(
            directory,
            inputs={"ids": smpatch.SparseRef("v:0", "i:0", "s:0"), "x": "x:0"},
            outputs={"y": "y:0"},
            options=Options(validate="none"),
        )


@pytest.mark.parametrize("holder", ["root", "map of signatures"])
def test_object_graph_that_names_an_object_it_does_not_have_is_shown(
    holder: str, place: Place
) -> None:
    """TensorFlow's classes parse it and its C runtime loads it; ``show`` refused the model."""

    def dangling(data: bytes) -> bytes:
        graph = SavedObjectGraph.FromString(data)
        number = ObjectGraph(data).signature_map
        assert number is not None
        if holder == "root":
            children = graph.nodes[0].children
            next(each for each in children if each.node_id == number).node_id = 9999
        else:
            graph.nodes[number].children[0].node_id = 9999
        return bytes(graph.SerializeToString())

    model = (LINEAR.parents[1] / "module" / "saved_model.pb").read_bytes()
    directory = place(raw.regrow(model, (_META_GRAPH, _OBJECT_GRAPH), dangling))
    said = targets.run("show", str(directory))
    assert said.code == 0
    assert "serving_default is only in signature_def" in said.out


@pytest.mark.parametrize("many", [20_000 if LONG else 10_000])
def test_time_for_many_signatures_grows_with_their_number(place: Place, many: int) -> None:
    took = []
    for count in (many // 4, many):
        directory = place(_with(b"".join(_signatures(count)), _META_GRAPH))
        begin = time.process_time()
        assert targets.run("show", str(directory)).code == 0
        assert targets.run("show", str(directory), "--json").code == 0
        took.append(time.process_time() - begin)
    assert took[1] < 10 * took[0] + 0.5


def test_names_that_drive_a_terminal_are_never_printed_raw(place: Place) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\u2028../../../etc/passwd"
    name = hostile.encode()
    info = raw.field(1, name) + raw.field(2, raw.field(1, name + b":0") + b"\x10\x01")
    signature = raw.field(1, info) + raw.field(2, info) + raw.field(3, name)
    more = raw.field(_SIGNATURE, raw.field(1, name) + raw.field(2, signature))
    more += raw.field(1, raw.field(4, name) + raw.field(5, name))
    node = raw.field(1, name) + raw.field(2, name) + raw.field(3, b"x")
    model = raw.regrow(
        _with(raw.field(1, node), _META_GRAPH, _GRAPH), (_META_GRAPH,), lambda each: each + more
    )
    directory = place(model)
    assert targets.shown(directory, LINEAR.parent)  # it refuses characters that are not printable
    said = targets.run("show", str(directory))
    assert "../../../etc/passwd" in said.out
    assert sorted(each.name for each in directory.iterdir()) == ["saved_model.pb"]


@pytest.mark.parametrize(
    "number",
    ["9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, f"[1, {{ a = 0x{'f' * 5000} }}]"],
    ids=["decimal", "negative", "hexadecimal", "deeper"],
)
def test_number_of_thousands_of_digits_in_a_patch_file_is_no_traceback(number: str) -> None:
    """Python neither reads nor writes a number of more than 4300 digits."""
    with pytest.raises(PatchFileError, match="line 2: a number has more than 64 bits"):
        patchfile.parse_patch(f"version = 1\nx = {number}\n")


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 20_000) + " = 1",
        "x = { " + " . ".join(['"a"'] * 20_000) + " = 1 }",
        "[" + ".".join("a" * 4_000) + "]\n" + "".join(f"k{at} = 1\n" for at in range(4_000)),
    ],
    ids=["bare", "quoted", "header"],
)
def test_key_of_thousands_of_parts_in_a_patch_file_is_not_read(text: str) -> None:
    """Python's reader took half a minute for 20,000 parts, and two minutes for twice as many."""
    with targets.frugal(), pytest.raises(PatchFileError, match="line 1: it is nested too deeply"):
        patchfile.parse_patch(text)


def test_faults_of_a_patch_file_take_no_longer_the_further_down_they_stand() -> None:
    text = "version = 1\n" + "".join(f"k{at} = 1\n" for at in range(50_000))
    with targets.frugal(), pytest.raises(PatchFileError) as caught:
        patchfile.parse_patch(text)
    assert caught.value.faults[-1].line == 50_001


def test_names_of_a_patch_file_are_not_all_compared_with_all() -> None:
    names = ", ".join(f'"k{at}"' for at in range(50_000))
    with targets.frugal():
        (edit,) = patchfile.parse_patch(f"version = 1\n[[edit]]\nremove = [{names}]\n").edits
    assert isinstance(edit, Remove)
    assert len(edit.keys) == 50_000


@pytest.mark.parametrize("many", [20_000 if LONG else 10_000])
def test_time_to_check_many_signatures_grows_with_their_number(place: Place, many: int) -> None:
    """For each signature, a search among all of them looked for an object graph."""
    took = []
    for count in (many // 4, many):
        directory = place(_with(b"".join(_signatures(count)), _META_GRAPH))
        begin = time.process_time()
        report = checker.check(directory, options=checker.CheckOptions(validate="none"))
        took.append(time.process_time() - begin)
        assert len(report.findings) >= count
    assert took[1] < 8 * took[0] + 0.5


def test_tensor_that_lost_its_name_is_compared_without_a_traceback(tmp_path: Path) -> None:
    for name, tensor in (("a", b"x:0"), ("b", b"")):
        (tmp_path / name).mkdir()
        info = raw.field(1, b"x") + raw.field(2, raw.field(1, tensor) + b"\x10\x01")
        signature = raw.field(1, b"s") + raw.field(2, raw.field(1, info))
        (tmp_path / name / "saved_model.pb").write_bytes(
            _with(raw.field(_SIGNATURE, signature), _META_GRAPH)
        )
    said = targets.run("diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert "~  input  x  x:0 -> (none)" in said.out
    said = targets.run("diff", str(tmp_path / "b"), str(tmp_path / "a"))
    assert "~  input  x  (none) -> x:0" in said.out


def test_what_cannot_be_suggested_is_told_in_one_line_without_a_remark(place: Place) -> None:
    """The model has an operation without a name and a definition, and an unreadable signature."""
    damaged = raw.field(_SIGNATURE, raw.field(1, b"s") + raw.field(2, b"\x0a\x01\xff"))
    node = raw.field(1, raw.field(1, b"nameless"))
    model = (LINEAR.parents[1] / "no_op_list" / "saved_model.pb").read_bytes()
    model = raw.regrow(model, (_META_GRAPH, _GRAPH), lambda graph: graph + node)
    model = raw.regrow(model, (_META_GRAPH,), lambda meta_graph: meta_graph + damaged)
    said = targets.run("suggest", str(place(model)))
    assert said.code == 3
    assert said.complaint.count("\n") == 1
    assert said.complaint.startswith("smpatch: ")


def test_many_signatures_that_were_all_renamed_are_not_compared_with_all(tmp_path: Path) -> None:
    """Ten thousand took seven seconds, and twice as many took four times as long."""
    many = 20_000
    for name, letter in (("a", b"k"), ("b", b"z")):
        (tmp_path / name).mkdir()
        entries = b"".join(_signatures(many)).replace(b"k", letter)
        (tmp_path / name / "saved_model.pb").write_bytes(_with(entries, _META_GRAPH))
    with targets.frugal():
        found = differ.diff(tmp_path / "a", tmp_path / "b")
    (meta_graph,) = found.meta_graphs
    assert {each.outcome for each in meta_graph.signatures} == {"renamed"}
    assert [(each.was, each.key) for each in meta_graph.signatures][:2] == [
        ("k0", "z0"),
        ("k1", "z1"),
    ]


def test_many_signatures_are_removed_at_once(place: Place) -> None:
    """Removed one after the other, with a search of all that were left, 2500 took a minute."""
    directory = place(_with(b"".join(_signatures(5_000)), _META_GRAPH))
    with targets.frugal():
        smpatch.remove_signatures(directory, "k*", options=Options(validate="none"))
    assert (directory / "saved_model.pb").read_bytes() == LINEAR.read_bytes()
