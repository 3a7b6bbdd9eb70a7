"""``smpatch suggest``: its output is true for every fixture, and each command in it works.

``make test`` runs each third command of a list, ``SMPATCH_PROVE=1`` (``make prove``) runs all.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import FIXTURES, MODELS, QUICK, Run, content, tensorflow
from tests.cli.schemas import validator
from tests.prove.ledger import LONG

Copy = Callable[[str], Path]

VALIDATOR = validator("suggest")

TO_TEXT = """
import pathlib, sys
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
binary, text = map(pathlib.Path, sys.argv[1:])
model = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
text.write_text(text_format.MessageToString(model))
"""

KERAS = """\
Inside the functions that serving_default calls
  StatefulPartitionedCall_1 calls __inference_signature_wrapper___call___206
    StatefulPartitionedCall calls __inference___call___165
      two_by_two_1/enc_1_1/MatMul:0   MatMul   float32  [?, 3]
      two_by_two_1/enc_1_1/BiasAdd:0  BiasAdd  float32  [?, 3]
      two_by_two_1/enc_1_1/Relu:0     Relu     float32  [?, 3]
      two_by_two_1/enc_2_1/MatMul:0   MatMul   float32  [?, 3]
      two_by_two_1/enc_2_1/BiasAdd:0  BiasAdd  float32  [?, 3]
      two_by_two_1/enc_2_1/Relu:0     Relu     float32  [?, 3]
      two_by_two_1/both_1/Add:0       AddV2    float32  [?, 3]
      two_by_two_1/score_1/MatMul:0   MatMul   float32  [?, 1]
      two_by_two_1/score_1/Add:0      AddV2    float32  [?, 1]
To get the last of them as a signature:
  smpatch add-predict --from-signature serving_default --signature NEW --outputs \
two_by_two_1/score_1/Add:0
"""

SAID = {
    ("linear",): """\
Outputs of the main graph that nothing consumes
  y:0  float32 [?]
    smpatch add-predict --inputs x:0 --outputs y:0
""",
    ("module",): """\
Outputs of the main graph that nothing consumes
  StatefulPartitionedCall:0  float32 [?]  (already output score of serving_default)
Functions that were traced
  encode(x: float32 [?, 2]) -> output_0: float32 [?, 2]
    smpatch add-predict --function encode
  __call__(x: float32 [?, 2]) -> score: float32 [?]
    smpatch add-predict --function __call__
Inside the functions that a signature calls are more; these list them
  smpatch suggest --signature serving_default
""",
    ("halves_disagree",): """\
Outputs of the main graph that nothing consumes
  StatefulPartitionedCall_1:0  float32 [?]
    smpatch add-predict --inputs plus_x:0 --outputs StatefulPartitionedCall_1:0
  StatefulPartitionedCall:0  float32 [?]  (already output half of half)
Functions that were traced
  half(x: float32 [?]) -> half: float32 [?]
    smpatch add-predict --function half --signature NEW
  plus(x: float32 [?]) -> y: float32 [?]
    smpatch add-predict --function plus --signature NEW
Inside the functions that a signature calls are more; these list them
  smpatch suggest --signature half
""",
    ("several_tag_sets", "--tag-set", "serve,gpu"): """\
Outputs of the main graph that nothing consumes
  plus:0  float32 [?]
    smpatch add-predict --inputs x:0 --outputs plus:0 --tag-set serve,gpu
