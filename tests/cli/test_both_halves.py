"""Functions and inner tensors on the command line, and messages about TensorFlow 2 exports."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FIXTURES, QUICK, Run, content, refused, tensorflow

Copy = Callable[[str], Path]

INNER = ("--from-signature", "serving_default", "--signature", "new")
ENCODE = ("--function", "encode")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*ENCODE, *INNER[:2], "--outputs", "y"), "--function and --from-signature do not go"),
        ((*INNER, "--inputs", "x", "--outputs", "y"), "--from-signature and --inputs do not go"),
        ((*INNER[:2], "--outputs", "score"), "missing option '--signature'"),
        (INNER, "missing option '--outputs'"),
        ((), "missing option '--inputs'"),
        ((*ENCODE, "--outputs", "a=output_0,a=output_0"), "output_0 is given twice"),
        ((*ENCODE, "--inputs", "x="), "is not a tensor name"),
        (
            (*INNER, "--outputs", "y=sparse(values=v,indices=i,dense_shape=s)"),
            "sparse and ragged tensors are not allowed here",
        ),
    ],
)
def test_2_wrong_usage(arguments: tuple[str, ...], words: str, call: Run, model: Copy) -> None:
    place = model("module")
    before = content(place)
    said = call("add-predict", place, *arguments, *QUICK)
    assert (said.code, said.out) == (2, "")
    assert words in said.line
    assert content(place) == before


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("module", ("--function", "encod"), "function 'encod': no such function (did you mean"),
        ("module", ("--function", "quite_other"), "functions here: encode, __call__"),
        ("linear", ENCODE, "no such function (the model has none)"),
        ("module", (*ENCODE, "--inputs", "z=y"), "no argument is called 'y' (it has x)"),
        ("module", (*ENCODE, "--outputs", "output_1"), "'output_1' (did you mean output_0?)"),
        ("module", (*ENCODE, "--inputs", "a=x,b=x"), "a tensor can be fed once"),
        ("module", (*ENCODE, "--signature", "serving_default"), "the key is taken"),
        ("keras_functional", ("--function", "serve"), "signature 'serve': the key is taken"),
        ("several_traces", ("--function", "scale"), "it has 4 traces (name one of them: "),
        (
            "several_traces",
            ("--function", "scale"),
            "_84(x: float32 [?], factor=3, negate=False); ",
        ),
        (
            "keras_functional",
            ("--from-signature", "serving_defalt", *INNER[2:], "--outputs", "both"),
            "signature 'serving_defalt': no such signature (did you mean serving_default?)",
        ),
        ("keras_functional", (*INNER, "--outputs", "enc_1_1/Relu"), "two_by_two_1/enc_1_1/Relu"),
        ("keras_functional", (*INNER, "--outputs", "bot"), "did you mean both"),
        ("keras_functional", (*INNER, "--outputs", "qqq"), "--signature serving_default lists"),
        (
            "keras_functional",
            (*INNER, "--outputs", "StatefulPartitionedCall:0"),
            "signature 'serving_default' does not feed that",
        ),
        ("nested_modules", (*INNER, "--outputs", "encoded"), "3 calls have a tensor of that name"),
        ("nested_modules", (*INNER, "--outputs", "encoded"), "(use encoded:0@Stateful"),
        ("keras_functional", (*INNER[:3], "serve", "--outputs", "both"), "the key is taken"),
        ("linear", ("--from-signature", "scale", *INNER[2:], "--outputs", "Y"), "did you mean y"),
    ],
)
def test_4_refused(
    name: str, arguments: tuple[str, ...], words: str, call: Run, model: Copy
) -> None:
    place = model(name)
    before = content(place)
    refused(call("add-predict", place, *arguments, *QUICK), words)
    assert content(place) == before


def _loop_body_tensor(place: Path) -> str:
    """Return the name of a node in the body of a While, from TensorFlow's own message classes."""
    program = """
import sys
from tensorflow.core.protobuf import saved_model_pb2
model = saved_model_pb2.SavedModel.FromString(open(sys.argv[1], "rb").read())
functions = {each.signature.name: each for each in model.meta_graphs[0].graph_def.library.function}
outside = {node.name for each in functions.values() for node in each.node_def
           if "while_body" not in each.signature.name}
for name, each in functions.items():
    if "while_body" in name:
        print(next(node.name for node in each.node_def if node.name not in outside))
        break
"""
    return tensorflow(program, place / "saved_model.pb").strip()


