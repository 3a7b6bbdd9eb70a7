"""Many signatures in an object graph, and long lists of edits: their results and their cost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch.edits import Copy, Edit, FromSignature, PromoteFunction, Remove, Rename
from smpatch.graph.objects import ObjectGraph
from smpatch.signature import SignatureDef
from tests.contract.models import FIXTURES
from tests.object_graph.conftest import UNPROVED


def _with_many(tmp_path: Path) -> tuple[Path, bytes]:
    """Return a model with signatures that share parts, and its bytes before they were added."""
    model = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    before = (model / "saved_model.pb").read_bytes()
    edits: list[Edit] = [
        Copy("serving_default", "copied"),
        FromSignature("serving_default", {"z": "score"}, "one"),
        FromSignature("serving_default", {"inner": "encoded:0"}, "two"),
        PromoteFunction("encode", key="three"),
        FromSignature("serving_default", {"other": "product:0"}, "four"),
    ]
    smpatch.patch(model, edits, options=UNPROVED)
    return model, before


@pytest.mark.parametrize("order", ["01234", "43210", "24031"])
def test_signatures_that_go_at_once_leave_nothing_whatever_their_order(
    tmp_path: Path, order: str
) -> None:
    model, before = _with_many(tmp_path)
    keys = ["copied", "four", "one", "three", "two"]
    going = tuple(keys[int(place)] for place in order)
    smpatch.patch(model, [Remove(going)], options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == before


def test_the_removal_of_many_signatures_reads_the_object_graph_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each signature took a reading, so that the time grew with the square of their number."""
    model = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    copies: list[Edit] = [Copy("serving_default", f"k{number}") for number in range(40)]
    smpatch.patch(model, copies, options=UNPROVED)
    read: list[int] = []
    original = ObjectGraph.__init__

    def counted(graph: ObjectGraph, data: bytes) -> None:
        read.append(len(data))
        original(graph, data)

    monkeypatch.setattr(ObjectGraph, "__init__", counted)
    smpatch.patch(model, [Remove(("k*",))], options=UNPROVED)
    assert 0 < len(read) < 8


def test_a_list_of_edits_decodes_each_signature_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each edit once decoded all: it makes two MetaGraphs, and the first one decodes nothing."""
    model = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    copies: list[Edit] = [Copy("serving_default", f"k{number}") for number in range(30)]
    smpatch.patch(model, copies, options=UNPROVED)
    decoded: list[int] = []
    original = SignatureDef.from_bytes.__func__  # type: ignore[attr-defined] # a class method

    def counted(kind: type[SignatureDef], data: bytes) -> SignatureDef:
        decoded.append(len(data))
        made: SignatureDef = original(kind, data)
        return made

    monkeypatch.setattr(SignatureDef, "from_bytes", classmethod(counted))
    renames: list[Edit] = [Rename(f"k{number}", f"r{number}") for number in range(30)]
    smpatch.patch(model, renames, options=UNPROVED)
    assert 31 <= len(decoded) <= 31 + 2 * 30
