"""The questions to TensorFlow before a commit, and the result of an edit for each answer."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.edits import Retag
from smpatch.runtime import installation, process, questions
from smpatch.runtime.questions import Description, TensorFact
from tests.oracle import programs
from tests.validating import add, copied, fails
from tests.writer import models

FILE = "saved_model.pb"
FLOAT, INT32 = 1, 3

# Programs in the place of a child: they report that TensorFlow is loaded, and then do this.
_SAY_LOADED = "import os, sys, time; os.write(1, b'{\"ok\": true}\\n'); sys.stdin.readline(); "
_ENDS = {
    "SIGSEGV": f"os.kill(os.getpid(), {int(signal.SIGSEGV)})",
    "SIGABRT": "os.write(2, b'F0000 00:00:01.1 1 graph.cc:7] Check failed: n > 0\\n'); os.abort()",
    "SIGKILL": f"os.kill(os.getpid(), {int(signal.SIGKILL)})",
    "status 3": "sys.exit(3)",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.linear(tmp_path / "model")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories that TensorFlow was asked to load, in order."""
    directories: list[Path] = []
    describe = questions.describe

    def count(child: process.Child, directory: Path, *rest: Any) -> Description:  # noqa: ANN401 - as the original
        directories.append(directory)
        return describe(child, directory, *rest)

    monkeypatch.setattr(questions, "describe", count)
    return directories


@pytest.fixture
def before_the_load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Return a function that installs a change of the staged file before TensorFlow reads it."""
    describe = questions.describe

    def install(change: Callable[[Path], None]) -> None:
        def changed(child: process.Child, directory: Path, *rest: Any) -> Description:  # noqa: ANN401 - as the original
            change(directory / FILE)
            return describe(child, directory, *rest)

        monkeypatch.setattr(questions, "describe", changed)

    return install


@pytest.fixture
def answer(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[Description], Description]], None]:
    """Return a function that installs a change of TensorFlow's answers."""
    describe = questions.describe

    def install(change: Callable[[Description], Description]) -> None:
        monkeypatch.setattr(questions, "describe", lambda *asked: change(describe(*asked)))

    return install


def _swap(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new))

    return change


class TestNewSignature:
    def test_one_load_where_the_file_says_all(self, model: Path, asked: list[Path]) -> None:
        assert add(model, validate="full").loaders[0] == "C runtime"
        assert len(asked) == 1
        assert asked[0].name.startswith(".smpatch-")
        assert add(model, overwrite=True).loaders == ("C runtime",)
        assert len(asked) == 2
        assert asked[1].parent != model  # a directory of links to all files but the variables

    def test_one_load_where_nothing_is_to_do(self, model: Path, asked: list[Path]) -> None:
        models.add(model)
        assert add(model, overwrite=True, validate="full").outcome == "unchanged"
        assert asked == [model]
        assert add(model, overwrite=True).outcome == "unchanged"
        assert len(asked) == 2

    def test_shapes_that_the_file_does_not_say_come_from_tensorflow(
        self, tmp_path: Path, asked: list[Path]
    ) -> None:
        model = copied("no_op_list", tmp_path)
        receipt = add(model)
        assert len(asked) == 2
        assert receipt.signature == smpatch.load(model).signatures["added"]
        (output,) = receipt.signature.outputs.values()
        assert output == smpatch.TensorSpec("y:0", "float32", (None,))

    @pytest.mark.parametrize(
        ("old", "new", "key"),
        [
            (b"added", b"adxed", "'added' is missing"),
            (b"scale", b"scxle", "'scale' is missing"),
            (b"tensorflow/serving/predict", b"tensorflow/serving/precise", "is not as it was"),
        ],
    )
    def test_map_that_is_not_as_it_was_written(
        self,
        model: Path,
        before_the_load: Callable[[Callable[[Path], None]], None],
        old: bytes,
        new: bytes,
        key: str,
    ) -> None:
        before_the_load(_swap(old, new))
        assert key in fails(model).found

    def test_graph_that_lost_the_tensor(
        self, model: Path, answer: Callable[[Callable[[Description], Description]], None]
    ) -> None:
        answer(lambda said: dataclasses.replace(said, tensors={**said.tensors, "y:0": None}))
        assert fails(model).found == "the graph that TensorFlow loaded has no tensor y:0"

    def test_graph_with_another_dtype(
        self, model: Path, answer: Callable[[Callable[[Description], Description]], None]
    ) -> None:
        fact = TensorFact(INT32, (None,))
        answer(lambda said: dataclasses.replace(said, tensors={**said.tensors, "y:0": fact}))
        assert "y:0 is int32 in the graph that TensorFlow loaded, not float32" in str(fails(model))

    def test_graph_with_another_shape_is_believed_once(
        self, model: Path, answer: Callable[[Callable[[Description], Description]], None]
    ) -> None:
        fact = TensorFact(FLOAT, (7,))
        answer(lambda said: dataclasses.replace(said, tensors={**said.tensors, "y:0": fact}))
        assert add(model).signature.outputs["y"] == smpatch.TensorSpec("y:0", "float32", (7,))

    def test_graph_with_another_shape_each_time_is_refused(
        self, model: Path, answer: Callable[[Callable[[Description], Description]], None]
    ) -> None:
        sizes = iter(range(10))

        def change(said: Description) -> Description:
            fact = TensorFact(FLOAT, (next(sizes),))
            return dataclasses.replace(said, tensors={**said.tensors, "y:0": fact})

        answer(change)
        before = models.tree(model)
        with pytest.raises(smpatch.RefusedError, match="other shapes each time"):
            add(model)
        assert models.tree(model) == before


