"""Variables and tables without a value, compared with a session of TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Finding
from tests.checker.faults import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

QUICK = CheckOptions(validate="none")


def _faults(directory: Path) -> list[Finding]:
    faults = smpatch.check(directory, options=QUICK).faults
    return [each for each in faults if each.code != "stale-fingerprint"]


def test_variables_that_the_checkpoint_does_not_fill_are_found_without_a_run(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = tmp_path / "model"
    oracle.ask("build", name="keras_in_module", directory=directory)
    signature = smpatch.load(directory).signatures["serving_default"]
    tensor = next(iter(signature.inputs["x"].tensors())).name
    said = oracle.ask(
        "run_signature",
        directory=directory,
        tags=["serve"],
        key="serving_default",
        feed={tensor: encoded(np.ones((1, 4), "float32"))},
    )
    (fault,) = _faults(directory)
    assert fault.code == "variable-not-restored"
    assert fault.where == "signature 'serving_default'"
    # The session names the variable at which it stops.
    assert "Could not find variable d/" in said["refused"]
    assert "'d/bias', 'd/kernel'" in fault.text


@pytest.mark.parametrize(
    ("name", "filling"),
    [("lookup_table", "init_all_tables"), ("string_lookup_asset", "NoOp")],
)
def test_a_table_that_no_init_op_fills_is_found_without_a_run(
    name: str, filling: str, tmp_path: Path, oracle: Oracle
) -> None:
    directory = Path(shutil.copytree(FIXTURES / name, tmp_path / "model"))
    assert _faults(directory) == []
    oracle.ask("plant", directory=directory, fault="uninitialized")
    (fault,) = _faults(directory)
    assert fault.code == "table-not-filled"
    assert f"{filling!r} fills them" in fault.hint


@pytest.mark.parametrize(
    "name",
    ["shared_variables", "resources", "counter", "control_flow", "calls", "keras_layers"],
)
def test_what_an_export_fills_is_no_fault(name: str, tmp_path: Path, oracle: Oracle) -> None:
    directory = tmp_path / "model"
    oracle.ask("build", name=name, directory=directory)
    assert _faults(directory) == []


CALL = """
op: "StatefulPartitionedCall" attr { key: "f" value { func { name: "f%d" } } }
attr { key: "Tin" value { list { type: DT_RESOURCE } } }
attr { key: "Tout" value { list { type: DT_FLOAT } } }
"""


def _framed(graph: str, signature: str) -> str:
    """Return a model in text form that has one signature."""
    return f"""
saved_model_schema_version: 1
meta_graphs {{
  meta_info_def {{ tags: "serve" }}
  graph_def {{ {graph} }}
  signature_def {{ key: "k" value {{ {signature}
    method_name: "tensorflow/serving/predict" }} }} }}
"""


BODY = """
function { signature { name: "f%d" input_arg { name: "a" type: DT_RESOURCE }
           output_arg { name: "r" type: DT_FLOAT } }
           node_def { name: "c" input: "same:output:0" %s }
           node_def { name: "same" op: "Identity" input: "a"
                      attr { key: "T" value { type: DT_RESOURCE } } }
           ret { key: "r" value: "c:output:0" } }
"""
MODEL = _framed(
    """
    node { name: "v" op: "VarHandleOp" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "shape" value { shape { } } } }
    node { name: "z" input: "v" %s }
    library { %s }
""",
    """
    outputs { key: "z" value { name: "z:0" dtype: DT_FLOAT tensor_shape { } } }
""",
)


@pytest.mark.parametrize("calls", [2, 600])
def test_a_read_inside_many_calls_in_each_other_is_found(calls: int, tmp_path: Path) -> None:
    """In each body the node that passes the variable on stands after the node that takes it."""
    bodies = [BODY % (place, CALL % (place + 1)) for place in range(calls)]
    bodies.append(BODY % (calls, 'op: "ReadVariableOp"'))
    given, taken = tmp_path / "given", tmp_path / "taken"
    for place in (given, taken):
        place.mkdir()
        (place / "saved_model.pbtxt").write_text(MODEL % (CALL % 0, "".join(bodies)))
    assert [each.code for each in _faults(given)] == ["variable-not-restored"]
    # The functions of both are compared, too.
    options = smpatch.Options(validate="none", overwrite=True)
    receipt = smpatch.copy_signatures(taken, given, keys="k", options=options)
    assert receipt.outcome == "unchanged"


IN_A_BRANCH = _framed(
    """
    node { name: "v" op: "VariableV2" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "shape" value { shape { } } } }
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "shape" value { shape { } } } }
    node { name: "p" op: "Placeholder" attr { key: "dtype" value { type: DT_BOOL } }
           attr { key: "shape" value { shape { } } } }
    node { name: "of_v" op: "RefSwitch" input: "v" input: "p" %(float)s }
    node { name: "of_x" op: "Switch" input: "x" input: "p" %(float)s }
    node { name: "read" op: "Identity" input: "of_v:1" %(float)s }
    node { name: "now" op: "Identity" input: "v" %(float)s }
    node { name: "y" op: "Merge" input: "of_x" input: "read" %(float)s
           attr { key: "N" value { i: 2 } } }
    versions { producer: 27 }
