"""The text for people: the whole output of ``show`` and a whole receipt, on different models.

A test fails after any change of wording or layout: read the new text as a user would.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FIXTURES, QUICK, XY, Run

Copy = Callable[[str], Path]

SHOWN = {
    "classify_regress": """\
saved_model.pb  (3,150 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  classify  tensorflow/serving/classify
    input   inputs   string   [?]     examples:0
    output  classes  string   [?, 1]  classes:0
    output  scores   float32  [?, 1]  y:0
  regress  tensorflow/serving/regress
    input   inputs   string   [?]     examples:0
    output  outputs  float32  [?, 1]  y:0
  scores_only  tensorflow/serving/classify
    input   inputs  string   [?]     examples:0
    output  scores  float32  [?, 1]  y:0
  serving_default  tensorflow/serving/predict
    input   examples  string   [?]     examples:0
    output  product   float32  [?, 1]  product:0
""",
    "defaults": """\
saved_model.pb  (892 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  serving_default  tensorflow/serving/predict
    input    scale   float32  []   scale:0
    input    x       float32  [?]  x:0
    output   scaled  float32  [?]  scaled:0
    default  scale   float32  []   4.0
""",
    "init_op_signature": """\
saved_model.pb  (6,338 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  scale  tensorflow/serving/predict
    input   x        float32  [?]  x:0
    output  product  float32  [?]  product:0
  __saved_model_init_op: set_a runs when the model is loaded
""",
    "module": """\
saved_model.pb  (14,904 bytes)

MetaGraph serve  (TensorFlow 2.21.0, with an object graph)
  serving_default  tensorflow/serving/predict
    input   x      float32  [?, 2]  serving_default_x:0
    output  score  float32  [?]     StatefulPartitionedCall:0
  __saved_model_init_op: NoOp runs when the model is loaded
""",
    "no_signatures": """\
saved_model.pb  (742 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  no signatures
""",
    "ragged": """\
saved_model.pb  (20,254 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  rows  tensorflow/serving/predict
    input   ids    float32  [?, ?]  ragged(values=v:0,row_splits=row_splits:0)
    output  twice  float32  [?, ?]  ragged(values=Mul:0,row_splits=row_splits:0)
""",
    "scalar": """\
saved_model.pb  (768 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  double  tensorflow/serving/predict
    input   x        int32  []  x:0
    output  doubled  int32  []  doubled:0
""",
    "several_tag_sets": """\
saved_model.pb  (18,155 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  serving_default  tensorflow/serving/predict
    input   x  float32  [?]  x:0
    output  y  float32  [?]  times:0

MetaGraph serve,gpu  (TensorFlow 2.21.0, without an object graph)
  no signatures

MetaGraph train  (TensorFlow 2.21.0, without an object graph)
  train  tensorflow/serving/predict
    input   target  float32  [?]  target:0
    input   x       float32  [?]  x:0
    output  loss    float32  []   loss:0
""",
    "sparse": """\
saved_model.pb  (3,011 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  dense  tensorflow/serving/predict
    input   values  float32  [?]  ids/values:0
    output  twice   float32  [?]  mul:0
  twice  tensorflow/serving/predict
    input   ids    float32  [?, 4]  sparse(values=ids/values:0,indices=ids/indices:0,dense_shape=ids/shape:0)
    output  twice  float32  [?, ?]  sparse(values=mul:0,indices=ids/indices:0,dense_shape=ids/shape:0)
""",  # noqa: E501 - as it is printed
    "strings": """\
saved_model.pb  (976 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  raw  tensorflow/serving/predict
    input   text       string  [?]  text:0
    output  raw_bytes  string  [?]  raw:0
""",
    "text_form": """\
saved_model.pbtxt  (2,120 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  scale  tensorflow/serving/predict
    input   x        float32  [?]  x:0
    output  product  float32  [?]  product:0
""",
    "unknown_rank": """\
saved_model.pb  (786 bytes)

MetaGraph serve  (TensorFlow 2.21.0, without an object graph)
  double  tensorflow/serving/predict
    input   x        float32  <unknown rank>  x:0
    output  doubled  float32  <unknown rank>  doubled:0
""",
}
"""Fixture to the text that ``smpatch show`` prints in its directory."""


@pytest.mark.parametrize("name", SHOWN)
def test_show(name: str, call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES / "models" / name)
    said = call("show")
    assert (said.code, said.out, said.err) == (0, SHOWN[name], "")


def test_show_with_a_tag_set_shows_that_one_alone(call: Run) -> None:
    said = call("show", FIXTURES / "models" / "several_tag_sets", "--tag-set", "gpu, serve")
    head, _, rest = said.out.partition("\n\n")
    assert head.endswith("several_tag_sets/saved_model.pb  (18,155 bytes)")
    assert rest == (
        "MetaGraph serve,gpu  (TensorFlow 2.21.0, without an object graph)\n  no signatures\n"
    )


def test_show_tells_of_the_file_that_nobody_reads(call: Run) -> None:
    said = call("show", FIXTURES / "models" / "text_and_binary")
    assert said.line == (
        "smpatch: note: saved_model.pbtxt is here too; TensorFlow reads saved_model.pb"
    )


@pytest.mark.parametrize("name", ["ragged", "sparse"])
def test_what_show_calls_a_tensor_can_be_given_to_add_predict(
    name: str, call: Run, model: Copy
) -> None:
    place = model(name)
    shown = [line.split() for line in call("show", place).out.splitlines()]
    (tensor,) = {row[-1] for row in shown if row[:2] == ["input", "ids"]}
    output = "total" if name == "sparse" else "row_sum"
    said = call("add-predict", place, "--inputs", f"ids={tensor}", "--outputs", output, *QUICK)
    assert said.code == 0, said.err
    again = [line.split() for line in call("show", place).out.splitlines()]
    assert [row[-1] for row in again if row[:2] == ["input", "ids"]] == [tensor, tensor]


def _receipt(call: Run, place: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.chdir(place)
    said = call("add-predict", *arguments)
    assert (said.code, said.err) == (0, "")
    return said.out


def test_the_receipt_of_an_edit(call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    place = model("linear")
    assert (
        _receipt(call, place, monkeypatch, *XY)
        == """\
serving_default added to saved_model.pb (MetaGraph serve)
  input   x  float32  [?]  x:0
  output  y  float32  [?]  y:0
  method  tensorflow/serving/predict
saved_model.pb: 7,194 -> 7,301 bytes
reloaded with TensorFlow's C runtime, variables not read: the signature holds
"""
    )
    overwriting = ("--inputs", "longer=x", "--outputs", "y", "--overwrite", *QUICK)
    assert (
        _receipt(call, place, monkeypatch, *overwriting, "--dry-run")
        == """\
serving_default would be replaced in saved_model.pb (MetaGraph serve)
  input   longer  float32  [?]  x:0
  output  y       float32  [?]  y:0
  method  tensorflow/serving/predict
saved_model.pb: 7,301 -> 7,306 bytes
dry run: nothing was written, so nothing was reloaded
"""
    )
    assert (
        _receipt(call, place, monkeypatch, *overwriting, "--backup")
        == """\
serving_default replaced in saved_model.pb (MetaGraph serve)
  input   longer  float32  [?]  x:0
  output  y       float32  [?]  y:0
  method  tensorflow/serving/predict
saved_model.pb: 7,301 -> 7,306 bytes
previous file kept as saved_model.pb.backup
not reloaded: nothing proves that TensorFlow accepts it (--validate none)
"""
    )


def test_the_receipt_of_an_edit_of_both_halves(
    call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ("--inputs", "x=serving_default_x", "--outputs", "y=StatefulPartitionedCall")
    said = _receipt(call, model("module"), monkeypatch, *request, "--signature", "k")
    assert said.splitlines()[-2].startswith("saved_model.pb: 14,904 -> ")
    assert said.splitlines()[-2].endswith(" bytes, fingerprint.pb refreshed")
    assert said.splitlines()[-1] == (
        "reloaded with TensorFlow's C runtime and tf.saved_model.load, variables not read: "
        "the signature holds"
    )


def test_the_receipt_of_a_new_directory(
    call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = (*XY, *QUICK, "--save-to", "../out/2")
    said = _receipt(call, model("unknown_rank"), monkeypatch, *request)
    assert said.splitlines()[:3] == [
        "serving_default added to ../out/2/saved_model.pb (MetaGraph serve)",
        "  input   x  float32  <unknown rank>  x:0",
        "  output  y  float32  <unknown rank>  y:0",
    ]
