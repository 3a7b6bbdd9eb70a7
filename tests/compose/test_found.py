"""Defects of composed signatures that reviews found, each with all similar cases."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, RefusedError, UsageError, load
from smpatch.edits import EditSignature
from smpatch.fragments import asked_list
from smpatch.functions.binding import Bound, Constants
from smpatch.patchfile import parse_patch
from smpatch.runs import pairs as pairs_module
from smpatch.signature import TensorSpec
from smpatch.validator import Validator, by_numbers
from smpatch.values import tensor_proto
from tests.compose.conftest import Copied
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
KERAS = "keras_functional"
UNPROVED = Options(validate="none")
Models = Mapping[str, Path]


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_a_line_of_a_vocabulary_ends_at_a_line_feed_alone(
    start: str, composable: Models, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    """All words after a word with U+2028, a form feed or a carriage return got wrong numbers."""
    words = ["a", "b\u2028c", "d\x0ce\rh", "f\x85g"]
    vocabulary, model = tmp_path / "words.txt", tmp_path / "model"
    vocabulary.write_text(start + "\r\n".join(words) + "\n", encoding="utf-8", newline="")
    shutil.copytree(composable["ids"], model)
    put = asked_list([f"ids=lookup({str(vocabulary)!r})"], "before")
    edit = smpatch.edits.Compose(DEFAULT, "new", before=put)
    smpatch.patch(model, edit, validator=quick)
    signature = load(model).signatures["new"]
    (alias,) = signature.inputs.keys() - load(model).signatures[DEFAULT].inputs.keys() or {"ids"}
    others = {name: encoded(np.ones([2, 2], "f4")) for name in signature.inputs if name != alias}
    numbers = encoded(np.array([[0, 1, 2], [3, 3, 0]]))
    given = [[words[0], words[1], words[2]], [words[3], words[3], words[0]]]
    texts = encoded(np.array([[each.encode() for each in row] for row in given], object))
    feeds = {DEFAULT: {"ids": numbers, **others}, "new": {alias: texts, **others}}
    loaders = ["session", "python"]
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=loaders)
    for loader in loaders:
        assert "arrays" in told[loader]["new"], told[loader]["new"]
        assert told[loader]["new"] == told[loader][DEFAULT]


def test_a_function_behind_is_added_without_tensorflow_where_the_main_graph_has_no_such_call(
    composable: Models, oracle: Oracle, tmp_path: Path
) -> None:
    """The operation ``PartitionedCall`` was not defined by an export of Keras."""
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    put = asked_list(["k=argmax(both)"], "after")
    smpatch.patch(model, smpatch.edits.Compose(DEFAULT, "new", after=put), options=UNPROVED)
    sides = {"left": [[1.0, 2.0]], "right": [[3.0, 4.0]]}
    given = {name: encoded(np.array(each, "f4")) for name, each in sides.items()}
    loaders = ["session", "python"]
    feeds = {DEFAULT: given, "new": given}
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=loaders)
    for loader in loaders:
        both = decoded(told[loader][DEFAULT]["arrays"]["both"])
        place = decoded(told[loader]["new"]["arrays"]["k"])
        assert place.tolist() == both.argmax(axis=-1).tolist()


def test_numbers_that_the_input_does_not_hold_are_refused(
    composable: Models, quick: Validator, tmp_path: Path
) -> None:
    """The 300th word became number 43."""
    model = Path(shutil.copytree(composable["small"], tmp_path / "model"))
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("\n".join(map(str, range(257))))
    put = asked_list([f"pixels=lookup({str(vocabulary)!r}, default=0)"], "before")
    edit = smpatch.edits.Compose(DEFAULT, "new", before=put)
    with pytest.raises(
        RefusedError, match="the type uint8 is too small for the numbers from 0 to 256"
    ):
        smpatch.patch(model, edit, validator=quick)
    vocabulary.write_text("\n".join(map(str, range(256))))
    smpatch.patch(model, edit, validator=quick)
    assert "new" in load(model).signatures


PRE = """
import helper, tensorflow as tf

