"""``smpatch compose`` as users type it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from smpatch import load, tensor_syntax
from smpatch.errors import UsageError
from smpatch.fragments import asked
from smpatch.recipes import RECIPES
from tests.cli.conftest import Run
from tests.compose.conftest import Copied

SOURCE = ("--from-signature", "serving_default", "--signature", "new")


def test_values_are_json_files_and_texts(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.ones(2, "f4"))
    texts = ["a=false", "b=[1, 2.5]", 'c="1"', "d=text", f"e={file}", 'f="f.npy"', "g=a=b"]
    found = tensor_syntax.parse_constants(texts, option="--bind")
    array = found.pop("e")
    assert found == {
        "a": False,
        "b": [1, 2.5],
        "c": "1",
        "d": "text",
        "f": "f.npy",
        "g": "a=b",
    }
    assert getattr(array, "value", None) == [1.0, 1.0]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e308/1e-10"])
def test_a_number_of_a_recipe_does_not_become_infinite(number: str) -> None:
    with pytest.raises(UsageError):
        asked(f"x=normalize({number})", "before")


def test_an_array_of_a_file_is_bound(copied: Copied, call: Run) -> None:
    model = copied("module")
    np.save(model.parent / "zoom.npy", np.array([1.5, 2.5], "f4"))
    bound = ("--bind", f"zoom={model.parent / 'zoom.npy'}", "--bind", "training=true")
    done = call("compose", model, *SOURCE, *bound, "--validate", "runtime", "--json")
    assert done.code == 0, done.err
    body = json.loads(done.out)["edit"]
    assert body["command"] == "compose"
    assert body["numbers"] == {"new": ["a", "b", "c"]}
    assert [*body["changes"][0]["signature"]["inputs"]] == ["image", "kind"]


def test_the_cost_of_copies_is_told(copied: Copied, call: Run) -> None:
    options = ("--bind", "training=true", "--validate", "runtime")
    done = call("compose", copied("session"), *SOURCE, *options)
    assert done.code == 0, done.err
    assert "nodes that depend on what is bound are copied, " in done.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--bind", "training"), 2, "write INPUT=VALUE"),
        (("--bind", "training=true", "--bind", "training=false"), 2, "is given two values"),
        (("--bind", "zoom=none.npy"), 2, "none.npy: cannot be read: no such file"),
        ((), 2, "nothing is composed"),
        (("--bind", "trainin=true"), 4, "did you mean training?"),
        (("--bind", "training=1"), 4, "1 is not of type bool"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    options: tuple[str, ...], code: int, said: str, copied: Copied, call: Run
) -> None:
    model = copied("module")
    data = (model / "saved_model.pb").read_bytes()
    done = call("compose", model, *SOURCE, *options, "--validate", "none")
    assert (done.code, said in done.err) == (code, True), done.err
    assert "Traceback" not in done.err
    assert (model / "saved_model.pb").read_bytes() == data
    assert [*load(model).signatures] == ["serving_default", "words"]


def test_an_input_is_passed_and_another_key_is_kept(copied: Copied, call: Run) -> None:
    model = copied("module")
    options = ("--from-signature", "serving_default", "--signature", "serving_default")
    passed = ("--pass", "zoom=key", "--pass", "kind", "--keep-as", "raw")
    done = call("compose", model, *options, *passed, "--validate", "runtime")
    assert done.code == 0, done.err
    assert "serving_default renamed to raw" in done.out
    assert "run before and after the edit: 5 outputs give the same, bit for bit" in done.out
    signatures = load(model).signatures
    assert set(signatures["serving_default"].outputs) == {"a", "b", "c", "key", "kind"}
    assert set(signatures["raw"].outputs) == {"a", "b", "c"}


def test_the_recipes_are_listed(call: Run) -> None:
    done = call("compose", Path("none"), "--recipes")
    assert done.code == 0, done.err
    for each in RECIPES:
        assert f"--{each.place} {each.example}\n  {each.help}\n" in done.out
        assert all(argument.words in done.out for argument in each.arguments)
