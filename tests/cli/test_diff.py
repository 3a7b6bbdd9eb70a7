"""``smpatch diff``: its text, its JSON and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import smpatch
from fixtures.make import raw
from smpatch.differ.facts import COUNTED_FILES, COUNTED_PARTS
from smpatch.edits import EditSignature
from tests.cli.conftest import FIXTURES, MODELS, QUICK, XY, Run
from tests.cli.test_schemas import VALIDATORS

Copy = Callable[[str], Path]

LINEAR = FIXTURES / "models" / "linear"
MODULE = FIXTURES / "models" / "module"
SIGNATURE_DEF = 5
ENTRIES = (2, SIGNATURE_DEF)
"""The numbers of the fields from a SavedModel to an entry of ``signature_def``."""


def _edit(directory: Path, path: tuple[int, ...], old: bytes, new: bytes) -> None:
    """Replace bytes inside the messages at a path of a model's file."""
    file = directory / "saved_model.pb"
    changed = raw.regrow(file.read_bytes(), path, lambda each: each.replace(old, new))
    assert changed != file.read_bytes()
    file.write_bytes(changed)


def test_a_model_and_itself(call: Run) -> None:
    said = call("diff", LINEAR, LINEAR)
    assert (said.code, said.out, said.err) == (0, "same\n", "")


def test_a_signature_that_was_added(call: Run, model: Copy) -> None:
    place = model("linear")
    call("add-predict", place, *XY, *QUICK)
    said = call("diff", LINEAR, place)
    assert (said.code, said.err) == (1, "")
    assert said.out == (
        "MetaGraph serve\n"
        "  signatures  + serving_default\n"
        "Files\n"
        "  ~ saved_model.pb  7,194 -> 7,301 bytes\n"
        "different\n"
    )
    assert "  signatures  - serving_default\n" in call("diff", place, LINEAR).out


def test_a_signature_that_is_on_one_half_only(call: Run, model: Copy) -> None:
    place = model("module")
    call("add-predict", place, "--function", "encode", *QUICK)
    # Python still has the signature; servers do not have it.
    _edit(place, (2,), *_entry(place, b"encode"))
    out = call("diff", MODULE, place).out
    assert "  signatures    + encode  (for Python, not for servers)\n" in out
    assert "  functions     1 function appended\n" in out


def _entry(place: Path, key: bytes) -> tuple[bytes, bytes]:
    """Return an entry of ``signature_def``, and the empty bytes that replace it."""
    (meta_graph,) = (
        whole[body - start :]
        for number, start, body, whole in raw.split((place / "saved_model.pb").read_bytes())
        if number == 2
    )
    (entry,) = (
        whole
        for number, start, body, whole in raw.split(meta_graph)
        if number == SIGNATURE_DEF and raw.field(1, key) in whole
    )
    return entry, b""


def test_a_key_that_was_renamed(call: Run, model: Copy) -> None:
    place = model("linear")
    _edit(place, ENTRIES, raw.field(1, b"scale"), raw.field(1, b"product"))
    assert "  signatures  > scale -> product\n" in call("diff", LINEAR, place).out


def test_what_changed_in_a_signature(call: Run, model: Copy) -> None:
    place = model("linear")
    _edit(place, ENTRIES, b"product:0", b"\x1b[31myy:0")
    _edit(place, ENTRIES, b"serving/predict", b"serving/mine!!!")
    out = call("diff", LINEAR, place).out
    assert "\x1b" not in out
    assert out.startswith(
        "MetaGraph serve\n"
        "  signatures  ~ scale\n"
        "                  ~  method           "
        "tensorflow/serving/predict -> tensorflow/serving/mine!!!\n"
        "                  ~  output  product  product:0 -> \\x1b[31myy:0\n"
    )


