"""One table of a patch file, which is read key by key.

Each method that reads a key returns a value of the right type, even if the table has another: the
fault is kept with its path, so that the rest of the document can be read too. Callers check the
faults before they use the values.

This module does not read verbs.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from smpatch import npy, tensor_syntax
from smpatch.errors import UsageError
from smpatch.fragments import Asked, Mode, asked
from smpatch.graph.resolve import nearest
from smpatch.rules import METHODS
from smpatch.signature import Shape
from smpatch.tensor_refs import TensorRef

Path = tuple[str | int, ...]
"""The path to a value in a document: keys, and places in arrays."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNKNOWN_RANK = "unknown"
_LARGEST = (1 << 63) - 1


def dotted(path: Path) -> str:
    """Return a path as text, such as ``edit[2].inputs.x``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f"{'.' if text else ''}{step if _BARE.fullmatch(step) else repr(step)}"
    return text


class Table:
    """A table that is being read.

    Attributes:
        keys: Its keys, in their order.
        faults: The faults of this table and of the tables around it: path, fault, hint.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        path: Path,
        faults: list[tuple[Path, str, str]],
        directory: pathlib.Path | None = None,
    ) -> None:
        """Read from ``content``, whose path is ``path``; add to ``faults``.

        Relative paths of files start in ``directory``, or in the working directory if it is None.
        """
        self._directory = directory or pathlib.Path()
        self._content = content
        self._path = path
        self._known: set[str] = set()
        self.keys = tuple(content)
        self.faults = faults

    def within(self, content: Mapping[str, Any], path: Path) -> Table:
        """Return a table inside this one, whose faults are kept with the faults of this one."""
        return Table(content, (*self._path, *path), self.faults, self._directory)

    def without_faults(self) -> Table:
        """Return the same table, of which nothing is read yet, with faults of its own."""
        return Table(self._content, self._path, [], self._directory)

    def fault(self, found: str, *, at: Path = (), hint: str = "") -> None:
        """Keep a fault of this table or of a value in it."""
        self.faults.append(((*self._path, *at), found, hint))

    def alike(self, known: Iterable[str]) -> str:
        """Return a hint if a key of this table is similar to a known key; else an empty text."""
        return next(filter(None, (nearest(key, known) for key in self.keys)), "")

    @property
    def known(self) -> frozenset[str]:
        """The keys that were read, also those that the table does not have."""
        return frozenset(self._known)

    def finish(self, what: str, mark: str = "", others: Collection[str] = ()) -> None:
        """Keep a fault for each key that was not read.

        Args:
            what: The kind of edit, or the command, that does not take the key.
            mark: The key that makes the table another request; empty if there is none.
            others: The keys that the request without ``mark`` takes.
        """
        for key in self.keys:
            if mark and key in others and key not in self._known:
                self.fault(f"{mark} and {key} do not go together", at=(key,))
            elif key not in self._known:
                known = ", ".join(sorted(self._known))
                hint = nearest(key.replace("_", "-"), sorted(self._known)) or f"it takes {known}"
                self.fault(f"{what} takes no {key!r}", at=(key,), hint=hint)

    def take(self, key: str) -> Any:  # noqa: ANN401 - whatever TOML can hold
        """Return the value of a key, unchecked; None if there is none."""
        self._known.add(key)
        return self._content.get(key)

    def text(self, key: str) -> str:
        """Return a text, which must be there and must not be empty."""
        given = self.take(key)
        if given is None:
            self.fault(f"{key} is missing")
        elif not isinstance(given, str):
            self._wrong((key,), "text", given)
        elif not given:
            self.fault("it is empty", at=(key,))
        else:
            return given
        return ""

    def flag(self, key: str) -> bool:
        """Return a truth value; False if there is none."""
        given = self.take(key)
        if given is not None and not isinstance(given, bool):
            self._wrong((key,), "true or false", given)
        return given is True

    def names(self, key: str, *, needed: bool = False, twice: bool = False) -> tuple[str, ...]:
        """Return names: one text, or an array of them.

        Args:
            key: The key.
            needed: Whether the key must be there.
            twice: Whether a name may occur several times.
        """
        given = self.take(key)
        if given is None:
            if needed:
                self.fault(f"{key} is missing")
            return ()
        several = given if isinstance(given, list) else [given]
        if not several:
            self.fault("it is empty", at=(key,))
        seen: set[str] = set()
        for place, each in enumerate(several):
            at = (key, place) if isinstance(given, list) else (key,)
            if not isinstance(each, str):
                self._wrong(at, "text" if isinstance(given, list) else "text or an array", each)
            elif not each:
                self.fault("it is empty", at=at)
            elif each in seen and not twice:
                self.fault(f"{each!r} is named twice", at=at)
            else:
                seen.add(each)
        return tuple(each for each in several if isinstance(each, str))

    def tags(self, key: str, *, needed: bool = False) -> tuple[str, ...] | None:
        """Return tags: a text with commas as on the command line, or an array of texts."""
        if not isinstance(self._content.get(key), str):
            found = self.names(key, needed=needed)
            return found or None
        tags = tensor_syntax.parse_tags(self.take(key))
        if not tags:
            self.fault("it names no tag", at=(key,))
        return tags

    def method(self, key: str) -> str | None:
        """Return a method name in full, also for the short form of a usual one; None if absent."""
        if key not in self._content:
            self._known.add(key)
            return None
        given = self.text(key)
        return METHODS.get(given, given)

    def tensor(self, key: str) -> TensorRef:
        """Return a tensor, which must be there."""
        return self._tensor(self.text(key), (key,)) if key in self._content else self.text(key)

    def tensors(self, key: str, *, needed: bool = False) -> dict[str, TensorRef]:
        """Return alias to tensor: a table, or text as on the command line."""
        given = self.take(key)
        if isinstance(given, dict):
            if not given:
                self.fault("it names no tensor", at=(key,))
            return {
                alias: self._tensor(each, (key, alias))
                for alias, each in given.items()
                if self._is_text(each, (key, alias))
            }
        texts = self.names(key, needed=needed)
        try:
            return tensor_syntax.parse_tensors(texts, option=key)
        except UsageError as error:
            self.fault(error.found, at=(key,), hint=error.hint)
            return {}

    def pairs(self, key: str, *, needed: bool = False, renames: bool = False) -> dict[str, str]:
        """Return name to name: a table, or text as on the command line.

        Args:
            key: The key.
            needed: Whether the key must be there.
            renames: Whether the text has old and new names, which may be any text, as that of
                ``--rename-input`` has; otherwise names of tensors.
        """
        given = self.take(key)
        if not isinstance(given, dict):
            texts = self.names(key, needed=needed)
            try:
                parse = tensor_syntax.parse_pairs if renames else tensor_syntax.parse_names
                return parse(texts, option=key)
            except UsageError as error:
                self.fault(error.found, at=(key,), hint=error.hint)
                return {}
        if not given:
            self.fault("it names nothing", at=(key,))
        return {name: each for name, each in given.items() if self._is_text(each, (key, name))}

    def shapes(self, key: str) -> dict[str, Shape]:
        """Return alias to shape: an array of sizes, with -1 for an unknown one."""
        return {alias: self._shape(each, (key, alias)) for alias, each in self._entries(key)}

    def values(self, key: str) -> dict[str, object]:
        """Return alias to value: numbers, texts, truth values, or nested arrays of them."""
        found: dict[str, object] = {}
        for alias, each in self._entries(key):
            self._check_value(each, (key, alias))
            found[alias] = each
        return found

    def constants(self, key: str) -> dict[str, object]:
        """Return alias to value, as ``values``, or to the array of ``{ file = "x.npy" }``."""
        found: dict[str, object] = {}
        for alias, each in self._entries(key):
            if isinstance(each, dict):
                found[alias] = self._array(each, (key, alias))
            else:
                self._check_value(each, (key, alias))
                found[alias] = each
        return found

    def fragments(self, key: Mode) -> tuple[Asked, ...]:
        """Return functions, recipes and models: one text, or an array of texts."""
        found = [
            self._fragment(text, key, at) for at, text in enumerate(self.names(key, twice=True))
        ]
        return tuple(each for each in found if each is not None)

    def _fragment(self, text: str, key: Mode, place: int) -> Asked | None:
        try:
            return asked(text, key, self._directory)
        except UsageError as error:
            self.fault(f"{error.where}: {error.found}", at=(key, place), hint=error.hint)
            return None

    def _array(self, given: dict[str, Any], at: Path) -> object:
        file = given.get("file")
        if set(given) != {"file"} or not isinstance(file, str) or not file:
            self.fault("it is not a value", at=at, hint='an array is written { file = "x.npy" }')
            return None
        try:
            return npy.read_npy(self._directory / file)
        except UsageError as error:
            self.fault(f"{error.where}: {error.found}", at=at, hint=error.hint)
            return None

    def _entries(self, key: str) -> Iterable[tuple[str, Any]]:
        given = self.take(key)
        if given is None:
            return ()
        if not isinstance(given, dict):
            self._wrong((key,), f"a table, such as {key} = {{ x = ... }}", given)
            return ()
        if not given:
            self.fault("it is empty", at=(key,))
        return given.items()

    def _tensor(self, text: str, at: Path) -> TensorRef:
        try:
            return tensor_syntax.parse_tensor(text, option="") if text else text
        except UsageError as error:
            self.fault(error.found, at=at, hint=error.hint)
            return text

    def _shape(self, given: Any, at: Path) -> Shape:  # noqa: ANN401 - whatever TOML can hold
        if given == _UNKNOWN_RANK:
            return None
        if not isinstance(given, list):
            self._wrong(at, f'an array of sizes or "{_UNKNOWN_RANK}"', given)
            return None
        for place, size in enumerate(given):
            if not isinstance(size, int) or isinstance(size, bool):
                self._wrong((*at, place), "a size, -1 where it is unknown", size)
            elif not -1 <= size <= _LARGEST:
                self.fault(f"{size} is not a size", at=(*at, place), hint="-1 stands for unknown")
        return tuple(None if size == -1 else size for size in given)

    def _check_value(self, given: Any, at: Path) -> None:  # noqa: ANN401 - as above
        if isinstance(given, list):
            for place, each in enumerate(given):
                self._check_value(each, (*at, place))
        elif not isinstance(given, (bool, int, float, str)):
            self._wrong(at, "a number, text, true or false, or an array of them", given)

    def _is_text(self, given: Any, at: Path) -> bool:  # noqa: ANN401 - as above
        if not isinstance(given, str):
            self._wrong(at, "text", given)
        elif not given:
            self.fault("it is empty", at=at)
        return isinstance(given, str)

    def _wrong(self, at: Path, wanted: str, given: Any) -> None:  # noqa: ANN401 - as above
        self.fault(f"it is {_kind(given)}", at=at, hint=f"write {wanted}")


def _kind(given: Any) -> str:  # noqa: ANN401 - as above
    for kind, words in (
        (bool, "a truth value"),
        (int, "an integer"),
        (float, "a float"),
        (str, "text"),
        (list, "an array"),
        (dict, "a table"),
    ):
        if isinstance(given, kind):
            return words
    return "a date or time"
