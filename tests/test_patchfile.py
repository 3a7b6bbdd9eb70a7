"""Patch files: the edits that they contain, and one error with all faults of a file."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from smpatch import patchfile, tensor_syntax
from smpatch.arguments import Constant
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
    Rename,
    Retag,
    SetInitOp,
    SparseRef,
)
from smpatch.errors import PatchFileError
from smpatch.fragments import RecipeOf
from smpatch.patchfile import document

VALUES = "(write a number, text, true or false, or an array of them)"
VERBS = (
    "add-predict, add-classify, add-regress, compose, rename, copy, remove, remove-meta-graph, "
    "edit, init-op, no-init-op, retag"
)
CHANGES = (
    "rename-input, rename-output, drop-input, drop-output, add-input, add-output, "
    "shape, method, default, drop-default"
)
SWAP = (
    "the signatures 'a' and 'b' exchange their names: whether that is done already cannot be "
    "detected (do it once, without a patch file)"
)

READ = (
    "edit[0] starts from 'a', which this edit changes "
    "(put this edit before that one, or into a patch file of its own)"
)


def _edits(text: str) -> tuple[Edit, ...]:
    return patchfile.parse_patch(f"version = 1\n{textwrap.dedent(text)}").edits


def _faults(text: str) -> list[str]:
    with pytest.raises(PatchFileError) as caught:
        patchfile.parse_patch(textwrap.dedent(text), where="p.toml")
    assert caught.value.exit_code == 3
    faults = [str(fault) for fault in caught.value.faults]
    joined = "; ".join(faults)
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    assert str(caught.value) == f"p.toml: {count}{joined}"
    return faults


def _example() -> str:
    """Return the example in the docstring of the module ``document``."""
    text = document.__doc__ or ""
    start = text.index("    version = 1")
    return textwrap.dedent(text[start : text.index("\nThe edits are done")])


def test_the_example_says_what_it_seems_to_say() -> None:
    patch = patchfile.parse_patch(_example())
    assert patch.tag_set == ("serve",)
    assert patch.edits == (
        Rename("image_quality", "serving_default"),
        AddPredict(
            {"x": "x:0", "ids": RaggedRef("v:0", ("r:0",))},
            {"scores": "head/Softmax:0"},
            "scores",
        ),
        PromoteFunction("encoder.call", None, {"embedding": "output_0"}, "encode"),
        AddClassify("tf_example:0", "ClassString:0", "Softmax:0", "classify"),
        EditSignature(
            "serving_default",
            rename_inputs={"args_0": "image"},
            rename_outputs={"output_0": "scores"},
            drop_inputs=("unused",),
            drop_outputs=("logits", "mask"),
            add_outputs={"embedding": "dense/Relu:0"},
            shapes={"image": (None, 224, 224, 3)},
            method_name="tensorflow/serving/predict",
            defaults={"threshold": 0.5, "temperature": None},
        ),
        FromSignature("serving_default", {"embedding": "dense/Relu:0"}, "embedding"),
        Rename("serve", "raw"),
        Compose(
            "serving_default",
            "serve",
            {"is_training": Constant(False)},  # noqa: FBT003 - a value
            before=(RecipeOf("decode_image", "image", {"height": 224, "width": 224}),),
            after=(RecipeOf("top_k", "", {"output": "scores", "k": 5}),),
        ),
        Copy("serving_default", "predict"),
        Remove(("train_*", "debug")),
        SetInitOp(("init_all_tables",)),
        Retag(("transform",), ("serve",)),
    )


def test_what_the_example_does_not_show() -> None:
    assert _edits(
        """
        [[edit]]
        add-regress = "r"
        examples = "e:0"
        predictions = "p:0"
        overwrite = true
        [[edit]]
        add-predict = "k"
        outputs = ["y:0", "z=a/b:1"]
        [edit.inputs]
        "x, y" = "sparse(values=v:0,indices=i:0,dense_shape=s:0)"
        [[edit]]
        edit = "k"
        shape = { x = [], y = "unknown" }
        default = { x = [[1, 2], [3, 4]], y = "text", z = [true, false] }
        method = "my/own"
        [[edit]]
        retag = 1
        to = ["a", "b, c"]
        [[edit]]
        add-predict = "f"
        function = "f"
        inputs = "image=x"
        """
    ) == (
        AddRegress("e:0", "p:0", "r", overwrite=True),
        AddPredict({"x, y": SparseRef("v:0", "i:0", "s:0")}, {"y": "y:0", "z": "a/b:1"}, "k"),
        EditSignature(
            "k",
            shapes={"x": (), "y": None},
            defaults={"x": [[1, 2], [3, 4]], "y": "text", "z": [True, False]},
            method_name="my/own",
        ),
        Retag(1, ("a", "b, c")),
        PromoteFunction("f", {"image": "x"}, None, "f"),
    )


def test_options_of_the_whole_document(tmp_path: Path) -> None:
    file = tmp_path / "patch.toml"
    file.write_text(
        'version = 1\ntag-set = "serve,gpu"\nsignature-def-only = true\n'
        'op-library = ["ops.so", "/opt/more.so"]\n[[edit]]\nremove = "k"\n'
    )
    patch = patchfile.load_patch(file)
    assert (patch.tag_set, patch.signature_def_only) == (("serve", "gpu"), True)
    assert patch.op_libraries == (tmp_path / "ops.so", Path("/opt/more.so"))


def test_all_faults_are_told_at_once_with_path_and_line() -> None:
    assert _faults(
        """\
        version = 2
        tagset = "serve"
        [[edit]]
        rename = "a"
        too = "b"
        [[edit]]
        add-predict = "k"
        inputs = { x = "x(:0", y = 3, "a b" = "x:0,y:0" }
        outputs = "y:0,,"
        [[edit]]
        removes = "x"
        [[edit]]
        edit = "k"
          [edit.shape]
          x = [1, -2,
            "a"]
          y = 1979-05-27
          z = [true]
        [[edit]]
        rename = "a"
        copy = "b"
        [[edit]]
        edit = "k"
        rename_input = { a = "" }
        drop-output = ["a", "a", 1]
        default = { a = { b = 1 }, c = [1, 12:00:00] }
        drop-default = "a"
        """
    ) == [
        "version (line 1): it must say version = 1",
        "tagset (line 2): smpatch apply takes no 'tagset' (did you mean tag-set?)",
        "edit[0] (line 3): to is missing",
        "edit[0].too (line 5): rename takes no 'too' (did you mean to?)",
        "edit[1].inputs.x (line 8): a parenthesis is not closed",
        "edit[1].inputs.y (line 8): it is an integer (write text)",
        "edit[1].inputs.'a b' (line 8): only one tensor is allowed here",
        "edit[1].outputs (line 9): an item is empty (write [alias=]op:index[,...])",
        "edit[2] (line 10): it has no verb (did you mean remove or rename?)",
        "edit[3].shape.x[1] (line 15): -2 is not a size (-1 stands for unknown)",
        "edit[3].shape.x[2] (line 15): it is text (write a size, -1 where it is unknown)",
        'edit[3].shape.y (line 17): it is a date or time (write an array of sizes or "unknown")',
        "edit[3].shape.z[0] (line 18): it is a truth value (write a size, -1 where it is unknown)",
        "edit[4] (line 19): it has 2 verbs: rename, copy (one [[edit]] each)",
        "edit[5].rename_input (line 24): edit takes no 'rename_input' (did you mean rename-input?)",
        "edit[5].drop-output[1] (line 25): 'a' is named twice",
        "edit[5].drop-output[2] (line 25): it is an integer (write text)",
        f"edit[5].default.a (line 26): it is a table {VALUES}",
        f"edit[5].default.c[1] (line 26): it is a date or time {VALUES}",
        "edit[5].drop-default (line 27): 'a' is given a default as well",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it asks for no edit (write [[edit]] and below it, say, rename = ...)"),
        ("[[edit]]\nadd-predict = 'k'\nfunction = 'f'\nfrom-signature = 's'",
         "edit[0] (line 2): it has function and from-signature (one of them makes a signature)"),
        ("edit = 1", "edit (line 2): edits are an array of tables (write [[edit]])"),
        ("edit = []", "it asks for no edit (write [[edit]] and below it, say, rename = ...)"),
        ("[edit]\nremove = 'k'", "edit (line 2): edits are an array of tables (write [[edit]])"),
        ("[[edit]]", f"edit[0] (line 2): it has no verb (one of {VERBS})"),
        ("[[edit]]\nremove = []", "edit[0].remove (line 3): it is empty"),
        ("[[edit]]\nremove = ''", "edit[0].remove (line 3): it is empty"),
        ("[[edit]]\nrename = 1\nto = 'b'",
         "edit[0].rename (line 3): it is an integer (write text)"),
        ("[[edit]]\nretag = ','\nto = 'b'", "edit[0].retag (line 3): it names no tag"),
        ("[[edit]]\nretag = -1\nto = 'b'", "edit[0].retag (line 3): MetaGraphs are counted from 0"),
        ("[[edit]]\nretag = true\nto = 'b'",
         "edit[0].retag (line 3): it is a truth value (write text or an array)"),
        ("[[edit]]\nadd-predict = 'k'\noutputs = 'y:0'", "edit[0] (line 2): inputs is missing"),
        ("[[edit]]\nadd-predict = 'k'\ninputs = {}\noutputs = 'y:0'",
         "edit[0].inputs (line 4): it names no tensor"),
        ("[[edit]]\nadd-predict = 'k'\nfrom-signature = 's'",
         "edit[0] (line 2): outputs is missing"),
        ("[[edit]]\nadd-predict = 'k'\nfrom-signature = 's'\noutputs = 'y'\ninputs = 'x'",
         "edit[0].inputs (line 6): from-signature and inputs do not go together"),
        ("[[edit]]\nadd-classify = 'k'\nexamples = 'x:0'",
         ("edit[0] (line 2): classes or scores must be there "
          "(Classify answers with classes, scores or both)")),
        ("[[edit]]\nadd-regress = 'k'\nexamples = 'x=x:0'\npredictions = 'y'",
         "edit[0].examples (line 4): an alias is not allowed here (write x:0)"),
        ("[[edit]]\ncopy = 'a'\nto = 'b'\noverwrite = 'yes'",
         "edit[0].overwrite (line 5): it is text (write true or false)"),
        ("[[edit]]\nedit = 'k'", f"edit[0] (line 2): it changes nothing (add {CHANGES})"),
        ("[[edit]]\nedit = 'k'\nshape = 'x=1'",
         "edit[0].shape (line 4): it is text (write a table, such as shape = { x = ... })"),
    ],
)  # fmt: skip
def test_one_fault(text: str, fault: str) -> None:
    assert _faults(f"version = 1\n{text}") == [fault]


@pytest.mark.parametrize("version", ["true", "1.0", "'1'", "2"])
def test_a_version_that_only_equals_one_is_none(version: str) -> None:
    text = f"version = {version}\n[[edit]]\nremove = 'k'"
    assert _faults(text) == ["version (line 1): it must say version = 1"]


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        ("rename a a", "edit[0] (line 2): source and target are both 'a'"),
        ("rename a b; rename a c",
         "edit[1] (line 5): there is no signature 'a' any more: edit[0] removed it"),
        ("remove a; copy a b",
         "edit[1] (line 4): there is no signature 'a' any more: edit[0] removed it"),
        ("remove a*; rename ab c", "edit[1] (line 4): there is no signature 'ab' any more"),
        ("rename a b; rename c b",
         "edit[1] (line 5): the key 'b' is taken: edit[0] needs it (overwrite = true replaces it)"),
        ("copy a b; rename b c; rename a b; remove c; remove c",
         "edit[4] (line 13): there is no 'c' any more: edit[3] removed it"),
        ("rename a t; rename b a; rename t b",
         f"edit[2] (line 8): {SWAP}"),
        ("copy a t; rename b a !; rename t b",
         f"edit[2] (line 9): {SWAP}"),
        ("copy a b; rename c a !", f"edit[1] (line 5): {READ}"),
        ("copy a b; edit a y z", f"edit[1] (line 5): {READ}"),
        ("derive a k; remove a", f"edit[1] (line 6): {READ}"),
        ("derive a k; rename a t; edit t drop",
         "edit[2] (line 9): " + READ.replace("'a'", "'t'")),
    ],
)  # fmt: skip
def test_what_no_model_could_resolve_is_told_before_any_is_looked_at(
    edits: str, fault: str
) -> None:
    assert _faults(f"version = 1\n{_short(edits)}") == [fault]


@pytest.mark.parametrize(
    "edits",
    [
        "rename a b; rename c a",
        "rename a b; rename b a",
        "remove a*; rename b ab; rename ab c",
        "copy a b; remove b; copy a b",
        "rename a b; rename c b !",
        "rename serving_default old; rename better serving_default",
        "derive a k; rename a t",
        "derive a k; edit a y z",
        "copy a b; edit b y z; edit b drop",
        "copy a b; derive b k; remove b",
    ],
)
def test_what_only_looks_like_a_contradiction_is_none(edits: str) -> None:
    assert len(_edits(_short(edits))) == edits.count(";") + 1


def _short(edits: str) -> str:
    """Return the patch file of a text such as ``rename a b; copy b c !``; ``!`` is overwrite."""
    lines = []
    for each in edits.split("; "):
        verb, source, *target = each.removesuffix(" !").split()
        if verb == "derive":
            lines += ["[[edit]]", f"add-predict = {json.dumps(target.pop())}"]
            lines += [f"from-signature = {json.dumps(source)}", 'outputs = "y"']
            continue
        lines += ["[[edit]]", f"{verb} = {json.dumps(source)}"]
        if verb == "edit":
            old, *new = target
            lines += [f"rename-output = {{ {old} = '{new[0]}' }}" if new else "drop-output = 'y'"]
            continue
        lines += [f"to = {json.dumps(name)}" for name in target]
        lines += ["overwrite = true"] * each.endswith("!")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("kind", "renames", "fault"),
    [
        ("input", "a = 'b', b = 'a'", "the inputs 'a' and 'b' exchange their names"),
        ("output", "a = 'b', b = 'c', c = 'a'", "the outputs 'a' and 'b' and 'c' exchange"),
        ("input", "a = 'c', b = 'c'", "two inputs are to be called 'c'"),
        ("input", "a = 'a'", "the input 'a' is renamed to itself"),
    ],
)
def test_contradictions_within_a_signature(kind: str, renames: str, fault: str) -> None:
    text = f"version = 1\n[[edit]]\nedit = 'k'\nrename-{kind} = {{ {renames} }}"
    assert any(fault in each for each in _faults(text))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a = [1 2]", "line 1: unclosed array"),
        (b"version = 1\n\xff\n", "line 2: it is not UTF-8"),
        (b"\x0a\x12" * 9_000_000, "too big for a patch file"),
        (None, "cannot be read: no such file or directory"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, fault: str) -> None:
    file = tmp_path / "patch.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PatchFileError) as caught:
        patchfile.load_patch(file)
    assert (str(caught.value).lower(), caught.value.exit_code) == (f"{file}: {fault}".lower(), 3)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "patch.toml"
    file.write_bytes(b"\xef\xbb\xbfversion = 1\r\n[[edit]]\r\nrename = 'a'\r\nto = 'b'\r\n")
    assert patchfile.load_patch(file).edits == (Rename("a", "b"),)


def test_a_directory_in_the_place_of_the_file_is_a_slip(tmp_path: Path) -> None:
    with pytest.raises(PatchFileError, match=r"is a directory \(smpatch apply PATCH.toml MODEL"):
        patchfile.load_patch(tmp_path)


@pytest.mark.parametrize("new", ["a b", "f(x)", "b=c", "x:0"])
def test_new_names_as_text_are_those_of_the_command_line(new: str) -> None:
    parsed = patchfile.parse_patch(
        f'version = 1\n[[edit]]\nedit = "k"\nrename-input = "a={new}"\nrename-output = "y={new}"'
    )
    assert parsed.edits == (EditSignature("k", {"a": new}, {"y": new}),)
    assert tensor_syntax.parse_pairs([f"a={new}"], option="") == {"a": new}


def test_a_rename_without_a_new_name_is_no_rename() -> None:
    with pytest.raises(PatchFileError, match=r"rename-input .*: it is not a pair of names"):
        patchfile.parse_patch('version = 1\n[[edit]]\nedit = "k"\nrename-input = "a"')
