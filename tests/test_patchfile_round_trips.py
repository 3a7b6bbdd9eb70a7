"""An edit that is written as a patch file is read as the same edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import singledispatch

from hypothesis import given
from hypothesis import strategies as st

from smpatch import patchfile
from smpatch.arguments import Constant
from smpatch.editing.sequence import conflicts
from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    RaggedRef,
    Remove,
    RemoveMetaGraph,
    Rename,
    Retag,
    SetInitOp,
    SparseRef,
    TensorRef,
)
from smpatch.fragments import Asked, asked_list

NAME = st.text(min_size=1, max_size=9)
# In a table an alias is any text; a tensor has the notation of the command line.
TENSOR_NAME = st.from_regex(r"[A-Za-z0-9.][A-Za-z0-9_./\\-]{0,9}(:[0-9])?", fullmatch=True)
TENSOR: st.SearchStrategy[TensorRef] = st.one_of(
    TENSOR_NAME,
    st.builds(SparseRef, TENSOR_NAME, TENSOR_NAME, TENSOR_NAME),
    st.builds(RaggedRef, TENSOR_NAME, st.lists(TENSOR_NAME, min_size=1, max_size=3).map(tuple)),
)
TENSORS = st.dictionaries(NAME, TENSOR, min_size=1, max_size=3)
NAMES = st.lists(NAME, min_size=1, max_size=3, unique=True).map(tuple)
SHAPE = st.none() | st.lists(st.none() | st.integers(0, 2**63 - 1), max_size=3).map(tuple)
SCALAR = (
    st.text(max_size=5)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
CONSTANTS = st.dictionaries(NAME, VALUE.map(Constant), min_size=1, max_size=3)
BEFORE: st.SearchStrategy[tuple[Asked, ...]] = st.lists(
    st.sampled_from(
        (
            "cast(float64)",
            "x=cast(float16, name='a \\' # \u00e9')",
            "image=decode_image(8, scale=1/255, mean=[1, -2.5], layout=NCHW)",
            "parse_example('a b', c)",
            "e=encode_example('x:float32[3]', 'y z:string[?]')",
        )
    ),
    max_size=3,
).map(lambda texts: asked_list(texts, "before"))
AFTER: st.SearchStrategy[tuple[Asked, ...]] = st.lists(
    st.sampled_from(("top_k(scores, 5)", "p=softmax('a, b', axis=0)", "threshold(x, 1e-3)")),
    max_size=3,
).map(lambda texts: asked_list(texts, "after"))
STARTS = st.dictionaries(NAME, NAME, max_size=2)
EDIT: st.SearchStrategy[Edit] = st.one_of(
    st.builds(AddPredict, TENSORS, TENSORS, NAME, st.booleans()),
    st.builds(PromoteFunction, NAME, st.none(), st.none(), NAME, st.booleans()),
    st.builds(FromSignature, NAME, st.dictionaries(NAME, NAME, min_size=1), NAME, st.booleans()),
    st.builds(
        Compose, NAME, NAME, CONSTANTS | st.just({}), st.booleans(), BEFORE, AFTER, STARTS, NAME
    ),
    st.builds(AddClassify, TENSOR, TENSOR, TENSOR, NAME, st.booleans()),
    st.builds(AddRegress, TENSOR, TENSOR, NAME, st.booleans()),
    st.builds(Rename, NAME, NAME, st.booleans()),
    st.builds(Copy, NAME, NAME, st.booleans()),
    st.builds(Remove, NAMES),
    st.builds(RemoveMetaGraph, NAMES),
    st.builds(SetInitOp, NAMES | st.just(())),
    st.builds(Retag, NAMES | st.integers(0, 9), NAMES),
    st.builds(
        EditSignature,
        key=NAME,
        drop_inputs=NAMES,
        add_outputs=TENSORS,
        shapes=st.dictionaries(NAME, SHAPE, min_size=1, max_size=3),
        defaults=st.dictionaries(NAME, VALUE, min_size=1, max_size=3),
        method_name=st.none()
        | NAME.filter(lambda name: name not in {"predict", "classify", "regress"}),
    ),
)


@given(EDIT.filter(lambda edit: not conflicts([edit])))
def test_an_edit_that_is_written_down_is_read_as_itself(edit: Edit) -> None:
    table = _written(edit) | ({"overwrite": True} if getattr(edit, "overwrite", False) else {})
    lines = [f"{_toml(key)} = {_toml(value)}" for key, value in table.items()]
    assert patchfile.parse_patch("\n".join(["version = 1", "[[edit]]", *lines])).edits == (edit,)


@singledispatch
def _written(edit: Edit) -> dict[str, object]:
    """Return the keys of an edit's table."""
    raise AssertionError(edit)