def scaled(left: tf.TensorSpec([None, 2], tf.float32)):
    return {"left": left * helper.K}
"""


def test_a_session_reads_what_a_users_file_imports_again(
    composable: Models, tmp_path: Path
) -> None:
    (tmp_path / "pre.py").write_text(PRE)
    options = Options(validate="runtime")
    made = []
    with smpatch.Session() as session:
        for number in (2.0, 3000.0):
            (tmp_path / "helper.py").write_text(f"K = {number}\n")
            model = Path(shutil.copytree(composable[KERAS], tmp_path / str(number)))
            before = [f"{tmp_path / 'pre.py'}:scaled"]
            session.compose_signature(
                model, DEFAULT, signature="new", before=before, options=options
            )
            made.append((model / "saved_model.pb").read_bytes())
    assert made[0] != made[1]


POST = """
import helper

def scaled(score):
    return {"scaled": score * 0.0 + helper.K}
"""


def test_files_of_two_directories_have_their_own_modules_of_one_name(
    composable: Models, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    """The file in the second directory got the module ``helper`` of the first one."""
    files = []
    for number, text in ((2.0, PRE), (100.0, POST)):
        directory = tmp_path / f"of_{number:g}"
        directory.mkdir()
        (directory / "helper.py").write_text(f"K = {number}\n")
        (directory / "f.py").write_text(text)
        files.append(f"{directory / 'f.py'}:scaled")
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    before, after = asked_list(files[:1], "before"), asked_list(files[1:], "after")
    edit = smpatch.edits.Compose(DEFAULT, "new", before=before, after=after)
    smpatch.patch(model, edit, validator=quick)
    feeds = {"new": {name: encoded(np.ones([1, 2], "f4")) for name in ("left", "right")}}
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=["session"])
    assert told["session"]["new"]["arrays"]["scaled"] == encoded(np.full([1, 1], 100.0, "f4"))


WITH_SESSION = """
import tensorflow as tf

session = tf.compat.v1.InteractiveSession(graph=tf.Graph())

def before(left: tf.TensorSpec([None, 2], tf.float32)):
    return {"left": left * 2.0}

def after(score):
    return {"scaled": score * 2.0}
"""


def test_two_functions_of_a_file_that_keeps_a_session_open(
    composable: Models, quick: Validator, tmp_path: Path
) -> None:
    """After the first function the process ended, because its graphs could not be reset."""
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    (tmp_path / "f.py").write_text(WITH_SESSION)
    before, after = (asked_list([f"{tmp_path / 'f.py'}:{p}"], p) for p in ("before", "after"))
    edit = smpatch.edits.Compose(DEFAULT, "new", before=before, after=after)
    smpatch.patch(model, edit, validator=quick)
    assert "scaled" in load(model).signatures["new"].outputs


def test_a_run_calls_both_halves_of_a_composed_signature(
    composable: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[set[str]] = []
    compared = pairs_module.compare_pairs

    def noted(pairs: Any, *rest: Any) -> Any:  # noqa: ANN401 - any arguments
        kept = list(pairs)
        calls.append({pair.key for pair in kept})
        return compared(kept, *rest)

    monkeypatch.setattr(by_numbers, "compare_pairs", noted)
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    receipt = smpatch.compose_signature(
        model,
        DEFAULT,
        signature="new",
        after=["z=identity(score)"],
        options=Options(validate="run"),
    )
    assert "new" in calls[-1]
    assert not [note for note in receipt.notes if "new" in note.text and "numbers" in note.code]


def test_a_number_that_is_too_large_is_an_error_of_use(composable: Models, tmp_path: Path) -> None:
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    with pytest.raises(UsageError, match=r"the argument .scale. is .9+/3"):
        smpatch.compose_signature(
            model, DEFAULT, signature="new", before=[f"left=normalize(scale={'9' * 401}/3)"]
        )


CODE = """
import weakref, tensorflow as tf

