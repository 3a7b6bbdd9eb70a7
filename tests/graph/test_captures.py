"""Variables and the restore function: the cost once grew with the square of their number."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from smpatch import schema
from smpatch.graph.captures import _restored
from smpatch.graph.objects import ObjectGraph


def restoring(variables: int, output: str = "read:tensors:{}") -> Any:  # noqa: ANN401 - a FunctionDef
    """Return a restore function: one ``RestoreV2`` reads all keys, each variable gets its own."""
    function = schema.FunctionDef()
    function.signature.input_arg.add(name="prefix")
    keys = function.node_def.add(name="keys", op="Const")
    keys.attr["value"].tensor.string_val.extend(f"v{place}".encode() for place in range(variables))
    function.node_def.add(name="read", op="RestoreV2", input=["prefix", "keys:output:0", "slices"])
    for place in range(variables):
        function.signature.input_arg.add(name=f"variable{place}")
        source = output.format(place)
        function.node_def.add(name=f"i{place}", op="Identity", input=[source])
        inputs = [f"variable{place}", f"i{place}:output:0"]
        function.node_def.add(name=f"a{place}", op="AssignVariableOp", input=inputs)
    return function


def test_each_variable_has_its_own_key() -> None:
    assert list(_restored(restoring(12))) == [(place + 1, f"v{place}") for place in range(12)]


def test_a_lone_output_needs_no_number() -> None:
    assert list(_restored(restoring(1, "read"))) == [(1, "v0")]


@pytest.mark.parametrize("place", ["2", "02", "-1", "x", "\u0661", " 1", "1" * 5000])
def test_an_output_that_is_none_has_no_key(place: str) -> None:
    assert list(_restored(restoring(2, f"read:tensors:{place}"))) == []


def test_to_find_the_keys_takes_steps_in_proportion_to_the_variables() -> None:
    def steps(variables: int) -> int:
        function = restoring(variables)
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            found = list(_restored(function))
        finally:
            sys.setprofile(None)
        assert len(found) == variables
        return counted

    assert steps(400) < 9 * steps(50)


def test_of_two_children_of_one_name_the_first_is_found() -> None:
    message = schema.SavedObjectGraph()
    children = message.nodes.add().children
    for number, name in ((1, "a"), (2, "a"), (3, "b")):
        children.add(node_id=number, local_name=name)
    objects = ObjectGraph(message.SerializeToString())
    assert [objects.child(0, name) for name in ("a", "b", "c")] == [1, 3, None]


def test_to_look_for_arguments_adds_no_function() -> None:
    message = schema.SavedObjectGraph()
    message.nodes.add().function.concrete_functions.append("gone")
    objects = ObjectGraph(message.SerializeToString())
    assert objects.argument_keywords("gone") == ()
    assert "gone" not in objects.concrete_functions
