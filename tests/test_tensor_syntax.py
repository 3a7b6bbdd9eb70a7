"""The notation of tensors on a command line: its grammar, its aliases, its errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch import arguments
from smpatch.edits import RaggedRef, SparseRef, TensorRef
from smpatch.errors import UsageError
from smpatch.tensor_syntax import (
    parse_constants,
    parse_defaults,
    parse_shapes,
    parse_tags,
    parse_tensors,
)


def parse(*texts: str) -> dict[str, TensorRef]:
    return parse_tensors(texts, option="--inputs")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["x:0"], {"x": "x:0"}),
        (["x"], {"x": "x"}),
        (["x:1"], {"x_1": "x:1"}),
        (["top:12"], {"top_12": "top:12"}),
        (["head/Softmax:0"], {"Softmax": "head/Softmax:0"}),
        (["head/top:1"], {"top_1": "head/top:1"}),
        (["scores=head/Softmax:0"], {"scores": "head/Softmax:0"}),
        (["a:0,b:0"], {"a": "a:0", "b": "b:0"}),
        (["a:0", "b:0,c:0"], {"a": "a:0", "b": "b:0", "c": "c:0"}),
        ([" a:0 , b = c:0 "], {"a": "a:0", "b": "c:0"}),
        (["b:0,a:0"], {"b": "b:0", "a": "a:0"}),
    ],
)
def test_items_and_their_aliases(texts: list[str], expected: dict[str, str]) -> None:
    found = parse(*texts)
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("a/x:0,b/y:0", ["x", "y"]),
        ("a/x:0,b/x:0", ["a/x", "b/x"]),
        ("a/x:0,b/x:0,b/y:0", ["a/x", "b/x", "y"]),
        ("a/x:0,x:0", ["a/x", "x"]),
        ("a/x:0,x=b:0", ["a/x", "x"]),
        ("x=b:0,a/x:0", ["x", "a/x"]),
        ("top:0,top:1", ["top", "top_1"]),
        ("a/top:1,b/top:0", ["top_1", "top"]),
        ("a/top:1,b/top_1:0", ["a/top_1", "b/top_1"]),
    ],
)
def test_the_last_part_of_a_name_is_the_alias_only_where_it_is_unique(
    text: str, aliases: list[str]
) -> None:
    assert list(parse(text)) == aliases


@pytest.mark.parametrize(
    "text",
    [
        "ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)",
        "ids = sparse( dense_shape = s:0 , values=v:0, indices=i:0 )",
    ],
)
def test_sparse_parts_may_come_in_any_order(text: str) -> None:
    assert parse(text) == {"ids": SparseRef("v:0", "i:0", "s:0")}


def test_commas_inside_parentheses_do_not_end_an_item() -> None:
    text = "x:0,ids=ragged(values=v:0,row_splits=outer:0,row_splits=inner:0),y"
    assert parse(text) == {
        "x": "x:0",
        "ids": RaggedRef("v:0", ("outer:0", "inner:0")),
        "y": "y",
    }


@pytest.mark.parametrize(
    ("texts", "where", "says"),
    [
        ([""], "''", "an item is empty (write [alias=]op:index[,...])"),
        (["a:0,"], "'a:0,'", "an item is empty (write [alias=]op:index[,...])"),
        (["a:0,,b:0"], "'a:0,,b:0'", "an item is empty (write [alias=]op:index[,...])"),
        (["x="], "'x='", "'' is not a tensor name (write [alias=]op:index)"),
        (["a=b=c"], "'a=b=c'", "'b=c' is not a tensor name (write [alias=]op:index)"),
        (["a b"], "'a b'", "'a b' is not a tensor name"),
        (["x=dense(values=v:0)"], "'x=dense(values=v:0)'", "is not a tensor name"),
        (["x=sparse(values=v:0"], "'x=sparse(values=v:0'", "a parenthesis is not closed"),
        (["x:0)"], "'x:0)'", "a closing parenthesis too many"),
        (["a:0,b=a:1,b=c:0"], "'b=c:0'", "the alias 'b' is taken twice (write another alias"),
        (["x:1,x_1:0"], "'x_1:0'", "the alias 'x_1' is taken twice"),
        (["a:0", "a:0"], "'a:0'", "a:0 is given twice (write it once)"),
        (
            ["sparse(values=v:0,indices=i:0,dense_shape=s:0)"],
            "'sparse(values=v:0,indices=i:0,dense_shape=s:0)'",
            "it has no alias (write alias=sparse(",
        ),
        (
            ["x=sparse(values=v:0,indices=i:0)"],
            "'x=sparse(values=v:0,indices=i:0)'",
            "dense_shape is missing (such as ids=sparse(values=v:0,indices=i:0,dense_shape=s:0))",
        ),
        (
            ["x=ragged(values=v:0)"],
            "'x=ragged(values=v:0)'",
            "row_splits is missing (such as ids=ragged(values=v:0,row_splits=r:0))",
        ),
        (
            ["x=ragged(values=v:0,values=w:0,row_splits=r:0)"],
            "'x=ragged(values=v:0,values=w:0,row_splits=r:0)'",
            "values is given twice (such as ids=ragged(",
        ),
        (
            ["x=ragged(values=v:0,splits=r:0)"],
            "'x=ragged(values=v:0,splits=r:0)'",
            "'splits=r:0' is not a part of a ragged tensor (such as",
        ),
        (["x=sparse()"], "'x=sparse()'", "'' is not a part of a sparse tensor"),
        (["x=ragged(v:0)"], "'x=ragged(v:0)'", "'v:0' is not a part of a ragged tensor"),
    ],
)
def test_what_cannot_be_understood_says_what_would_be(
    texts: list[str], where: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*texts)
    assert str(caught.value).startswith(f"--inputs {where}: ")
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_errors_name_the_option() -> None:
    with pytest.raises(UsageError, match=r"^--outputs 'a:0,': an item is empty"):
        parse_tensors(["a:0,"], option="--outputs")


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("serve", ("serve",)),
        ("serve,gpu", ("serve", "gpu")),
        (" serve , gpu ", ("serve", "gpu")),
        ("", ()),
        (",", ()),
    ],
)
def test_tags_stand_between_commas(text: str, tags: tuple[str, ...]) -> None:
    assert parse_tags(text) == tags


words = st.text("abcxyzABC_019.-", min_size=1, max_size=5)
ops = st.lists(words, min_size=1, max_size=3).map("/".join)
tensors = st.builds(lambda op, index: f"{op}:{index}", ops, st.integers(0, 12)) | ops
aliases = words | st.sampled_from(["serving", "a b", "a/b", "a:0", "é"])
references: st.SearchStrategy[TensorRef] = st.one_of(
    tensors,
    st.builds(SparseRef, tensors, tensors, tensors),
    st.builds(RaggedRef, tensors, st.lists(tensors, min_size=1, max_size=3).map(tuple)),
)
spaces = st.sampled_from(["", "", " ", "  "])


@st.composite
def rendered(draw: st.DrawFn) -> tuple[dict[str, TensorRef], list[str]]:
    """Draw a mapping, and the texts for it: several options, spaces, parts in any order."""
    mapping = draw(st.dictionaries(aliases, references, max_size=4, min_size=1))
    items = [_rendered(draw, alias, ref) for alias, ref in mapping.items()]
    texts: list[str] = []
    for item in items:
        if draw(st.booleans()) and texts:
            texts[-1] += f"{draw(spaces)},{draw(spaces)}{item}"
        else:
            texts.append(item)
    return mapping, texts


def _rendered(draw: st.DrawFn, alias: str, ref: TensorRef) -> str:
    if isinstance(ref, SparseRef):
        parts = [("values", ref.values), ("indices", ref.indices)]
        parts = draw(st.permutations([*parts, ("dense_shape", ref.dense_shape)]))
        inside = f"{draw(spaces)},{draw(spaces)}".join(f"{name}={each}" for name, each in parts)
        return f"{alias}{draw(spaces)}={draw(spaces)}sparse({inside})"
    if isinstance(ref, RaggedRef):
        inside = "".join(f",{draw(spaces)}row_splits={each}" for each in ref.row_splits)
        return f"{alias}={draw(spaces)}ragged(values={ref.values}{inside})"
    assert isinstance(ref, str)
    return f"{alias}{draw(spaces)}={draw(spaces)}{ref}"


@given(rendered())
def test_what_is_written_is_read(drawn: tuple[dict[str, TensorRef], list[str]]) -> None:
    mapping, texts = drawn
    found = parse(*texts)
    assert found == mapping
    assert list(found) == list(mapping)


def _default_aliases(names: Sequence[str]) -> list[str]:
    """Return the alias of each tensor without one, by code that is independent of the parser."""
    whole = []
    for name in names:
        op, _, index = name.partition(":")
        whole.append(op if index in {"", "0"} else f"{op}_{index}")
    last = [each.split("/")[-1] for each in whole]
    return [
        short if last.count(short) == 1 else long for short, long in zip(last, whole, strict=True)
    ]


@given(st.lists(tensors, min_size=1, max_size=5))
def test_default_aliases_are_unique_or_refused(names: list[str]) -> None:
    expected = _default_aliases(names)
    if len(set(expected)) < len(expected):
        with pytest.raises(UsageError, match="twice"):
            parse(",".join(names))
        return
    assert parse(",".join(names)) == dict(zip(expected, names, strict=True))
    assert parse(*names) == parse(",".join(names))


@given(st.text("ab:0=,()/ \n", max_size=20))
def test_any_text_is_understood_or_a_usage_error(text: str) -> None:
    try:
        found = parse(text)
    except UsageError as error:
        assert error.found  # noqa: PT017 - an error is allowed, but not an empty one
        return
    assert found


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ("None,3", (None, 3)),
        ("[?, -1, 2]", (None, None, 2)),
        ("[]", ()),
        ("", ()),
        ("None", (None,)),
    ],
)
def test_none_is_an_open_dimension_and_empty_brackets_are_a_scalar(
    sizes: str, shape: tuple[int | None, ...]
) -> None:
    assert parse_shapes([f"x={sizes}"], option="--shape") == {"x": shape}


@pytest.mark.parametrize("sizes", ["[", "]", "[2", "2]", "[[2]]", "]2[", "[unknown"])
def test_a_bracket_without_its_other_one_is_no_shape(sizes: str) -> None:
    with pytest.raises(UsageError, match="it is not a shape"):
        parse_shapes([f"x={sizes}"], option="--shape")
    with pytest.raises(UsageError):
        arguments.shape(sizes, "shape")


@pytest.mark.parametrize("text", ["x=1e400", "x=[[0.5, -1e400]]"])
@pytest.mark.parametrize("parser", [parse_constants, parse_defaults])
def test_a_number_beyond_64_bits_does_not_become_infinite(
    parser: Callable[..., dict[str, object]], text: str
) -> None:
    with pytest.raises(UsageError, match="1e400 does not fit into float64"):
        parser([text], option="--bind")
    assert parser(["x=[Infinity, -Infinity, 1e308]"], option="--bind")["x"] == [
        math.inf,
        -math.inf,
        1e308,
    ]