def test_escapes_in_every_kind_of_name_are_shown_and_not_obeyed(call: Run, tmp_path: Path) -> None:
    evil = b"\x1b]0;owned\x07\n"
    for name, tag in (("before", b"serve"), ("after", evil)):
        info = raw.field(1, raw.field(4, tag))
        entry = raw.field(1, evil) + raw.field(2, raw.field(3, evil))
        extra = raw.field(5, entry) if name == "after" else b""
        place = tmp_path / name
        (place / "assets").mkdir(parents=True)
        (place / "saved_model.pb").write_bytes(raw.field(2, info + extra))
        if name == "after":
            (place / "assets" / os.fsdecode(evil.replace(b"/", b""))).touch()
    said = call("diff", tmp_path / "before", tmp_path / "after")
    assert said.code == 1
    assert "\x1b" not in said.out
    assert "MetaGraph serve -> \\x1b]0;owned\\x07\\n\n" in said.out
    assert "signatures  + \\x1b]0;owned\\x07\\n\n" in said.out
    assert "+ assets/\\x1b]0;owned\\x07\\n  added\n" in said.out


def test_files_are_told_and_only_those_of_the_model_count(call: Run, model: Copy) -> None:
    place = model("linear")
    (place / "keras_metadata.pb").write_bytes(b"x")
    (place / "fingerprint.pb").write_bytes(b"x")
    said = call("diff", LINEAR, place)
    assert said.code == 0
    assert said.out == (
        "Files\n"
        "  + fingerprint.pb     added  (does not count)\n"
        "  + keras_metadata.pb  added  (does not count)\n"
        "same\n"
    )


@pytest.mark.parametrize(
    ("path", "content", "line"),
    [
        ("variables/variables.index", b"x", "~ variables/variables.index  changed"),
        ("assets/words.txt", b"x", "+ assets/words.txt  added"),
        (
            "variables/variables.data-00000-of-00001",
            b"x",
            "~ variables/variables.data-00000-of-00001  another size",
        ),
        (
            "variables/variables.data-00000-of-00001",
            None,
            "- variables/variables.data-00000-of-00001  removed",
        ),
    ],
)
def test_variables_and_assets_count(
    path: str, content: bytes | None, line: str, call: Run, model: Copy
) -> None:
    file = model("linear") / path
    if content is None:
        file.unlink()
    else:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    said = call("diff", LINEAR, file.parents[1])
    assert (said.code, said.out) == (1, f"Files\n  {line}\ndifferent\n")


def test_one_byte_of_a_big_file_is_seen(call: Run, tmp_path: Path) -> None:
    for name, last in (("before", b"a"), ("after", b"b")):
        shutil.copytree(LINEAR, tmp_path / name)
        (tmp_path / name / "big.bin").write_bytes(bytes(5 << 20) + last)
    said = call("diff", tmp_path / "before", tmp_path / "after")
    assert said.out == "Files\n  ~ big.bin  changed  (does not count)\nsame\n"


def test_links_are_followed_and_nothing_that_waits_is_opened(call: Run, model: Copy) -> None:
    place = model("linear")
    (place / "variables").rename(place.parent / "elsewhere")
    (place / "variables").symlink_to(place.parent / "elsewhere")
    assert call("diff", LINEAR, place).out == "same\n"
    (place / "again").symlink_to(place)  # a circle
    (place / "gone").symlink_to("nowhere")
    (place / "itself").symlink_to("itself")
    os.mkfifo(place / "pipe")
    said = call("diff", LINEAR, place)
    assert said.code == 0
    for name in ("gone  ", "itself", "pipe  "):
        assert f"+ {name}  added" in said.out
    assert call("diff", place, place).out == "same\n"


def test_other_bytes_of_the_same_meaning(call: Run, model: Copy) -> None:
    place = model("linear")
    file = place / "saved_model.pb"
    # A field that occurs twice is merged; an empty one adds nothing.
    file.write_bytes(raw.regrow(file.read_bytes(), (2,), lambda each: each + raw.field(2, b"")))
    said = call("diff", LINEAR, place)
    assert said.code == 0
    changed = "7,194 -> 7,196 bytes, same meaning in other bytes"
    assert said.out == f"Files\n  ~ saved_model.pb  {changed}\nsame\n"


