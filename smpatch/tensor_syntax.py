"""The syntax of tensors on the command line.

    x:0                                                  alias x
    scores=head/Softmax:0                                alias scores
    ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)
    ids=ragged(values=v:0,row_splits=r:0)                row_splits repeats for nested ones
    emb=dense/Relu:0@Call+Call_1                         inside functions: the calls that lead there

Commas separate items outside parentheses. Without an alias the alias is the operation's
name (its last path component if that is unique among the aliases, else the whole name)
with ``_n`` appended for ``op:n``, n > 0. A parser gets one text for each time the option was given.

This module reads no model: the builder checks whether a tensor exists.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from smpatch.errors import UsageError
from smpatch.npy import read_npy
from smpatch.shapes import without_brackets
from smpatch.signature import Shape
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef
from smpatch.values import finite

_OPEN = frozenset({"-1", "?", "None"})
_SIZE = re.compile(r"-1|[?]|[0-9]{1,18}")

_COMPOSITE = re.compile(r"(sparse|ragged)\((.*)\)", re.DOTALL)
_PARTS = {"sparse": ("values", "indices", "dense_shape"), "ragged": ("values", "row_splits")}
_EXAMPLES = {
    "sparse": "ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)",
    "ragged": "ids=ragged(values=v:0,row_splits=r:0)",
}


def parse_tensors(texts: Iterable[str], *, option: str) -> dict[str, TensorRef]:
    """Parse the values of ``--inputs`` or ``--outputs``, in the order given.

    ``option`` is the name of the option, for errors.

    Raises:
        UsageError: The text cannot be understood, or two tensors have one alias.
    """
    items = [
        (*_alias_and_tensor(item, option), item) for text in texts for item in _split(text, option)
    ]
    named = {alias for alias, _, _ in items if alias is not None}
    last_parts = Counter(
        _short(tensor) for alias, tensor, _ in items if alias is None and isinstance(tensor, str)
    )
    found: dict[str, TensorRef] = {}
    for alias, tensor, item in items:
        if alias is not None:
            name = alias
        elif isinstance(tensor, str):
            short = _short(tensor)
            if not short:
                hint = f"did you mean {tensor.rstrip('/')}?" if tensor.strip("/") else ""
                raise _unclear(option, item, f"{tensor!r} ends with /", hint)
            name = short if last_parts[short] == 1 and short not in named else _long(tensor)
        else:
            raise _unclear(option, item, "it has no alias", "write alias=" + item)
        if name in found:
            if _whole(found[name]) == _whole(tensor):
                raise _unclear(option, item, f"{tensor} is given twice", "write it once")
            raise _unclear(
                option, item, f"the alias {name!r} is taken twice", "write another alias before ="
            )
        found[name] = tensor
    return found


def understood(alias: str, tensor: str) -> bool:
    """Return whether ``alias=tensor`` is read as this alias and this tensor."""
    try:
        return parse_tensors([f"{alias}={tensor}"], option="") == {alias: tensor}
    except UsageError:
        return False


def parse_tensor(text: str, *, option: str) -> TensorRef:
    """Parse one tensor without an alias, in the form that it has after ``alias=``.

    Raises:
        UsageError: The text cannot be understood, or holds more than one tensor.
    """
    items = list(_split(text, option))
    if len(items) > 1:
        raise _unclear(option, text, "only one tensor is allowed here")
    alias, tensor = _alias_and_tensor(items[0], option)
    if alias is not None:
        raise _unclear(
            option, text, "an alias is not allowed here", f"write {items[0].partition('=')[2]}"
        )
    return tensor


def parse_names(texts: Iterable[str], *, option: str) -> dict[str, str]:
    """Parse names of arguments, results or inner tensors, which are not sparse or ragged.

    Raises:
        UsageError: The text cannot be understood, or two names have one alias.
    """
    found: dict[str, str] = {}
    for alias, name in parse_tensors(texts, option=option).items():
        if not isinstance(name, str):
            raise _unclear(option, alias, "sparse and ragged tensors are not allowed here")
        found[alias] = name
    return found


def parse_tags(text: str) -> tuple[str, ...]:
    """Parse the value of ``--tag-set``: tags between commas."""
    return tuple(tag for tag in (part.strip() for part in text.split(",")) if tag)


def parse_pairs(texts: Iterable[str], *, option: str) -> dict[str, str]:
    """Parse values of the form ``old=new``, several between commas.

    Raises:
        UsageError: One has another form, or a name on the left occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        for item in _split(text, option, "write old=new[,...]"):
            left, equals, right = item.partition("=")
            if not (left and equals and right):
                raise _unclear(option, item, "it is not a pair of names", "write old=new")
            if left in found:
                raise _unclear(option, item, f"{left!r} is on the left side twice")
            found[left] = right
    return found


