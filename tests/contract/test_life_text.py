"""Edits of a model in text form: only the requested text changes; comments and layout stay.

A new key replaces the old key alone. A signature with any other change is printed anew, and each
byte around it stays. The tests check each result with TensorFlow's reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

import smpatch
from smpatch import Options
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename, Retag
from smpatch.errors import RefusedError
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

OTHER = """{
      key: "other"
      value {
        inputs {
          key: "x"
          value {
            name: "x:0"
            dtype: DT_FLOAT
            tensor_shape {
              dim {
                size: 3
              }
            }
          }
        }
        outputs {
          key: "product"
          value {
            name: "product:0"
            dtype: DT_FLOAT
            tensor_shape {
              dim {
                size: -1
              }
            }
          }
        }
        method_name: "tensorflow/serving/predict"
      }
    }"""
"""The second entry of the list as protobuf prints it, with another size."""

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
_PRINTED = {"input", "output", "method", "shape", "rank", "default"}
"""The names in ``WAYS`` of edits that print the signature anew."""

WAYS: dict[str, Way] = {
    "rename": ([Rename("scale", "new")], [Rename("new", "scale")], ('"scale"', '"new"')),
    "retag": ([Retag(0, ("on",))], [Retag(0, ("serve",))], ('"serve"', '"on"')),
    "tags": ([Retag(0, ("serve", "on", "é"))], [Retag(0, ("serve",))], None),
    "input": (
        [EditSignature("scale", rename_inputs=_X)],
        [EditSignature("scale", rename_inputs=_NEW)],
        None,
    ),
    "output": (
        [EditSignature("scale", rename_outputs={"product": "z"})],
        [EditSignature("scale", rename_outputs={"z": "product"})],
        None,
    ),
    "method": (
        [EditSignature("scale", method_name="mine")],
        [EditSignature("scale", method_name="predict")],
        None,
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
    told = oracle.ask("live", before=before, after=model, place=0, asks=asks, halves=1)
    assert told["wrong"] == []
    assert now.count("\r\n") == (now.count("\n") if "crlf" in name else 0)
    assert [mark for mark in _comments(TEXTS[name]) if mark not in now] == []
    old = TEXTS[name]
    if way in _PRINTED:
        start, end = _place_of_scale(old)
        assert now.startswith(old[:start])
        assert now.endswith(old[end:])
    smpatch.patch(model, back, options=UNPROVED)
    again = file.read_bytes().decode()
    if way in _PRINTED and name in {"angles", "crlf", "plain"}:  # their layout is hand-made
        assert _in_braces(again) == _in_braces(old)
    else:
        assert again == old


def _in_braces(text: str) -> list[str]:
    return text.replace("<", "{").replace(">", "}").split()


def _comments(text: str) -> list[str]:
    return [f"#{line.partition('#')[2]}" for line in text.splitlines() if "#" in line]


def _place_of_scale(text: str) -> tuple[int, int]:
    """Return the offsets of the start and the end of the entry "scale" in one of the texts."""
    start = re.search(r'[{<]\s*key: "scale"', text)
    assert start is not None
    depth = 0
    for bracket in re.finditer("[{<>}]", text[start.start() :]):
        depth += 1 if bracket[0] in "{<" else -1
        if not depth:
            break
    return start.start(), start.start() + bracket.end()


def test_a_signature_that_changes_is_printed_alone(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    file = model / "saved_model.pbtxt"
    file.write_text(LIST)
    edit = EditSignature("other", shapes={"x": (3,)})
    smpatch.edit_signature(model, edit, options=UNPROVED)
    assert file.read_text() == LIST[: LIST.index("{   # the second")] + OTHER + " ]\n}\n"


@pytest.mark.parametrize("lost", ["also: 1", "inputs { key: 'a\\?' value { name: 'x:0' } }"])
def test_text_that_the_printer_would_lose_is_refused(lost: str, tmp_path: Path) -> None:
    """A field without a schema, and an escape that protobuf's two parsers read differently."""
    model = tmp_path / "model"
    model.mkdir()
    file = model / "saved_model.pbtxt"
    text = ONE_LINE.replace("method_name", f"{lost} method_name")
    file.write_text(text)
    with pytest.raises(RefusedError, match="'scale' has text that an edit would lose"):
        smpatch.edit_signature(model, EditSignature("scale", method_name="m"), options=UNPROVED)
    assert file.read_text() == text
    smpatch.rename_signature(model, "scale", "new", options=UNPROVED)
    assert file.read_text() == text.replace('"scale"', '"new"')


@pytest.mark.parametrize("gone", ["a", "b", "c", "ab", "ac", "bc", "abc"])
@pytest.mark.parametrize("comma", [", ", " ,", " , # one, two, {\n", " # one, }\n,"])
def test_what_is_left_of_a_list_is_one(
    gone: str, comma: str, tmp_path: Path, oracle: Oracle
) -> None:
    """A comment beside a comma, or two removed neighbours, left a comma after the last entry."""
    entries = [f'{{ key: "{key}" value {{ {_VALUE} }} }}' for key in "abc"]
    before, model = tmp_path / "before", tmp_path / "model"
    for each in (before, model):
        each.mkdir()
        text = f"{_HEAD}{_NODE}signature_def: [{comma.join(entries)}] }}"
        (each / "saved_model.pbtxt").write_text(text)
    smpatch.remove_signatures(model, *gone, options=UNPROVED)
    asks = [{"kind": "Remove", "keys": list(gone)}]
    told = oracle.ask("live", before=before, after=model, place=0, asks=asks, halves=1)
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
