"""The plan of an edit: the sizes before anything is written, and the size that is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import smpatch
from smpatch.loader import SavedModel, load
from smpatch.savedmodel.draft import Draft
from smpatch.wire import apply
from smpatch.writer import merge
from tests.writer import models

FILE = "saved_model.pb"
LIMIT = 1 << 31

# A field of the SavedModel that no schema has, with a length of four bytes.
_UNKNOWN_TAG = bytes([(15 << 3) | 2])
_LENGTH_BYTES = 4


def _grow(model: Path, size: int) -> None:
    """Lengthen the file to ``size`` bytes by one unknown field that is a hole on the disk."""
    file = model / FILE
    content = size - file.stat().st_size - len(_UNKNOWN_TAG) - _LENGTH_BYTES - 1
    length = bytes(0x80 | (content >> shift) & 0x7F for shift in (0, 7, 14, 21))
    with file.open("ab") as opened:
        opened.write(_UNKNOWN_TAG + length + bytes([content >> 28]))
    os.truncate(file, size)
    assert file.stat().st_blocks * 512 < 1 << 20


def _growth(model: Path) -> int:
    receipt = models.add(model, dry_run=True)
    return receipt.size_after - receipt.size_before


class TestLimit:
    def test_file_that_would_reach_it_is_refused(self, model: Path) -> None:
        growth = _growth(model)
        _grow(model, LIMIT - growth)
        before = (model / FILE).stat()
        with pytest.raises(smpatch.RefusedError, match=f"to {LIMIT} bytes") as caught:
            models.add(model)
        assert caught.value.exit_code == 4
        assert (model / FILE).stat() == before
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}

    def test_one_byte_less_is_planned(self, model: Path) -> None:
        growth = _growth(model)
        _grow(model, LIMIT - growth - 1)
        assert models.add(model, dry_run=True).size_after == LIMIT - 1

    def test_copy_is_refused_before_anything_is_written(self, model: Path, tmp_path: Path) -> None:
        _grow(model, LIMIT - 1)
        with pytest.raises(smpatch.RefusedError):
            models.add(model, save_to=tmp_path / "a" / "out")
        assert [each.name for each in tmp_path.iterdir()] == ["model"]

    def test_unchanged_model_of_any_size_is_done(self, model: Path) -> None:
        models.add(model)
        _grow(model, LIMIT + 1)
        assert models.add(model, overwrite=True).outcome == "unchanged"


class TestMerge:
    def test_plan_says_what_the_file_will_be(self, model: Path) -> None:
        loaded = load(model)
        value = loaded.meta_graph().entries["scale"].value
        for draft in (
            _draft(loaded).put("copy", value),
            _draft(loaded).renamed("scale", "a_longer_name"),
            _draft(loaded).removed("scale"),
            _draft(loaded).tagged(("serve", "gpu")),
        ):
            plan = merge(loaded, [loaded.meta_graph().with_parts(draft)])
            new = apply(loaded.data, plan.splices)
            assert len(new) == plan.size
            assert new != loaded.data

    def test_what_goes_and_comes_back_is_no_splice(self, model: Path) -> None:
        loaded = load(model)
        entry = loaded.meta_graph().entries["scale"]
        for draft in (
            _draft(loaded),
            _draft(loaded).put("scale", entry.value),
            _draft(loaded).renamed("scale", "other").renamed("other", "scale"),
            _draft(loaded).tagged(loaded.meta_graph().tags),
        ):
            plan = merge(loaded, [loaded.meta_graph().with_parts(draft)])
            assert plan.splices == ()
            assert plan.size == loaded.identity.size


def _draft(loaded: SavedModel) -> Draft:
    return Draft.of(loaded.meta_graph().parts)