""",
    ("keras_functional", "--signature", "serving_default"): KERAS,
    ("linear", "--signature", "scale"): (
        "no tensor between the inputs and outputs of scale can be exposed\n"
    ),
}
"""Model and options to the text that is printed in the directory of the model."""


@pytest.mark.parametrize("request_", SAID, ids=" ".join)
def test_what_is_printed(
    request_: tuple[str, ...], call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *options = request_
    monkeypatch.chdir(FIXTURES / "models" / name)
    said = call("suggest", *options)
    assert (said.code, said.out, said.err) == (0, SAID[request_], "")


def test_traces_are_told_apart_by_the_constants_that_were_bound(call: Run) -> None:
    said = call("suggest", FIXTURES / "models" / "several_traces")
    calls = [line.strip() for line in said.out.splitlines() if line.startswith("  scale(")]
    assert calls == [
        "scale(x: float32 [?], factor=2, negate=False) -> scaled: float32 [?]",
        "scale(x: float32 [?], factor=3, negate=False) -> scaled: float32 [?]",
        "scale(x: float32 [?], factor=2, negate=True) -> scaled: float32 [?]",
        "scale(x: int32 [?, 2], factor=2, negate=False) -> scaled: int32 [?, 2]",
    ]


TF1 = """
import sys
import tensorflow.compat.v1 as tf
tf.disable_control_flow_v2()
with tf.Graph().as_default(), tf.Session() as session:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    labels = tf.placeholder(tf.float32, [None, 4], name="labels")
    with tf.control_dependencies([tf.debugging.assert_positive(x)]):
        hidden = tf.nn.relu(tf.matmul(x, tf.get_variable("w", [3, 4])), name="dnn/hidden")
    scores = tf.nn.softmax(hidden, name="scores")
    tf.summary.histogram("watched", tf.tanh(hidden, name="aux"))
    tf.summary.scalar("zeros", tf.nn.zero_fraction(hidden))
    loss = tf.reduce_mean(tf.square(scores - labels), name="loss")
    tf.train.AdamOptimizer().minimize(loss)
    tf.cond(tf.shape(x)[0] > 1, lambda: x + 1, lambda: x - 1)
    tf.summary.merge_all()
    session.run(tf.global_variables_initializer())
    tf.saved_model.simple_save(session, sys.argv[1], {"x": x}, {"scores": scores})
"""


def test_of_a_training_graph_only_what_can_be_served_is_listed(call: Run, tmp_path: Path) -> None:
    place = tmp_path / "m"
    tensorflow(TF1, place)
    found = call("suggest", place, "--json").document["suggest"]
    listed = {each["tensor"]["name"] for each in found["outputs"]}
    assert {"aux:0", "loss:0"} <= listed
    odd = ("ummary", "gradients", "save", "assert", "Switch", "switch_", "Shape", "Adam")
    assert not any("zero_fraction" in name for name in listed)
    assert [name for name in listed if any(each in name for each in odd)] == []
    all_ = call("suggest", place, "--all", "--json").document["suggest"]
    every = {each["tensor"]["name"] for each in all_["outputs"]}
    assert any("ummary" in name for name in every)
    assert len(every) > len(listed)


def test_the_main_graph_between_inputs_and_outputs(call: Run, tmp_path: Path) -> None:
    place = tmp_path / "m"
    tensorflow(TF1, place)
    said = call("suggest", place, "--signature", "serving_default")
    assert said.out.startswith("Between the inputs and outputs of serving_default\n  MatMul:0 ")
    found = call("suggest", place, "--signature", "serving_default", "--json").document["suggest"]
    tensors = [each["tensor"]["name"] for each in found["inner"]]
    assert tensors == ["MatMul:0", "dnn/hidden:0"]
    for each in found["inner"]:
        assert (each["calls"], each["function"]) == ([], None)
        typed = shlex.split(each["command"])[1:]
        assert call(*typed, "--dry-run", *QUICK).code == 0
    only = call("suggest", place, "--signature", "serving_default", "--match", "*hidden")
    assert "MatMul" not in only.out
    assert "dnn/hidden:0" in only.out


def test_a_pattern_finds_tensors_that_are_consumed(call: Run) -> None:
    place = FIXTURES / "models" / "linear"
    (found,) = call("suggest", place, "--match", "prod*", "--json").document["suggest"]["outputs"]
    assert found["tensor"]["name"] == "product:0"


@pytest.mark.parametrize("options", [(), ("--signature", "scale")], ids=["all", "one"])
def test_a_pattern_without_a_match_is_named(options: tuple[str, ...], call: Run) -> None:
    said = call("suggest", FIXTURES / "models" / "linear", "--match", "*PROD*", *options)
    letters = "upper and lower case letters are different"
    assert said.out == f"nothing matches *PROD* ({letters}, and * is any text)\n"


HUB = """
import sys
import tensorflow as tf
class Hub(tf.Module):
    def __init__(self):
        self.mean = tf.Variable(0.0)
    @tf.function
    def __call__(self, inputs, training=False, momentum=0.5):
        if training:
            self.mean.assign(self.mean * momentum)
        return inputs - self.mean
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def count(self, by):
        return self.mean.assign_add(by)
