"""Functions and recipes that do not fit a signature: a one-line error, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import Options, SmpatchError, UsageError
from smpatch.edits import Compose
from smpatch.fragments import asked_list
from smpatch.validator import Validator
from tests.contract.models import FIXTURES

DEFAULT = "serving_default"
KERAS = "keras_functional"

CODE = """
import os
import time

import tensorflow as tf

table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
state = tf.Variable([1.0, 2.0])
huge = tf.Variable(tf.zeros([1 << 24, 2]))
queue = tf.queue.FIFOQueue(3, [tf.float32])
number = 7
PAIR = tf.TensorSpec([None, 2], tf.float32)
TEXT = tf.TensorSpec([None], tf.string)


def typo(left: PAIR):
    return {"lefft": left}


def doubles(left: tf.TensorSpec([None, 2], tf.float64)):
    return {"left": left}


def wide(x: tf.TensorSpec([None, 3], tf.float32)):
    return {"left": x}


def one(x: tf.TensorSpec([2], tf.float32)):
    return {"left": x}


def untyped(thing):
    return {"left": thing}


def many(*left: PAIR):
    return {"left": left[0]}


def nothing(left: PAIR):
    print("it was here")


def empty(left: PAIR):
    return {"left": None}


def raises(left: PAIR):
    scaled = left * 2.0
    raise ValueError("my own mistake")


def wrong_shapes(left: PAIR):
    return {"left": tf.matmul(left, tf.zeros([3, 2]))}


def python(left: PAIR):
    return {"left": tf.ensure_shape(tf.py_function(lambda x: x, [left], tf.float32), [None, 2])}


def numpy(left: PAIR):
    return {"left": tf.ensure_shape(tf.numpy_function(lambda x: x, [left], tf.float32), [None, 2])}


def writes(left: PAIR):
    state.assign_add([1.0, 1.0])
    return {"left": left + state}


def too_big(left: PAIR):
    return {"left": left + huge[:1]}


def changing_table(words: TEXT):
    return {"left": tf.stack([mutable.lookup(words)] * 2, 1)}


def waits(left: PAIR):
    return {"left": left + queue.dequeue()}


def hangs(left: PAIR):
    time.sleep(600)


def exits(left: PAIR):
    os._exit(3)


def ends(left: PAIR):
    raise SystemExit("no more")


def ragged(words: TEXT):
    return {"left": tf.strings.split(words)}


def listed(left: PAIR):
    return [left, left]


def several(left: PAIR):
    return left


def pair(left: tf.RaggedTensorSpec([None, None], tf.float32)):
    return {"left": left.to_tensor()}


class Thing:
    pass


def unknown_output(scores):
    return {"x": scores}


def taken(score):
    return {"both": score}


def another_type(score: tf.TensorSpec([None, 1], tf.float64)):
    return {"x": score}
