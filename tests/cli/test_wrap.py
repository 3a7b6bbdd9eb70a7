"""``smpatch wrap``: its output, its proposals and its refusals."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from smpatch import schema
from tests.cli.conftest import QUICK, XY, Run, negated
from tests.cli.schemas import read, validator


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frozen graph in the working directory: y is x times three; z is x modulo three."""
    made = schema.GraphDef()
    made.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    made.node[0].attr["shape"].shape.dim.add(size=-1)
    three = made.node.add(name="three", op="Const")
    three.attr["dtype"].type = 1
    three.attr["value"].tensor.dtype = 1
    three.attr["value"].tensor.tensor_shape.SetInParent()
    three.attr["value"].tensor.float_val.append(3)
    for name, op in (("y", "Mul"), ("z", "FloorMod")):
        made.node.add(name=name, op=op, input=["x", "three"]).attr["T"].type = 1
    file = tmp_path / "frozen.pb"
    file.write_bytes(made.SerializeToString(deterministic=True))
    monkeypatch.chdir(tmp_path)
    return file


def test_makes_a_model_and_says_so(graph: Path, call: Run) -> None:
    said = call("wrap", graph.name, "--save-to", "out/1", *XY)
    assert (said.code, said.err) == (0, "")
    before, after = graph.stat().st_size, Path("out/1/saved_model.pb").stat().st_size
    assert said.out.splitlines() == [
        "serving_default added to out/1/saved_model.pb (MetaGraph serve)",
        "  input   x  float32  [?]  x:0",
        "  output  y  float32  [?]  y:0",
        "  method  tensorflow/serving/predict",
        f"saved_model.pb: {before:,} -> {after:,} bytes",
        "reloaded with TensorFlow's C runtime: the signature holds",
    ]
    shown = call("show", "out/1", "--json").document["show"]["meta_graphs"]
    assert [(each["tags"], list(each["signatures"])) for each in shown] == [
        (["serve"], ["serving_default"])
    ]


def test_key_tags_and_aliases_are_what_was_asked_for(graph: Path, call: Run) -> None:
    named = ("--inputs", "value=x", "--outputs", "y,rest=z:0")
    chosen = ("--signature", "both", "--tag-set", "serve,gpu")
    said = call("wrap", graph.name, "--save-to", "out", *named, *chosen, "--json", *QUICK)
    assert said.code == 0
    validator("wrap").validate(said.document)
    receipt = said.document["wrap"]
    assert (receipt["key"], receipt["tag_set"]) == ("both", ["serve", "gpu"])
    assert (receipt["directory"], receipt["form"]) == ("out", "binary")
    assert receipt["size_before"] == graph.stat().st_size
    assert set(receipt["signature"]["inputs"]) == {"value"}
    assert set(receipt["signature"]["outputs"]) == {"y", "rest"}


def test_a_rehearsal_makes_nothing(graph: Path, call: Run) -> None:
    said = call("wrap", graph.name, "--save-to", "out", *XY, "--dry-run", "--json")
    validator("wrap").validate(said.document)
    receipt = said.document["wrap"]
    assert (receipt["directory"], receipt["dry_run"]) == ("out", True)
    assert receipt["signature"]["outputs"]["y"]["shape"] == [None]
    assert list(graph.parent.iterdir()) == [graph]


def test_quiet_says_nothing(graph: Path, call: Run) -> None:
    said = call("wrap", graph.name, "--save-to", "out", *XY, "--quiet", *QUICK)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert (graph.parent / "out" / "saved_model.pb").exists()


