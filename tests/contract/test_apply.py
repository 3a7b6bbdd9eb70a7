"""Lists of edits on every model: a second application and the way back change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from smpatch import Options, RefusedError
from smpatch.already_applied import is_applied
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename
from smpatch.loader import MetaGraph, load
from smpatch.patcher import patch
from tests.contract.models import Case, cases

_FRESH = "contract_fresh"


def _renamed(key: str, _: MetaGraph) -> tuple[list[Edit], list[Edit]]:
    return [Rename(key, _FRESH)], [Rename(_FRESH, key)]


def _copied(key: str, _: MetaGraph) -> tuple[list[Edit], list[Edit]]:
    return [Copy(key, _FRESH)], [Remove((_FRESH,))]


def _through_others(key: str, _: MetaGraph) -> tuple[list[Edit], list[Edit]]:
    there: list[Edit] = [Copy(key, _FRESH), Rename(_FRESH, f"{_FRESH}_2"), Remove((key,))]
    return there, [Rename(f"{_FRESH}_2", key)]


def _with_other_aliases(key: str, meta_graph: MetaGraph) -> tuple[list[Edit], list[Edit]]:
    """Give every alias a new name that sorts like the old name."""
    signature = meta_graph.signatures[key]
    inputs = {alias: f"{alias}_0" for alias in signature.inputs}
    outputs = {alias: f"{alias}_0" for alias in signature.outputs}
    there = EditSignature(key, rename_inputs=inputs, rename_outputs=outputs)
    back = EditSignature(
        key,
        rename_inputs={new: old for old, new in inputs.items()},
        rename_outputs={new: old for old, new in outputs.items()},
    )
    return [there], [back]


WAYS: list[Callable[[str, MetaGraph], tuple[list[Edit], list[Edit]]]] = [
    _renamed,
    _copied,
    _through_others,
    _with_other_aliases,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize(
    "case", [each for each in cases() if not each.with_object_graph], ids=lambda case: case.name
)
def test_twice_is_once_and_there_and_back_is_nowhere(
    case: Case,
    way: Callable[[str, MetaGraph], tuple[list[Edit], list[Edit]]],
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(case.directory, model, symlinks=True, copy_function=shutil.copyfile)
    loaded = load(model)
    meta_graph = next((each for each in loaded.meta_graphs if each.signatures), None)
    if meta_graph is None:
        assert not any(each.signatures for each in loaded.meta_graphs)
        return
    before = loaded.file.read_bytes()
    options = Options(validate="none", tag_set=meta_graph.tags)
    there, back = way(next(iter(meta_graph.signatures)), meta_graph)
    assert not is_applied(loaded, there, tag_set=meta_graph.tags)
    try:
        patch(model, there, options=options, once=True)
    except RefusedError:
        assert loaded.file.read_bytes() == before
        return
    once = loaded.file.read_bytes()
    assert once != before
    for _ in range(2):
        assert patch(model, there, options=options, once=True).changes == ()
        assert loaded.file.read_bytes() == once
    assert not is_applied(load(model), back, tag_set=meta_graph.tags)
    patch(model, back, options=options, once=True)
    assert patch(model, back, options=options, once=True).changes == ()
    assert not is_applied(load(model), there, tag_set=meta_graph.tags)
    after = load(model).meta_graph(meta_graph.tags)
    assert {**after.signatures} == {**meta_graph.signatures}
    # A copy that stays is at the end; padded lengths are written without padding; an entry of
    # the text form is written as protobuf prints it.
    printed = case.name == "text_form" and way is _with_other_aliases
    # In an object graph with unknown fields no part is provably unused, so all of it stays.
    stays = meta_graph.has_object_graph and meta_graph.objects.has_unknown_fields
    if way is not _through_others and case.name != "padded_lengths" and not (printed or stays):
        assert loaded.file.read_bytes() == before
