"""The answers of children about models equal those of TensorFlow's Python."""

from __future__ import annotations

import ast
import struct
import sys
from pathlib import Path

import pytest

from smpatch.runtime import questions
from smpatch.runtime.process import Child
from smpatch.runtime.questions import Array, CompositeFact, TensorFact

LIMIT = 120.0
FIXTURES = Path(__file__).parents[2] / "fixtures" / "models"
Facts = dict[str, tuple[int, tuple[int | None, ...] | None]]
FLOAT, DOUBLE, INT64, STRING, FLOAT_REF = 1, 2, 9, 7, 101


@pytest.fixture(params=["capi", "python"])
def child(request: pytest.FixtureRequest) -> Child:
    """Each of the two programs: questions that both answer have the same answers."""
    found: Child = request.getfixturevalue(request.param)
    return found


def test_facts_of_every_tensor_equal_tensorflows(child: Child, models: Path, facts: Facts) -> None:
    found = questions.describe(child, models / "kinds", ["serve"], list(facts), LIMIT)
    assert found.ok
    assert len(facts) > 20
    assert found.tensors == {name: TensorFact(*fact) for name, fact in facts.items()}
    assert found.operations == frozenset()


def test_groups_that_no_schema_knows_are_passed_over(child: Child) -> None:
    found = questions.describe(child, FIXTURES / "unknown_group", ["serve"], [], LIMIT)
    assert found.ok, found.message
    assert len(found.signature_entries) == 1


def _node(name: str, op: str, dtype: bytes = b"") -> bytes:
    """Return a node of a ``GraphDef``; ``dtype`` is an entry of its attributes."""
    fields = ((1, name.encode()), (2, op.encode()), *([(5, dtype)] if dtype else []))
    body = b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)
    return bytes([1 << 3 | 2, len(body)]) + body


ATTRIBUTE = b"\x0a\x05dtype\x12\x02\x30\x01"
"""A map entry: ``dtype`` is a float (field 6 of ``AttrValue``)."""


def test_a_graph_is_put_together_without_a_session(child: Child) -> None:
    graph = _node("x", "Placeholder", ATTRIBUTE)
    found = questions.infer(child, LIMIT, graph, ["x:0", "x:1", "y:0"])
    assert found.ok, found.message
    # A placeholder without a recorded shape may have any.
    assert found.tensors == {"x:0": TensorFact(FLOAT, None), "x:1": None, "y:0": None}


@pytest.mark.parametrize(
    ("graph", "words"),
    [(_node("x", "NoSuchOperation"), "NoSuchOperation"), (b"\xff\xff", "")],
)
def test_a_graph_that_tensorflow_refuses_is_an_answer(
    child: Child, graph: bytes, words: str
) -> None:
    found = questions.infer(child, LIMIT, graph, ["x:0"])
    assert not found.ok
    assert words in found.message
    assert found.tensors == {}


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("scalar:0", TensorFact(DOUBLE, ())),
        ("any:0", TensorFact(INT64, None)),
        ("partly:0", TensorFact(FLOAT, (None, 3))),
        ("columns:2", TensorFact(FLOAT, (None, 1))),
        ("reference:0", TensorFact(FLOAT_REF, (2,))),
        ("columns:3", None),
        ("columns:99999999999999999999", None),
        ("columns:" + "9" * 5000, None),
        ("nowhere:0", None),
        ("nowhere", None),
        ("partly:", None),
        (":0", None),
        ("", None),
        ("partly:0\0", None),
        ("partly\0:0", None),
        ("\udcff:0", None),
    ],
)
def test_a_name(child: Child, models: Path, name: str, fact: TensorFact | None) -> None:
    found = questions.describe(child, models / "kinds", ["serve"], [name], LIMIT)
    assert found.tensors == {name: fact}


def test_a_name_without_index_is_an_operation(child: Child, models: Path) -> None:
    names = ["columns", "shout", "columns:0"]
    found = questions.describe(child, models / "kinds", ["serve"], names, LIMIT)
    assert found.operations == {"columns", "shout"}
    assert found.tensors == {"columns:0": TensorFact(FLOAT, (None, 1))}


def test_signatures_come_as_entries_of_the_map(child: Child, models: Path) -> None:
    (entry,) = questions.describe(child, models / "kinds", ["serve"], [], LIMIT).signature_entries
    key = b"serving_default"
    assert entry.startswith(bytes((0x0A, len(key))) + key + b"\x12")
    assert entry[2 + len(key) + 1] == len(entry) - 2 - len(key) - 2
    assert b"doubled:0" in entry
    assert entry.endswith(b"tensorflow/serving/predict")