class TestWithoutOutputs:
    def test_proposes_commands_that_work(self, graph: Path, call: Run) -> None:
        said = call("wrap", graph.name)
        assert said.code == 2
        assert said.line == "smpatch: missing option '--inputs' (above is what could be served)"
        lines = said.out.splitlines()
        assert lines[0] == "Outputs of the main graph that nothing consumes"
        commands = [shlex.split(line) for line in lines[1:] if line.startswith("    ")]
        start = ["smpatch", "wrap", "frozen.pb", "--save-to", "DIR", "--inputs", "x:0", "--outputs"]
        assert commands == [[*start, "z:0"], [*start, "y:0"]]
        assert list(graph.parent.iterdir()) == [graph]
        for number, command in enumerate(commands):
            command[command.index("DIR")] = f"out/{number}"
            assert call(*command[1:], *QUICK).code == 0

    def test_proposes_another_alias_for_a_word_of_python(self, graph: Path, call: Run) -> None:
        made = schema.GraphDef.FromString(graph.read_bytes())
        made.node[0].name = "lambda"
        for node in made.node[2:]:
            node.input[0] = "lambda"
        graph.write_bytes(made.SerializeToString(deterministic=True))
        said = call("wrap", graph.name)
        (_, command, *_) = said.out.splitlines()[1:]
        words = shlex.split(command.replace("DIR", "out"))
        assert call(*words[1:], *QUICK).code == 0

    def test_keeps_what_was_given_already(self, graph: Path, call: Run) -> None:
        given = ("--save-to", "a b", "--outputs", "y", "--signature", "s", "--tag-set", "t")
        said = call("wrap", graph.name, *given)
        assert said.code == 2
        (command, *_) = [line.strip() for line in said.out.splitlines() if "smpatch wrap" in line]
        assert "--save-to 'a b'" in command
        assert command.endswith("--signature s --tag-set t")

    @pytest.mark.parametrize("option", ["--json", "--quiet"])
    def test_hints_at_one_where_no_list_can_be_printed(
        self, option: str, graph: Path, call: Run
    ) -> None:
        said = call("wrap", graph.name, option, "--inputs", "x")
        assert said.code == 2
        assert said.line.startswith("smpatch: missing option '--outputs' (such as: smpatch wrap ")
        if option == "--json":
            validator("error").validate(said.document)
            assert said.document["error"]["kind"] == "UsageError"
        else:
            assert said.out == ""

    def test_of_a_graph_that_nothing_feeds(self, tmp_path: Path, call: Run) -> None:
        made = schema.GraphDef()
        made.node.add(name="alone", op="NoOp")
        (tmp_path / "alone.pb").write_bytes(made.SerializeToString())
        said = call("wrap", tmp_path / "alone.pb")
        assert (said.code, said.out) == (2, "")
        assert "nothing in this graph depends on a placeholder" in said.line


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("gone.pb", *XY, "--save-to", "out"), 3, "gone.pb: no such file"),
        (("frozen.pb", *XY), 2, "missing option '--save-to'"),
        (("frozen.pb", "--inputs", "x", "--outputs", "Y", "--save-to", "out"), 4, "Y: no such"),
        (("frozen.pb", *XY, "--save-to", "."), 4, "is not empty"),
        (("frozen.pb", *XY, "--save-to", "frozen.pb"), 4, "is not a directory"),
        (("frozen.pb", *XY, "--save-to", "out", "--tag-set", ""), 2, "tag"),
        (("frozen.pb", *XY, "--save-to", "out", "--signature", ""), 4, "usable signature key"),
        (("frozen.pb", *XY, "--save-to", "out", "--op-library", "no.so"), 2, "no such file"),
        ((), 2, "missing argument 'GRAPH'"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...], code: int, words: str, graph: Path, call: Run
) -> None:
    said = call("wrap", *arguments)
    assert (said.code, said.out) == (code, "")
    assert words in said.line
    assert list(graph.parent.iterdir()) == [graph]


def test_what_json_says_of_it_is_what_it_says_of_an_edit() -> None:
    def described(name: str, body: str) -> Any:  # noqa: ANN401 - JSON
        whole = read(name)
        fields = whole["properties"][body]["properties"]
        return {key: {**each, "description": ""} for key, each in fields.items()}

    assert described("wrap", "wrap") == described("add-predict", "add_predict")


def test_the_proposed_command_names_a_placeholder_that_python_cannot_pass(
    tmp_path: Path, call: Run
) -> None:
    """The name of the input was ``class``, which the command refused."""
    (tmp_path / "-g.pb").write_bytes(negated("class"))
    said = call("wrap", tmp_path / "-g.pb", "--save-to", tmp_path / "new")
    (command,) = (line for line in said.out.splitlines() if "smpatch wrap" in line)
    assert call(*shlex.split(command)[1:], *QUICK).code == 0
