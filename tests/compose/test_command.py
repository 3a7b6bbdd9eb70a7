"""``smpatch compose`` as users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smpatch import load, tensor_syntax
from smpatch.errors import UsageError
from smpatch.fragments import asked
from smpatch.recipes import RECIPES
from tests.compose.conftest import Copied


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smpatch", "compose", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


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


def test_an_array_of_a_file_is_bound(copied: Copied) -> None:
    model = copied("module")
    np.save(model.parent / "zoom.npy", np.array([1.5, 2.5], "f4"))
    done = run(
        *(model, *SOURCE, "--bind", f"zoom={model.parent / 'zoom.npy'}", "--bind", "training=true"),
        *("--validate", "runtime", "--json"),
    )
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)["edit"]
    assert body["command"] == "compose"
    assert body["numbers"] == {"new": ["a", "b", "c"]}
    assert [*body["changes"][0]["signature"]["inputs"]] == ["image", "kind"]


def test_the_cost_of_copies_is_told(copied: Copied) -> None:
    done = run(copied("session"), *SOURCE, "--bind", "training=true", "--validate", "runtime")
    assert done.returncode == 0, done.stderr
    assert "nodes that depend on what is bound are copied, " in done.stderr


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
    options: tuple[str, ...], code: int, said: str, copied: Copied
) -> None:
    model = copied("module")
    data = (model / "saved_model.pb").read_bytes()
    done = run(model, *SOURCE, *options, "--validate", "none")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert (model / "saved_model.pb").read_bytes() == data
    assert [*load(model).signatures] == ["serving_default", "words"]


def test_an_input_is_passed_and_another_key_is_kept(copied: Copied) -> None:
    model = copied("module")
    options = ("--from-signature", "serving_default", "--signature", "serving_default")
    passed = ("--pass", "zoom=key", "--pass", "kind", "--keep-as", "raw")
    done = run(model, *options, *passed, "--validate", "runtime")
    assert done.returncode == 0, done.stderr
    assert "serving_default renamed to raw" in done.stdout
    assert "run before and after the edit: 5 outputs give the same, bit for bit" in done.stdout
    signatures = load(model).signatures
    assert set(signatures["serving_default"].outputs) == {"a", "b", "c", "key", "kind"}
    assert set(signatures["raw"].outputs) == {"a", "b", "c"}


def test_the_recipes_are_listed() -> None:
    done = run(Path("none"), "--recipes")
    assert done.returncode == 0, done.stderr
    for each in RECIPES:
        assert f"--{each.place} {each.example}\n  {each.help}\n" in done.stdout
        assert all(argument.words in done.stdout for argument in each.arguments)