def test_both_programs_return_the_same_entries(capi: Child, python: Child) -> None:
    model = FIXTURES / "classify_regress"
    first, second = (
        sorted(
            (len(entry), sorted(entry))
            for entry in questions.describe(child, model, ["serve"], [], LIMIT).signature_entries
        )
        for child in (capi, python)
    )
    assert len(first) > 1
    assert first == second


@pytest.mark.parametrize(
    ("name", "tags", "word"), [("kinds", ["gpu"], "gpu"), ("missing", ["serve"], "missing")]
)
def test_a_model_that_does_not_load_is_an_answer(
    child: Child, models: Path, name: str, tags: list[str], word: str
) -> None:
    found = questions.describe(child, models / name, tags, ["x:0"], LIMIT)
    assert not found.ok
    assert found.code > 0
    assert word in found.message
    assert found.tensors == {}


def test_several_tags_in_any_order(child: Child) -> None:
    for tags in (["serve", "gpu"], ["gpu", "serve"]):
        assert questions.describe(child, FIXTURES / "several_tag_sets", tags, [], LIMIT).ok


def test_a_directory_whose_name_is_not_ascii(capi: Child, models: Path, tmp_path: Path) -> None:
    for name in ("mödèl ✓", "\udcff\udcfe"):
        link = tmp_path / name
        try:
            link.symlink_to(models / "kinds")
        except OSError:
            # macOS has no names that are not UTF-8.
            assert sys.platform == "darwin"
            continue
        assert questions.describe(capi, link, ["serve"], [], LIMIT).ok


def floats(*numbers: float) -> bytes:
    """Return numbers as the bytes of a float tensor."""
    return struct.pack(f"<{len(numbers)}f", *numbers)


