"""Texts that people write: tensors on a command line, and patch files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpatch import UsageError, patchfile, tensor_syntax
from smpatch.errors import PatchFileError
from tests.fuzz import mutations
from tests.fuzz.ledger import EXAMPLES
from tests.fuzz.seeds import PATCHES
from tests.prove.ledger import Count

_WORDS = st.sampled_from(
    ["x:0", "a=", "sparse(", "ragged(", "values=", ")", ",", "=", "@", "+", ":"]
)
_TENSORS = st.lists(st.lists(_WORDS | st.text(max_size=4), max_size=12).map("".join), max_size=3)


@pytest.mark.proof("fuzz: notation")
@settings(max_examples=EXAMPLES or 60)
@given(_TENSORS)
def test_tensors_are_understood_or_refused_in_one_line(count: Count, texts: list[str]) -> None:
    count.add(executions=1)
    for parse in (tensor_syntax.parse_tensors, tensor_syntax.parse_names):
        refusal = ""
        try:
            parse(texts, option="--inputs")
        except UsageError as error:
            refusal = str(error)
        assert "\n" not in refusal
        assert "\x1b" not in refusal


@pytest.mark.proof("fuzz: patch file")
@settings(max_examples=EXAMPLES or 60)
@given(st.sampled_from(PATCHES), st.binary(min_size=24, max_size=160), st.integers(1, 5))
def test_mutated_patch_file_is_understood_or_refused_in_one_line(
    count: Count, patch: bytes, decisions: bytes, times: int
) -> None:
    count.add(executions=1)
    text = mutations.broken_text(patch, mutations.Choices.of(decisions), times)
    refusal = ""
    try:
        patchfile.parse_patch(text.decode("utf-8", "replace"))
    except PatchFileError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert "\x1b" not in refusal
