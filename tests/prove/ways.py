"""The ways in which smpatch changes a model: one for each code path to a commit.

No way asks TensorFlow: ``validate`` is ``none``, the definitions of operations are from the
fixtures, and the fingerprint is a stand-in that depends on the model file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import smpatch
from smpatch.edits import (
    AddPredict,
    Copy,
    Edit,
    EditSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
)
from smpatch.runtime import installation
from smpatch.validator import Validator
from tests.writer import models

__all__ = ["KEY", "WAYS", "Way", "no_edit", "without_tensorflow"]

KEY = "killed"
"""The key of the signature that edits add."""

_GRAPH = models.FIXTURES.parent / "graphs" / "frozen.pb"
_UNPROVED = smpatch.Options(validate="none")


@dataclass(frozen=True)
class Way:
    """A way, in a directory in which the model has the name ``model``.

    Attributes:
        prepare: Writes the files with which the edit starts.
        edit: Does the edit; its arguments are the directory and the name of the result.
        result: The name of the directory that is new or changed.
        file: The name of the model file.
        keeps: Whether the previous file must be there after the edit.
    """

    prepare: Callable[[Path], object]
    edit: Callable[[Path, str], object]
    result: str = "model"
    file: str = "saved_model.pb"
    keeps: bool = False

    @property
    def makes_new(self) -> bool:
        """Whether the way makes a new directory and leaves the model as it is."""
        return self.result != "model"


def no_edit(work: Path) -> None:
    """Try an edit that is refused; it removes the files of a killed edit all the same."""
    smpatch.rename_signature(work / "model", "no such key", "other", options=_UNPROVED)


def _printed(work: Path) -> None:
    models.linear(work / "model", fingerprint=True)


def _edited(work: Path) -> None:
    _printed(work)
    models.add(work / "model", "older", backup=True)


def _linked(work: Path) -> None:
    _printed(work)
    (work / "store").mkdir()
    shutil.move(work / "model" / "saved_model.pb", work / "store" / "blob")
    (work / "model" / "saved_model.pb").symlink_to("../store/blob")


def _requested(work: Path) -> None:
    models.linear(work / "model", fingerprint=True, requests=True)


def _renamed(work: Path) -> None:
    _requested(work)
    _rename("scale", "older", backup=True)(work, "model")


def _rename(old: str, new: str, **options: Any) -> Callable[[Path, str], object]:  # noqa: ANN401 - the fields of Options
    chosen = smpatch.Options(**{"validate": "none", **options})
    return lambda work, _: smpatch.rename_signature(work / "model", old, new, options=chosen)


def _with_a_giver(work: Path) -> None:
    models.linear(work / "giver")
    shutil.copytree(models.FIXTURES / "no_signatures", work / "model")


def _fixture(name: str) -> Callable[[Path], object]:
    return lambda work: shutil.copytree(models.FIXTURES / name, work / "model")


def _empty(work: Path) -> None:
    shutil.copytree(models.FIXTURES / "no_signatures", work / "model")
    shutil.copy(_GRAPH, work / "graph.pb")


def _add(**options: Any) -> Callable[[Path, str], object]:  # noqa: ANN401 - the fields of Options
    # Not models.add, which looks for warm-up requests by a call of its own.
    edit, chosen = AddPredict({"x": "x:0"}, {"y": "y:0"}, KEY), replace(_UNPROVED, **options)
    return lambda work, _: smpatch.patch(work / "model", edit, options=chosen)


def _patch(*edits: Edit) -> Callable[[Path, str], object]:
    return lambda work, _: smpatch.patch(work / "model", edits, options=_UNPROVED)


def _wrap(work: Path, result: str) -> object:
    return smpatch.wrap_graph(
        work / "graph.pb",
        work / result,
        inputs={"features": "features:0"},
        outputs={"logits": "head/logits:0"},
        options=_UNPROVED,
    )


WAYS: Mapping[str, Way] = {
    "in place": Way(_printed, _add()),
    "in place, backup": Way(_edited, _add(backup=True), keeps=True),
    "undo": Way(_edited, lambda work, _: models.undo(work / "model"), keeps=True),
    "through a link": Way(_linked, _add()),
    "requests": Way(_requested, _rename("scale", KEY)),
    "requests, backup": Way(_renamed, _rename("older", KEY, backup=True), keeps=True),
    "requests, undo": Way(_renamed, lambda work, _: models.undo(work / "model"), keeps=True),
    "requests, save to": Way(
        _requested,
        lambda work, result: _rename("scale", KEY, save_to=work / result)(work, result),
        result="out",
    ),
    "both halves": Way(
        _fixture("module"),
        _patch(
            PromoteFunction("encode", key="encode"),
            EditSignature("encode", rename_outputs={"output_0": "a"}, rename_inputs={"x": "z"}),
            Copy("serving_default", "again"),
            Rename("serving_default", "first"),
            Remove(("again",)),
        ),
    ),
    "text form": Way(_fixture("text_form"), _patch(Rename("scale", "s")), file="saved_model.pbtxt"),
    "other tags": Way(_fixture("several_tag_sets"), _patch(Retag(("train",), ("training",)))),
    "from another model": Way(
        _with_a_giver,
        lambda work, _: smpatch.copy_signatures(work / "model", work / "giver", options=_UNPROVED),
    ),
    "save to": Way(
        _printed,
        lambda work, result: _add(save_to=work / result)(work, result),
        result="out",
    ),
    "wrap": Way(_empty, _wrap, result="out"),
}


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Replace TensorFlow by stand-ins, here and in processes that are forked."""
    op_defs = {
        name: op_def
        for fixture in sorted(models.FIXTURES.glob("*/saved_model.pb"))
        for meta_graph in smpatch.load(fixture.parent).meta_graphs
        for name, op_def in meta_graph.op_defs.items()
    }
    with (
        mock.patch.object(Validator, "fingerprint", models.fake_fingerprint),
        mock.patch.object(Validator, "op_defs", return_value=op_defs),
        mock.patch.object(Validator, "ask", return_value="2.0.0"),
        mock.patch.object(installation, "find", return_value=None),
    ):
        yield
