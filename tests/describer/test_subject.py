"""The choice of the signature, the name of the model, and errors with a command that works."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.cli import guard
from smpatch.cli.main import application
from smpatch.describer import FORMATS, Format
from smpatch.describer.subject import model_name
from smpatch.edits import EditSignature
from smpatch.signature import PREDICT
from tests.describer.models import FIXTURES, made, row

MODELS = FIXTURES / "models"
ONE_SIGNATURE = FORMATS[:3]


def _copied(name: str, room: Path) -> Path:
    return Path(shutil.copytree(MODELS / name, room / name))


def _do(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    words = shlex.split(line)
    monkeypatch.setattr("sys.argv", words)
    return guard.run(application())


@pytest.mark.parametrize("as_", ONE_SIGNATURE)
def test_serving_default_or_the_only_signature_is_described(as_: Format, tmp_path: Path) -> None:
    assert "'scale'" in smpatch.describe(MODELS / "linear", as_)
    assert "'serving_default'" in smpatch.describe(MODELS / "classify_regress", as_)
    several = MODELS / "ragged_sparse_inputs"
    with pytest.raises(smpatch.UsageError, match="2 signatures") as raised:
        smpatch.describe(several, as_)
    assert raised.value.hint == "choose one with --signature: plain, ragged"
    assert "'plain'" in smpatch.describe(several, as_, "plain")
    assert tmp_path.is_dir()


@pytest.mark.parametrize("as_", FORMATS)
def test_a_model_without_signatures_has_the_command_that_finds_some(
    as_: Format, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(smpatch.RefusedError, match="no signatures") as raised:
        smpatch.describe(MODELS / "no_signatures", as_)
    line = raised.value.hint.partition(" lists ")[0]
    assert _do(line, monkeypatch) == 0
    assert "smpatch add-predict" in capsys.readouterr().out


@pytest.mark.parametrize("as_", FORMATS)
def test_a_key_that_is_missing_comes_with_those_that_there_are(as_: Format) -> None:
    with pytest.raises(smpatch.TensorNotFoundError, match="no such signature") as raised:
        smpatch.describe(MODELS / "linear", as_, "gone")
    assert raised.value.hint == "signatures here: scale"


@pytest.mark.parametrize("as_", FORMATS)
def test_one_of_several_meta_graphs_is_chosen_by_its_tags(as_: Format) -> None:
    with pytest.raises(smpatch.TagSetError):
        smpatch.describe(MODELS / "several_tag_sets", as_)
    assert smpatch.describe(MODELS / "several_tag_sets", as_, tag_set="serve")


@pytest.mark.parametrize("as_", ["triton", "rest", "grpc"])
@pytest.mark.parametrize(("model", "key"), [("sparse", "twice"), ("ragged", "rows")])
def test_the_command_in_the_error_about_sparse_and_ragged_tensors_works(
    as_: Format, model: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _copied(model, tmp_path)
    with pytest.raises(smpatch.RefusedError, match="takes dense tensors only") as raised:
        smpatch.describe(place, as_, key)
    line = raised.value.hint.partition(" serves ")[0]
    assert _do(f"{line} --validate none", monkeypatch) == 0
    signatures = smpatch.load(place).signatures
    dense = [each.name for each in signatures[f"{key}_dense"].tensors()]
    assert set(dense) == {each.name for each in signatures[key].tensors()}
    assert smpatch.describe(place, as_, f"{key}_dense")


def test_the_command_works_for_a_directory_whose_name_begins_with_a_hyphen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _copied("sparse", tmp_path).rename(tmp_path / "-m")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(smpatch.RefusedError) as raised:
        smpatch.describe("-m", "rest", "twice")
    line = raised.value.hint.partition(" serves ")[0]
    assert _do(f"{line} --validate none", monkeypatch) == 0
    assert "twice_dense" in smpatch.load("-m").signatures


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models/linear", "linear"),
        ("models/linear/1", "linear"),
        ("models/linear/0042/", "linear"),
        ("linear/1/model.savedmodel", "linear"),
        ("linear/.", "linear"),
        ("v1", "v1"),
        ("/", "model"),
        ("/1", "model"),
    ],
)
def test_the_name_of_a_model_is_that_of_its_directory_without_the_version(
    path: str, name: str
) -> None:
    assert model_name(Path(path)) == name


def test_a_path_that_is_no_utf_8_gives_a_name_that_is(tmp_path: Path) -> None:
    place = made(
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")), {"x": row("x")}, {"y": row("y")}
    )
    for as_ in FORMATS:
        assert smpatch.describe(place, as_).encode()
    assert 'name: "m?"' in smpatch.describe(place)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"as_": "onnx"}, "'onnx' is not a format"),
        ({"name": ""}, "not empty"),
        ({"batch": 0}, "0 is not a batch size"),
        ({"batch": True}, "True is not a batch size"),
        ({"batch": 2**31}, "too large"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], found: str) -> None:
    with pytest.raises(smpatch.UsageError, match=found):
        smpatch.describe(MODELS / "linear", **options)


def test_triton_is_the_format_of_a_call_without_one() -> None:
    assert smpatch.describe(MODELS / "linear") == smpatch.describe(MODELS / "linear", "triton")


def _both(one: Path, other: Path) -> Path:
    """Put the MetaGraphs of two models into the first one."""
    with (one / "saved_model.pb").open("ab") as file:
        file.write((other / "saved_model.pb").read_bytes())
    return one


@pytest.mark.parametrize("key", ["", "-k", "it's", "a b"])
@pytest.mark.parametrize("as_", ONE_SIGNATURE)
def test_the_command_in_an_error_names_the_meta_graph(
    as_: Format, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was refused: there are two MetaGraphs."""
    tags = ("train", "b c")
    one = made(tmp_path / "my model", {"x": row("x")}, {"y": row("y")})
    specs = {"x": row("x", "complex64")}, {"y": row("y")}
    method = "own" if key == "-k" else PREDICT
    two = made(tmp_path / "two", *specs, key=key, method=method, tags=tags)
    place = _both(one, two)
    if as_ == "grpc" and key not in {"", "-k"}:
        assert smpatch.describe(place, as_, key, tag_set=tags)
        return
    with pytest.raises(smpatch.RefusedError) as raised:
        smpatch.describe(place, as_, key, tag_set=tags)
    line = raised.value.hint.partition(" gives it another")[0].partition(" has a request")[0]
    dry = "" if line.split()[1] == "describe" else " --dry-run --validate none"
    assert _do(line + dry, monkeypatch) == 0


