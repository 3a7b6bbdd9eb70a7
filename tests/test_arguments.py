"""The library accepts the values that TensorFlow's users have in place of its own values."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import arguments
from smpatch.edits import AddPredict, AddSignature, Edit, Remove, Rename, Retag
from smpatch.errors import SmpatchError, UsageError
from tests.oracle import programs

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
UNPROVED = smpatch.Options(validate="none")


class Named:
    """An object in the place of a type or a spec of TensorFlow."""

    def __init__(self, **attributes: object) -> None:
        """Set the attributes."""
        self.__dict__.update(attributes)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("float32", "float32"),
        ("float", "float32"),
        ("DT_FLOAT", "float32"),
        ("DT_INT64", "int64"),
        (np.float32, "float32"),
        (np.dtype("i8"), "int64"),
        (np.dtype("S3"), "string"),
        (np.dtype(object), "string"),
        (float, "float32"),
        (str, "string"),
        (Named(name="bfloat16"), "bfloat16"),
        ("DT_77", "DT_77"),
    ],
)
def test_types(given: object, name: str) -> None:
    assert arguments.dtype(given, "dtype") == name


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (None, None),
        ([], ()),
        ([-1, 3], (None, 3)),
        ((None, 3), (None, 3)),
        (np.array([2, 3]), (2, 3)),
        (np.array(3), (3,)),
        ([2**63 - 1], (2**63 - 1,)),
        (3, (3,)),
        ("[?, 3]", (None, 3)),
        ("?,3", (None, 3)),
        ("[]", ()),
        ("unknown", None),
        (Named(as_list=lambda: [None, 2], rank=2), (None, 2)),
        (Named(as_list=lambda: None, rank=None), None),
        ([Named(value=None), Named(value=4)], (None, 4)),
    ],
)
def test_shapes(given: object, shape: object) -> None:
    assert arguments.shape(given, "shape") == shape


@pytest.mark.parametrize(
    "given", [[-2], ["a"], [1.5], {"x": 1}, b"3", object(), [2**63], "9" * 5000]
)
def test_shapes_that_are_none(given: object) -> None:
    with pytest.raises(UsageError, match="shape of x"):
        arguments.shape(given, "shape of x")


@pytest.mark.parametrize(
    "given", ["float33", object(), 3, np.dtype("datetime64[s]"), "DT_2147483648"]
)
def test_types_that_tensorflow_does_not_have(given: object) -> None:
    with pytest.raises(UsageError, match="the type"):
        arguments.dtype(given, "the type")


def test_one_text_is_one_name_and_commas_part_several(model: Path) -> None:
    assert smpatch.retag(model, ["serve"], "serving", options=UNPROVED).tag_set == ("serving",)
    assert smpatch.load(model).meta_graphs[0].tags == ("serving",)
    assert smpatch.load(model).meta_graph("serving").tags == ("serving",)
    smpatch.retag(model, "serving", "serve,gpu", options=UNPROVED)
    assert smpatch.load(model).meta_graphs[0].tags == ("serve", "gpu")
    options = smpatch.Options(validate="none", tag_set="gpu, serve")
    smpatch.rename_signature(model, "scale", "a", options=options)
    assert list(smpatch.load(model).signatures) == ["a"]


def test_one_path_is_one_model(model: Path) -> None:
    # The path was read as a list of its characters.
    options = smpatch.CheckOptions(validate="none")
    assert [each.model for each in smpatch.check_all(str(model), options=options)] == [model]
    edits = [Rename("scale", "predict")]
    assert [each.error for each in smpatch.apply(str(model), edits, options=UNPROVED)] == [None]


def test_what_is_no_option_is_refused_and_not_a_python_error(model: Path) -> None:
    wrong: Any = object()
    calls: dict[str, Callable[[], object]] = {
        "run": lambda: smpatch.CheckOptions(run=wrong),
        "same_as": lambda: smpatch.CheckOptions(same_as=str(model)),  # type: ignore[arg-type]
        "require": lambda: smpatch.CheckOptions(require=[wrong]),
        "options": lambda: smpatch.check(model, options=wrong),
        "check_options": lambda: smpatch.Session(check_options=wrong),
        "recycle_after": lambda: smpatch.Session(recycle_after=1.5),  # type: ignore[arg-type]
        "jobs": lambda: smpatch.check_all([model], jobs=True),
        "models": lambda: smpatch.check_all(wrong),
        "signature": lambda: smpatch.suggest(model, wrong),
        "match": lambda: smpatch.suggest(model, match=wrong),
        "batches": lambda: smpatch.Feeding(batches=(-1,)),
        "seed": lambda: smpatch.Feeding(seed=wrong),
        "feeding": lambda: smpatch.SameAs(model, wrong),
        "name": lambda: smpatch.describe(model, "rest", name=wrong),
        "values": lambda: smpatch.SparseRef(wrong, "i:0", "s:0"),
        "row_splits": lambda: smpatch.RaggedRef("v:0", wrong),
    }
    for where, call in calls.items():
        with pytest.raises(UsageError, match=f"^{where}: .* is given"):
            call()
    with pytest.raises(UsageError, match="is not a rule for values"):
        smpatch.Feeding(wrong)
    with pytest.raises(UsageError, match=r"^signature: .* is given"):
        smpatch.describe(model, "rest", [])  # type: ignore[arg-type] # refused
    with pytest.raises(UsageError, match=r"^relative: .0\.1. is not a tolerance"):
        smpatch.SameAs(model, relative="0.1")  # type: ignore[arg-type] # refused


def test_sizes_of_batches_from_an_iterator_are_all_run(model: Path) -> None:
    feeding = smpatch.Feeding("random", batches=(size for size in (1, 3)))  # type: ignore[arg-type] # taken all the same
    assert feeding == smpatch.Feeding("random", batches=(1, 3))
    assert smpatch.Feeding(batches=np.int64(2)).batches == (2,)  # type: ignore[arg-type] # taken all the same
    options = smpatch.CheckOptions(validate="runtime", run=feeding)
    assert smpatch.check(model, options=options).ran == (("scale", (1, 3)),)


def test_one_name_of_row_splits_is_one_name() -> None:
    assert smpatch.RaggedRef("v:0", "r:0").row_splits == ("r:0",)  # type: ignore[arg-type] # taken all the same


def test_a_batch_of_numpy_is_a_number(model: Path) -> None:
    two: Any = np.int64(2)
    assert smpatch.describe(model, "rest", batch=two) == smpatch.describe(model, "rest", batch=2)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_path_that_no_file_can_have_is_refused_and_not_a_python_error(
    name: str, model: Path
) -> None:
    edits = [Rename("scale", "predict")]
    for call in (
        lambda: smpatch.load(name),
        lambda: smpatch.diff(model, name),
        lambda: smpatch.load_patch(name),
        lambda: smpatch.Options(save_to=name),
        lambda: smpatch.Feeding(file=name),
        lambda: smpatch.apply([model, name], edits, options=UNPROVED),
    ):
        with pytest.raises(UsageError, match="no file has such a name"):
            call()


def test_a_url_with_an_open_bracket_is_refused() -> None:
    with pytest.raises(UsageError, match="no valid host"):
        smpatch.load("https://user:secret@[host/model")


def test_edits_take_one_text_where_several_are_possible() -> None:
    edit = smpatch.EditSignature("scale", drop_outputs="product", shapes={"x": [-1]})  # type: ignore[arg-type, dict-item] # taken all the same
    assert (edit.drop_outputs, edit.shapes) == (("product",), {"x": (None,)})
    assert Remove("a,b").keys == ("a", "b")  # type: ignore[arg-type] # as above
    assert Retag("serve", "serve,gpu") == Retag(("serve",), ("serve", "gpu"))  # type: ignore[arg-type] # as above
    contract = "scale: x:float32[?] -> product:float32[?]"
    assert smpatch.CheckOptions(require=contract).require == (contract,)


def test_arrays_are_defaults(model: Path) -> None:
    for given in (np.ones(2, "f4"), [np.float32(1), 1.0], Named(numpy=lambda: np.ones(2, "f4"))):
        edit = smpatch.EditSignature("scale", defaults={"x": given})
        smpatch.edit_signature(model, edit, options=UNPROVED)
        default = smpatch.load(model).signatures["scale"].defaults["x"]
        expected = smpatch.EditSignature("scale", defaults={"x": [1.0, 1.0]})
        assert smpatch.edit_signature(model, expected, options=UNPROVED).outcome == "unchanged"
        assert default


def test_a_spec_of_tensorflow_names_a_tensor() -> None:
    spec = Named(name="x:0", dtype=np.dtype("f4"), shape=[-1])
    edit = AddPredict({"x": spec}, {"y": "y:0"})  # type: ignore[dict-item] # taken all the same
    assert edit.inputs == {"x": smpatch.TensorSpec("x:0", "float32", (None,))}
    with pytest.raises(UsageError, match="input 'x': the spec has no name"):
        AddPredict({"x": Named(name=None, dtype="float32", shape=())}, {"y": "y:0"})  # type: ignore[dict-item] # refused


CALLS: dict[str, Callable[[Path], object]] = {
    "inputs: a list": lambda m: smpatch.add_predict(m, inputs=["x:0"], outputs={"y": "y:0"}),  # type: ignore[arg-type] # refused
    "inputs: a text": lambda m: smpatch.add_predict(m, inputs="x:0", outputs={"y": "y:0"}),  # type: ignore[arg-type] # refused
    "inputs: None": lambda m: smpatch.add_predict(m, inputs={"x": None}, outputs={"y": "y:0"}),  # type: ignore[dict-item] # refused
    "inputs: bytes": lambda m: smpatch.add_predict(m, inputs={"x": b"x"}, outputs={"y": "y:0"}),  # type: ignore[dict-item] # refused
    "options: a dict": lambda m: smpatch.rename_signature(m, "scale", "a", options={}),  # type: ignore[arg-type] # refused
    "a text as an edit": lambda m: smpatch.patch(m, ["rename"]),  # type: ignore[list-item] # refused
    "a number as edits": lambda m: smpatch.patch(m, 3),  # type: ignore[arg-type] # refused
    "a model as a directory": lambda m: smpatch.load(smpatch.load(m)),  # type: ignore[arg-type] # refused
    "None as a model": lambda _: smpatch.patch(None, [Rename("scale", "a")]),  # type: ignore[arg-type] # refused
    "a number as a key": lambda m: smpatch.rename_signature(m, 1, "a"),  # type: ignore[arg-type] # refused
    "a number as tags": lambda m: smpatch.retag(m, "serve", 3),  # type: ignore[arg-type] # refused
    "a number as a patch file": lambda _: smpatch.load_patch(3),  # type: ignore[arg-type] # refused
    "a number as models": lambda _: [*smpatch.apply([3], [Rename("scale", "a")])],  # type: ignore[list-item] # refused
    "a number as keys": lambda m: smpatch.remove_signatures(m, 3),  # type: ignore[arg-type] # refused
    "an array as keys": lambda m: smpatch.remove_signatures(m, np.array("scale")),  # type: ignore[arg-type] # refused
    "a list as a signature": lambda m: smpatch.load(m).meta_graph().signature(["a"]),  # type: ignore[arg-type] # refused
    "a number as a tensor": lambda m: smpatch.load(m).tensor(3),  # type: ignore[arg-type] # refused
    "no row splits": lambda _: smpatch.RaggedRef("x:0", ()),
    "None as row splits": lambda _: smpatch.RaggedRef("x:0", None),  # type: ignore[arg-type] # refused
    "None as ragged values": lambda _: smpatch.RaggedRef(None, ("x:0",)),  # type: ignore[arg-type] # refused
    "None as a part": lambda _: smpatch.SparseRef("x:0", None, "x:0"),  # type: ignore[arg-type] # refused
    "a size of 65 bits": lambda _: smpatch.EditSignature("k", shapes={"x": (1 << 63,)}),
    "None as a signature": lambda _: AddSignature(None, "k"),  # type: ignore[arg-type] # refused
    "a number as its key": lambda m: AddSignature(smpatch.load(m).signatures["scale"], 3),  # type: ignore[arg-type] # refused
    "no keys": lambda m: smpatch.remove_signatures(m, []),
    "a zero byte": lambda _: smpatch.Options(save_to="a\0b"),
    "names twice": lambda _: smpatch.EditSignature("k", rename_inputs=[("a", "b"), ("a", "c")]),  # type: ignore[arg-type] # refused
}


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_fit_is_refused_and_named(call: str, model: Path) -> None:
    before = (model / "saved_model.pb").read_bytes()
    with pytest.raises(SmpatchError) as caught:
        CALLS[call](model)
    assert caught.value.exit_code in {2, 3}
    assert "given" in str(caught.value)
    assert (model / "saved_model.pb").read_bytes() == before


def test_one_edit_one_model_and_lists_of_keys(model: Path) -> None:
    edits: list[Edit] = [Rename("scale", "a")]
    assert smpatch.patch(model, edits[0], options=UNPROVED).key == "a"
    (outcome,) = smpatch.apply(str(model), Rename("a", "b"), options=UNPROVED)
    assert outcome.receipt is not None
    assert smpatch.remove_signatures(model, ["b"], options=UNPROVED).key == "b"


PROGRAM = """
import sys
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl
import smpatch
done = smpatch.add_predict(
    sys.argv[1],
    inputs={"x": tf.TensorSpec([None], tf.float32, name="x:0")},
    outputs={"y": smpatch.TensorSpec("y:0", tf.float32, tf.TensorShape([None]))},
    options=smpatch.Options(validate="none"),
)
edit = smpatch.EditSignature("serving_default", defaults={"x": tf.ones(2)}, shapes={"y": [-1]})
smpatch.edit_signature(sys.argv[1], edit, options=smpatch.Options(validate="none"))
loaded = loader_impl.parse_saved_model(sys.argv[1])
signature = loaded.meta_graphs[0].signature_def["serving_default"]
print(signature.inputs["x"].name, tf.make_ndarray(signature.defaults["x"]).tolist())
"""


def test_values_of_tensorflow_itself(model: Path) -> None:
    assert programs.run("-c", PROGRAM, model) == "x:0 [1.0, 1.0]\n"


def test_examples_of_the_docstrings() -> None:
    import doctest  # noqa: PLC0415 - only here

    found: Any = doctest.testmod(arguments)
    assert found.attempted >= 5
    assert found.failed == 0


@pytest.mark.parametrize("given", ["soon", None, [1], float("nan"), -1, 1e7])
def test_a_time_to_wait_that_is_no_number_of_seconds_is_refused(given: Any, model: Path) -> None:  # noqa: ANN401 - as a user writes it
    for options in (
        smpatch.Options(lock_timeout=given, dry_run=True),
        smpatch.Options(time_limit=given, dry_run=True),
    ):
        with pytest.raises(UsageError, match="is not a number of seconds"):
            smpatch.rename_signature(model, "scale", "predict", options=options)
    with pytest.raises(UsageError, match="is not a number of seconds"):
        smpatch.undo(model, lock_timeout=given)
    with pytest.raises(UsageError, match="is not a number of seconds"):
        smpatch.check(model, options=smpatch.CheckOptions(time_limit=given))
