"""The variables of a model in a store stay there, unless TensorFlow reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import CheckOptions, Feeding
from smpatch.edits import Copy, SetInitOp
from smpatch.runtime import absent
from smpatch.stores.access import Store
from smpatch.urls import ModelUrl
from tests.cli.conftest import Run
from tests.stores.conftest import keys, put, tree
from tests.stores.counting import Counter, counting
from tests.writer import models

MANY = 16_000_000
"""The number of bytes that are added to the variables of a model."""

DATA = "variables/variables.data-00000-of-00001"
ENVELOPE = 64 * 1024


@pytest.fixture
def counter(s3: str, moto_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    """A counter of the bytes that the client sends and receives."""
    del s3
    with counting(moto_port) as counter:
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{counter.port}")
        yield counter
    assert not absent._files  # noqa: SLF001 - a file that is left would be read for another model


def _big(name: str, tmp_path: Path) -> Path:
    """Copy a fixture, and lengthen the data of its variables by bytes that no tensor has."""
    model = Path(shutil.copytree(models.FIXTURES / name, tmp_path / name))
    os.truncate(model / DATA, (model / DATA).stat().st_size + MANY)
    return model


@pytest.fixture(params=["linear", "module"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model of TensorFlow 1 or 2 whose variables are long."""
    return _big(request.param, tmp_path)


@pytest.fixture
def model(local: Path, s3: str, counter: Counter) -> str:
    """The same model in a store."""
    url = put(local, f"{s3}/1")
    counter.moved = 0
    return url


def _key(model: str) -> str:
    return min(key for key in keys(model) if not key.startswith("__"))


def _file(local: Path) -> int:
    return (local / "saved_model.pb").stat().st_size


@pytest.mark.parametrize("validate", ["auto", "runtime", "none"])
@pytest.mark.parametrize("way", ["edit", "dry run", "saved beside it"])
def test_an_edit_moves_the_model_file_twice(
    validate: Any,  # noqa: ANN401 - one of its words
    way: str,
    local: Path,
    model: str,
    counter: Counter,
) -> None:
    beside = str(ModelUrl(model).parent / "2") if way == "saved beside it" else None
    before = tree(model)
    key = _key(model)
    counter.moved = 0
    options = smpatch.Options(validate=validate, dry_run=way == "dry run", save_to=beside)
    receipt = smpatch.copy_signature(model, key, "again", options=options)
    assert counter.moved <= 2 * _file(local) + ENVELOPE
    assert counter.moved >= _file(local)
    if validate != "none" and way != "dry run":
        assert receipt.variables_read is False
        assert receipt.loaders
    after = tree(beside or model)
    assert after[DATA] == before[DATA]
    assert (after["saved_model.pb"] == before["saved_model.pb"]) is (way == "dry run")


@pytest.mark.parametrize("validate", ["full", "run"])
@pytest.mark.parametrize("beside", [False, True])
def test_who_runs_a_model_reads_its_variables_once(
    validate: Any,  # noqa: ANN401 - one of its words
    beside: bool,  # noqa: FBT001 - as above
    model: str,
    counter: Counter,
) -> None:
    place = str(ModelUrl(model).parent / "2") if beside else None
    options = smpatch.Options(validate=validate, save_to=place)
    key = _key(model)
    counter.moved = 0
    receipt = smpatch.copy_signature(model, key, "again", options=options)
    assert receipt.variables_read is True
    assert MANY < counter.moved < 2 * MANY
    assert "variables-read" in [each.code for each in receipt.notes]
    if validate == "run":
        assert receipt.numbers


def test_an_init_op_that_reads_them_gets_them(s3: str, counter: Counter, tmp_path: Path) -> None:
    url = put(_big("linear", tmp_path), f"{s3}/1")
    counter.moved = 0
    receipt = smpatch.patch(url, SetInitOp(("product/ReadVariableOp",)))
    assert receipt.variables_read is True
    assert counter.moved > MANY