class Gone: pass

gone = Gone()
dead = weakref.proxy(gone)
del gone
table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0], [1.0]), 0.0)
kept = tf.Variable([[2.0, 3.0]])

def made(left: tf.TensorSpec([None, 2], tf.float32)):
    spread = tf.scatter_nd([[0]], [table.lookup(tf.constant(0))], [2])
    return {"left": left * kept + spread}
"""


def test_pure_scatters_and_dead_references_are_carried(
    composable: Models, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    (tmp_path / "pre.py").write_text(CODE)
    model = Path(shutil.copytree(composable[KERAS], tmp_path / "model"))
    put = asked_list([f"{tmp_path / 'pre.py'}:made"], "before")
    edit = smpatch.edits.Compose(DEFAULT, "new", before=put)
    smpatch.patch(model, edit, validator=quick)
    left = np.array([[1.0, 2.0], [-1.0, 4.0]], np.float32)
    right = encoded(np.ones([2, 2], np.float32))
    outside = (left * [[2.0, 3.0]] + [1.0, 0.0]).astype("f4")
    feeds = {
        "new": {"left": encoded(left), "right": right},
        DEFAULT: {"left": encoded(outside), "right": right},
    }
    told = oracle.ask(
        "tour", directory=model, tags=["serve"], feeds=feeds, loaders=["session", "python"]
    )
    for loader in ("session", "python"):
        assert "arrays" in told[loader]["new"]
        assert told[loader]["new"] == told[loader][DEFAULT]


def test_a_kept_signature_that_gets_another_key_later_is_known_again(copied: Copied) -> None:
    """The second ``apply`` composed the signature of itself, and failed."""
    model = copied("module")
    patch = model.parent / "patch.toml"
    patch.write_text(
        """
        version = 1
        [[edit]]
        compose = "serving_default"
        from-signature = "serving_default"
        keep-as = "raw"
        bind = { training = false }
        [[edit]]
        rename = "raw"
        to = "kept"
        [[edit]]
        rename = "kept"
        to = "last"
        """,
        encoding="utf-8",
    )
    data = []
    for _ in range(2):
        (done,) = smpatch.apply([model], smpatch.load_patch(patch).edits)
        assert done.error is None
        data.append((model / "saved_model.pb").read_bytes())
    assert data[0] == data[1]
    assert "training" in load(model).signatures["last"].inputs
    assert "training" not in load(model).signatures["serving_default"].inputs


def test_a_source_whose_outputs_get_other_names_afterwards_is_refused() -> None:
    """A second ``apply`` searched for output names that no longer existed."""
    text = """
        version = 1
        [[edit]]
        compose = "new"
        from-signature = "serving_default"
        after = ["softmax(both)"]
        [[edit]]
        edit = "serving_default"
        rename-output = { both = "x" }
        """
    with pytest.raises(smpatch.PatchFileError, match="put this edit before that one") as refused:
        parse_patch(text)
    assert str(refused.value).count("starts from") == 1


def test_an_input_with_the_name_of_a_size_keeps_its_value(tmp_path: Path) -> None:
    """Its constant and the size that a repeated value follows were two nodes of one name."""
    model = Path(shutil.copytree(FIXTURES / KERAS, tmp_path / "model"))
    renamed = EditSignature(DEFAULT, rename_inputs={"left": "size_0"})
    smpatch.edit_signature(model, renamed, options=UNPROVED)
    smpatch.compose_signature(
        model, DEFAULT, bind={"size_0": [1.0, 2.0]}, signature="new", options=UNPROVED
    )
    appended = load(model).meta_graph().parts.appended_nodes
    assert len(appended) == len(set(appended))


def test_a_constant_has_the_name_of_no_copy() -> None:
    spec = TensorSpec("x:0", "int32", ())
    made = Constants("new", {}, {"bound/x"})
    assert made.put("x", Bound(spec, tensor_proto(1, "int32")[1], ())) == "new/bound/x_:0"