"""
HERE = "pre.py"
AT = CODE.split("\n").index('    raise ValueError("my own mistake")') + 1
BEFORE: Mapping[str, str] = {
    "left=normalize([1, 2, 3])": "mean has 3 numbers, and the last dimension has the size 2",
    "left=normalize(1, [1, 0])": "std is 0, and nothing is divided by 0",
    "left=normalize(scale=1e39)": "scale is 1e+39, which float32 does not hold",
    "left=cast(string)": "TensorFlow does not cast string to float32 (a function of your own",
    f"{HERE}:typo": "it yields 'lefft', and the signature has no input of that name",
    f"{HERE}:doubles": "'left': it yields float64 [?, 2], the signature's input is float32 [?, 2]"
    " (cast it: tf.cast(left, tf.float32))",
    f"{HERE}:wide": "'left': it yields float32 [?, 3], the signature's input is float32 [?, 2]",
    f"{HERE}:one": "it is one example instead of a batch: use tf.map_fn over the batch",
    f"{HERE}:untyped": "has no type (write thing: tf.TensorSpec([None], tf.string))",
    f"{HERE}:many": "parameter *left: ",
    f"{HERE}:nothing": "it returns nothing; it printed: it was here",
    f"{HERE}:empty": "its result 'left' is None",
    f"{HERE}:raises": f"{HERE}, line {AT}: ValueError: my own mistake",
    f"{HERE}:wrong_shapes": f"{HERE}, line {AT + 4}: ValueError: Dimensions must be equal",
    f"{HERE}:python": "it calls back into Python (EagerPyFunc",
    f"{HERE}:numpy": "it calls back into Python (PyFunc",
    f"{HERE}:writes": "it writes variables (AssignAddVariableOp",
    f"{HERE}:too_big": "its variables have 134,217,728 bytes",
    f"{HERE}:changing_table": "it captures a resource (LookupInterface)",
    f"{HERE}:waits": "it captures a resource (",
    f"{HERE}:exits": "it ends the process in which it is traced (exited with status 3",
    f"{HERE}:ends": "it ends Python (SystemExit('no more'))",
    f"{HERE}:ragged": "its result 'left' is a RaggedTensor",
    f"{HERE}:listed": "it returns a list",
    f"{HERE}:several": "it returns one tensor without a name, and there are 2 inputs",
    f"{HERE}:pair": "parameter 'left' is not one tensor: RaggedTensorSpec",
    f"{HERE}:Thing": "it is a class, not a function",
    f"{HERE}:number": "it is a int, not a function",
    f"{HERE}:tipo": "there is no function 'tipo' (did you mean typo?)",
    "broken.py:f": "broken.py, line 2: SyntaxError",
    "raises.py:f": "raises.py, line 3: ZeroDivisionError: division by zero",
    "left=decode_image(2, 2)": "[height, width, channels], and the input is float32 [?, 2]",
    "picture=normalize(1)": "the signature has no input 'picture' (it has left, right)",
    "normalize(1)": "has 2 inputs (name the input: INPUT=normalize(1); it has left, right)",
    "left=lookup(words.txt)": "it yields numbers of words, and the input is float32 [?, 2]",
    "left=resize()": "[batch, height, width, channels], and the input is float32 [?, 2]",
    "parse_example(lef)": "the signature has no input 'lef' (did you mean left?)",
}
AFTER: Mapping[str, str] = {
    "both=cast(both, string)": "TensorFlow does not cast float32 to string",
    f"{HERE}:unknown_output": "'scores' is neither an output nor an input (it has",
    f"{HERE}:taken": "it yields 'both', and the signature has an output of that name",
    f"{HERE}:another_type": "it takes float64 [?, 1], the signature's output is float32 [?, 1]",
    "top_k(both, 9)": "k is 9, and the output is float32 [?, 3]",
    "top_k(both, 2, labels=words.txt)": "it has 2 labels, and the output is float32 [?, 3]",
    "softmax(scores)": "the signature has no output 'scores' (did you mean score?)",
    "lookup(both, words.txt)": "it takes numbers of words, and the output is float32 [?, 3]",
    "argmax(both, labels=empty.txt)": "empty.txt: it has no labels",
    "softmax(both, axis=2)": "axis is 2, and the output is float32 [?, 3]",
    "threshold(both, 1e39)": "value is 1e+39, which float32 does not hold",
}
USAGE: Mapping[tuple[str, str], str] = {
    ("before", "none.py:f"): "none.py': there is no such file",
    (
        "before",
        "image=decode_imag(1)",
    ): "there is no recipe 'decode_imag' before a signature (did you mean decode_image?)",
    ("after", "decode_image(1)"): "there is no recipe 'decode_image' after a signature",
    ("before", "left"): "it is neither a function nor a recipe",
    ("before", "left=normalize(men=1)"): "there is no argument 'men' (normalize has mean, std",
    ("before", "left=normalize(1, mean=2)"): "the argument 'mean' is given twice",
    ("before", "left=decode_image(height=0)"): "the argument 'height' is 0",
    ("before", "left=decode_image(2.5)"): "the argument 'height' is 2.5",
    ("before", "left=decode_image(method=linear)"): "the argument 'method' is 'linear' (one of",
    ("before", "left=cast(floot)"): "no TensorFlow type is called 'floot'",
    ("before", "left=normalize(1 +)"): "its arguments cannot be read",
    ("before", "left=normalize(__import__('os').getpid())"): "cannot be read",
    ("before", "x=parse_example()"): "parse_example takes no ALIAS= before it",
    ("after", "top_k(both)"): "the argument 'k' is missing (how many; such as top_k(scores, 5",
    ("after", "top_k(both, 1, labels=none.txt)"): "none.txt': there is no such file",
    ("after", "softmax(both, 1, 2, 3)"): "it has 4 arguments, and softmax takes 2",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of a user."""
    directory = tmp_path_factory.mktemp("files")
    (directory / HERE).write_text(CODE)
    (directory / "broken.py").write_text("import tensorflow as tf\ndef f(:\n")
    (directory / "raises.py").write_text("import os\n\nx = 1 / 0\n")
    (directory / "words.txt").write_text("one\ntwo\n")
    (directory / "empty.txt").write_text("")
    return directory