@pytest.mark.parametrize("validate", ["auto", "none"])
def test_a_composed_signature_runs_with_the_values(
    validate: Any,  # noqa: ANN401 - one of its words
    s3: str,
    counter: Counter,
    tmp_path: Path,
) -> None:
    url = put(_big("linear", tmp_path), f"{s3}/1")
    counter.moved = 0
    options = smpatch.Options(validate=validate)
    bound = {"x": [1.0, 2.0]}
    receipt = smpatch.compose_signature(
        url, "scale", signature="bound", bind=bound, dummy_input="unread", options=options
    )
    assert (receipt.numbers is not None) is (validate == "auto")
    assert (counter.moved > MANY) is (validate == "auto")


def test_who_reads_the_model_moves_its_file_once(
    local: Path, model: str, counter: Counter, call: Run
) -> None:
    for words in (
        ("show", model),
        ("suggest", model),
        ("diff", model, local),
        ("check", model, "--validate", "none"),
        ("check", model, "--validate", "runtime", "--no-variables"),
        ("check", model, "--validate", "full", "--no-variables"),
    ):
        counter.moved = 0
        said = call(*words)
        assert said.code == 0, (words, said.err)
        assert _file(local) <= counter.moved <= _file(local) + ENVELOPE, words


@pytest.mark.parametrize("options", [CheckOptions(), CheckOptions(run=Feeding())])
def test_a_check_reads_them_unless_it_is_told_not_to(
    options: CheckOptions, model: str, counter: Counter
) -> None:
    report = smpatch.check(model, options=options)
    assert report.variables_read is True
    assert report.ok, report
    assert MANY < counter.moved < 2 * MANY


def _lost(place: ModelUrl, store: Store) -> None:
    store.delete((place / DATA).key)


def _short(place: ModelUrl, store: Store) -> None:
    store.put((place / DATA).key, bytes(3))


def _pointer(place: ModelUrl, store: Store) -> None:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 16000008\n"
    store.put((place / DATA).key, text.encode())


def _no_index(place: ModelUrl, store: Store) -> None:
    store.delete((place / "variables/variables.index").key)


@pytest.mark.parametrize("spoil", [_lost, _short, _pointer, _no_index])
@pytest.mark.parametrize("name", ["linear", "module"])
def test_variables_that_are_missing_are_found_as_in_a_directory(
    spoil: Callable[[ModelUrl, Store], None], name: str, s3: str, counter: Counter, tmp_path: Path
) -> None:
    del counter
    url = put(models.FIXTURES / name, f"{s3}/1")
    place = ModelUrl(url)
    spoil(place, Store(place))
    directory = tmp_path / "1"
    for file, data in tree(url).items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_bytes(data)
    for chosen in (CheckOptions(validate="none"), CheckOptions(variables=False), CheckOptions()):
        found, known = (
            [
                (each.code, each.text.replace(str(place), url))
                for each in smpatch.check(place, options=chosen).faults
            ]
            for place in (url, directory)
        )
        assert "variables-missing" in dict(found)
        assert found == known
    key = _key(url)
    notes, expected = (
        [
            each.text.partition("; see")[0]
            for each in smpatch.patch(model, Copy(key, "again")).notes
            if each.code == "variables-missing"
        ]
        for model in (url, directory)
    )
    assert notes
    assert notes == expected


def test_variables_that_cannot_be_read_are_not_taken_for_zeros(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(model)
    original = Store.download

    def fail(self: Store, key: str, file: Path) -> None:
        if ".data-" in key:
            raise smpatch.ModelUnreadableError("the store denies permission", where=key)
        original(self, key, file)

    monkeypatch.setattr(Store, "download", fail)
    key = _key(model)
    for validate in ("full", "run"):
        options = smpatch.Options(validate=validate)
        with pytest.raises(smpatch.ModelUnreadableError, match="denies permission"):
            smpatch.copy_signature(model, key, "again", options=options)
    with pytest.raises(smpatch.ModelUnreadableError, match="denies permission"):
        smpatch.check(model)
    assert tree(model) == before
    assert smpatch.copy_signature(model, key, "again").variables_read is False


def test_a_copy_in_another_place_has_the_values(
    local: Path, model: str, counter: Counter, tmp_path: Path
) -> None:
    key = _key(model)
    counter.moved = 0
    for validate in ("none", "auto"):
        options = smpatch.Options(validate=validate, save_to=tmp_path / validate)
        smpatch.copy_signature(model, key, "again", options=options)
        made = (tmp_path / validate / DATA).read_bytes()
        assert made == (local / DATA).read_bytes()