@pytest.mark.parametrize("tags", [(), ("serve", "gpu"), ("a\0b",), ("a", "b,c")])
def test_the_command_for_one_tag_works_beside_a_meta_graph_that_has_it(
    tags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag ``serve`` was proposed, which the other MetaGraph has."""
    one = made(tmp_path / "one", {"x": row("x")}, {"y": row("y")})
    place = _both(one, made(tmp_path / "two", {"x": row("x")}, {"y": row("y")}, tags=tags))
    with pytest.raises(smpatch.RefusedError, match="Triton takes one tag") as raised:
        smpatch.describe(place, tag_set=tags)
    assert _do(f"{raised.value.hint} --validate none", monkeypatch) == 0
    assert [each.tags for each in smpatch.load(place).meta_graphs] == [("serve",), ("NEW",)]


def test_the_command_for_dense_tensors_works_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _copied("sparse", tmp_path)
    for key in ("twice_dense", "twice_dense_"):
        with pytest.raises(smpatch.RefusedError) as raised:
            smpatch.describe(place, "rest", "twice")
        line = raised.value.hint.partition(" serves ")[0]
        assert _do(f"{line} --validate none", monkeypatch) == 0
        assert key in smpatch.load(place).signatures


@pytest.mark.parametrize("name", ["a\0b", ""])
@pytest.mark.parametrize("as_", ["triton", "rest"])
def test_a_name_that_no_shell_can_pass_gets_the_function_of_the_library(
    as_: Format, name: str, tmp_path: Path
) -> None:
    if as_ == "rest" and not name:
        return  # TF Serving takes an empty name
    place = made(tmp_path / "m", {name: row("x")}, {"y": row("y")})
    with pytest.raises(smpatch.RefusedError, match="zero byte") as raised:
        smpatch.describe(place, as_)
    assert raised.value.hint == "smpatch.edit_signature with rename_inputs gives it another"
    edit = EditSignature("serving_default", rename_inputs={name: "x"})
    smpatch.edit_signature(place, edit, options=smpatch.Options(validate="none"))
    assert smpatch.describe(place, as_)


@pytest.mark.parametrize("dtype", ["qint8", "int4", "float8_e5m2", "complex64", "float16"])
def test_the_other_request_in_an_error_can_be_written(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For ``qint8`` the command was refused as well."""
    place = made(tmp_path / "m", {"x": row("x", dtype)}, {"y": row("y")})
    with pytest.raises(smpatch.RefusedError, match="no JSON form") as raised:
        smpatch.describe(place, "rest")
    line = raised.value.hint.partition(" has a request")[0]
    assert bool(line) == (dtype in {"complex64", "float16"})
    assert not line or _do(line, monkeypatch) == 0