def parse_list(texts: Iterable[str], *, option: str) -> tuple[str, ...]:
    """Parse names, several between commas.

    Raises:
        UsageError: One is empty.
    """
    return tuple(item for text in texts for item in _split(text, option, "write alias[,...]"))


def parse_shapes(texts: Iterable[str], *, option: str) -> dict[str, Shape]:
    """Parse shapes such as ``x=-1,224,224,3``, one for each time the option was given.

    ``-1``, ``?`` or ``None`` leaves a dimension open, ``x=[]`` or ``x=`` is a scalar, ``x=?`` has
    one dimension, and ``x=unknown`` leaves the rank open.

    Raises:
        UsageError: One has another form, or a name occurs twice.
    """
    found: dict[str, Shape] = {}
    hint = "write alias=-1,224,224,3"
    wrong = "it is not a shape of an input or output"
    for name, sizes, text in _assigned(texts, option, wrong, "shapes", hint):
        inside = without_brackets(sizes)
        if inside == "unknown":
            found[name] = None
            continue
        parts = [part.strip() for part in inside.split(",")] if inside else []
        if not all(part == "None" or _SIZE.fullmatch(part) for part in parts):
            hint = "numbers between commas; -1, ? or None leaves a dimension open"
            raise _unclear(option, text, "it is not a shape", hint)
        found[name] = tuple(None if part in _OPEN else int(part) for part in parts)
    return found


def parse_defaults(texts: Iterable[str], *, option: str) -> dict[str, object]:
    """Parse defaults such as ``x=1.0``, one for each time the option was given.

    The value is JSON: a number, ``true``, ``"text"``, lists of these; ``null`` removes a default.
    A value that is not JSON is taken as a string.

    Raises:
        UsageError: One has another form, or a name occurs twice.
    """
    hint, wrong = "write alias=value", "it is not a default of an input"
    assigned = _assigned(texts, option, wrong, "defaults", hint)
    return {name: _json(value, str, f"{option} {text!r}") for name, value, text in assigned}


def parse_constants(texts: Iterable[str], *, option: str) -> dict[str, object]:
    """Parse values of inputs such as ``x=1.0`` or ``x=FILE.npy``.

    The value is JSON. A value that is not JSON is taken as a file if it ends in ``.npy``, else as a
    string.

    Raises:
        UsageError: One has another form, a name occurs twice, or a file cannot be read.
    """
    found: dict[str, object] = {}
    hint, wrong = "write INPUT=VALUE", "it is not a value of an input"
    for name, value, text in _assigned(texts, option, wrong, "values", hint):
        if not value:
            raise _unclear(option, text, wrong, hint)
        otherwise = read_npy if value.endswith(".npy") else str
        found[name] = _json(value, otherwise, f"{option} {text!r}")
    return found


def _json(value: str, otherwise: Callable[[str], object], where: str) -> object:
    """Return the value of a JSON text; of another text the result of ``otherwise``."""
    try:
        return json.loads(value, parse_float=finite)
    except OverflowError as error:
        raise UsageError(str(error), where=where) from error
    except (ValueError, RecursionError):
        return otherwise(value)


