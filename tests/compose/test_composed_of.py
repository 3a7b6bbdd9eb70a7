"""``show`` and ``suggest`` print the parts of composed signatures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import smpatch
from smpatch import load, schema, wire
from smpatch.edits import Compose, Copy, Remove, Rename
from smpatch.fragments import asked_list
from smpatch.functions.composed_of import ComposedOf, compositions
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.validator import Validator
from tests.cli.conftest import Run
from tests.cli.schemas import validator
from tests.contract.models import FIXTURES, Case, corpus, found_in

DEFAULT = "serving_default"
FOREIGN = [*found_in(FIXTURES), *found_in(FIXTURES.parent / "exporters"), *corpus()]
CODE = Path(__file__).with_name("user_code.py")


def _compose(
    source: str,
    key: str,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    bind: Mapping[str, object] | None = None,
) -> Compose:
    put = asked_list(before, "before"), asked_list(after, "after")
    constants = smpatch.arguments.constants(bind or {}, "bind")
    return Compose(source, key, constants, before=put[0], after=put[1])


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, quick: Validator) -> Path:
    model = tmp_path_factory.mktemp("composed") / "model"
    shutil.copytree(FIXTURES / "keras_functional", model)
    edits = [
        _compose(
            DEFAULT,
            "a.b",
            ["left=normalize(1, 2)", "left=normalize(3, 4)", "left=cast(float64)"],
            ["softmax(both)", f"{CODE}:summed", "left=identity(left)"],
            {"right": [1.0, 0.5]},
        ),
        # Their source is composed: its parts are not parts of these signatures.
        _compose("a.b", "behind", after=["argmax(both)"]),
        _compose("a.b", "before", ["left=cast(int64)"]),
        _compose("serve", "bound", bind={"left": [[0.0, 0.0]], "right": [[0.0, 0.0]]}),
    ]
    for edit in edits:
        smpatch.patch(model, edit, validator=quick)
    return model


@pytest.fixture
def keras(composed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(composed, tmp_path / "model"))


A_B = ComposedOf(
    ("normalize", "normalize", "cast"),
    (DEFAULT,),
    ("right",),
    ("softmax", "summed", "identity"),
)
ALL_OF = {
    "a.b": A_B,
    "behind": ComposedOf((), ("a.b",), (), ("argmax",)),
    "before": ComposedOf(("cast",), ("a.b",), (), ()),
    "bound": ComposedOf((), ("serve",), ("left", "right"), ()),
}


def test_each_part_is_told(keras: Path) -> None:
    assert compositions(load(keras).meta_graph()) == ALL_OF


def test_keys_that_are_renamed_copied_or_removed(keras: Path, quick: Validator) -> None:
    smpatch.patch(keras, [Rename("a.b", "c"), Rename(DEFAULT, "raw")], validator=quick)
    found = compositions(load(keras).meta_graph())
    assert found["c"] == ComposedOf(A_B.before, ("raw",), A_B.bound, A_B.after)
    assert found["behind"].signatures == ("c",)
    smpatch.patch(keras, [Copy("raw", "again")], validator=quick)
    assert compositions(load(keras).meta_graph())["c"].signatures == ("again", "raw")
    smpatch.patch(keras, Remove(("c",)), validator=quick)
    found = compositions(load(keras).meta_graph())
    assert found["behind"] == ComposedOf((), (), (), ("argmax",))
    assert str(found["behind"]) == "signature: none is left; after: argmax"


def test_a_graph_of_tensorflow_1(quick: Validator, tmp_path: Path) -> None:
    source = FIXTURES.parent / "exporters" / "tangled_session"
    model = Path(shutil.copytree(source, tmp_path / "model"))
    smpatch.patch(
        model,
        _compose("switched", "serve", after=["late=softmax(late)"], bind={"flag": False}),
        validator=quick,
    )
    found = compositions(load(model).meta_graph())
    assert found == {"serve": ComposedOf((), ("switched",), ("flag",), ("softmax",))}


def test_show_and_suggest_say_it(keras: Path, call: Run) -> None:
    shown = call("show", keras).out
    assert shown.count("composed of") == len(ALL_OF)
    assert all(f"    composed of  {each}\n" in shown for each in ALL_OF.values())
    lines = call("suggest", keras).out.splitlines()
    at = lines.index("Signatures that are composed")
    assert lines[at + 1 :] == [f"  {key}  {each}" for key, each in sorted(ALL_OF.items())]
    documents = {
        command: call(command, keras, "--json").document for command in ("show", "suggest")
    }
    for command, document in documents.items():
        validator(command).validate(document)
    composed = documents["show"]["show"]["meta_graphs"][0]["composed"]
    assert composed == documents["suggest"]["suggest"]["composed"]
    assert composed["a.b"] == {
        "before": ["normalize", "normalize", "cast"],
        "signatures": [DEFAULT],
        "bound": ["right"],
        "after": ["softmax", "summed", "identity"],
    }


@pytest.mark.parametrize("case", FOREIGN, ids=str)
def test_no_other_model_has_a_composed_signature(case: Case) -> None:
    for meta_graph in load(case.directory).meta_graphs:
        assert compositions(meta_graph) == {}


def test_nodes_in_a_circle_end(tmp_path: Path) -> None:
    """A hostile model has calls that need each other."""
    model = Path(shutil.copytree(FIXTURES / "keras_functional", tmp_path / "model"))
    parts = load(model).meta_graph().parts
    names = ["x_after/one", "x_after/two"]
    nodes = [
        schema.NodeDef(name=name, op="PartitionedCall", input=[other]).SerializeToString()
        for name, other in zip(names, reversed(names), strict=True)
    ]
    signature = smpatch.SignatureDef(
        {}, {"y": smpatch.TensorSpec("x_after/one:0", "float32", ())}, ""
    )
    draft = Draft.of(parts).put("new", signature.to_bytes()).appended(Addition(nodes=tuple(nodes)))
    file = model / "saved_model.pb"
    file.write_bytes(wire.apply(file.read_bytes(), draft.splices()))
    assert compositions(load(model).meta_graph())["new"].after == ("one", "two")