@_written.register
def _(edit: AddPredict) -> dict[str, object]:
    return {"add-predict": edit.key, "inputs": edit.inputs, "outputs": edit.outputs}


@_written.register
def _(edit: PromoteFunction) -> dict[str, object]:
    return {"add-predict": edit.key, "function": edit.function}


@_written.register
def _(edit: FromSignature) -> dict[str, object]:
    return {"outputs": edit.outputs, "from-signature": edit.source, "add-predict": edit.key}


@_written.register
def _(edit: Compose) -> dict[str, object]:
    put = {
        "bind": {alias: each.value for alias, each in edit.bind.items()},
        "before": list(map(str, edit.before)),
        "after": list(map(str, edit.after)),
        "from-input": edit.from_input,
        "dummy-input": edit.dummy_input,
    }
    given = {key: each for key, each in put.items() if each}
    return {**given, "from-signature": edit.source, "compose": edit.key}


@_written.register
def _(edit: AddClassify) -> dict[str, object]:
    given = {"examples": edit.examples, "classes": edit.classes, "scores": edit.scores}
    return {**given, "add-classify": edit.key}


@_written.register
def _(edit: AddRegress) -> dict[str, object]:
    given = {"examples": edit.examples, "predictions": edit.predictions}
    return {"add-regress": edit.key, **given}


@_written.register
def _(edit: Rename) -> dict[str, object]:
    return {"rename": edit.source, "to": edit.target}


@_written.register
def _(edit: Copy) -> dict[str, object]:
    return {"to": edit.target, "copy": edit.source}


@_written.register
def _(edit: Remove) -> dict[str, object]:
    return {"remove": list(edit.keys)}


@_written.register
def _(edit: RemoveMetaGraph) -> dict[str, object]:
    return {"remove-meta-graph": list(edit.tag_set)}


@_written.register
def _(edit: SetInitOp) -> dict[str, object]:
    return {"init-op": list(edit.operations)} if edit.operations else {"no-init-op": True}


@_written.register
def _(edit: Retag) -> dict[str, object]:
    place = edit.source if isinstance(edit.source, int) else list(edit.source)
    return {"retag": place, "to": list(edit.target)}


@_written.register
def _(edit: EditSignature) -> dict[str, object]:
    shapes = {
        alias: "unknown" if shape is None else [-1 if size is None else size for size in shape]
        for alias, shape in edit.shapes.items()
    }
    return {
        "edit": edit.key,
        "drop-input": list(edit.drop_inputs),
        "add-output": edit.add_outputs,
        "shape": shapes,
        "default": edit.defaults,
        **({"method": edit.method_name} if edit.method_name is not None else {}),
    }


def _toml(value: object) -> str:
    """Return a value in the notation of TOML."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, SparseRef):
        parts = f"indices={value.indices},values={value.values},dense_shape={value.dense_shape}"
        return _toml(f"sparse({parts})")
    if isinstance(value, RaggedRef):
        rows = ",".join(f"row_splits={each}" for each in value.row_splits)
        return _toml(f"ragged(values={value.values},{rows})")
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower()
