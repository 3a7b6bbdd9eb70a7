"""A kind of edit is one class: the rest of the package needs only this class to make the edit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import smpatch
from smpatch import MetaGraph, ValidationError, load
from smpatch.editing.edit import Change, Context, Expected, Repetition, Step
from smpatch.editing.signatures import Signatures
from smpatch.editing.tracking import Tracker
from smpatch.edits import Edit, Making, __all__, in_patch_files
from smpatch.patch_table import Table
from smpatch.patchfile import document, parse_patch
from smpatch.proof.numbers import KeptSignatures
from smpatch.proof.requests import kept

MODEL = Path(__file__).resolve().parents[1] / "fixtures" / "models" / "module"
RUNTIME = smpatch.Options(validate="runtime")


@dataclass(frozen=True, slots=True)
class Upper(Edit):
    """An edit that writes the key of a signature in capitals; only this test has this kind."""

    verb: ClassVar[str] = "upper"

    key: str
    proved_as: str = ""
    silent: bool = False

    @property
    def subject(self) -> str:
        return self.key

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (self.key.upper(),)

    @classmethod
    def read(cls, table: Table) -> Upper:
        return cls(table.text("upper"))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        renamed = Signatures.of(meta_graph, context).rename(self.key, self.key.upper())
        signature = meta_graph.signatures[self.key]
        change = Change(self.key.upper(), "renamed", signature, self.key)
        return Step(renamed.meta_graph, (change,))

    def expected(self, before: MetaGraph) -> Expected:
        was = self.proved_as or self.key
        return {} if self.silent else {self.key.upper(): kept(was, before.signatures[was])}

    def follow(self, signatures: KeptSignatures) -> None:
        signatures[self.key.upper()] = signatures.pop(self.key)

    def track(self, tracker: Tracker) -> None:
        tracker.move(self.key, self.key.upper(), overwrite=False, copies=False)

    def key_after(self, key: str) -> str:
        return key.upper() if key == self.key else key

    def repeated(self, again: Repetition) -> Edit | None:
        again.touched.add(self.key.upper())
        return self if self.key in again.keys else None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


def test_a_kind_that_nothing_else_knows_is_carried_out_and_found_again(model: Path) -> None:
    before = load(model).signatures["serving_default"]
    receipt = smpatch.patch(model, Upper("serving_default"), options=RUNTIME)
    assert (receipt.key, receipt.outcome) == ("SERVING_DEFAULT", "renamed")
    assert load(model).signatures["SERVING_DEFAULT"] == before
    data = (model / "saved_model.pb").read_bytes()
    again = smpatch.patch(model, Upper("serving_default"), options=RUNTIME, once=True)
    assert (again.key, again.outcome, again.changes) == ("SERVING_DEFAULT", "unchanged", ())
    assert (model / "saved_model.pb").read_bytes() == data


def test_the_numbers_of_such_a_kind_are_compared(model: Path) -> None:
    receipt = smpatch.patch(
        model, Upper("serving_default"), options=smpatch.Options(validate="run")
    )
    assert set((receipt.numbers or {})["SERVING_DEFAULT"]) == set(receipt.signature.outputs)


def test_the_proof_holds_what_it_makes_against_what_it_says(model: Path) -> None:
    outputs = dict.fromkeys(load(model).signatures["serving_default"].outputs, "encoded:0")
    smpatch.derive_signature(
        model, "serving_default", outputs=outputs, signature="other", options=RUNTIME
    )
    data = (model / "saved_model.pb").read_bytes()
    with pytest.raises(ValidationError, match="would not have the requested computation"):
        smpatch.patch(model, Upper("serving_default", proved_as="other"), options=RUNTIME)
    assert (model / "saved_model.pb").read_bytes() == data


def test_a_signature_of_which_a_kind_says_nothing_is_refused(model: Path) -> None:
    with pytest.raises(
        ValidationError,
        match="'SERVING_DEFAULT': the edit would add this signature, but no edit requests it",
    ):
        smpatch.patch(model, Upper("serving_default", silent=True), options=RUNTIME)


def test_a_patch_file_has_it_once_its_verb_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(document._KINDS, "upper", [Upper])  # noqa: SLF001 - made from in_patch_files
    text = 'version = 1\n[[edit]]\nupper = "a"\n'
    assert parse_patch(text).edits == (Upper("a"),)
    with pytest.raises(smpatch.PatchFileError, match="there is no signature 'a' any more"):
        parse_patch(f'{text}[[edit]]\nrename = "a"\nto = "b"\n')


def test_a_kind_that_leaves_a_question_open_cannot_be_made() -> None:
    @dataclass(frozen=True, slots=True)
    class Silent(Making):
        verb: ClassVar[str] = "silent"
        key: str = "k"
        overwrite: bool = False

    with pytest.raises(TypeError, match=r"apply.*expected.*follow"):
        Silent()  # type: ignore[abstract] # the test is for this call


def test_patch_files_have_every_kind_but_signatures_of_another_export() -> None:
    kinds = {
        name
        for name in __all__
        if isinstance(kind := getattr(smpatch.edits, name), type) and issubclass(kind, Edit)
    }
    asked = {kind.__name__ for kind in in_patch_files()}
    assert kinds - asked == {"Edit", "Making", "AddSignature"}
    assert asked <= kinds
