"""The outputs that must stay the same, as they follow from the edits alone."""

from __future__ import annotations

import pytest

from smpatch import RaggedRef, SignatureDef, SparseRef, TensorSpec
from smpatch.arguments import Constant
from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    AddSignature,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
)
from smpatch.proof.numbers import Kept, KeptNames
from smpatch.signature.specs import SparseTensorSpec
from smpatch.validator.kept import kept

BEFORE = {"one": (["x"], ["a", "b"]), "two": (["x", "y"], ["c"])}

X = KeptNames({"x": "x"})
ONE = Kept("one", X, KeptNames({"a": "a", "b": "b"}))
ONE_FED = Constant(1.0)
TWO = Kept("two", KeptNames({"x": "x", "y": "y"}), KeptNames({"c": "c"}))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([], {"one": ONE, "two": TWO}),
        ([Retag(("serve",), ("gpu",))], {"one": ONE, "two": TWO}),
        ([Rename("one", "new")], {"new": ONE, "two": TWO}),
        ([Rename("one", "two", overwrite=True)], {"two": ONE}),
        (
            [Rename("one", "tmp"), Rename("two", "one"), Rename("tmp", "two")],
            {"one": TWO, "two": ONE},
        ),
        ([Rename("one", "one")], {"one": ONE, "two": TWO}),
        ([Copy("one", "new")], {"one": ONE, "new": ONE, "two": TWO}),
        ([Remove(("t*",))], {"one": ONE}),
        ([Remove(("one", "two"))], {}),
        (
            [
                EditSignature("two", rename_inputs={"x": "z"}),
                Compose("two", "new", {"z": ONE_FED}),
                EditSignature("new", rename_inputs={"y": "w"}),
            ],
            {
                "one": ONE,
                "two": Kept("two", KeptNames({"z": "x", "y": "y"}), TWO.outputs),
                "new": Kept("two", KeptNames({"w": "y"}), TWO.outputs, bound={"x": ONE_FED}),
            },
        ),
        (
            [Compose("two", "a", {"x": ONE_FED}), Compose("a", "b", {"y": ONE_FED})],
            {
                "one": ONE,
                "two": TWO,
                "a": Kept("two", KeptNames({"y": "y"}), TWO.outputs, bound={"x": ONE_FED}),
                "b": Kept(complete=False),
            },
        ),
        (
            [EditSignature("one", rename_outputs={"a": "b", "b": "a"})],
            {"one": Kept("one", X, KeptNames({"b": "a", "a": "b"})), "two": TWO},
        ),
        (
            [
                EditSignature("two", rename_inputs={"x": "z"}, drop_inputs=("y",)),
                Rename("two", "new"),
                EditSignature("new", rename_inputs={"z": "w"}, rename_outputs={"c": "d"}),
            ],
            {"one": ONE, "new": Kept("two", KeptNames({"w": "x"}), KeptNames({"d": "c"}))},
        ),
        (
            [EditSignature("one", drop_outputs=("a",), add_outputs={"a": "n", "c": "m:1"})],
            {
                "one": Kept("one", X, KeptNames({"b": "b"}, {"a": ("n:0",), "c": ("m:1",)})),
                "two": TWO,
            },
        ),
        (
            [EditSignature("one", add_inputs={"k": "p"}), EditSignature("one", drop_inputs=("k",))],
            {"one": ONE, "two": TWO},
        ),
        (
            [FromSignature("one", {"q": "b", "r": "in/ner:0@call"}, "new")],
            {
                "one": ONE,
                "two": TWO,
                "new": Kept("one", X, KeptNames({"q": "b"}, {"r": ("in/ner:0@call:0",)})),
            },
        ),
        (
            [
                EditSignature("one", add_outputs={"late": "t:2"}),
                FromSignature("one", {"q": "late"}, "one", overwrite=True),
            ],
            {"one": Kept("one", X, KeptNames({}, {"q": ("t:2",)})), "two": TWO},
        ),
    ],
)
def test_signatures_that_were_there(edits: list[Edit], expected: dict[str, Kept]) -> None:
    assert kept(edits, BEFORE) == expected


SPECS = SignatureDef(
    {"x": TensorSpec("x:0", "float32", (2,))},
    {"s": SparseTensorSpec("v:0", "i:0", "d:0", "float32", (None, 2))},
    "",
)


@pytest.mark.parametrize(
    ("edit", "inputs", "outputs"),
    [
        (AddPredict({"x": "p"}, {"y": "q:1"}, "new"), {"x": ("p:0",)}, {"y": ("q:1",)}),
        (
            AddPredict(
                {"x": SparseRef("v", "i:0", "d")}, {"y": RaggedRef("w", ("r:2", "s"))}, "new"
            ),
            {"x": ("v:0", "i:0", "d:0")},
            {"y": ("w:0", "r:2", "s:0")},
        ),
        (
            AddClassify("e", scores="s:0", key="new"),
            {"inputs": ("e:0",)},
            {"scores": ("s:0",)},
        ),
        (
            AddClassify("e", "c", "s", key="new"),
            {"inputs": ("e:0",)},
            {"classes": ("c:0",), "scores": ("s:0",)},
        ),
        (AddRegress("e", "p:3", key="new"), {"inputs": ("e:0",)}, {"outputs": ("p:3",)}),
        (AddSignature(SPECS, "new"), {"x": ("x:0",)}, {"s": ("v:0", "i:0", "d:0")}),
    ],
)
def test_signatures_on_tensors(
    edit: Edit, inputs: dict[str, tuple[str, ...]], outputs: dict[str, tuple[str, ...]]
) -> None:
    made = kept([edit], {})
    assert made == {"new": Kept("", KeptNames({}, inputs), KeptNames({}, outputs))}


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([PromoteFunction("encoder.call")], {"call": ("encoder.call", {}, {})}),
        ([PromoteFunction("encode")], {"encode": ("encode", {}, {})}),
        (
            [PromoteFunction("a.b", {"x": "p"}, {"y": "output_1"}, "new"), Rename("new", "last")],
            {"last": ("a.b", {"x": "p"}, {"y": "output_1"})},
        ),
        (
            [PromoteFunction("a.b"), EditSignature("b", rename_outputs={"output_0": "y"})],
            {"b": ("", {}, {})},
        ),
    ],
)
def test_functions_say_no_more_names_than_are_given(
    edits: list[Edit], expected: dict[str, tuple[str, dict[str, str], dict[str, str]]]
) -> None:
    assert kept(edits, {}) == {
        key: Kept("", KeptNames(inputs), KeptNames(outputs), complete=False, function=function)
        for key, (function, inputs, outputs) in expected.items()
    }


def test_what_only_the_other_half_has_is_passed_over() -> None:
    edits: list[Edit] = [
        Rename("three", "four"),
        Copy("three", "four"),
        EditSignature("three", rename_inputs={"x": "y"}),
        FromSignature("three", {"a": "a"}, "four"),
    ]
    assert kept(edits, BEFORE) == kept([], BEFORE)
