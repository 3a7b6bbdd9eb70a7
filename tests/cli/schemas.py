"""The JSON Schemas of the package, read and resolved as docs/json.md describes."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import jsonschema
import referencing

__all__ = ["NAMES", "read", "validator"]

NAMES = (
    *(
        "show",
        "suggest",
        "check",
        "diff",
        "describe",
        "warmup",
        "add-predict",
        "edit",
        "wrap",
        "apply",
    ),
    *("undo", "models", "error"),
)
"""The schemas of outputs; ``common`` has the parts that they share."""


def read(name: str) -> dict[str, Any]:
    """Read a schema from the place that docs/json.md names."""
    file = importlib.resources.files("smpatch.cli") / "schemas" / f"{name}.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Return the validator of an output."""
    registry = referencing.Registry().with_resources(
        (f"{each}.json", referencing.Resource.from_contents(read(each)))
        for each in ("common", *NAMES)
    )
    return jsonschema.Draft202012Validator(read(name), registry=registry)