def test_the_version_of_the_format_counts(call: Run, model: Copy) -> None:
    place = model("linear")
    with (place / "saved_model.pb").open("ab") as file:
        file.write(b"\x08\x02")
    said = call("diff", LINEAR, place)
    assert said.code == 1
    assert "another version of the format or fields of a newer writer\ndifferent\n" in said.out


def test_across_forms_it_says_what_was_not_compared(call: Run, model: Copy) -> None:
    text = model("text_form")
    file = text / "saved_model.pbtxt"
    collection = '  collection_def { key: "mine" value { node_list { value: "x" } } }\n'
    file.write_text(
        file.read_text().replace("  signature_def: {", f"{collection}  signature_def: {{")
    )
    said = call("diff", text, LINEAR)
    assert said.code == 1
    assert said.line.startswith("smpatch: note: one model is in text form: ")
    assert "  collections  cannot be compared across forms  (does not count)\n" in said.out
    assert "  ~ saved_model.pbtxt -> saved_model.pb" in said.out


def test_quiet_leaves_the_exit_code(call: Run) -> None:
    said = call("diff", "-q", LINEAR, MODULE)
    assert (said.code, said.out, said.err) == (1, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((LINEAR,), 2, "missing argument 'B'"),
        ((LINEAR, "gone"), 3, "gone: no such directory"),
        ((LINEAR, FIXTURES / "broken" / "truncated"), 3, "truncated"),
    ],
)
def test_what_cannot_be_compared(
    arguments: tuple[str | Path, ...], code: int, words: str, call: Run
) -> None:
    said = call("diff", *arguments)
    assert (said.code, said.out) == (code, "")
    assert words in said.line.replace("missing argument 'b'", "missing argument 'B'")


def test_a_file_that_may_not_be_read_is_named(
    call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = model("linear")
    index = place / "variables" / "variables.index"
    index.write_bytes(b"x" * index.stat().st_size)
    opened = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if path == index:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    said = call("diff", LINEAR, place)
    assert (said.code, said.line) == (3, f"smpatch: {index}: cannot be read: permission denied")


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["dir"])
def test_json_of_every_fixture_against_another(entry: dict[str, str], call: Run) -> None:
    for other in (LINEAR, FIXTURES / "models" / "keras_functional"):
        said = call("diff", FIXTURES / "models" / entry["dir"], other, "--json")
        VALIDATORS["diff"].validate(said.document)
        assert said.document["diff"]["same"] is (said.code == 0)
        assert said.code == (0 if other.name == entry["dir"] else 1)


def test_the_schema_knows_what_counts(call: Run) -> None:
    schema = VALIDATORS["diff"].schema
    assert isinstance(schema, dict)
    parts = set(schema["$defs"]["part"]["properties"]["name"]["enum"])
    assert parts - COUNTED_PARTS == {"meta_info"}
    kinds = set(schema["$defs"]["file"]["properties"]["kind"]["enum"])
    assert kinds - COUNTED_FILES == {"fingerprint", "other"}
    said = call("diff", LINEAR, MODULE, "--json").document
    document = json.loads(json.dumps(said))
    document["diff"]["meta_graphs"][0]["parts"][0]["name"] = "strange"
    with pytest.raises(jsonschema.ValidationError):
        VALIDATORS["diff"].validate(document)


def test_defaults_that_differ_in_elements_that_are_not_shown_have_the_same_type(
    call: Run, tmp_path: Path
) -> None:
    """The line said ``another type``."""
    places = [Path(shutil.copytree(LINEAR, tmp_path / name)) for name in "ab"]
    for place, last in zip(places, (1.0, 2.0), strict=True):
        edit = EditSignature("scale", defaults={"x": [0.0] * 99 + [last]})
        smpatch.edit_signature(place, edit, options=smpatch.Options(validate="none"))
    said = call("diff", *places)
    assert said.code == 1
    assert "~  default  x  elements that are not shown\n" in said.out
