"""An undo in a model of which two MetaGraphs have the same tags."""

from __future__ import annotations

import shutil
from pathlib import Path

import smpatch
from tests.writer import models

FILE = "saved_model.pb"


def test_of_two_metagraphs_with_the_same_tags_neither_hides_the_other(tmp_path: Path) -> None:
    fixtures = Path(__file__).resolve().parents[2] / "fixtures" / "models"
    model = Path(shutil.copytree(fixtures / "several_tag_sets", tmp_path / "model"))
    unproved = smpatch.Options(validate="none", tag_set="train")
    smpatch.rename_signature(model, "train", "serving_default", options=unproved)
    file = model / FILE
    data = file.read_bytes()
    place = data.rindex(b"\x22\x05train")  # the last one is the tag
    file.write_bytes(data[:place] + b"\x22\x05serve" + data[place + 7 :])
    assert [each.tags for each in smpatch.load(model).meta_graphs][::2] == [("serve",), ("serve",)]
    smpatch.retag(model, 2, "train", options=smpatch.Options(validate="none", backup=True))
    assert models.undo(model).changes == (
        smpatch.Restored(("serve",), "serving_default", "added"),
        smpatch.Restored(("train",), "serving_default", "removed"),
    )
