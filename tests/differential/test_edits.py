"""Random edits of random models: the splices make the same message as TensorFlow's classes.

Outside the edited signatures, or the edited tags, every field keeps its bytes and place.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fixtures.make import raw
from smpatch import Options, SmpatchError
from smpatch.edits import AddPredict, Copy, Edit, EditSignature, Remove, Rename, Retag
from smpatch.patcher import patch
from tests.differential.models import ALIASES, INIT_OP, KEYS, TAGS, Known, Model, models
from tests.fuzz.ledger import EXAMPLES
from tests.oracle.client import Oracle
from tests.prove.ledger import Count

_META_GRAPHS, _META_INFO, _SIGNATURES = 2, 1, 5
Asked = Mapping[str, Any]

_SHAPES = ((-1, 3), (2, 3), (-1, -1), (2, -1), (2, 4), (3,))
_DEFAULTS = (None, [[0.5, 1.0, -2.0]], [[1.0] * 3] * 2, [[1.0, 2.0]], 0.25)
"""Defaults, of which some fit a tensor of rows of three."""


@st.composite
def _asked(draw: st.DrawFn, known: Known) -> Asked:
    """Draw an edit, mostly of a key that the model has."""
    source = draw(st.sampled_from([*known] * 4 + [*KEYS]))
    target = draw(st.sampled_from([*KEYS, "new", "newer"]))
    asked: dict[str, Any] = {"source": source, "target": target, "overwrite": draw(st.booleans())}
    kind = draw(st.sampled_from(["add", "rename", "copy", "remove", "edit", "edit"]))
    if kind == "add":
        del asked["source"]
        asked["inputs"] = draw(st.sampled_from([{"x": "x:0"}, {"rows": "x:0"}]))
        asked["outputs"] = draw(st.sampled_from([{"y": "y:0"}, {"o": "y:0"}]))
    elif kind == "remove":
        keys = st.lists(st.sampled_from([source, *KEYS]), min_size=1, max_size=2, unique=True)
        asked = {"keys": draw(st.just([source]) | keys)}
    elif kind == "edit":
        asked = {"source": source, **_changes(draw, *known.get(source, ((), ())))}
    elif source == target:
        asked["target"] = "newest"
    return {"kind": kind, **asked}


def _changes(draw: st.DrawFn, inputs: Sequence[str], outputs: Sequence[str]) -> Asked:
    """Draw changes of a signature, mostly of these aliases, and some of other aliases."""

    def some(aliases: Sequence[str]) -> st.SearchStrategy[str]:
        return st.sampled_from([*aliases] * 4 + [*ALIASES])

    def few(aliases: Sequence[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.just({}) | st.dictionaries(some(aliases), values, max_size=1)

    names = st.sampled_from([*ALIASES, "a", "z1"])
    dropped = {
        "inputs": draw(st.just([]) | st.lists(some(inputs), max_size=1)),
        "outputs": draw(st.just([]) | st.lists(some(outputs), max_size=1)),
    }
    return {
        "inputs": draw(st.dictionaries(some(inputs), names, max_size=2)),
        "outputs": draw(st.dictionaries(some(outputs), names, max_size=2)),
        "drop": dropped,
        "shapes": draw(few([*inputs, *outputs], st.sampled_from(_SHAPES))),
        "defaults": draw(few(inputs, st.sampled_from(_DEFAULTS))),
        "method_name": draw(st.sampled_from([None, "my/other", "tensorflow/serving/predict"])),
    }


_RETAG: st.SearchStrategy[Asked] = st.fixed_dictionaries(
    {"kind": st.just("retag"), "target": st.sampled_from([tags for tags in TAGS if tags])}
)


def _edit(asked: Asked, tags: tuple[str, ...]) -> Edit:
    """Return the edit in the form of smpatch."""
    kind = asked["kind"]
    if kind == "add":
        return AddPredict(asked["inputs"], asked["outputs"], asked["target"], asked["overwrite"])
    if kind == "rename":
        return Rename(asked["source"], asked["target"], asked["overwrite"])
    if kind == "copy":
        return Copy(asked["source"], asked["target"], asked["overwrite"])
    if kind == "remove":
        return Remove(tuple(asked["keys"]))
    if kind == "retag":
        return Retag(tags, tuple(asked["target"]))
    return EditSignature(
        asked["source"],
        rename_inputs=asked["inputs"],
        rename_outputs=asked["outputs"],
        drop_inputs=tuple(asked["drop"]["inputs"]),
        drop_outputs=tuple(asked["drop"]["outputs"]),
        shapes={
            alias: tuple(None if size < 0 else size for size in sizes)
            for alias, sizes in asked["shapes"].items()
        },
        defaults=asked["defaults"],
        method_name=asked["method_name"],
    )


def _touched(edits: list[Asked]) -> set[str]:
    keys: set[str] = set()
    for each in edits:
        keys.update(
            each.get("keys", ()),
            {each.get("source", ""), each.get("target", "")} if each["kind"] != "retag" else (),
        )
    return keys


def _untouched(data: bytes, place: int, edits: list[Asked]) -> list[bytes]:
    """Return the fields that no edit may touch, in their order, byte for byte."""
    keys = _touched(edits)
    retagged = any(each["kind"] == "retag" for each in edits)
    kept = []
    seen = -1
    for number, start, body, whole in raw.split(data):
        seen += number == _META_GRAPHS
        if number != _META_GRAPHS or seen != place:
            kept.append(whole)
            continue
        for inner, inner_start, inner_body, inner_whole in raw.split(whole[body - start :]):
            value = inner_whole[inner_body - inner_start :]
            if inner == _META_INFO and retagged:
                kept += [each for n, _, _, each in raw.split(value) if n != 4]
            elif inner != _SIGNATURES or _key(value) not in keys:
                kept.append(inner_whole)
    return kept


def _key(entry: bytes) -> str:
    found = [
        whole[body - start :] for number, start, body, whole in raw.split(entry) if number == 1
    ]
    return found[-1].decode() if found else ""


@pytest.mark.proof("random edits of random models")
@settings(
    max_examples=EXAMPLES or 60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
@given(model=models(), data=st.data())
def test_edits_come_to_what_tensorflows_classes_make_of_them(
    model: Model, data: st.DataObject, oracle: Oracle, count: Count
) -> None:
    count.add(executions=1)
    place = data.draw(st.integers(0, len(model.tags) - 1))
    tags = model.tags[place]
    some = st.lists(_asked(model.known[place]), min_size=1, max_size=3)
    edits = data.draw(some | some | some | _RETAG.map(lambda one: [one]))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "saved_model.pb"
        file.write_bytes(model.data)
        refusal = ""
        alone = edits[0]["kind"] == "retag" or len(model.tags) == 1
        options = Options(tag_set=None if alone else tags, validate="none")
        try:
            patch(directory, [_edit(each, tags) for each in edits], options=options)
        except SmpatchError as error:
            refusal = str(error)
        after = file.read_bytes()
        assert [each.name for each in Path(directory).iterdir()] == [file.name]
    said = oracle.ask(
        "edit_like",
        before=base64.b64encode(model.data).decode(),
        after=base64.b64encode(after).decode(),
        tags=tags,
        edits=edits,
    )
    assert said["refused"] == bool(refusal), refusal
    if refusal:
        assert after == model.data
        return
    assert said["equal"], said
    count.add(edits=len(edits))
    assert _untouched(after, place, edits) == _untouched(model.data, place, edits)
    assert INIT_OP not in _touched(edits)