@pytest.fixture(scope="module")
def model(composable: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that no test changes."""
    return Path(shutil.copytree(composable[KERAS], tmp_path_factory.mktemp("kept") / "model"))


def _refused(
    model: Path, files: Path, quick: Validator, before: str = "", after: str = ""
) -> SmpatchError:
    data = (model / "saved_model.pb").read_bytes()

    def compose() -> None:
        put: dict[str, Any] = {
            "before": asked_list([before] if before else [], "before", files),
            "after": asked_list([after] if after else [], "after", files),
        }
        smpatch.patch(model, Compose(DEFAULT, "new", **put), validator=quick)

    with pytest.raises(SmpatchError) as caught:
        compose()
    assert (model / "saved_model.pb").read_bytes() == data
    assert sorted(each.name for each in model.parent.iterdir()) == ["model"]
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("asked", BEFORE)
def test_what_does_not_fit_before_is_refused(
    asked: str, model: Path, files: Path, quick: Validator
) -> None:
    error = _refused(model, files, quick, before=asked)
    assert error.exit_code == 4
    assert BEFORE[asked] in str(error)


@pytest.mark.parametrize("asked", AFTER)
def test_what_does_not_fit_behind_is_refused(
    asked: str, model: Path, files: Path, quick: Validator
) -> None:
    error = _refused(model, files, quick, after=asked)
    assert error.exit_code == 4
    assert AFTER[asked] in str(error)


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", "300"), ("uint8", "-1"), ("int32", "0.5"), ("bool", "1")]
)
def test_a_threshold_that_the_type_does_not_hold_does_not_wrap_around(
    dtype: str, value: str, model: Path, files: Path, quick: Validator
) -> None:
    after = asked_list([f"cast(both, {dtype})", f"threshold(both, {value})"], "after", files)
    with pytest.raises(SmpatchError, match=f"value is {value}, which {dtype} does not hold"):
        smpatch.patch(model, Compose(DEFAULT, "new", after=after), validator=quick)


@pytest.mark.parametrize("recipe", ["top_k(word, 1)", "argmax(word)"])
def test_the_largest_of_texts_is_no_error_of_python(
    recipe: str, model: Path, files: Path, quick: Validator
) -> None:
    words = "c=argmax(both)", "word=lookup(c, words.txt)"
    after = asked_list([*words, recipe], "after", files)
    with pytest.raises(SmpatchError, match=r"the output has no classes: it is string \[\?\]"):
        smpatch.patch(model, Compose(DEFAULT, "new", after=after), validator=quick)


@pytest.mark.parametrize(("place", "asked"), USAGE)
def test_what_cannot_be_meant_is_wrong_usage(
    place: str, asked: str, model: Path, files: Path, quick: Validator
) -> None:
    error = _refused(model, files, quick, **{place: asked})
    assert error.exit_code == 2
    assert USAGE[place, asked] in str(error)


@pytest.mark.parametrize("argument", ["-" * 1500 + "1", "1" + "/1" * 1500])
def test_an_argument_of_a_thousand_operators_is_no_recursion_error(argument: str) -> None:
    with pytest.raises(UsageError, match="its arguments cannot be read"):
        asked_list(f"x=cast({argument})", "before")


def test_a_function_that_hangs_is_stopped(model: Path, files: Path) -> None:
    with Validator("runtime", [], 5.0) as opened:
        error = _refused(model, files, opened, before=f"{HERE}:hangs")
    assert error.exit_code == 4
    assert "it is not traced within 5 s (wait longer with --time-limit)" in str(error)


def test_sparse_inputs_are_refused(files: Path, quick: Validator, tmp_path: Path) -> None:
    kept = Path(shutil.copytree(FIXTURES / "sparse", tmp_path / "model"))
    key, alias = next(
        (key, alias)
        for key, signature in smpatch.load(kept).signatures.items()
        for alias, spec in signature.inputs.items()
        if not isinstance(spec, smpatch.TensorSpec)
    )
    asked = asked_list(f"{alias}=cast(float32)", "before", files)
    edit = Compose(key, "new", before=asked)
    with pytest.raises(smpatch.RefusedError, match="is a sparse or composite tensor"):
        smpatch.patch(kept, edit, validator=quick)


def test_a_model_in_text_form_is_refused(tmp_path: Path) -> None:
    source = FIXTURES / "text_form"
    kept = Path(shutil.copytree(source, tmp_path / "model"))
    key = next(iter(smpatch.load(kept).signatures))
    output = next(iter(smpatch.load(kept).signatures[key].outputs))
    with pytest.raises(smpatch.RefusedError, match="text form cannot be given new nodes"):
        smpatch.compose_signature(
            kept, key, signature="new", after=f"sigmoid({output})", options=Options()
        )


@pytest.mark.parametrize(
    ("key", "before", "after", "said"),
    [
        ("wrong_dtype", "x=cast(float64)", "", "the signature has "),
        ("missing", "", "cast(product, float64)", "no such node in the graph"),
    ],
)
def test_a_signature_that_the_graph_contradicts_is_refused(  # noqa: PLR0913, PLR0917 - a case
    key: str, before: str, after: str, said: str, quick: Validator, tmp_path: Path
) -> None:
    kept = Path(shutil.copytree(FIXTURES / "wrong_tensor_info", tmp_path / "model"))
    put: dict[str, Any] = {"before": before or (), "after": after or ()}
    edit = Compose(key, "new", **put)
    with pytest.raises(smpatch.RefusedError, match=said):
        smpatch.patch(kept, edit, validator=quick)


def test_an_input_that_shares_its_tensor_is_refused(
    composable: Mapping[str, Path], quick: Validator, tmp_path: Path
) -> None:
    kept = Path(shutil.copytree(composable["session_images"], tmp_path / "model"))
    twin = smpatch.EditSignature(DEFAULT, add_inputs={"twin": "image:0"})
    edits = [twin, Compose(DEFAULT, "new", before=("image=normalize(1)",))]  # type: ignore[arg-type] # a text is taken
    with pytest.raises(smpatch.RefusedError):
        smpatch.patch(kept, edits, validator=quick)
