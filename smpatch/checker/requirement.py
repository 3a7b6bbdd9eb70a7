"""A contract for a signature, in the syntax for a check in CI, and the faults that break it.

    serving_default: image:float32[?,224,224,3] -> scores:float32[?,1000], classes:string

A name consists of any characters except white space, quotes, commas, colons and brackets; other
names are quoted: ``"a b"``. Without brackets the contract allows any shape; ``?`` is a dimension of
any size, ``[]`` a scalar.

A signature keeps a contract if a client that was written for the contract works:

* the signature accepts each input that the contract names, in its type and in every shape that the
  contract allows;
* it needs no other input;
* it has each output that the contract names, in its type and in a shape that the contract allows.
  More outputs do no harm.

This module reads signatures, and no graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smpatch import dtypes
from smpatch.checker.findings import Finding, Subject, fault
from smpatch.display import quoted
from smpatch.errors import UsageError
from smpatch.signature import (
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    shape_text,
)

_NAME = re.compile(r"[^\s\"',:\[\]]+")
_TYPE = re.compile(r"(?:(?!->)[^\s\"',:\[\]])+")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_SPACE = re.compile(r"\s*")
_DIMENSION = re.compile(r"\?|-1|None|[0-9]{1,18}")
_EXAMPLE = "'serving_default: image:float32[?,224,224,3] -> scores:float32[?,1000]'"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One tensor of a contract.

    Attributes:
        dtype: The type's name.
        shape: Dimensions, None for any size; None as a whole for any shape.
    """

    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Requirement:
    """A contract for one signature.

    Attributes:
        key: The signature key.
        inputs: Alias to the type and shape that a client feeds.
        outputs: Alias to the type and shape that a client fetches.
    """

    key: str
    inputs: Mapping[str, Wanted]
    outputs: Mapping[str, Wanted]


def parse_requirement(text: str) -> Requirement:
    """Parse a contract, such as ``serving_default: x:float32[?,3] -> y:float32[]``.

    Raises:
        UsageError: The text is not a contract; the error names the first wrong character.
    """
    reader = _Reader(text)
    key = reader.name("a signature key")
    reader.sign(":")
    inputs = reader.tensors(until="->")
    reader.sign("->")
    outputs = reader.tensors(until="")
    if not outputs:
        raise reader.error("an output")
    return Requirement(key, inputs, outputs)