hub = Hub()
for training in (True, False):
    hub.__call__.get_concrete_function(tf.TensorSpec([None]), training=training)
tf.saved_model.save(hub, sys.argv[1])
"""


def test_a_trace_for_training_comes_last_and_is_marked(call: Run, tmp_path: Path) -> None:
    place = tmp_path / "m"
    tensorflow(HUB, place)
    functions = call("suggest", place, "--json").document["suggest"]["functions"]
    called = [each for each in functions if each["path"] == "__call__"]
    assert [each["constants"] for each in called] == [
        ["training=False", "momentum=0.5"],
        ["training=True", "momentum=0.5"],
    ]
    assert [each["training"] for each in called] == [None, "training=True, writes variables"]
    (count,) = [each for each in functions if each["path"] == "count"]
    assert count["training"] == "writes variables"
    for each, noted in ((called[0], False), (called[1], True), (count, True)):
        typed = shlex.split(each["command"])[1:]
        said = call(*typed, "--signature", "new", "--dry-run", *QUICK)
        assert said.code == 0
        assert ("is a trace for training" in said.err) is noted
    refused = call("add-predict", place, "--function", "__call__").line
    assert refused.index("training=False") < refused.index("training=True")
    assert refused.endswith(" for training: training=True, writes variables)")


def test_a_tensor_whose_name_is_not_enough_is_listed_with_what_is(call: Run) -> None:
    place = FIXTURES / "models" / "nested_modules"
    said = call("suggest", place, "--signature", "serving_default")
    way = "StatefulPartitionedCall+StatefulPartitionedCall+StatefulPartitionedCall"
    rows = [line.split() for line in said.out.splitlines() if "encoded:0" in line]
    assert [row[-2:] for row in rows] == [
        ["write", f"encoded:0@{way}{number}"] for number in ("", "_1", "_2")
    ]
    (top,) = [line.split() for line in said.out.splitlines() if line.split()[0] == "top:0"]
    assert top == ["top:0", "Identity", "float32", "[?,", "2]"]


def test_a_function_that_cannot_be_had_is_listed_with_the_reason(
    call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpatch.graph.captures.Captures.tensor", lambda *_: None)
    place = model("module")
    said = call("suggest", place)
    reason = "no tensor of the main graph represents it for certain"
    assert said.out.count("    not possible: it captures object ") == 2
    functions = call("suggest", place, "--json").document["suggest"]["functions"]
    assert [each["command"] for each in functions] == [None, None]
    assert all(each["refusal"].endswith(reason) for each in functions)
    refused = call("add-predict", place, "--function", "encode", *QUICK)
    assert refused.code == 4
    assert refused.line.endswith(f"function 'encode': {functions[0]['refusal']}")


def test_text_form_takes_no_nodes_and_is_offered_none(call: Run, model: Copy) -> None:
    place = model("keras_export_archive")
    tensorflow(TO_TEXT, place / "saved_model.pb", place / "saved_model.pbtxt")
    (place / "saved_model.pb").unlink()
    said = call("suggest", place, "--json").document["suggest"]
    assert {each["refusal"] for each in said["functions"]} == {
        "a model in text form cannot be given new nodes"
    }
    for each in said["outputs"]:
        assert each["command"].endswith(" --signature-def-only")
        typed = shlex.split(each["command"])[1:]
        assert call(*typed, "--dry-run", *QUICK).code == 0
    assert "suggest" not in call("suggest", place).out
    for request in (
        ("suggest", place, "--signature", "embed"),
        ("add-predict", place, "--function", "score", "--signature", "k", *QUICK),
    ):
        refused = call(*request)
        assert refused.code == 4
        assert "(only tensors of its main graph can be served)" in refused.line


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["dir"])
def test_every_command_works(
    entry: dict[str, Any], call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = model(entry["dir"])
    before = content(place)
    monkeypatch.chdir(place.parent)
    shown = call("show", place.name, "--json").document["show"]["meta_graphs"]
    typed: list[str] = []
    tried: dict[str, None] = {}
    for meta_graph in shown:
        tags = ("--tag-set", ",".join(meta_graph["tags"]))
        for key in (None, *meta_graph["signatures"]):
            chosen = () if key is None else ("--signature", key)
            said = call("suggest", place.name, *tags, *chosen, "--json")
            assert (said.code, said.err) == (0, "")
            VALIDATOR.validate(said.document)
            found = said.document["suggest"]
            assert found["tags"] == meta_graph["tags"]
            assert key is not None or found["inner"] == []
            for kind in ("outputs", "functions", "inner"):
                commands = [each["command"] for each in found[kind] if each["command"] is not None]
                typed += commands
                tried |= dict.fromkeys(commands if LONG else commands[::3])
            text = call("suggest", place.name, *tags, *chosen)
            assert (text.code, text.err) == (0, "")
            # JSON has every command that the text proposes, and more commands.
            proposed = [line.strip() for line in text.out.splitlines() if "add-predict" in line]
            assert set(proposed) <= set(typed)
    for command in tried:
        program, *arguments = shlex.split(command)
        assert program == "smpatch"
        done = call(*arguments, "--dry-run", *QUICK)
        if "the model does not define" in done.err:  # TensorFlow did
            done = call(*arguments, "--dry-run", "--validate", "runtime")
            if "did not load before either" in done.err:
                continue
        assert done.code == 0, (command, done.err)
    assert content(place) == before


def test_a_suggested_command_proves_itself(call: Run, model: Copy) -> None:
    place = model("keras_shared_layer")
    said = call("suggest", place, "--signature", "serving_default")
    command = shlex.split(said.out.splitlines()[-1])
    done = call(*command[1:], "--json")
    assert done.code == 0, done.err
    receipt = done.document["add_predict"]
    assert (receipt["key"], receipt["loaders"]) == ("NEW", ["C runtime", "tf.saved_model.load"])
    again = call("suggest", place, "--signature", "serving_default")
    assert "--signature NEW_ " in again.out.splitlines()[-1]
    assert call("show", place, "--json").document["show"]["meta_graphs"][0]["disagreements"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("gone",), 3, "gone: no such directory"),
        (("several_tag_sets",), 4, "choose one with --tag-set"),
        (("keras_functional", "--signature", "serv"), 4, "did you mean serve?"),
        (("linear", "--signature", "other"), 4, "signatures here: scale"),
        (("linear", "--frobnicate"), 2, "no such option: --frobnicate"),
    ],
)
def test_exit_codes(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    call: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(FIXTURES / "models")
    said = call("suggest", *arguments)
    assert (said.code, said.out) == (code, "")
    assert words in said.line.lower() or words in said.line


@pytest.mark.parametrize(("name", "options"), [("module", ()), ("linear", ()), ("cond", ())])
def test_objects_of_the_schema_are_closed(name: str, options: tuple[str, ...], call: Run) -> None:
    document = call("suggest", FIXTURES / "models" / name, "--json", *options).document
    for part in (document, document["suggest"], *document["suggest"]["outputs"]):
        assert VALIDATOR.is_valid(document)
        part["surplus"] = 1
        assert not VALIDATOR.is_valid(document)
        del part["surplus"]
        for key in list(part):
            value = part.pop(key)
            assert not VALIDATOR.is_valid(document), key
            part[key] = value