class TestRun:
    """Runs of the session that the child has kept."""

    @pytest.fixture(autouse=True)
    def keep(self, capi: Child, models: Path) -> None:
        assert questions.describe(capi, models / "kinds", ["serve"], [], LIMIT, keep=True).ok

    def test_floats(self, capi: Child) -> None:
        feed = Array(FLOAT, (1, 3), floats(1, 2, 3))
        found = questions.run(
            capi, {"partly:0": feed}, ["columns:1", "doubled:0", "reference:0"], LIMIT
        )
        assert found.arrays == {
            "columns:1": Array(FLOAT, (1, 1), floats(2)),
            "doubled:0": Array(FLOAT, (1, 3), floats(2, 4, 6)),
            "reference:0": Array(FLOAT, (2,), floats(1, 2)),
        }

    def test_strings_short_long_empty_and_binary(self, capi: Child) -> None:
        given = (b"a", b"", b"nul\0\xff", b"x" * 22, b"y" * 23, b"z" * 100_000)
        found = questions.run(
            capi, {"text:0": Array(STRING, (6,), strings=given)}, ["joined:0"], LIMIT
        )
        assert found.arrays["joined:0"] == Array(
            STRING, (6,), strings=tuple(string + b"!" for string in given)
        )

    def test_more_than_the_pipes_hold(self, capi: Child) -> None:
        data = floats(1.5) * 3 * 200_000
        feed = Array(FLOAT, (200_000, 3), data)
        found = questions.run(capi, {"partly:0": feed}, ["doubled:0"], LIMIT)
        assert found.arrays["doubled:0"].data == floats(3.0) * 3 * 200_000

    @pytest.mark.parametrize(("dtype", "name"), [(FLOAT, "partly:0"), (STRING, "text:0")])
    def test_nothing_at_all(self, capi: Child, dtype: int, name: str) -> None:
        shape = (0, 3) if dtype == FLOAT else (0,)
        found = questions.run(capi, {name: Array(dtype, shape)}, [name], LIMIT)
        assert found.arrays == {name: Array(dtype, shape)} or not found.ok
        fetch = "doubled:0" if dtype == FLOAT else "joined:0"
        found = questions.run(capi, {name: Array(dtype, shape)}, [fetch], LIMIT)
        assert found.arrays == {fetch: Array(dtype, shape)}

    @pytest.mark.parametrize(
        ("feeds", "fetches", "word"),
        [
            ({}, ["doubled:0"], "partly"),
            ({}, ["handle:0"], "handle"),
            ({}, ["nowhere:0"], "nowhere:0"),
            ({}, ["columns:3"], "columns:3"),
            ({}, ["columns"], "columns"),
            ({"nowhere:0": Array(FLOAT, (), floats(1))}, [], "nowhere:0"),
            ({"partly:0": Array(FLOAT, (2, 3), floats(1))}, ["doubled:0"], "do not make"),
            ({"partly:0": Array(FLOAT, (-1, -1), floats(1))}, ["doubled:0"], "do not make"),
            ({"partly:0": Array(999, (1,), floats(1))}, ["doubled:0"], "do not make"),
            ({"text:0": Array(STRING, (2,), strings=(b"a",))}, ["joined:0"], "do not make"),
            ({"partly:0": Array(INT64, (1,), bytes(8))}, ["doubled:0"], "int64"),
        ],
    )
    def test_what_cannot_be_run_is_refused_in_words(
        self, capi: Child, feeds: dict[str, Array], fetches: list[str], word: str
    ) -> None:
        found = questions.run(capi, feeds, fetches, LIMIT)
        assert not found.ok
        assert found.code > 0
        assert word in found.message

    def test_what_a_graph_prints_does_not_reach_the_pipe(
        self, capi: Child, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert questions.run(capi, {}, [], LIMIT, targets=["shout"]).ok
        assert questions.run(capi, {}, ["reference:0"], LIMIT).ok
        assert capfd.readouterr() == ("", "")

    def test_nothing_is_left_to_run_once_another_model_was_described(
        self, capi: Child, models: Path
    ) -> None:
        assert questions.describe(capi, models / "module", ["serve"], [], LIMIT).ok
        found = questions.run(capi, {}, ["reference:0"], LIMIT)
        assert not found.ok
        assert "no model" in found.message


def test_fingerprint_is_the_one_that_tensorflow_wrote(capi: Child, models: Path) -> None:
    written = (models / "module" / "fingerprint.pb").read_bytes()
    found = questions.fingerprint(capi, models / "module", LIMIT)
    assert found.ok
    # Field 7 is random and is the last one.
    assert found.data.partition(b":")[0] == written.partition(b":")[0]


def test_a_text_model_gets_no_fingerprint(capi: Child) -> None:
    found = questions.fingerprint(capi, FIXTURES / "text_form", LIMIT)
    assert not found.ok
    assert found.data == b""
    assert "saved_model.pb" in found.message


def test_a_broken_model_gets_no_fingerprint(capi: Child, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    found = questions.fingerprint(capi, tmp_path, LIMIT)
    assert not found.ok
    assert "\n" not in found.message
    assert "OUT_OF_RANGE" in found.message


def test_the_op_list_has_the_operations(capi: Child) -> None:
    data = questions.op_list(capi, LIMIT).data
    for name in (b"MatMul", b"StatefulPartitionedCall", b"Placeholder"):
        assert bytes((0x0A, len(name))) + name in data


def test_a_library_that_is_not_there(child: Child, tmp_path: Path) -> None:
    found = questions.load_library(child, tmp_path / "ops.so", LIMIT)
    assert not found.ok
    assert "ops.so: cannot open" in found.message or "no such file" in found.message
    assert questions.version(child, LIMIT)


def test_a_library_that_is_none(child: Child, tmp_path: Path) -> None:
    (tmp_path / "ops.so").write_bytes(b"not a library")
    found = questions.load_library(child, tmp_path / "ops.so", LIMIT)
    assert not found.ok
    assert "ops.so" in found.message


def test_both_programs_load_the_same_tensorflow(capi: Child, python: Child) -> None:
    assert questions.version(capi, LIMIT) == questions.version(python, LIMIT)


def test_signatures_of_an_object_graph(python: Child, models: Path) -> None:
    found = questions.python_signatures(python, models / "module", None, LIMIT)
    assert found.signatures == {
        "serving_default": questions.PythonSignature(
            inputs={"x": TensorFact(FLOAT, (None, 2))},
            outputs={"total": TensorFact(FLOAT, ()), "same": TensorFact(FLOAT, (None, 2))},
        )
    }


def test_signatures_without_an_object_graph(python: Child, models: Path) -> None:
    found = questions.python_signatures(python, models / "kinds", ["serve"], LIMIT)
    assert found.signatures["serving_default"].inputs == {"rows": TensorFact(FLOAT, (None, 3))}


def test_a_composite_output_is_told_by_its_type(python: Child) -> None:
    found = questions.python_signatures(python, FIXTURES / "ragged", ["serve"], LIMIT)
    (output,) = found.signatures["rows"].outputs.values()
    assert isinstance(output, CompositeFact)
    assert output.words.startswith("RaggedTensorSpec(")


def test_the_python_loader_says_no_with_the_name_of_its_exception(
    python: Child, models: Path
) -> None:
    found = questions.python_signatures(python, models / "kinds", ["gpu"], LIMIT)
    assert (found.ok, found.kind) == (False, "RuntimeError")
    assert "gpu" in found.message
    assert "\n" not in found.message


def test_the_room_imports_nothing_of_the_package_outside() -> None:
    for file in Path(questions.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                inside = name.startswith("smpatch.runtime")
                # They run beside TensorFlow, which needs NumPy and protobuf.
                inside |= (file.name, name) in {
                    ("python_calls.py", "numpy"),
                    ("trace_recipes.py", "google.protobuf"),
                }
                assert inside or name.split(".")[0] in sys.stdlib_module_names, (file.name, name)
