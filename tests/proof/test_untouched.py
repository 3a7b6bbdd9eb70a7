"""Defects outside the computation of a signature; the structural proof must refuse each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from smpatch import ValidationError, load
from smpatch.proof.sameness import prove
from tests.proof.test_sameness import (
    DEFAULT,
    INNER,
    MODELS,
    RENAMED,
    Messages,
    _exchange,
    edited,
    rewrite,
)


def _write(messages: Messages) -> None:
    """Make the function inside the exporter's function write a variable."""
    function = messages.function("encode")
    node = function.node_def.add(name="write", op="AssignVariableOp")
    node.input.extend(["encoded_readvariableop_resource", "product:product:0"])
    function.control_ret["write"] = "write"
    function.signature.control_output.append("write")


def fetch_from_the_old_call(messages: Messages) -> None:
    """Fetch an output of the new signature from the call that the exporter made."""
    old = messages.signatures[DEFAULT].outputs["score"].name
    messages.signatures["inner"].outputs["score"].name = old


def call_twice_in_python(messages: Messages) -> None:
    """Make the function from which Python takes the new signature call its function again."""
    name = messages.bare("inner").concrete_function_name
    function = next(f for f in messages.graph.library.function if f.signature.name == name)
    (call,) = (node for node in function.node_def if node.op == "StatefulPartitionedCall")
    again = function.node_def.add()
    again.CopyFrom(call)
    again.name = "again"
    function.control_ret["again"] = "again"


@pytest.mark.parametrize(
    "change",
    [None, fetch_from_the_old_call, call_twice_in_python],
    ids=lambda each: getattr(each, "__name__", "no defect"),
)
def test_a_function_that_writes_ran_twice_and_the_proof_counted_one_run(
    tmp_path: Path, change: Callable[[Messages], None] | None
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(MODELS / "module", directory)
    rewrite(directory / "saved_model.pb", _write)
    before = load(directory).meta_graph()
    smpatch.patch(directory, [INNER], options=smpatch.Options(validate="none"))
    assert len(load(directory).signatures) == 2
    if change is not None:
        rewrite(directory / "saved_model.pb", change)
    after = load(directory).meta_graph()
    if change is None:
        prove(before, after, INNER.expected(before), INNER.gone(before))
        return
    with pytest.raises(ValidationError, match=r"its effects|requested computation"):
        prove(before, after, INNER.expected(before), INNER.gone(before))


def exchange_variables_of_the_function_that_stays(messages: Messages) -> None:
    """Exchange the captures of a function that is no signature: Python calls it by its path."""
    _exchange(messages.objects.concrete_functions["__inference_encode_18"].bound_inputs)


def change_an_object(messages: Messages) -> None:
    """Give a variable another type."""
    variable = next(each for each in messages.objects.nodes if each.HasField("variable"))
    variable.variable.dtype = 2  # a double


def remove_an_object(messages: Messages) -> None:
    """Remove a child of the root."""
    del messages.objects.nodes[0].children[0]


def change_what_restores(messages: Messages) -> None:
    """Make the restore operation fill the variables from each other's values."""
    _exchange(messages.node("StatefulPartitionedCall_2").input)


def remove_a_node(messages: Messages) -> None:
    """Remove a node that no signature needs."""
    messages.graph.node.remove(messages.node("weight/Read/ReadVariableOp"))


@pytest.mark.parametrize(
    "change",
    [
        exchange_variables_of_the_function_that_stays,
        change_an_object,
        remove_an_object,
        change_what_restores,
        remove_a_node,
    ],
    ids=lambda each: each.__name__,
)
def test_a_change_outside_of_signatures_passed(
    tmp_path: Path, change: Callable[[Messages], None]
) -> None:
    before, after = edited(tmp_path, "module", INNER, change)
    with pytest.raises(ValidationError, match="which is no part of a signature"):
        prove(before, after, INNER.expected(before), INNER.gone(before))


def lose_the_new_name_in_python(messages: Messages) -> None:
    """Keep the name of an output that the edit renames."""
    fields = messages.concrete(DEFAULT).output_signature.dict_value.fields
    fields["score"].CopyFrom(fields["a"])
    del fields["a"]


def test_a_name_that_python_does_not_get_was_a_key_error(tmp_path: Path) -> None:
    before, after = edited(tmp_path, "module", RENAMED, lose_the_new_name_in_python)
    with pytest.raises(
        ValidationError, match=r"output 'a' would not have .* tf\.saved_model\.load"
    ):
        prove(before, after, RENAMED.expected(before), RENAMED.gone(before))