class TestEverythingElse:
    def test_what_was_wrong_before_is_a_note(self, tmp_path: Path) -> None:
        receipt = add(copied("wrong_tensor_info", tmp_path))
        texts = [note.text for note in receipt.notes if note.code == "already-wrong"]
        assert any("no tensor 'gone:0'" in text for text in texts)
        assert any("'wrong_dtype'" in text and "int32" in text for text in texts)
        assert all("serving_default" not in text for text in texts)

    def test_lie_about_a_dtype_is_a_note(self, tmp_path: Path) -> None:
        receipt = add(copied("wrong_dtype", tmp_path))
        assert [note.code for note in receipt.notes] == ["already-wrong"]

    def test_every_graph_that_got_other_tags_is_loaded_by_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A load of the changed MetaGraph proves one edit; a list may change several MetaGraphs."""
        model = copied("several_tag_sets", tmp_path)
        asked: list[set[str]] = []
        describe = questions.describe

        def keep(child: process.Child, directory: Path, tags: Any, *rest: Any) -> Description:  # noqa: ANN401 - as the original
            asked.append(set(tags))
            return describe(child, directory, tags, *rest)

        monkeypatch.setattr(questions, "describe", keep)
        edits = [Retag(("train",), ("training",)), Retag(("serve", "gpu"), ("serve", "tpu"))]
        smpatch.patch(model, edits, options=smpatch.Options(validate="runtime"))
        assert {"training"} in asked
        assert {"serve", "tpu"} in asked

    def test_a_good_model_has_no_note(self, model: Path) -> None:
        assert add(model).notes == ()

    def test_model_that_did_not_load_before(self, model: Path, asked: list[Path]) -> None:
        (model / "variables" / "variables.index").write_bytes(b"damaged")
        error = fails(model, validate="full")
        without = "skip the reload with --validate none"
        assert error.hint == f"it did not load before either; {without}"
        assert asked[-1] == model
        add(model, validate="none")

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_no_message_names_a_staging_directory_that_is_gone(
        self, model: Path, tmp_path: Path, *, elsewhere: bool
    ) -> None:
        """TensorFlow's message named files in it; with --save-to no name was replaced."""
        (model / "variables" / "variables.data-00000-of-00001").unlink()
        place = tmp_path / "new" if elsewhere else None
        error = fails(model, save_to=place, validate="full")
        assert f"{model}/variables" in error.found
        assert ".smpatch-" not in str(error)

    def test_no_note_names_a_staging_directory_that_is_gone(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (model / "fingerprint.pb").write_bytes(b"\x08\x01")

        def unread(_: object, directory: Path) -> str:
            return f"{directory}/saved_model.pb cannot be read"

        monkeypatch.setattr(smpatch.validator.Validator, "fingerprint", unread)
        (note,) = add(model).notes
        assert note.text.endswith(f": {model}/saved_model.pb cannot be read")

    def test_model_that_the_edit_broke(
        self, model: Path, before_the_load: Callable[[Callable[[Path], None]], None]
    ) -> None:
        def cut(file: Path) -> None:
            if file.parent != model:
                file.write_bytes(file.read_bytes()[:-3])

        before_the_load(cut)
        error = fails(model)
        assert error.hint == "the model is unchanged"
        assert "TensorFlow does not load the model" in error.found

    def test_operation_that_nobody_registered(self, model: Path) -> None:
        _swap(b"AddV2", b"AddQQ")(model / FILE)
        error = fails(model)
        assert "'AddQQ'" in error.found
        assert "--op-library" in error.hint


@pytest.mark.own_children
class TestChildren:
    @pytest.mark.parametrize("end", _ENDS)
    def test_child_that_dies(self, model: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
        program = [sys.executable, "-c", _SAY_LOADED + "sys.stdin.readline(); " + _ENDS[end]]
        monkeypatch.setattr(process, "_command", lambda _: program)
        error = fails(model)
        assert end in error.found
        assert "unchanged" in error.hint
        if end == "SIGABRT":
            assert "Check failed: n > 0" in error.found

    def test_child_that_hangs(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = [sys.executable, "-c", _SAY_LOADED + "time.sleep(60)"]
        monkeypatch.setattr(process, "_command", lambda _: program)
        error = fails(model, time_limit=0.4)
        assert "within 0.4 s" in error.found
        assert "--time-limit" in error.hint

    def test_child_that_cannot_be_started(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "_command", lambda _: [str(model / "no such program")])
        before = models.tree(model)
        with pytest.raises(smpatch.SmpatchError, match="no such file"):
            add(model)
        assert models.tree(model) == before

    def test_library_that_is_none(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "ops.so").write_bytes(b"no library")
        error = fails(model, op_libraries=[tmp_path / "ops.so"])
        assert error.where == str(tmp_path / "ops.so")

    def test_c_library_that_cannot_be_loaded(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"no library")
        found = _found()
        broken = dataclasses.replace(found, cc_library=tmp_path / "libtensorflow_cc.so.2")
        monkeypatch.setattr(installation, "find", lambda: broken)
        error = fails(model)
        assert "TensorFlow cannot be loaded" in error.found
        assert "--validate none" in error.hint


@pytest.mark.own_children
class TestWithoutTensorFlow:
    def test_it_is_asked_for(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installation, "find", lambda: None)
        error = fails(model)
        assert error.found == "TensorFlow is not installed"
        assert "pip install tensorflow" in error.hint

    def test_it_can_be_done_without(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installation, "find", lambda: None)
        model = models.linear(tmp_path / "model", fingerprint=True)
        receipt = add(model, validate="none")
        assert receipt.loaders == ()
        assert receipt.fingerprint == "stale"
        assert "not installed" in next(
            note.text for note in receipt.notes if note.code == "stale-fingerprint"
        )

    @pytest.mark.parametrize("missing", ["cc_library", "framework_library"])
    def test_without_one_of_the_c_libraries_python_is_started(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        nothing: dict[str, Any] = {missing: None}
        without = dataclasses.replace(_found(), **nothing)
        started: list[process.Program] = []

        def command(program: process.Program) -> list[str]:
            started.append(program)
            return [sys.executable, "-c", "import sys; sys.exit(3)"]

        monkeypatch.setattr(installation, "find", lambda: without)
        monkeypatch.setattr(process, "_command", command)
        assert "status 3" in fails(model).found
        assert set(started) == {process.Program.PYTHON}

    def test_without_c_libraries_python_is_asked(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without = dataclasses.replace(_found(), cc_library=None, framework_library=None)
        monkeypatch.setattr(installation, "find", lambda: without)
        receipt = add(model)
        assert receipt.loaders == ("Python loader (v1)",)
        assert [note.code for note in receipt.notes] == ["no-c-runtime"]


def _found() -> installation.Wheel:
    found = installation.find()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A library of a custom operation, and a model that needs it."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile a custom operation with")
    top = tmp_path_factory.mktemp("echo")
    root = _found().root
    source = Path(__file__).parent / "custom_op" / "echo_op.cc"
    framework = _found().framework_library
    assert framework is not None
    subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", f"-I{root / 'include'}", str(source)),
            *("-o", str(top / "echo.so"), str(framework)),
        ],
        check=True,
        capture_output=True,
    )
    programs.run("-m", "tests.custom_op.export", top / "echo.so", top / "model")
    return top / "echo.so", top / "model"


class TestCustomOperation:
    def test_without_its_library(self, echo: tuple[Path, Path]) -> None:
        error = fails(echo[1])
        assert "'SmpatchEcho'" in error.found
        assert "--op-library" in error.hint

    @pytest.mark.parametrize("validate", ["runtime", "full"])
    def test_with_its_library(
        self,
        echo: tuple[Path, Path],
        tmp_path: Path,
        validate: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, logger="smpatch")
        library, model = echo
        receipt = add(model, validate=validate, op_libraries=[library], save_to=tmp_path / "out")
        assert receipt.loaders[0] == "C runtime"
        assert len(receipt.loaders) == (2 if validate == "full" else 1)
        light = [each for each in caplog.messages if "alone decide: it loads" in each]
        assert len(light) == (validate == "full")
        assert receipt.signature.outputs["y"] == smpatch.TensorSpec("y:0", "float32", (None, 3))

    def test_in_a_frozen_graph(self, echo: tuple[Path, Path], tmp_path: Path) -> None:
        library, model = echo
        data, ((start, end),) = smpatch.load(model).meta_graphs[0].parts.graph
        (tmp_path / "frozen.pb").write_bytes(data[start:end])
        receipt = smpatch.wrap_graph(
            tmp_path / "frozen.pb",
            tmp_path / "out",
            inputs={"x": "x"},
            outputs={"y": "y"},
            options=smpatch.Options(op_libraries=[library]),
        )
        assert receipt.loaders == ("C runtime",)
        (wrapped,) = smpatch.load(tmp_path / "out").meta_graphs
        assert "SmpatchEcho" in wrapped.op_defs
