"""Copies of fixtures to edit, the edit of these tests, and the contents of a directory.

Most tests in this folder do not ask TensorFlow, or they would take minutes: ``validate``
is ``none``, and the fingerprint is a stand-in that depends on the model file.
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
"""The original function: the tests' own calls meet no fault."""


def linear(place: Path, *, fingerprint: bool = False, requests: bool = False) -> Path:
    """Copy the fixture ``linear`` to ``place``; it has variables and no fingerprint of its own.

    Its signature is the same as in ``assets_extra_warmup``, so that it may get the warm-up request.
    """
    shutil.copytree(FIXTURES / "linear", place)
    if requests:
        shutil.copytree(FIXTURES / "assets_extra_warmup" / PLACE.parent, place / PLACE.parent)
    if fingerprint:
        (place / "fingerprint.pb").write_bytes(OLD_FINGERPRINT)
    return place


def add(model: Path, key: str = "added", **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Add a signature without TensorFlow, unless the options say otherwise.

    In a model with a warm-up request, the edit also renames the input that the request feeds.
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
    """Return whether the warm-up request of a model feeds the inputs of the signature."""
    signature = smpatch.load(model).signatures["scale"]
    return [each.inputs.keys() for each in smpatch.warmup_requests(model)] == [
        signature.inputs.keys()
    ]


def undo(model: Path, **options: Any) -> smpatch.Undone:  # noqa: ANN401 - the arguments of undo
    """Exchange the model and its backup: undo the last edit, or redo it if it is undone."""
    try:
        return smpatch.undo(model, **options)
    except smpatch.RefusedError as error:
        if "undone already" not in error.found:
            raise
        return smpatch.undo(model, redo=True, **options)


def keys(model: Path) -> set[str]:
    """Return the signature keys of a model's only MetaGraph."""
    return set(smpatch.load(model).signatures)


def tree(top: Path) -> Tree:
    """Return every name below a directory, with the bytes of files and None for directories."""
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
        for path in sorted(top.rglob("*"))
    }


def fingerprint_of(model: Path) -> bytes:
    """Return a stand-in for TensorFlow's fingerprint, which depends on the model file."""
    return b"fingerprint of " + hashlib.sha256((model / "saved_model.pb").read_bytes()).digest()


def fake_fingerprint(_validator: Validator, directory: Path, /) -> bytes:
    """Stand in for ``Validator.fingerprint``."""
    return fingerprint_of(directory)