class _Reader:
    """Reads a contract from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def error(self, wanted: str, at: int | None = None) -> UsageError:
        place = self._at if at is None else at
        rest = self._text[place : place + 20]
        found = f"character {place + 1}: {wanted} is expected, not " + (
            repr(rest) if rest else "the end"
        )
        return UsageError(found, where=f"--require {self._text!r}", hint=f"write {_EXAMPLE}")

    def name(self, what: str, plain_name: re.Pattern[str] = _NAME) -> str:
        self._skip()
        quoted = _QUOTED.match(self._text, self._at)
        if quoted is not None:
            self._at = quoted.end()
            return quoted[1] if quoted[1] is not None else quoted[2]
        plain = plain_name.match(self._text, self._at)
        if plain is None or plain[0].startswith("->"):
            raise self.error(what)
        self._at = plain.end()
        return plain[0]

    def sign(self, sign: str) -> None:
        if not self._next_is(sign):
            raise self.error(f"{sign!r}")
        self._at += len(sign)

    def tensors(self, until: str) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        if self._ended(until):
            return found
        while True:
            start = self._at
            alias = self.name("the name of a tensor")
            if alias in found:
                raise self.error(f"a name other than {alias!r}, which is taken,", start)
            self.sign(":")
            found[alias] = Wanted(self._dtype(), self._shape())
            if self._ended(until):
                return found
            if not self._next_is(","):
                raise self.error(f"',' or {until!r}" if until else "','")
            self._at += 1

    def _dtype(self) -> str:
        self._skip()
        start = self._at
        name = self.name("a type, such as float32", _TYPE)
        try:
            return dtypes.spelled(name)
        except ValueError as error:
            _, _, hint = str(error).partition("; ")
            wanted = self.error("a type, such as float32,", start)
            wanted.hint = hint or wanted.hint
            raise wanted from None

    def _shape(self) -> Shape:
        if not self._next_is("["):
            return None
        self._at += 1
        sizes: list[int | None] = []
        while not self._next_is("]"):
            if sizes and not self._next_is(","):
                raise self.error("',' or ']'")
            self._at += 1 if sizes else 0
            self._skip()
            size = _DIMENSION.match(self._text, self._at)
            if size is None:
                raise self.error("a size or ?")
            self._at = size.end()
            sizes.append(None if size[0] in {"?", "-1", "None"} else int(size[0]))
        self._at += 1
        return tuple(sizes)

    def _ended(self, until: str) -> bool:
        self._skip()
        return self._next_is(until) if until else self._at == len(self._text)

    def _next_is(self, sign: str) -> bool:
        self._skip()
        return self._text.startswith(sign, self._at)

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = self._at if space is None else space.end()


def check_requirement(subject: Subject, wanted: Requirement) -> Iterator[Finding]:
    """Yield the faults with which a MetaGraph breaks a contract."""
    where = subject.where(f"signature {wanted.key!r}")
    signature = subject.meta_graph.signatures.get(wanted.key)
    if signature is None:
        keys = list(subject.meta_graph.signatures)
        hint = f"there is {', '.join(keys)}" if keys else "there is none"
        if len(keys) == 1:
            source, target = quoted(keys[0]), quoted(wanted.key)
            hint = f"{hint}; smpatch rename --from {source} --to {target}"
        yield fault("required-signature", where, "it is required, and not there", hint)
        return
    for part, text in _broken(wanted, signature):
        yield fault("required-" + part.partition(" ")[0], f"{where}, {part}", text)


def _broken(wanted: Requirement, signature: SignatureDef) -> Iterator[tuple[str, str]]:
    for alias, tensor in wanted.inputs.items():
        spec = signature.inputs.get(alias)
        text = _missing(signature.inputs) if spec is None else _input(tensor, spec)
        if text:
            yield f"input {alias!r}", text
    for alias in signature.inputs:
        if alias not in wanted.inputs and alias not in signature.defaults:
            yield f"input {alias!r}", "it has to be fed, and the contract does not name it"
    for alias, tensor in wanted.outputs.items():
        spec = signature.outputs.get(alias)
        text = _missing(signature.outputs) if spec is None else _output(tensor, spec)
        if text:
            yield f"output {alias!r}", text


def _input(wanted: Wanted, spec: Spec) -> str:
    own, text = _shape(spec), _untyped(wanted, spec)
    if text or wanted.shape is None or _takes(own, wanted.shape):
        return text
    return f"it takes {shape_text(own)}, and {shape_text(wanted.shape)} is required"


def _output(wanted: Wanted, spec: Spec) -> str:
    own, text = _shape(spec), _untyped(wanted, spec)
    if text or _takes(wanted.shape, own):
        return text
    return f"it yields {shape_text(own)}, and {shape_text(wanted.shape)} is required"


def _missing(specs: Mapping[str, Spec]) -> str:
    return f"it is required, and not there; there is {', '.join(map(repr, specs)) or 'none'}"


def _untyped(wanted: Wanted, spec: Spec) -> str:
    if isinstance(spec, CompositeTensorSpec):
        return f"it is a {spec.type_name}, and {wanted.dtype} is required"
    if isinstance(spec, SparseTensorSpec):
        return f"it is a sparse tensor, and {wanted.dtype} is required"
    if dtypes.base(spec.dtype) != wanted.dtype:
        return f"it is {spec.dtype}, and {wanted.dtype} is required"
    return ""


def _shape(spec: Spec) -> Shape:
    return None if isinstance(spec, CompositeTensorSpec) else spec.shape


def _takes(wide: Shape, narrow: Shape) -> bool:
    """Return whether each tensor that has the narrow shape has the wide one as well."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(a is None or a == b for a, b in zip(wide, narrow, strict=True))