""",
    """
    inputs { key: "x" value { name: "x:0" dtype: DT_FLOAT tensor_shape { } } }
    inputs { key: "p" value { name: "p:0" dtype: DT_BOOL tensor_shape { } } }
    outputs { key: "y" value { name: "%(output)s:0" dtype: DT_FLOAT tensor_shape { } } }
""",
)


@pytest.mark.parametrize(("output", "codes"), [("y", []), ("now", ["variable-not-restored"])])
def test_a_variable_that_only_one_branch_reads_is_no_fault(
    output: str, codes: list[str], tmp_path: Path, oracle: Oracle
) -> None:
    dtype = 'attr { key: "T" value { type: DT_FLOAT } }'
    text = IN_A_BRANCH % {"float": dtype, "output": output}
    (tmp_path / "saved_model.pbtxt").write_text(text)
    feed = {"x:0": encoded(np.float32(3)), "p:0": encoded(np.zeros((), bool))}
    about = {"directory": tmp_path, "tags": ["serve"], "key": "k"}
    said = oracle.ask("run_signature", **about, feed=feed)
    assert ("refused" in said) == bool(codes)
    found = [each.code for each in _faults(tmp_path)]
    assert [each for each in found if each == "variable-not-restored"] == codes


KEYED = """
attr { key: "Tin" value { list { type: DT_RESOURCE } } }
attr { key: "Tout" value { list { } } }
"""
TABLE = _framed(
    """
    node { name: "t" op: "HashTableV2" attr { key: "key_dtype" value { type: DT_INT64 } }
           attr { key: "value_dtype" value { type: DT_FLOAT } } }
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_INT64 } } }
    node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { } } } } }
    node { name: "z" op: "LookupTableFindV2" input: "t" input: "x" input: "c"
           attr { key: "Tin" value { type: DT_INT64 } }
           attr { key: "Tout" value { type: DT_FLOAT } } }
    node { name: "call" op: "StatefulPartitionedCall" input: "t"
           attr { key: "f" value { func { name: "f0" } } } %s }
    library { %s }
""",
    """
    inputs { key: "x" value { name: "x:0" dtype: DT_INT64 tensor_shape { unknown_rank: true } } }
    outputs { key: "z" value { name: "z:0" dtype: DT_FLOAT tensor_shape { unknown_rank: true } } }
""",
)
PASSING = """
function { signature { name: "f%d" input_arg { name: "a" type: DT_RESOURCE }
           control_output: "c" is_stateful: true }
           node_def { name: "same" op: "Identity" input: "a"
                      attr { key: "T" value { type: DT_RESOURCE } } }
           node_def { name: "keys" op: "Const" attr { key: "dtype" value { type: DT_INT64 } }
             attr { key: "value" value { tensor { dtype: DT_INT64 tensor_shape { dim { size: 1 } }
                                                  int64_val: 7 } } } }
           node_def { name: "values" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
             attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 1 } }
                                                  float_val: 2.5 } } } }
           %s control_ret { key: "c" value: "c" } }
"""
INITIALIZES = """
op: "InitializeTableV2" input: "%s:output:0" input: "keys:output:0" input: "values:output:0"
attr { key: "Tkey" value { type: DT_INT64 } } attr { key: "Tval" value { type: DT_FLOAT } }
"""


def _nested(fills: str, calls: int = 3) -> str:
    inner = f'attr {{ key: "f" value {{ func {{ name: "f%d" }} }} }} {KEYED}'
    bodies = [
        PASSING
        % (
            place,
            'node_def { name: "c" op: "StatefulPartitionedCall" input: "same:output:0" '
            + inner % (place + 1)
            + "}",
        )
        for place in range(calls)
    ]
    return TABLE % (KEYED, "".join([*bodies, PASSING % (calls, fills)]))


def test_a_table_that_a_function_in_a_function_fills_was_said_to_be_filled_by_nothing(
    tmp_path: Path, oracle: Oracle
) -> None:
    """Only the function that a node calls was read, and not the functions that it calls."""
    filled = 'node_def { name: "c" ' + INITIALIZES % "same" + "}"
    (tmp_path / "saved_model.pbtxt").write_text(_nested(filled))
    (fault,) = _faults(tmp_path)
    assert fault.code == "table-not-filled"
    assert "--init-op call" in fault.hint
    smpatch.set_init_op(tmp_path, "call", options=smpatch.Options(validate="none"))
    assert _faults(tmp_path) == []
    said = oracle.ask(
        "run_signature",
        directory=tmp_path,
        tags=["serve"],
        key="k",
        feed={"x:0": encoded(np.array([7], np.int64))},
    )
    assert decoded(said["arrays"]["z"]) == [2.5]


def test_a_function_that_fills_another_table_was_said_to_fill_this_one(tmp_path: Path) -> None:
    other = 'node_def { name: "o" op: "HashTableV2" attr { key: "shared_name" value { s: "o" } }'
    other += 'attr { key: "key_dtype" value { type: DT_INT64 } }'
    other += 'attr { key: "value_dtype" value { type: DT_FLOAT } } }'
    filled = other + 'node_def { name: "c" ' + (INITIALIZES % "o").replace("output", "table_handle")
    filled = filled.replace("keys:table_handle", "keys:output")
    filled = filled.replace("values:table_handle", "values:output") + "}"
    (tmp_path / "saved_model.pbtxt").write_text(_nested(filled, calls=0))
    (fault,) = _faults(tmp_path)
    assert "no operation of the graph fills them" in fault.hint
