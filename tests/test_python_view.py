"""``tf.saved_model.load`` loads an edited model too, and its list of signatures is compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.runtime import process, questions
from smpatch.runtime.process import ChildDied
from smpatch.runtime.questions import PythonSignature, TensorFact
from tests.validating import add, copied, fails
from tests.writer import models

FLOAT, INT32 = 1, 3


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.linear(tmp_path / "model")


Change = Callable[[str, PythonSignature], PythonSignature | None]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> questions.PythonSignatures:
    """The signatures that Python really lists for the edited model, whose load takes seconds."""
    said: list[questions.PythonSignatures] = []
    asked = questions.python_signatures

    def keep(*arguments: Any, **options: Any) -> questions.PythonSignatures:  # noqa: ANN401 - as the original
        said.append(asked(*arguments, **options))
        return said[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "python_signatures", keep)
        add(models.linear(tmp_path_factory.mktemp("listed") / "model"), validate="full")
    assert said[0].signatures.keys() >= {"added", "scale"}
    return said[0]


@pytest.fixture
def lists(
    model: Path, listed: questions.PythonSignatures, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that changes the list of Python; a change to None removes a signature."""

    def install(change: Change, *, before: bool = True) -> None:
        def altered(
            _: process.Child, directory: Path, *_rest: object, **_options: object
        ) -> questions.PythonSignatures:
            true = {k: each for k, each in listed.signatures.items() if k != "added"}
            if directory != model:
                true = dict(listed.signatures)
            elif not before:
                return dataclasses.replace(listed, signatures=true)
            changed = {key: change(key, each) for key, each in true.items()}
            kept = {key: each for key, each in changed.items() if each is not None}
            return dataclasses.replace(listed, signatures=kept)

        monkeypatch.setattr(questions, "python_signatures", altered)

    return install


class TestFull:
    def test_model_without_object_graph(self, model: Path) -> None:
        receipt = add(model, validate="full")
        assert receipt.loaders == ("C runtime", "tf.saved_model.load")
        assert receipt.notes == ()

    @pytest.mark.parametrize("only", [True, False])
    def test_model_with_object_graph(self, tmp_path: Path, *, only: bool) -> None:
        model = copied("module", tmp_path)
        receipt = smpatch.add_predict(
            model,
            inputs={"x": "serving_default_x:0"},
            outputs={"score": "StatefulPartitionedCall:0"},
            signature="added",
            options=smpatch.Options(validate="full", signature_def_only=only),
        )
        assert receipt.loaders == ("C runtime", "tf.saved_model.load")
        assert receipt.fingerprint == "refreshed"
        assert any(note.code == "object-graph-unchanged" for note in receipt.notes) == only

    def test_model_that_python_did_not_load_before(self, tmp_path: Path) -> None:
        receipt = add(copied("wrong_tensor_info", tmp_path), validate="full")
        assert receipt.loaders == ("C runtime",)
        assert "python-loader-failed-before" in {note.code for note in receipt.notes}

    @pytest.mark.parametrize("before", [True, False])
    def test_process_that_dies_in_python(
        self,
        model: Path,
        listed: questions.PythonSignatures,
        monkeypatch: pytest.MonkeyPatch,
        *,
        before: bool,
    ) -> None:
        """If the unedited model ends the process too, this is a note; otherwise an error."""

        def die(
            _: process.Child, directory: Path, *_rest: object, **_options: object
        ) -> questions.PythonSignatures:
            if directory != model or before:
                raise ChildDied("killed by SIGSEGV", "")
            return listed

        monkeypatch.setattr(questions, "python_signatures", die)
        if before:
            receipt = add(model, validate="full")
            assert [note.code for note in receipt.notes] == ["python-loader-failed-before"]
            assert "was killed by SIGSEGV with the unedited model, too" in receipt.notes[0].text
        else:
            error = fails(model, validate="full")
            assert "killed by SIGSEGV" in error.found
            assert error.hint == "the unedited model does not end it; the model is unchanged"

    def test_signature_that_python_does_not_list(
        self, model: Path, lists: Callable[..., None]
    ) -> None:
        lists(lambda key, each: None if key == "added" else each)
        assert "does not list 'added'" in fails(model, validate="full").found

    def test_other_signature_that_python_lists_no_longer(
        self, model: Path, lists: Callable[..., None]
    ) -> None:
        """The unedited model is loaded too: its list may already lack the signature."""
        lists(lambda key, each: None if key == "scale" else each, before=False)
        assert "no longer lists the signatures ['scale']" in fails(model, validate="full").found

    def test_other_signature_that_python_did_not_list_before(
        self, model: Path, lists: Callable[..., None]
    ) -> None:
        lists(lambda key, each: None if key == "scale" else each)
        assert "tf.saved_model.load" in add(model, validate="full").loaders

    @pytest.mark.parametrize(
        ("kind", "changed", "words"),
        [
            ("inputs", {"z": TensorFact(FLOAT, (None, 3))}, "sees the inputs ['z'], not ['x']"),
            ("outputs", {}, "sees the outputs [], not ['y']"),
            ("inputs", {"x": TensorFact(INT32, (None, 3))}, "sees 'x' of the inputs as int32"),
            ("outputs", {"y": TensorFact(INT32, None)}, "sees 'y' of the outputs as int32"),
            ("inputs", {"x": TensorFact(FLOAT, (7, 7, 7))}, "as float32 [7, 7, 7], not float32"),
            ("outputs", {"y": TensorFact(FLOAT, (7, 7, 7))}, "as float32 [7, 7, 7], not float32"),
        ],
    )
    def test_signature_that_python_lists_otherwise(
        self,
        model: Path,
        lists: Callable[..., None],
        kind: str,
        changed: dict[str, TensorFact],
        words: str,
    ) -> None:
        """The names, types and shapes of inputs and of outputs are compared."""

        def otherwise(key: str, each: PythonSignature) -> PythonSignature:
            return dataclasses.replace(each, **{kind: changed}) if key == "added" else each

        lists(otherwise)
        assert words in fails(model, validate="full").found
