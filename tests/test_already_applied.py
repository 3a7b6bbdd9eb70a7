"""Applying twice is the same as applying once, on every kind of model and edit."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from smpatch import patchfile
from smpatch.already_applied import is_applied, remaining
from smpatch.batch import apply
from smpatch.edits import (
    AddSignature,
    Copy,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
)
from smpatch.errors import PatchFileError, UsageError
from smpatch.loader import load
from smpatch.patcher import Options, patch

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
UNPROVED = Options(validate="none")


def _copy(name: str, place: Path) -> Path:
    return Path(shutil.copytree(MODELS / name, place / name, symlinks=True))


def _edits(text: str) -> tuple[Any, ...]:
    return patchfile.parse_patch(f"version = 1\n{textwrap.dedent(text)}").edits


def _content(model: Path) -> bytes:
    return load(model).file.read_bytes()


CASES: dict[str, tuple[str, str]] = {
    "derive, then call the source's output otherwise": ("keras_functional", """
        [[edit]]
        add-predict = "k"
        from-signature = "serving_default"
        outputs = { only = "score" }
        [[edit]]
        edit = "serving_default"
        rename-output = { score = "scores" }
        """),
    "derive, then give the source another key": ("keras_functional", """
        [[edit]]
        add-predict = "k"
        from-signature = "serving_default"
        outputs = { only = "both" }
        [[edit]]
        rename = "serving_default"
        to = "raw"
        """),
    "change the source, then derive": ("keras_functional", """
        [[edit]]
        edit = "serving_default"
        rename-output = { score = "scores" }
        method = "serving/own"
        [[edit]]
        add-predict = "late"
        from-signature = "serving_default"
        outputs = { only = "scores" }
        """),
    "add": ("linear", """
        [[edit]]
        add-predict = "serving_default"
        inputs = "x:0"
        outputs = "y:0"
        """),
    "add by operation": ("linear", """
        [[edit]]
        add-predict = "k"
        inputs = "x"
        outputs = "y"
        """),
    "add, then change it": ("linear", """
        [[edit]]
        add-predict = "k"
        inputs = "x:0"
        outputs = "y:0"
        [[edit]]
        edit = "k"
        rename-input = { x = "image" }
        rename-output = { y = "scores" }
        shape = { image = "unknown" }
        [[edit]]
        rename = "k"
        to = "l"
        """),
    "add, copy and take away": ("linear", """
        [[edit]]
        add-predict = "k"
        inputs = "x:0"
        outputs = "y:0"
        [[edit]]
        copy = "k"
        to = "l"
        [[edit]]
        remove = "k*"
        """),
    "rename": ("linear", """
        [[edit]]
        rename = "scale"
        to = "serving_default"
        """),
    "rename and put another in its place": ("linear", """
        [[edit]]
        rename = "scale"
        to = "old"
        [[edit]]
        add-predict = "scale"
        inputs = "x:0"
        outputs = "y:0"
        """),
    "rename both halves": ("module", """
        [[edit]]
        rename = "serving_default"
        to = "predict"
        """),
    "copy both halves": ("module", """
        [[edit]]
        copy = "serving_default"
        to = "predict"
        """),
    "rename aliases on both halves": ("module", """
        [[edit]]
        edit = "serving_default"
        rename-input = { x = "zebra" }
        """),
    "promote": ("module", """
        [[edit]]
        add-predict = "encode"
        function = "encode"
        """),
    "promote and rename": ("module", """
        [[edit]]
        add-predict = "encode"
        function = "encode"
        outputs = { embedding = "output_0" }
        [[edit]]
        edit = "encode"
        rename-output = { embedding = "vector" }
        """),
    "inner tensor": ("keras_functional", """
        [[edit]]
        add-predict = "inner"
        from-signature = "serving_default"
        outputs = { inner = "%inner%" }
        """),
    "inner tensor in the place of its source": ("keras_functional", """
        [[edit]]
        add-predict = "serving_default"
        from-signature = "serving_default"
        outputs = { inner = "%inner%" }
        overwrite = true
        """),
    "ragged": ("ragged_sparse_inputs", """
        [[edit]]
        add-predict = "added"
        inputs = "%candidate%"
        outputs = "out=%output%"
        """),
    "classify": ("classify_regress", """
        [[edit]]
        rename = "classify"
        to = "classes"
        """),
}  # fmt: skip


def _filled(name: str, text: str) -> str:
    """Replace the marks in a text by names of the fixture."""
    if "%inner%" in text:
        from smpatch.functions.inner_tensors import inner_tensors  # noqa: PLC0415 - one case needs it

        meta_graph = load(MODELS / name).meta_graph()
        found = inner_tensors(meta_graph, meta_graph.signatures["serving_default"])
        relu = next(each for each in found if each.op in {"Relu", "MatMul"})
        text = text.replace("%inner%", relu.path)
    if "%candidate%" in text:
        manifest = json.loads((MODELS / "MANIFEST.json").read_text())
        (entry,) = [each for each in manifest if each["dir"] == name]
        candidate = entry["candidate"]
        text = text.replace("%candidate%", candidate["notation"])
        text = text.replace("%output%", candidate["outputs"][0])
    return text


@pytest.mark.parametrize("case", CASES)
def test_twice_is_once(case: str, tmp_path: Path) -> None:
    name, text = CASES[case]
    edits = _edits(_filled(name, text))
    model = _copy(name, tmp_path)
    both = name != "ragged_sparse_inputs"  # its object graph cannot hold the edit
    options = Options(validate="none", signature_def_only=not both)
    before = _content(model)
    assert not is_applied(load(model), edits, with_object_graph=both)
    receipt = patch(model, edits, options=options, once=True)
    once = _content(model)
    assert receipt.changes
    assert once != before
    assert is_applied(load(model), edits, with_object_graph=both)
    receipt = patch(model, edits, options=options, once=True)
    assert receipt.changes == ()
    assert _content(model) == once


@pytest.mark.parametrize("case", CASES)
def test_one_case_is_not_taken_for_another(case: str, tmp_path: Path) -> None:
    """The result of one list of edits does not pass for that of another list on the model."""
    name, text = CASES[case]
    model = _copy(name, tmp_path)
    options = Options(validate="none", signature_def_only=name == "ragged_sparse_inputs")
    patch(model, _edits(_filled(name, text)), options=options)
    done = load(model)
    same = {"add", "rename"}  # both make the same key, with different signatures
    for other, (its_name, its_text) in CASES.items():
        if its_name == name and other != case and {case, other} != same:
            mine, its = (_edits(_filled(name, each)) for each in (text, its_text))
            if not set(map(repr, its)) <= set(map(repr, mine)):
                assert not is_applied(done, its), other


def test_of_a_list_that_has_grown_the_rest_is_done(tmp_path: Path) -> None:
    model = _copy("linear", tmp_path)
    first = Rename("scale", "serving_default")
    patch(model, [first], options=UNPROVED, once=True)
    second = Copy("serving_default", "again")
    assert remaining(load(model), [first, second]).edits == (second,)
    receipt = patch(model, [first, second], options=UNPROVED, once=True)
    assert [(each.key, each.outcome) for each in receipt.changes] == [("again", "copied")]
    assert set(load(model).signatures) == {"serving_default", "again"}
    assert remaining(load(model), [first, second]).edits == ()


def test_what_was_never_there_is_removed_already(tmp_path: Path) -> None:
    model = load(_copy("linear", tmp_path))
    assert is_applied(model, [Remove(("train_*", "debug"))])
    assert not is_applied(model, [Remove(("sc*",))])
    assert not is_applied(model, [Remove(("sc*",)), Rename("better", "other")])


def test_a_signature_with_another_tensor_is_not_the_one_that_was_asked_for(tmp_path: Path) -> None:
    model = _copy("linear", tmp_path)
    edits = _edits(CASES["add"][1])
    patch(model, edits, options=UNPROVED)
    (added,) = edits
    for changed in (
        _edits(CASES["add"][1].replace('"y:0"', '"y=x:0"')),
        _edits(CASES["add"][1].replace('"y:0"', '"z=y:0"')),
        _edits(CASES["add"][1].replace('inputs = "x:0"', 'inputs = "x:0,w=y:0"')),
    ):
        assert changed != (added,)
        assert not is_applied(load(model), changed)
    assert is_applied(load(model), edits)


def test_a_whole_signature_is_compared_as_a_whole(tmp_path: Path) -> None:
    signature = load(MODELS / "defaults").signatures
    key, whole = next((key, each) for key, each in signature.items() if each.defaults)
    model = load(_copy("defaults", tmp_path))
    assert is_applied(model, [AddSignature(whole, key)])
    bare = type(whole)(whole.inputs, whole.outputs, whole.method_name)
    assert not is_applied(model, [AddSignature(bare, key)])


def test_defaults_are_compared_as_their_type_has_them(tmp_path: Path) -> None:
    model = load(_copy("defaults", tmp_path))
    key, whole = next((key, each) for key, each in model.signatures.items() if each.defaults)
    for alias in whole.defaults:
        assert not is_applied(model, [EditSignature(key, defaults={alias: None})])
        assert not is_applied(model, [EditSignature(key, defaults={alias: [[["no"]]]})])


def test_a_default_that_is_set_twice_is_set_once(tmp_path: Path) -> None:
    model = _copy("linear", tmp_path)
    edits = _edits(CASES["add"][1] + '[[edit]]\nedit = "serving_default"\ndefault = {x = [0.1]}')
    patch(model, edits, options=UNPROVED, once=True)
    once = load(model)
    assert is_applied(once, edits)  # although float32 rounds 0.1 to another number
    key = "serving_default"
    assert not is_applied(once, [*edits[:1], EditSignature(key, defaults={"x": [0.2]})])
    assert not is_applied(once, edits[:1])


def test_a_half_that_lacks_it_is_not_done(tmp_path: Path) -> None:
    model = _copy("module", tmp_path)
    edits = _edits(CASES["copy both halves"][1])
    patch(model, edits, options=Options(validate="none", signature_def_only=True))
    assert is_applied(load(model), edits, with_object_graph=False)
    assert not is_applied(load(model), edits)


def test_tags_that_were_changed_are_done(tmp_path: Path) -> None:
    model = _copy("linear", tmp_path)
    tags = ",".join(load(model).meta_graph().tags)
    edits = _edits(f'[[edit]]\nretag = "{tags}"\nto = "other"' + CASES["rename"][1])
    for tag_set in (("other",), tuple(tags.split(",")), None):
        copy = Path(shutil.copytree(model, tmp_path / f"copy-{tag_set}"))
        options = Options(validate="none", tag_set=tag_set)
        patch(copy, edits, options=options, once=True)
        once = _content(copy)
        assert load(copy).meta_graph().tags == ("other",)
        assert patch(copy, edits, options=options, once=True).changes == ()
        assert _content(copy) == once


def test_an_unknown_shape_is_still_to_be_set_after_a_rename(tmp_path: Path) -> None:
    model = _copy("linear", tmp_path)
    edits = (EditSignature("scale", shapes={"x": None}), Rename("scale", "renamed"))
    patch(model, edits[1], options=UNPROVED)
    assert not is_applied(load(model), edits)
    patch(model, EditSignature("renamed", shapes={"x": None}), options=UNPROVED)
    (left,) = load(model).signatures["renamed"].inputs["x"].tensors()
    assert left.shape is None
    assert is_applied(load(model), edits)


def test_the_third_meta_graph_is_retagged_by_its_place_once(tmp_path: Path) -> None:
    model = _copy("several_tag_sets", tmp_path)
    edits = (Retag(2, ("other",)), Rename("train", "renamed"))
    options = Options(validate="none", tag_set=("train",))
    patch(model, edits, options=options, once=True)
    once = _content(model)
    assert patch(model, edits, options=options, once=True).changes == ()
    assert _content(model) == once


def test_a_function_without_a_path_gives_its_key_twice(tmp_path: Path) -> None:
    model = _copy("module", tmp_path)
    edit = PromoteFunction("__inference_encode_18")
    assert patch(model, edit, options=UNPROVED, once=True).key == "encode"
    again = patch(model, edit, options=UNPROVED, once=True)
    assert [(each.key, each.outcome) for each in again.applied] == [("encode", "unchanged")]
    assert again.signature.outputs


def test_one_of_several_tag_sets(tmp_path: Path) -> None:
    model = _copy("several_tag_sets", tmp_path)
    first, second = (each.tags for each in load(model).meta_graphs[:2])
    edits = (*_edits(f'[[edit]]\nretag = {json.dumps([*first])}\nto = "other"'),)
    patch(model, edits, options=UNPROVED, once=True)
    assert [each.tags for each in load(model).meta_graphs[:2]] == [("other",), second]
    assert patch(model, edits, options=UNPROVED, once=True).changes == ()


def test_an_exchange_of_two_keys_counted_as_applied_before_it_was_done(tmp_path: Path) -> None:
    """The edit was not made, and the receipt said that the model had the result."""
    model = _copy("keras_functional", tmp_path)
    before = _content(model)
    edits = (
        Rename("serve", "t"),
        Rename("serving_default", "serve"),
        Rename("t", "serving_default"),
    )
    said = "exchange their names: whether that is done already cannot be detected"
    with pytest.raises(UsageError, match=said):
        patch(model, edits, options=UNPROVED, once=True)
    with pytest.raises(UsageError, match=said):
        apply([model], edits, options=UNPROVED)
    assert _content(model) == before
    changes = patch(model, edits, options=UNPROVED).changes
    assert [each.outcome for each in changes] == ["renamed"] * 3


def test_outputs_of_a_signature_made_of_itself_were_exchanged_again(tmp_path: Path) -> None:
    model = _copy("keras_functional", tmp_path)
    text = """[[edit]]
        add-predict = "serve"
        from-signature = "serve"
        outputs = { both = "score", score = "both" }
        overwrite = true"""
    with pytest.raises(PatchFileError, match="done already cannot be detected"):
        _edits(text)
    edit = FromSignature("serve", {"both": "score", "score": "both"}, "serve", overwrite=True)
    before = _content(model)
    with pytest.raises(UsageError, match="done already cannot be detected"):
        patch(model, edit, options=UNPROVED, once=True)
    assert _content(model) == before
    assert patch(model, edit, options=UNPROVED).outcome == "replaced"
    other = FromSignature("serve", {"a": "both"}, "a")
    assert patch(model, other, options=UNPROVED, once=True).outcome == "added"


def test_the_exchange_of_a_key_with_one_made_of_itself_was_done_again(tmp_path: Path) -> None:
    """The signature that `FromSignature` makes had no key before, so that no exchange was seen."""
    model = _copy("keras_functional", tmp_path)
    patch(model, Copy("serve", "other"), options=UNPROVED)
    edits = [
        FromSignature("serve", {"both": "score"}, "serve", overwrite=True),
        Rename("serve", "between"),
        Rename("other", "serve"),
        Rename("between", "other"),
    ]
    before = _content(model)
    with pytest.raises(UsageError, match="exchange their names"):
        patch(model, edits, options=UNPROVED, once=True)
    assert _content(model) == before
