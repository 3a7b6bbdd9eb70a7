"""Edits of a model in text form: nothing moves but what was asked, comments and layout stay.

What must come out is written here as text, letter by letter; that TensorFlow reads it as the
edit was meant is asked as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

import smpatch
from smpatch import Options
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename, Retag
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle

UNPROVED = Options(validate="none")

PLAIN = (FIXTURES / "text_form" / "saved_model.pbtxt").read_text()

_HEAD = 'saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: "serve" } '
_NODE = (
    'graph_def { node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } '
    'attr { key: "shape" value { shape { dim { size: -1 } } } } } node { name: "product" '
    'op: "Identity" input: "x" attr { key: "T" value { type: DT_FLOAT } } } } '
)
_TENSOR = "dtype: DT_FLOAT tensor_shape { dim { size: -1 } } } }"
_VALUE = (
    f'inputs {{ key: "x" value {{ name: "x:0" {_TENSOR} '
    f'outputs {{ key: "product" value {{ name: "product:0" {_TENSOR} '
    'method_name: "tensorflow/serving/predict"'
)
ONE_LINE = f'{_HEAD}{_NODE}signature_def {{ key: "scale" value {{ {_VALUE} }} }} }}'
ANGLES = ONE_LINE.replace("{", "<").replace("}", ">")
LIST = f"""{_HEAD}
{_NODE}
# both in one list
  signature_def: [ {{ key: "scale" value {{ {_VALUE} }} }},  # the first
    {{   # the second
      key: "other"
      value: {{
        inputs: [{{ key: "x" value: {{ name: "x:0"
            dtype: DT_FLOAT  # a comment inside
            tensor_shape: {{ dim: [ {{ size: -1 }} ] }}
        }} }}]
        outputs: [{{ key: "product" value {{ name: "product:0" {_TENSOR}]
        method_name: 'tensorflow/serving/' "predict";
      }}
    }} ]
}}
"""

TEXTS = {
    "angles": ANGLES,
    "crlf": PLAIN.replace("\n", "\r\n"),
    "list": LIST,
    "list_crlf": LIST.replace("\n", "\r\n"),
    "one_line": ONE_LINE,
    "plain": PLAIN,
}

Way = tuple[Sequence[Edit], Sequence[Edit], tuple[str, str] | None]

_X, _NEW = {"x": "rows"}, {"rows": "x"}
WAYS: dict[str, Way] = {
    "rename": ([Rename("scale", "new")], [Rename("new", "scale")], ('"scale"', '"new"')),
    "retag": ([Retag(0, ("on",))], [Retag(0, ("serve",))], ('"serve"', '"on"')),
    "input": (
        [EditSignature("scale", rename_inputs=_X)],
        [EditSignature("scale", rename_inputs=_NEW)],
        ('key: "x" ', 'key: "rows" '),
    ),
    "output": (
        [EditSignature("scale", rename_outputs={"product": "z"})],
        [EditSignature("scale", rename_outputs={"z": "product"})],
        ('key: "product"', 'key: "z"'),
    ),
    "method": (
        [EditSignature("scale", method_name="mine")],
        [EditSignature("scale", method_name="predict")],
        ('"tensorflow/serving/predict"', '"mine"'),
    ),
    "shape": (
        [EditSignature("scale", shapes={"x": (7,)})],
        [EditSignature("scale", shapes={"x": (None,)})],
        None,
    ),
    "rank": (
        [EditSignature("scale", shapes={"x": None})],
        [EditSignature("scale", shapes={"x": (None,)})],
        None,
    ),
    "default": (
        [EditSignature("scale", defaults={"x": [1.5]})],
        [EditSignature("scale", defaults={"x": None})],
        None,
    ),
    "copy": ([Copy("scale", "new")], [Remove(("new",))], None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_moves_but_what_was_asked(
    name: str, way: str, tmp_path: Path, oracle: Oracle
) -> None:
    there, back, replaced = WAYS[way]
    before, model = tmp_path / "before", tmp_path / "model"
    for each in (before, model):
        each.mkdir()
        (each / "saved_model.pbtxt").write_bytes(TEXTS[name].encode())
    file = model / "saved_model.pbtxt"
    smpatch.patch(model, there, options=UNPROVED)
    now = file.read_bytes().decode()
    if replaced is not None:
        place = TEXTS[name].rindex("signature_def") if way != "retag" else 0
        old, new = replaced
        rest = TEXTS[name][place:].replace(old, new, 1)
        assert now == TEXTS[name][:place] + rest
    asks = [{"kind": type(edit).__name__, **asdict(edit)} for edit in there]
    told = oracle.ask("live", before=before, after=model, place=0, asks=asks, planes=1)
    assert told["wrong"] == []
    assert now.count("\r\n") == (now.count("\n") if "crlf" in name else 0)
    assert [mark for mark in _comments(TEXTS[name]) if mark not in now] == []
    smpatch.patch(model, back, options=UNPROVED)
    if (name, way) == ("angles", "rank"):  # a shape that is written anew is in braces
        assert file.read_text().replace("{", "<").replace("}", ">") == ANGLES
    else:
        assert file.read_bytes().decode() == TEXTS[name]


def _comments(text: str) -> list[str]:
    return [f"#{line.partition('#')[2]}" for line in text.splitlines() if "#" in line]


def test_a_size_is_replaced_alone(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    file = model / "saved_model.pbtxt"
    file.write_text(LIST)
    edit = EditSignature("other", shapes={"x": (3,)})
    smpatch.edit_signature(model, edit, options=UNPROVED)
    assert file.read_text() == LIST.replace("[ { size: -1 } ]", "[ { size: 3 } ]")


@pytest.mark.parametrize("gone", ["a", "b", "c", "ab", "ac", "bc", "abc"])
@pytest.mark.parametrize("comma", [", ", " ,", " , # one, two, {\n", " # one, }\n,"])
def test_what_is_left_of_a_list_is_one(
    gone: str, comma: str, tmp_path: Path, oracle: Oracle
) -> None:
    """A comment beside a comma, or two that go side by side, left a comma behind the last."""
    entries = [f'{{ key: "{key}" value {{ {_VALUE} }} }}' for key in "abc"]
    before, model = tmp_path / "before", tmp_path / "model"
    for each in (before, model):
        each.mkdir()
        text = f"{_HEAD}{_NODE}signature_def: [{comma.join(entries)}] }}"
        (each / "saved_model.pbtxt").write_text(text)
    smpatch.remove_signatures(model, *gone, options=UNPROVED)
    asks = [{"kind": "Remove", "keys": list(gone)}]
    told = oracle.ask("live", before=before, after=model, place=0, asks=asks, planes=1)
    assert told["wrong"] == []
    assert (model / "saved_model.pbtxt").read_text().count("# one") == text.count("# one")


@pytest.mark.parametrize(
    ("key", "left"),
    [
        ("other", LIST[LIST.index("{ key") : LIST.index("  # the first") - 1]),
        ("scale", LIST[LIST.index("{   # the second") : LIST.index(" ]\n}")]),
    ],
)
def test_an_element_leaves_a_list_with_its_comma(key: str, left: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    file = model / "saved_model.pbtxt"
    file.write_text(LIST)
    smpatch.remove_signatures(model, key, options=UNPROVED)
    now = file.read_text()
    assert left in now
    assert f'"{key}"' not in now
    assert "# both in one list" in now
    assert list(smpatch.load(model).signatures) == [
        each for each in ("other", "scale") if each != key
    ]
