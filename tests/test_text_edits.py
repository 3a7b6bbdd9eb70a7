"""Edits of texts with unusual layout: protobuf reads the result, and each comment stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, message_factory, text_format
from hypothesis import given
from hypothesis import strategies as st

from smpatch import schema, wire
from smpatch.savedmodel import text
from smpatch.savedmodel.draft import Draft

TOKEN = re.compile(r'"[^"]*"|\w+|[^\s\w]')
KEYS = "abcd"
WAYS = ["keep", "remove", "rename", "revise"]
COMMENT = re.compile(r"# \d+ [{\"\[,]")


def _whole() -> Any:  # noqa: ANN401 - a class that is made at run time
    """Return a class for a message with the parts of a SavedModel that these texts have."""
    known = schema.SignatureDefEntry.DESCRIPTOR.file
    file = descriptor_pb2.FileDescriptorProto(
        name="whole.proto", package="whole", dependency=[known.name], syntax="proto3"
    )
    meta_graph = file.message_type.add(name="MetaGraph")
    parts = [("meta_info_def", 1, "MetaInfoDef"), ("graph_def", 2, "GraphDef")]
    parts += [("signature_def", 5, "SignatureDefEntry"), ("asset_file_def", 6, "AssetFileDef")]
    for name, number, kind in parts:
        label = 3 if name in {"signature_def", "asset_file_def"} else 1
        type_name = f".{known.package}.{kind}"
        meta_graph.field.add(name=name, number=number, label=label, type=11, type_name=type_name)
    model = file.message_type.add(name="SavedModel")
    model.field.add(name="meta_graphs", number=2, label=3, type=11, type_name=".whole.MetaGraph")
    known.pool.Add(file)
    return message_factory.GetMessageClass(known.pool.FindMessageTypeByName("whole.SavedModel"))


WHOLE = _whole()


@dataclass(frozen=True)
class Written:
    """A text, and the comments that are inside each of its signatures and tags."""

    text: str
    inside: Mapping[str, Sequence[str]]


def entry(key: str, method: str = "m") -> str:
    """Return the value of an entry of the map, as tokens."""
    tensor = f'{{ name : "{key}:0" , dtype : DT_FLOAT ; tensor_shape {{ dim {{ size : 1 }} }} }}'
    inputs = f'inputs {{ key : "x" value : {tensor} }}'
    return f'{{ key : "{key}" value {{ {inputs} method_name : "{method}" }} }}'


@st.composite
def texts(draw: st.DrawFn) -> Written:
    """Draw the layout of a MetaGraph: lists or fields, brackets, separators, gaps, comments."""
    pieces: list[tuple[str, str]] = [("", "meta_graphs {")]

    def add(name: str, values: Sequence[tuple[str, str]], *, colon: bool) -> None:
        at = 0
        while at < len(values):
            size = draw(st.integers(0, len(values) - at))
            chosen = values[at : at + max(size, 1)]
            if size:
                pieces.append(("", f"{name} : ["))
                for place, (owner, value) in enumerate(chosen):
                    pieces.extend([("", ",")] if place else [])
                    pieces.append((owner, value))
                pieces.append(("", "]"))
            else:
                pieces.append((chosen[0][0], f"{name} {':' if colon else ''} {chosen[0][1]}"))
            pieces.append(("", draw(st.sampled_from(["", "", ",", ";"]))))
            at += len(chosen)

    pieces.append(("", "meta_info_def {"))
    tags = draw(st.lists(st.sampled_from(["t0", "t1", "t2"]), unique=True))
    add("tags", [(tag, f'"{tag}"') for tag in tags], colon=True)
    pieces += [("", "}"), ("", draw(st.sampled_from(["", 'graph_def { node { name : "n" } } ,'])))]
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    add("signature_def", [(key, entry(key)) for key in keys], colon=draw(st.booleans()))
    pieces += [("", draw(st.sampled_from(["", "asset_file_def { } ;"]))), ("", "}")]
    angles, feed = draw(st.booleans()), draw(st.sampled_from(["\n", "\r\n"]))
    written = ""
    inside: dict[str, list[str]] = {each: [] for each in [*tags, *keys]}
    gaps = st.sampled_from([" ", " ", "\n", "\n  ", "#", "#\n"])
    for owner, piece in pieces:
        for place, token in enumerate(TOKEN.findall(piece)):
            gap = draw(gaps)
            if "#" in gap:
                comment = f"# {len(written)} {draw(st.sampled_from('{[,'))}"
                gap = f" {comment}\n"
                if owner and place:
                    inside[owner].append(comment)
            written += gap.replace("\n", feed)
            written += token.translate({123: "<", 125: ">"}) if angles else token
    return Written(written + draw(st.sampled_from(["", feed])), inside)


@given(
    texts(),
    st.fixed_dictionaries({key: st.sampled_from(WAYS) for key in KEYS}),
    st.integers(0, 2),
    st.none() | st.lists(st.sampled_from(["t0", "t1", 'n "e']), unique=True, min_size=1),
)
def test_protobuf_reads_what_was_asked_and_comments_stay(
    written: Written, ways: Mapping[str, str], more: int, tags: Sequence[str] | None
) -> None:
    data = written.text.encode()
    (parts,) = text.read(data)
    wanted = text_format.Parse(written.text, WHOLE()).meta_graphs[0]
    draft = Draft(parts)
    lost: list[str] = []
    for each in list(wanted.signature_def):
        way = ways[each.key]
        lost += written.inside[each.key] if way in {"remove", "revise"} else []
        if way == "remove":
            draft = draft.removed(each.key)
            wanted.signature_def.remove(each)
        elif way == "rename":
            draft = draft.renamed(each.key, f"{each.key}é")
            each.key += "é"
        elif way == "revise":
            each.value.method_name = "other"
            draft = draft.revised(each.key, each.value.SerializeToString(), {}, {})
    for number in range(more):
        new = wanted.signature_def.add(key=f"new{number}", value={"method_name": "new"})
        draft = draft.put(new.key, new.value.SerializeToString())
    if tags is not None:
        lost += [
            each for gone in wanted.meta_info_def.tags[len(tags) :] for each in written.inside[gone]
        ]
        draft = draft.tagged(tuple(tags))
        wanted.meta_info_def.tags[:] = tags
    after = wire.apply(data, draft.splices()).decode()
    read = text_format.Parse(after, WHOLE()).meta_graphs[0]
    assert _keys(read) == _keys(wanted)
    assert read == wanted
    stay = [each for each in COMMENT.findall(written.text) if each not in lost]
    assert [each for each in COMMENT.findall(after) if each not in lost] == stay
    if "\r\n" in written.text.partition("\n")[0] + "\n":
        assert after.count("\r\n") == after.count("\n")


def _keys(meta_graph: Any) -> list[Any]:  # noqa: ANN401 - a message
    """Remove the signatures from a MetaGraph; return them, sorted by their keys."""
    entries = sorted(meta_graph.signature_def, key=lambda each: str(each.key))
    meta_graph.ClearField("signature_def")
    return entries
