"""Models for descriptions: every signature of the fixtures, and models with hostile names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import smpatch
from smpatch import wire
from smpatch.signature import PREDICT, SignatureDef, Spec, TensorSpec

__all__ = ["FIXTURES", "HOSTILE", "Case", "cases", "made", "row"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"

HOSTILE = (
    "a'b",
    'a"b',
    "a\\b",
    "a\\",
    "a\nb\r\nc",
    "'; touch pwned #",
    "$(touch pwned)`touch pwned`",
    '" } } ] input [ { name: "x',
    "<script>alert(1)</script>",
    "a|b",
    "`a``b`",
    "[a](javascript:x)",
    "![a](b)",
    "**a** _b_ ~~c~~",
    "# a",
    "&lt;&#60;",
    '"""\nimport os\n#',
    "') or open('pwned', 'w') or ('",
    "END_OF_BODY",
    "\u2028\u202e\x85\x1b[31m",
    "k\u00e9\u6f22\U0001f600",
    "{0}%s%(a)s",
    " a  b ",
    "-rf",
    "b64",
)
"""Names with a meaning in one of the languages."""


@dataclass(frozen=True, slots=True)
class Case:
    """A signature of a fixture."""

    directory: Path
    tags: tuple[str, ...]
    key: str
    signature: SignatureDef

    @property
    def name(self) -> str:
        return f"{self.directory.name}-{'-'.join(self.tags)}-{self.key}"


def cases() -> list[Case]:
    """Return all signatures of all fixtures."""
    found = []
    for folder in ("models", "exporters"):
        for entry in json.loads((FIXTURES / folder / "MANIFEST.json").read_text()):
            directory = FIXTURES / folder / entry["dir"]
            for each in smpatch.load(directory).meta_graphs:
                for key, signature in each.signatures.items():
                    found.append(Case(directory, each.tags, key, signature))
    return found


def row(name: str, dtype: str = "float32", shape: tuple[int | None, ...] | None = (None,)) -> Spec:
    """Return the spec of a tensor."""
    return TensorSpec(f"{name}:0", dtype, shape)


def made(  # noqa: PLR0913 - the parts of a signature
    directory: Path,
    inputs: dict[str, Spec],
    outputs: dict[str, Spec],
    *,
    key: str = "serving_default",
    method: str = PREDICT,
    tags: tuple[str, ...] = ("serve",),
) -> Path:
    """Write a model with one signature and an empty graph."""
    signature = SignatureDef(inputs, outputs, method).to_bytes()
    entry = wire.delimited(1, key.encode()) + wire.delimited(2, signature)
    info = b"".join(wire.delimited(4, tag.encode()) for tag in tags)
    meta_graph = wire.delimited(1, info) + wire.delimited(2, b"") + wire.delimited(5, entry)
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"\x08\x01" + wire.delimited(2, meta_graph))
    return directory
