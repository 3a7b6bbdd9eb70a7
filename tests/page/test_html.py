"""The file: with any names it has one script, one style, and data that stay data."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest  # noqa: TC002 - hypothesis reads the annotations
from hypothesis import example, given
from hypothesis import strategies as st

import smpatch
from smpatch.display import command_line
from smpatch.page import Page, Section, document, html
from tests.cli.conftest import FIXTURES
from tests.page.models import HOSTILE, hostile
from tests.page.reading import parsed, tensors

NAMES = st.text(st.characters(codec="utf-8"), max_size=30)
NASTY = st.one_of(
    NAMES,
    st.lists(st.sampled_from([*HOSTILE, "<", ">", "&", "]]>", "-->", "{{policy}}"])).map("".join),
)


def data_of(place: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Section
    model = smpatch.load(place)
    sections = [
        Section(each, tuple(each.signatures), {}, {}, {}, "NEW", **more)
        for each in model.meta_graphs
    ]
    return document(Page(model, str(place), sections, "smpatch"))


PLAIN = data_of(FIXTURES / "models" / "linear")


def of_kind(text: str) -> list[tuple[str, dict[str, str | None]]]:
    return parsed(text).elements


@given(st.dictionaries(NASTY, st.recursive(NASTY, lambda inner: st.lists(inner, max_size=3))))
@example({each: list(HOSTILE) for each in HOSTILE})
def test_data_come_back_as_they_were_and_change_nothing_else(names: dict[str, Any]) -> None:
    text = html({**PLAIN, "names": names})
    assert text.isascii() or _without_data(text) == _without_data(html(PLAIN))
    found = parsed(text)
    assert found.data["names"] == names
    assert found.elements == of_kind(html(PLAIN))
    assert found.scripts == parsed(html(PLAIN)).scripts


def _without_data(text: str) -> str:
    return re.sub(r'(<script type="application/json" id="data">).*?(</script>)', r"\1\2", text)


# The name of a node has no colon, because an input is written as name:index.
@given(st.lists(NASTY.map(lambda name: name.replace(":", ".")), min_size=1, unique=True))
@example(list(HOSTILE))
def test_names_in_a_model_are_names_on_the_page(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    place = hostile(tmp_path_factory.mktemp("hostile") / "m", names)
    found = parsed(html(data_of(place)))
    (section,) = found.data["sections"]
    keys = {each["key"] for each in section["signatures"]}
    assert keys == {"serving_default", *(f"key {name}" for name in names[:3])}
    (body,) = (each["computation"] for each in section["signatures"] if each["key"][0] == "s")
    shown = {each.name for each in tensors(body)}
    assert shown >= {f"main/{name}" for name in names} | {f"scope/{name}" for name in names}


def test_the_file_refers_to_nothing_outside() -> None:
    text = html(PLAIN)
    found = parsed(text)
    for tag, attributes in found.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "svg"}
        assert not {"src", "srcset", "action", "style", "background"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    (script,), (style,) = found.scripts, found.styles
    assert re.findall(r"\w+://[^\s\"'`]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|@font-face|expression", style)
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|fetch\(|XML"
    assert re.findall(sinks, script) == []


def test_the_policy_allows_this_script_and_this_style_alone() -> None:
    found = parsed(html(PLAIN))
    (policy,) = (
        attributes["content"]
        for _, attributes in found.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(each.split(" ", 1) for each in markup.unescape(policy).split("; "))
    assert rules.pop("default-src") == "'none'"
    for rule, (content,) in (("script-src", found.scripts), ("style-src", found.styles)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules == {
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    # The policy holds only for the elements after it.
    names = [tag for tag, _ in found.elements]
    assert names.index("meta") < names.index("style")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
@example([each.replace("\0", "") for each in HOSTILE])
@example(["caf\udce9", "a\udc80b"])
def test_a_shell_reads_the_words_of_a_command_as_they_were(words: list[str]) -> None:
    line = command_line(words)
    assert line.isprintable()
    # The shell prints the words that it reads, each with a zero byte after it.
    asked = f"printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, check=True)  # noqa: S607
    given = b"".join(each.encode("utf-8", "surrogateescape") + b"\0" for each in words)
    assert done.stdout == given


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], codec="utf-8"))))
def test_printable_words_are_quoted_as_python_quotes_them(words: list[str]) -> None:
    if all(map(str.isprintable, words)):
        assert command_line(words) == shlex.join(words)
