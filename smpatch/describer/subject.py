"""The signature to describe, with the names that a server has for it.

This module chooses the signature; it writes no text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from smpatch.display import command_line, model_words
from smpatch.errors import RefusedError, TensorNotFoundError, UsageError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.signature import (
    CLASSIFY,
    DEFAULT_KEY,
    PREDICT,
    REGRESS,
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
)

METHODS = (PREDICT, CLASSIFY, REGRESS)
"""The methods of signatures for which TF Serving runs Predict requests (``predict_util.cc``)."""

_VERSION = re.compile(r"[0-9]+|model\.savedmodel")
"""The names of directories that a server has between the name of a model and its file."""

_PLAIN = re.compile(r"[\w./:@+-]+", re.ASCII)
"""Words that need no quotes on the command line."""


_WITHOUT_TAGS = frozenset({"retag", "warmup"})
"""Commands that take no ``--tag-set``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A signature with its surroundings.

    Attributes:
        source: The loaded model.
        meta_graph: Its MetaGraph.
        model: The name that servers have for the model.
        key: The key of the signature.
        batch: The size of an open first dimension; None for the default of the format.
    """

    source: SavedModel
    meta_graph: MetaGraph
    model: str
    key: str
    batch: int | None = None

    @property
    def directory(self) -> Path:
        """The model directory, as the caller gave it."""
        return self.source.directory

    @property
    def tags(self) -> Sequence[str]:
        """The tags of the MetaGraph."""
        return self.meta_graph.tags

    @property
    def signature(self) -> SignatureDef:
        """The signature."""
        return self.meta_graph.signatures[self.key]

    def tensors(self) -> list[tuple[str, str, Spec]]:
        """Return ``input`` or ``output``, the alias and the spec of every tensor."""
        inputs = [("input", alias, spec) for alias, spec in self.signature.inputs.items()]
        return inputs + [("output", alias, spec) for alias, spec in self.signature.outputs.items()]

    def command(self, verb: str, *options: str) -> str:
        """Return a command line of smpatch for the MetaGraph."""
        return command(self.source, self.meta_graph, verb, *options)


def chosen(
    model: SavedModel, meta_graph: MetaGraph, signature: str | None
) -> Mapping[str, SignatureDef]:
    """Return the signature of a key, or all signatures if no key is given.

    Raises:
        RefusedError: The model has no signatures.
        TensorNotFoundError: The model has no signature with this key.
    """
    present = meta_graph.signatures
    if not present:
        line = command(model, meta_graph, "suggest")
        hint = f"{line} lists tensors and functions that can become one"
        raise RefusedError("the model has no signatures", where=str(model.directory), hint=hint)
    if signature is None:
        return present
    if signature not in present:
        hint = f"signatures here: {', '.join(present)}"
        raise TensorNotFoundError("no such signature", where=f"signature {signature!r}", hint=hint)
    return MappingProxyType({signature: present[signature]})


def one_of(signatures: Mapping[str, SignatureDef]) -> str:
    """Return the key of the default signature, or of the only one.

    Raises:
        UsageError: There are several signatures, and none is the default.
    """
    if DEFAULT_KEY in signatures:
        return DEFAULT_KEY
    if len(signatures) == 1:
        return next(iter(signatures))
    found = f"the model has {len(signatures)} signatures and no {DEFAULT_KEY!r}"
    raise UsageError(found, hint=f"choose one with --signature: {', '.join(signatures)}")


def model_name(directory: Path) -> str:
    """Return the name that servers give to a model: the name of its directory, not the version.

    Example:
        >>> model_name(Path("models/linear/1")), model_name(Path("linear/1/model.savedmodel"))
        ('linear', 'linear')
    """
    place = Path(os.path.abspath(directory))  # noqa: PTH100 - Path.resolve follows links
    parts = place.relative_to(place.anchor).parts
    named = [part for part in parts if not _VERSION.fullmatch(part)]
    return named[-1] if named else "model"


def command(model: SavedModel, meta_graph: MetaGraph, verb: str, *options: str) -> str:
    """Return a command line of smpatch for a MetaGraph."""
    words = ["smpatch", verb, *model_words(model.directory), *options]
    if not meta_graph.is_only and verb not in _WITHOUT_TAGS:
        words += ["--tag-set", ",".join(meta_graph.tags)]
    return command_line(words)


def refuse(subject: Subject, where: str, found: str, hint: str = "") -> NoReturn:
    """Raise the error that a format cannot express a part of a signature.

    Raises:
        RefusedError: Always.
    """
    place = f"signature {subject.key!r}"
    raise RefusedError(found, where=f"{place}, {where}" if where else place, hint=hint)


def refuse_composites(subject: Subject, reader: str) -> None:
    """Refuse sparse, ragged and other composite tensors, for which a request has no form.

    ``reader`` is the server, as the subject of a sentence.

    Raises:
        RefusedError: The signature has such a tensor; the hint has the command that serves its
            parts.
    """
    for kind, alias, spec in subject.tensors():
        if not isinstance(spec, TensorSpec):
            form = _form(spec)
            found = f"it is {form}, and {reader} takes dense tensors only"
            refuse(subject, f"{kind} {alias!r}", found, _dense_parts(subject))


def _form(spec: Spec) -> str:
    if isinstance(spec, SparseTensorSpec):
        return "a sparse tensor"
    name = spec.type_name if isinstance(spec, CompositeTensorSpec) else ""
    return "a ragged tensor" if name == "RaggedTensorSpec" else f"a composite tensor ({name})"


def _dense_parts(subject: Subject) -> str:
    """Return the command that adds a signature with the dense parts of all tensors."""
    fed = _parts(subject.signature.inputs)
    # A session does not fetch a fed tensor, such as the indices of a sparse result.
    fetched = {
        name: tensor
        for name, tensor in _parts(subject.signature.outputs).items()
        if tensor not in fed.values()
    }
    words = []
    for option, parts in (("--inputs", fed), ("--outputs", fetched)):
        if not parts or not all(map(_PLAIN.fullmatch, (*parts, *parts.values()))):
            return "name its components one by one"
        words += [option, ",".join(f"{name}={tensor}" for name, tensor in parts.items())]
    key = f"{subject.key}_dense"
    while key in subject.meta_graph.keys:
        key += "_"
    line = subject.command("add-predict", *words, "--signature", key)
    return f"{line} serves the components as dense tensors"


def _parts(specs: Mapping[str, Spec]) -> dict[str, str]:
    """Return the dense tensors of specs, each by an alias."""
    return {
        name: tensor.name
        for alias, spec in specs.items()
        for name, tensor in zip(_names(alias, spec), spec.tensors(), strict=True)
    }


def _names(alias: str, spec: Spec) -> list[str]:
    """Return an alias for each dense tensor of a spec."""
    count = len(spec.tensors())
    if isinstance(spec, TensorSpec):
        return [alias]
    if isinstance(spec, SparseTensorSpec):
        return [f"{alias}_{part}" for part in ("values", "indices", "dense_shape")]
    if spec.type_name == "RaggedTensorSpec":
        return [f"{alias}_values", *(f"{alias}_row_splits_{n}" for n in range(count - 1))]
    return [f"{alias}_{n}" for n in range(count)]