def test_4_a_tensor_in_the_body_of_a_loop(call: Run, model: Copy) -> None:
    place = model("keras_rnn")
    inside = _loop_body_tensor(place)
    said = call("add-predict", place, *INNER, "--outputs", inside, *QUICK)
    assert said.code == 4
    assert "it is in the body of While " in said.line
    assert "which may run zero or more times (name a tensor outside)" in said.line


@pytest.mark.parametrize(
    ("name", "arguments", "key", "inputs", "outputs"),
    [
        ("module", ENCODE, "encode", ["x"], ["output_0"]),
        ("module", (*ENCODE, "--inputs", "f=x", "--outputs", "e=output_0"), "encode", ["f"], ["e"]),
        ("module", ("--function", "__call__", "--signature", "k"), "k", ["x"], ["score"]),
        ("nested_modules", ("--function", "rest.0.encode"), "encode", ["x"], ["output_0"]),
        ("several_traces", ("--function", "__inference_scale_84"), "scale", ["x"], ["scaled"]),
        ("several_traces", ("--function", "nest", "--inputs", "n=b"), "nest", ["a0", "a1", "n"], 3),
        ("several_traces", ("--function", "nothing"), "nothing", [], ["output_0"]),
        (
            "keras_functional",
            (*INNER, "--outputs", "e=two_by_two_1/enc_1_1/Relu:0,score"),
            "new",
            ["left", "right"],
            ["e", "score"],
        ),
        ("keras_functional", (*INNER, "--outputs", "both"), "new", ["left", "right"], ["both"]),
        (
            "linear",
            ("--from-signature", "scale", *INNER[2:], "--outputs", "y"),
            "new",
            ["x"],
            ["y"],
        ),
    ],
)
def test_0_done(  # noqa: PLR0913, PLR0917 - a request and its expected result
    name: str,
    arguments: tuple[str, ...],
    key: str,
    inputs: list[str],
    outputs: list[str] | int,
    call: Run,
    model: Copy,
) -> None:
    place = model(name)
    said = call("add-predict", place, *arguments, *QUICK, "--json")
    assert said.code == 0, said.err
    receipt = said.document["add_predict"]
    assert (receipt["key"], receipt["outcome"]) == (key, "added")
    assert sorted(receipt["signature"]["inputs"]) == inputs
    found = sorted(receipt["signature"]["outputs"])
    assert (len(found) if isinstance(outputs, int) else found) == outputs
    shown = call("show", place, "--json").document["show"]["meta_graphs"][0]
    assert shown["signatures"][key] == receipt["signature"]
    assert shown["disagreements"] == []


def test_the_way_to_a_tensor_chooses_it(call: Run, model: Copy) -> None:
    place = model("nested_modules")
    error = call("add-predict", place, *INNER, "--outputs", "encoded", *QUICK).line
    choices = error.partition("(use ")[2].rstrip(")").split(" or ")
    assert len(choices) == 3
    for number, choice in enumerate(choices):
        request = (*INNER[:3], f"k{number}", "--outputs", choice)
        said = call("add-predict", place, *request, *QUICK, "--json")
        assert list(said.document["add_predict"]["signature"]["outputs"]) == ["encoded"]


def test_show_says_where_servers_and_python_disagree(
    call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FIXTURES / "models" / "halves_disagree")
    found = "only in the object graph: TF Serving and the C runtime do not have it"
    assert f"  servers and Python disagree: plus is {found}\n" in call("show").out
    (meta_graph,) = call("show", "--json").document["show"]["meta_graphs"]
    assert meta_graph["disagreements"] == [{"key": "plus", "found": found}]