def _assigned(
    texts: Iterable[str], option: str, wrong: str, kind: str, hint: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the value and the whole of texts of the form ``name=value``."""
    seen: set[str] = set()
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise _unclear(option, text, wrong, hint)
        if name in seen:
            raise _unclear(option, text, f"{name!r} is given two {kind}")
        seen.add(name)
        yield name, value, text


def _split(text: str, option: str, hint: str = "write [alias=]op:index[,...]") -> Iterator[str]:
    """Yield the items of a text: split at the commas outside parentheses."""
    depth = start = 0
    for at, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth < 0:
                raise _unclear(option, text, "a closing parenthesis too many")
        elif character == "," and depth == 0:
            yield _item(text[start:at], text, option, hint)
            start = at + 1
    if depth:
        raise _unclear(option, text, "a parenthesis is not closed")
    yield _item(text[start:], text, option, hint)


def _item(item: str, text: str, option: str, hint: str) -> str:
    item = item.strip()
    if not item:
        raise _unclear(option, text, "an item is empty", hint)
    return item


def _alias_and_tensor(item: str, option: str) -> tuple[str | None, TensorRef]:
    alias: str | None
    alias, equals, rest = item.partition("=")
    if not equals or "(" in alias:
        alias, rest = None, item
    rest = rest.strip()
    composite = _COMPOSITE.fullmatch(rest)
    if composite is None:
        if not rest or rest.startswith(":") or any(mark in rest for mark in "()= \t"):
            raise _unclear(option, item, f"{rest!r} is not a tensor name", _repair(rest))
        return (None if alias is None else alias.strip()), rest
    kind, inside = composite.groups()
    return (None if alias is None else alias.strip()), _composite(kind, inside, item, option)


def _repair(text: str) -> str:
    """Return a hint about a text that is not a tensor name."""
    if "(" in text or ")" in text:
        return "write [alias=]op:index; a shell needs quotes around parentheses"
    if any(mark in text for mark in " \t;"):
        return "separate tensors by commas"
    return "write [alias=]op:index"


def _composite(kind: str, inside: str, item: str, option: str) -> TensorRef:
    hint = f"such as {_EXAMPLES[kind]}"
    parts: dict[str, list[str]] = {name: [] for name in _PARTS[kind]}
    for part in inside.split(","):
        name, equals, tensor = (piece.strip() for piece in part.partition("="))
        if not equals or not tensor or name not in parts:
            raise _unclear(option, item, f"{part.strip()!r} is not a part of a {kind} tensor", hint)
        parts[name].append(tensor)
    for name, given in parts.items():
        several = name == "row_splits"
        if not given or (len(given) > 1 and not several):
            found = f"{name} is missing" if not given else f"{name} is given twice"
            raise _unclear(option, item, found, hint)
    if kind == "sparse":
        return SparseRef(parts["values"][0], parts["indices"][0], parts["dense_shape"][0])
    return RaggedRef(parts["values"][0], tuple(parts["row_splits"]))


def _whole(tensor: TensorRef) -> TensorRef:
    """Return a tensor with its full name, because the first output of a node has two names."""
    plain = isinstance(tensor, str) and "@" not in tensor and ":" not in tensor
    return f"{tensor}:0" if plain else tensor


def _long(tensor: str) -> str:
    tensor = tensor.partition("@")[0]  # the calls that lead to an inner tensor are not in its name
    op, colon, index = tensor.rpartition(":")
    if not colon:
        return tensor
    return op if index == "0" else f"{op}_{index}"


def _short(tensor: str) -> str:
    return _long(tensor).rpartition("/")[2]


def _unclear(option: str, text: str, found: str, hint: str = "") -> UsageError:
    return UsageError(found, where=f"{option} {text!r}", hint=hint)
