"""Copies of fixtures to edit, the edit that these tests ask for, and what a directory holds.

TensorFlow is not asked in this folder, or the tests would take minutes: ``validate`` is
``none`` and the fingerprint is a stand-in that tells of which file it was taken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import smpatch
from smpatch.edits import AddPredict, Edit, EditSignature
from smpatch.validator import Validator
from smpatch.warmup import PLACE

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"
OLD_FINGERPRINT = b"the fingerprint that the exporter wrote"

Tree = dict[str, bytes | None]

_stat = os.stat
"""The true one: what the tests ask themselves meets no fault."""


def linear(place: Path, *, fingerprint: bool = False, requests: bool = False) -> Path:
    """Copy the fixture ``linear`` to ``place``; it has variables and no fingerprint of its own.

    Its signature is that of ``assets_extra_warmup``, whose warm-up request it may be given.
    """
    shutil.copytree(FIXTURES / "linear", place)
    if requests:
        shutil.copytree(FIXTURES / "assets_extra_warmup" / PLACE.parent, place / PLACE.parent)
    if fingerprint:
        (place / "fingerprint.pb").write_bytes(OLD_FINGERPRINT)
    return place


def add(model: Path, key: str = "added", **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Add a signature without asking TensorFlow, unless the options say so.

    In a model with a warm-up request the input that this feeds gets a name of the same key.
    """
    chosen = smpatch.Options(**{"validate": "none", **options})
    edits: list[Edit] = [AddPredict({"x": "x:0"}, {"y": "y:0"}, key, chosen.overwrite)]
    if _is_there(model / PLACE):
        (alias,) = smpatch.load(model).signatures["scale"].inputs
        edits.append(EditSignature("scale", rename_inputs={alias: f"{key}_x"}))
    return smpatch.patch(model, edits, options=chosen)


def _is_there(file: Path) -> bool:
    try:
        _stat(file)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def requests_fit(model: Path) -> bool:
    """Return whether the warm-up request of a model feeds the input that the signature has."""
    signature = smpatch.load(model).signatures["scale"]
    return [each.inputs.keys() for each in smpatch.warmup_requests(model)] == [
        signature.inputs.keys()
    ]


def undo(model: Path, **options: Any) -> smpatch.Undone:  # noqa: ANN401 - the arguments of undo
    """Exchange the model and its backup: undo the last edit, or redo it where it is undone."""
    try:
        return smpatch.undo(model, **options)
    except smpatch.RefusedError as error:
        if "undone already" not in error.found:
            raise
        return smpatch.undo(model, redo=True, **options)


def keys(model: Path) -> set[str]:
    """The signature keys of a model's only MetaGraph."""
    return set(smpatch.load(model).signatures)


def tree(top: Path) -> Tree:
    """Every name below a directory; the bytes of files, None for directories."""
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
        for path in sorted(top.rglob("*"))
    }


def fingerprint_of(model: Path) -> bytes:
    """A stand-in for TensorFlow's fingerprint: it belongs to one content of the model file."""
    return b"fingerprint of " + hashlib.sha256((model / "saved_model.pb").read_bytes()).digest()


def fake_fingerprint(_validator: Validator, directory: Path, /) -> bytes:
    """Stand in for ``Validator.fingerprint``."""
    return fingerprint_of(directory)