def test_show_says_so_where_one_half_has_more_outputs(call: Run, model: Copy) -> None:
    """``show`` compared only halves with equally many names; ``check`` found this difference."""
    place = model("module")
    more = ("--add-output", "more=StatefulPartitionedCall", "--signature-def-only")
    before = call("show", place, "--json").document["show"]["meta_graphs"][0]
    assert before["disagreements"] == []
    names = list(before["signatures"]["serving_default"]["outputs"])
    call("edit", place, "--signature", "serving_default", *more, *QUICK)
    found = f"its outputs are {sorted([*names, 'more'])} in signature_def, {names} in Python"
    words = f"servers and Python disagree: serving_default is different: {found}"
    assert words in " ".join(call("show", place).out.split())
    told = call("check", place, "--validate", "none", "--json").document["check"]
    assert [each["code"] for each in told["findings"]].count("halves-disagree") == 1


def test_the_object_graph_is_left_alone_on_request(call: Run, model: Copy) -> None:
    place = model("module")
    request = ("--inputs", "x=serving_default_x", "--outputs", "y=StatefulPartitionedCall")
    said = call(
        "add-predict", place, *request, "--signature", "k", *QUICK, "--signature-def-only", "--json"
    )
    (note,) = [
        each["text"]
        for each in said.document["add_predict"]["notes"]
        if each["code"] == "object-graph-unchanged"
    ]
    assert "tf.saved_model.load(...).signatures, Keras and the TFLite converter do not" in note
    assert "k is only in signature_def" in call("show", place).out
    # The next edit repeats this and leaves the signature as it is.
    again = call("add-predict", place, *ENCODE, *QUICK)
    assert "signature 'k' is only in signature_def" in again.err
    assert "(as before the edit)" in again.err


def test_both_ways_are_in_the_help(call: Run) -> None:
    said = call("add-predict", "--help")
    words = " ".join(said.out.split())
    assert "smpatch add-predict --function encode --outputs embedding=output_0" in words
    assert "smpatch add-predict --from-signature serving_default --signature embedding" in words
    for option in ("--function NAME", "--from-signature KEY", "--signature-def-only"):
        assert option in words
    assert "smpatch suggest" in words
    suggest = " ".join(call("suggest", "--help").out.split())
    assert "with the command to type for each" in suggest
    assert "suggest" in call("--help").out


def test_show_imports_nothing_that_it_does_not_need() -> None:
    program = (
        "import json, sys; from smpatch.cli import main; main(); "
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    for options in ("", "--json"):
        done = subprocess.run(
            [sys.executable, "-c", program, "show", *shlex.split(options)],
            cwd=FIXTURES / "models" / "linear",
            capture_output=True,
            check=True,
            text=True,
        )
        imported = set(json.loads(done.stderr))
        assert "smpatch.loader" in imported
        surplus = {"patcher", "suggestions", "halves", "writer", "validator", "job"}
        assert not {f"smpatch.{room}" for room in surplus} & imported


@pytest.mark.parametrize(
    "words",
    [
        ("rename", "--from", "plus", "--to", "more"),
        ("copy", "--from", "plus", "--to", "more"),
        ("remove", "--signature", "plus"),
        ("remove", "--signature", "plu*"),
    ],
)
def test_a_key_of_the_object_graph_alone_is_not_edited_for_servers(
    call: Run, model: Copy, words: tuple[str, ...]
) -> None:
    """The command said that it was done, and wrote nothing."""
    place = model("halves_disagree")
    before = content(place)
    said = call(words[0], place, *words[1:], *QUICK, "--signature-def-only")
    refused(said, "no signature matches" if "plu*" in words else "it is only in the object graph")
    assert content(place) == before
    assert call(words[0], place, *words[1:], *QUICK).code == 0


def test_no_signature_of_the_object_graph_is_said_to_be_replaced_for_servers(
    call: Run, model: Copy
) -> None:
    place = model("halves_disagree")
    asked = ("--from", "half", "--to", "plus", "--overwrite", "--signature-def-only")
    said = call("copy", place, *asked, *QUICK)
    assert said.out.startswith("half copied to plus in ")
