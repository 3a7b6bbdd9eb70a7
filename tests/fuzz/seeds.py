"""The seeds of hostile bytes: models, each with edits that it takes, and patch files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import smpatch
from smpatch import Options, TensorSpec
from smpatch.edits import TensorRef
from smpatch.tensor_syntax import parse_tensors

__all__ = ["BINARY", "KEY", "PATCHES", "TEXT", "Asked", "Seed"]

_MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"
_LARGEST = 40_000
"""The largest file, in bytes; a larger one has mainly more weights and attributes."""

KEY = "added"

PATCHES = (
    b"""\
version = 1
tag-set = ["serve"]

[[edit]]
add-predict = "serving_default"
overwrite = true
inputs = { x = "x:0" }
outputs = "y:0, twice=y:0"

[[edit]]
edit = "serving_default"
rename-input = { x = "given" }
drop-output = ["twice"]
shape = { given = [-1] }
method = "predict"
default = { given = [1.5, nan, inf, -0.0] }

[[edit]]
copy = "serving_default"
to = "b"

[[edit]]
rename = "scale"
to = "a"

[[edit]]
remove = ["b*", "a"]
""",
    b"""\
version = 1
signature-def-only = true
op-library = "ops.so"
edit = [
  { add-predict = "s", inputs = "a=sparse(values=v:0,indices=i:0,dense_shape=s)", outputs = "y" },
  { add-predict = "encode", function = "encoder.call", outputs = { embedding = "output_0" } },
  { add-predict = "inner", from-signature = "scale", outputs = "e=dense/Relu:0" },
  { add-classify = "classify", examples = "e:0", classes = "c:0", scores = "s:0" },
  { add-regress = "regress", examples = "e:0", predictions = "p:0" },
  { retag = 0, to = ["serve", "gpu"] },
]
""",
)
"""Valid patch files; the first one is for the model ``linear``."""

Do = Callable[[Path, Options], object]


@dataclass(frozen=True)
class Asked:
    """An edit that a sound model takes.

    Attributes:
        do: The function that does the edit.
        adds_nodes: Whether the edit adds nodes to the main graph.
    """

    do: Do = field(repr=False)
    adds_nodes: bool


@dataclass(frozen=True)
class Seed:
    """A model of the fixtures.

    Attributes:
        directory: Its directory.
        file: The name of its file.
        data: The bytes of the file.
        tags: The tag-set to edit.
        edits: The edits that the sound model takes.
    """

    directory: Path
    file: str
    data: bytes = field(repr=False)
    tags: list[str]
    edits: tuple[Asked, ...] = field(repr=False)


def _seeds() -> list[Seed]:
    entries = json.loads((_MODELS / "MANIFEST.json").read_text())
    return [
        Seed(
            file.parent, file.name, file.read_bytes(), entry["tags"][0], _edits(entry, file.parent)
        )
        for entry in entries
        for file in sorted((_MODELS / entry["dir"]).glob("saved_model.pb*"))
        if file.stat().st_size <= _LARGEST
    ]


def _edits(entry: dict[str, Any], directory: Path) -> tuple[Asked, ...]:
    found = []
    if entry["candidate"]:
        found.append(Asked(_adding(entry["candidate"]), adds_nodes=False))
    promoting = [_promoting(each["path"]) for each in entry["functions"]]
    exposing = [_exposing(each["signature"], each["tensor"]) for each in entry["inner"]]
    binding = [*_binding(directory, entry["tags"][0])]
    return (*found, *(Asked(do, adds_nodes=True) for do in (*promoting, *exposing, *binding)))


def _adding(candidate: dict[str, Any]) -> Do:
    inputs: dict[str, TensorRef] = {f"in_{at}": name for at, name in enumerate(candidate["inputs"])}
    if candidate["notation"]:
        inputs = parse_tensors([candidate["notation"]], option="--inputs")
    outputs = {f"out_{at}": name for at, name in enumerate(candidate["outputs"])}

    def edit(place: Path, options: Options) -> object:
        return smpatch.add_predict(
            place, inputs=inputs, outputs=outputs, signature=KEY, options=options
        )

    return edit


def _promoting(path: str) -> Do:
    def edit(place: Path, options: Options) -> object:
        return smpatch.promote_function(place, path, signature=KEY, options=options)

    return edit


def _exposing(source: str, tensor: str) -> Do:
    def edit(place: Path, options: Options) -> object:
        outputs = {"inner": tensor}
        return smpatch.derive_signature(
            place, source, outputs=outputs, signature=KEY, options=options
        )

    return edit


def _binding(directory: Path, tags: list[str]) -> Iterator[Do]:
    """Yield an edit that makes a constant of the first input of the first signature."""
    for key, signature in [*smpatch.load(directory).meta_graph(tags).signatures.items()][:1]:
        for alias, spec in [*signature.inputs.items()][:1]:
            if isinstance(spec, TensorSpec) and spec.dtype in {"float32", "string"}:
                value: object = "a" if spec.dtype == "string" else 1.0
                for size in reversed(spec.shape or ()):
                    value = [value] * (size or 2)
                yield partial(_bound, key, {alias: value})


def _bound(source: str, bind: Mapping[str, object], place: Path, options: Options) -> object:
    return smpatch.compose_signature(place, source, bind=bind, signature=KEY, options=options)


_ALL = _seeds()
BINARY = [each for each in _ALL if each.file == "saved_model.pb" and each.edits]
TEXT = [each for each in _ALL if each.file == "saved_model.pbtxt"]
