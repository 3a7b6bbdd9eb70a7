"""The loader's choice of the file, its form and the MetaGraph, and how little it reads."""

from __future__ import annotations

import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fixtures.make import raw
from smpatch import loader, schema, suggest, wire
from smpatch.errors import ModelUnreadableError, TagSetError, TensorNotFoundError
from smpatch.frozen_graph import load_graph
from smpatch.signature import TensorSpec

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
LINEAR = (MODELS / "linear" / "saved_model.pb").read_bytes()
TEXT = (MODELS / "text_form" / "saved_model.pbtxt").read_bytes()


def meta_graph(*tags: str, graph: bytes = b"", signatures: Sequence[str] = ()) -> bytes:
    """Return a MetaGraphDef field of a SavedModel."""
    info = schema.MetaInfoDef(tags=tags).SerializeToString()
    body = raw.field(1, info) + raw.field(2, graph)
    for key in signatures:
        body += raw.field(5, raw.field(1, key.encode()) + raw.field(2, raw.field(3, key.encode())))
    return raw.field(2, body)


@pytest.fixture
def model(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return a function that writes bytes as a model's file and returns the directory."""

    def write(data: bytes) -> Path:
        (tmp_path / "saved_model.pb").write_bytes(data)
        return tmp_path

    return write


class TestWhichFile:
    def test_the_binary_form_wins(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pb").write_bytes(LINEAR)
        (tmp_path / "saved_model.pbtxt").write_bytes(TEXT)
        found = loader.load(tmp_path)
        assert (found.form, found.file) == ("binary", tmp_path / "saved_model.pb")
        assert list(found.signatures) == ["scale"]

    def test_the_text_form_is_read_where_it_is_alone(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pbtxt").write_bytes(TEXT)
        (tmp_path / "saved_model.cpb").write_bytes(b"x")
        found = loader.load(tmp_path)
        assert (found.form, found.file) == ("text", tmp_path / "saved_model.pbtxt")
        assert found.data == TEXT

    def test_the_chunked_form_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.cpb").write_bytes(b"x")
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(tmp_path)
        assert caught.value.found == "it holds only the chunked form, saved_model.cpb"
        assert caught.value.hint.endswith("export again without chunking")
        assert caught.value.exit_code == 3

    def test_the_chunked_form_beside_the_binary_one_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.cpb").write_bytes(b"x")
        (tmp_path / "saved_model.pb").write_bytes(LINEAR)
        assert loader.load(tmp_path).form == "binary"

    def test_a_dangling_link_is_the_file_that_loaders_would_read(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pb").symlink_to(tmp_path / "gone")
        (tmp_path / "saved_model.pbtxt").write_bytes(TEXT)
        with pytest.raises(ModelUnreadableError, match=r"saved_model\.pb: cannot be opened: No su"):
            loader.load(tmp_path)

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pb").symlink_to(MODELS / "linear" / "saved_model.pb")
        assert list(loader.load(str(tmp_path)).signatures) == ["scale"]


class TestNoModel:
    def test_no_such_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnreadableError, match=r"gone: no such directory$"):
            loader.load(tmp_path / "gone")

    def test_a_file_where_its_directory_is_wanted(self) -> None:
        file = MODELS / "linear" / "saved_model.pb"
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(file)
        assert caught.value.found == "not a directory"
        assert caught.value.hint == f"name the directory, {file.parent}"

    def test_an_empty_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(tmp_path)
        assert caught.value.found == "no saved_model.pb and no saved_model.pbtxt here"
        assert caught.value.hint == "is this a SavedModel directory?"

    @pytest.mark.parametrize(
        ("present", "offered"),
        [
            (["1/saved_model.pb"], "1"),
            (["1/saved_model.pb", "2/saved_model.pb"], "2"),
            (["9/saved_model.pb", "10/saved_model.pb"], "10"),
            (["10/saved_model.pb", "best/saved_model.pb"], "10"),
            (["a/saved_model.pb", "b/saved_model.pb"], "b"),
            (["3/saved_model.pbtxt"], "3"),
            (["1/saved_model.pb", "2/other"], "1"),
        ],
    )
    def test_a_version_below_is_offered_the_newest_first(
        self, present: list[str], offered: str, tmp_path: Path
    ) -> None:
        for name in present:
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).touch()
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(tmp_path)
        assert caught.value.hint == f"did you mean {tmp_path / offered}?"

    def test_an_empty_file(self, model: Callable[[bytes], Path]) -> None:
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(model(b""))
        assert caught.value.where.endswith("saved_model.pb")
        assert caught.value.found == "the file is empty"
        assert caught.value.hint == "its export or its copy did not finish"

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "saved_model.pb")
        with pytest.raises(ModelUnreadableError, match="not a regular file"):
            loader.load(tmp_path)

    def test_no_meta_graph(self, model: Callable[[bytes], Path]) -> None:
        with pytest.raises(ModelUnreadableError, match=r"it holds no MetaGraph \(is this a Saved"):
            loader.load(model(b"\x08\x01"))

    def test_a_truncated_file_is_told_with_file_and_offset(
        self, model: Callable[[bytes], Path]
    ) -> None:
        directory = model(LINEAR[:-1])
        with pytest.raises(ModelUnreadableError) as caught:
            loader.load(directory)
        assert caught.value.where == str(directory / "saved_model.pb")
        assert caught.value.found.startswith("byte 2: field 2 ends 1 bytes past")

    def test_what_is_read_late_names_the_file_too(self, model: Callable[[bytes], Path]) -> None:
        entry = raw.field(5, raw.field(1, b"k") + raw.field(2, b"\x0a\x05x"))
        directory = model(raw.field(2, raw.field(1, b"") + entry))
        found = loader.load(directory)
        with pytest.raises(ModelUnreadableError, match=r"saved_model\.pb: byte \d+: a signature"):
            _ = found.signatures


class TestMetaGraphs:
    THREE = meta_graph("serve") + meta_graph("serve", "gpu") + meta_graph("train")

    @pytest.mark.parametrize(
        ("tags", "at"),
        [(["serve"], 0), (["serve", "gpu"], 1), (["gpu", "serve"], 1), (["train"], 2)],
    )
    def test_are_chosen_by_exactly_their_tags(
        self, tags: list[str], at: int, model: Callable[[bytes], Path]
    ) -> None:
        found = loader.load(model(self.THREE))
        assert found.meta_graph(tags) is found.meta_graphs[at]

    @pytest.mark.parametrize("tags", [["gpu"], [], ["serve", "gpu", "train"]])
    def test_other_tags_are_refused_with_those_present(
        self, tags: list[str], model: Callable[[bytes], Path]
    ) -> None:
        with pytest.raises(TagSetError) as caught:
            loader.load(model(self.THREE)).meta_graph(tags)
        assert repr(",".join(tags)) in caught.value.found
        assert "serve | serve,gpu | train" in caught.value.hint
        assert "--tag-set" in caught.value.hint

    def test_several_need_a_choice(self, model: Callable[[bytes], Path]) -> None:
        found = loader.load(model(self.THREE))
        for ask in (found.meta_graph, lambda: found.signatures, lambda: found.tensor("x:0")):
            with pytest.raises(TagSetError, match="there are 3 MetaGraphs"):
                ask()

    def test_the_only_one_needs_none(self, model: Callable[[bytes], Path]) -> None:
        found = loader.load(model(meta_graph("anything")))
        assert found.meta_graph() is found.meta_graphs[0]
        assert found.meta_graph().tags == ("anything",)

    def test_tags_that_the_only_one_does_not_have_are_no_reason_to_give_it_others(
        self, model: Callable[[bytes], Path]
    ) -> None:
        with pytest.raises(TagSetError) as caught:
            loader.load(model(meta_graph("serve"))).meta_graph(["gpu"])
        assert caught.value.hint == "tag-sets present: serve; choose one with --tag-set"

    def test_of_two_with_the_same_tags_the_first_is_taken(
        self, model: Callable[[bytes], Path]
    ) -> None:
        found = loader.load(model(meta_graph("serve") + meta_graph("serve")))
        assert found.meta_graph(["serve"]) is found.meta_graphs[0]


class TestSignatures:
    def test_come_sorted_and_without_the_reserved_ones(
        self, model: Callable[[bytes], Path]
    ) -> None:
        keys = ["b", "__saved_model_init_op", "a"]
        found = loader.load(model(meta_graph("serve", signatures=keys))).meta_graph()
        assert list(found.signatures) == ["a", "b"]
        assert list(found.reserved) == ["__saved_model_init_op"]
        assert list(found.entries) == keys

    def test_of_one_key_the_last_counts(self) -> None:
        found = loader.load(MODELS / "duplicate_key").meta_graph()
        (key, entry), *rest = found.entries.items()
        assert rest == []
        assert len(found.parts.entries) == 2
        assert found.parts.entries[1] == entry
        assert found.signatures[key].to_bytes() == entry.value

    def test_the_pieces_of_one_are_merged(self, model: Callable[[bytes], Path]) -> None:
        """Every reader of protobuf merges the pieces, with no option for it."""
        info = schema.TensorInfo(name="x:0", dtype=1)
        pieces = [schema.SignatureDef(inputs={"x": info}), schema.SignatureDef(method_name="m")]
        values = b"".join(wire.delimited(2, each.SerializeToString()) for each in pieces)
        entry = wire.delimited(1, b"k") + values
        found = loader.load(model(wire.delimited(2, wire.delimited(5, entry)))).signatures["k"]
        assert list(found.inputs) == ["x"]
        assert found.method_name == "m"

    def test_are_read_only(self) -> None:
        signatures = loader.load(MODELS / "linear").signatures
        with pytest.raises(TypeError):
            signatures["new"] = signatures["scale"]  # type: ignore[index]

    def test_tensors_are_looked_up_by_name(self) -> None:
        found = loader.load(MODELS / "linear")
        assert found.tensor("x") == TensorSpec("x:0", "float32", (None,))
        assert found.resolve("y:0").op == "AddV2"
        with pytest.raises(TensorNotFoundError, match=r"did you mean x\?"):
            found.tensor("X:0")

    def test_the_writers_version_is_told(self) -> None:
        assert loader.load(MODELS / "linear").meta_graph().tensorflow_version.startswith("2.")


class TestLaziness:
    def test_small_files_are_read_and_big_ones_mapped(self, tmp_path: Path) -> None:
        assert isinstance(loader.load(MODELS / "linear").data, bytes)
        filler = (1 << 24) - len(LINEAR)
        for size, kind in ((filler - 6, bytes), (filler - 5, mmap.mmap)):
            # An unknown field of this size is after the model.
            data = LINEAR + raw.field(9, bytes(size))
            assert abs(len(data) - (1 << 24)) < 2
            (tmp_path / "saved_model.pb").write_bytes(data)
            found = loader.load(tmp_path)
            assert isinstance(found.data, kind), len(data)
            assert list(found.signatures) == ["scale"]
            assert found.tensor("y:0").dtype == "float32"
            assert found.identity.size == len(data)

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_a_big_model_is_shown_without_its_weights(self, tmp_path: Path) -> None:
        """The file has a constant of 300 MB; almost none of it uses disk or memory."""
        size = 300_000_000
        # The MetaGraph, its graph, a node, an attribute, its value; and the bytes before each.
        path = [2, 2, 1, 5, 2]
        before = [b"", b"", b"", raw.field(1, b"weights") + raw.field(2, b"Const")]
        before.append(raw.field(1, b"value"))
        start = b""
        for number, leading in zip(reversed(path), reversed(before), strict=True):
            length = raw.varint(len(start) + size)
            start = leading + raw.tag(number, raw.BYTES) + length + start
        placeholder = schema.NodeDef(
            name="x", op="Placeholder", attr={"dtype": schema.AttrValue(type=1)}
        )
        tail = raw.field(2, raw.field(2, raw.field(1, placeholder.SerializeToString())))
        tail += meta_graph("serve", signatures=["s"])
        with (tmp_path / "saved_model.pb").open("wb") as file:
            file.write(start)
            file.truncate(len(start) + size)
            file.seek(0, os.SEEK_END)
            file.write(tail)
        program = (
            "import re, sys; from smpatch import loader\n"
            "found = loader.load(sys.argv[1])\n"
            "graph = found.meta_graphs[0].graph\n"
            "print(len(found.meta_graphs), [graph.wiring(name).op for name in graph],\n"
            "      list(found.meta_graphs[2].signatures),\n"
            "      re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        *facts, peak = done.stdout.rsplit(maxsplit=1)
        assert facts == ["3 ['Const'] ['s']"]
        assert int(peak) * 1024 < 60_000_000

    def test_the_graph_is_not_walked_before_it_is_asked_for(
        self, model: Callable[[bytes], Path]
    ) -> None:
        found = loader.load(model(meta_graph("serve", graph=b"\xff\xff", signatures=["s"])))
        assert list(found.signatures) == ["s"]
        with pytest.raises(ModelUnreadableError):
            len(found.meta_graph().graph)


def test_the_identity_changes_with_the_file(model: Callable[[bytes], Path]) -> None:
    directory = model(LINEAR)
    first = loader.load(directory).identity
    assert first == loader.load(directory).identity
    file = directory / "saved_model.pb"
    os.utime(file, ns=(0, first.modified + 1))
    assert loader.load(directory).identity != first


@pytest.mark.parametrize("number", [str(10**20 - 1), str(-(2**63) - 1)])
def test_a_number_in_text_that_no_field_holds_is_no_bare_python_error(
    number: str, tmp_path: Path
) -> None:
    """Protobuf raises a ValueError for an enum's number of more than 64 bits."""
    text, count = re.subn(r"(type:) *1\b", rf"\1 {number}", TEXT.decode())
    assert count
    (tmp_path / "saved_model.pbtxt").write_text(text)
    with pytest.raises(ModelUnreadableError, match=r"cannot be read: .*out of range"):
        suggest(tmp_path)
    frozen = tmp_path / "frozen.pbtxt"
    frozen.write_text(f'node {{ name: "x" attr {{ key: "T" value {{ type: {number} }} }} }}')
    with pytest.raises(ModelUnreadableError, match=r"cannot be read as a GraphDef: .*out of range"):
        load_graph(frozen)
