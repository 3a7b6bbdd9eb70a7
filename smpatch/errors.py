"""The error tree: a class for each case that a caller may treat in another way.

    SmpatchError                         exit code
    ├── UsageError                       2  the request itself makes no sense
    ├── ModelUnreadableError             3  no SavedModel, or one that cannot be read
    ├── PatchFileError                   3  the patch file cannot be read, or makes no sense
    ├── RefusedError                     4  readable, but the edit is impossible or refused
    │   ├── TagSetError                     no such MetaGraph, or several and none chosen
    │   ├── TensorNotFoundError             a name that the graph does not have
    │   ├── TensorUnservableError           a tensor that no session can feed or fetch
    │   ├── UnreachableOutputError          an output needs a placeholder that is not fed
    │   ├── AliasError                      a name that a signature cannot use
    │   └── SignatureExistsError            the key is taken, and the request does not overwrite
    ├── WriteError                       5  the file system refused; the model is unchanged
    │   └── ConflictError                5  another program changes, or has changed, the model
    └── ValidationError                  5  the result is wrong, or cannot be validated
        └── ProofError                      the structural proof cannot be made

The text of an error is one line: where, what was found, what would work. For
everything that a user can cause the library raises these errors and no others;
it never prints them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that end a line or control a terminal; tags, keys and node names may have them."""


class SmpatchError(Exception):
    """Anything that smpatch refuses or fails to do.

    Attributes:
        exit_code: The exit code of the command line.
        where: The file, option or tensor with the fault; empty if ``found`` names it.
        found: The fault.
        hint: The remedy; empty if there is none.
        edit: The place, from 0, of the edit that failed in a list of edits; else None.
    """

    exit_code = 5

    def __init__(self, found: str, *, where: str = "", hint: str = "") -> None:
        """Keep the three parts apart, so that a caller can print them in its own form."""
        super().__init__(found)
        self.where = where
        self.found = found
        self.hint = hint
        self.edit: int | None = None

    def __str__(self) -> str:
        """Return the error as one line; control characters in its names are escaped."""
        line = f"{self.where}: {self.found}" if self.where else self.found
        line = f"{line} ({self.hint})" if self.hint else line
        return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)

    def rename(self, old: str, new: str) -> None:
        """Replace a name in the error, such as a path."""
        for part in ("where", "found", "hint"):
            setattr(self, part, getattr(self, part).replace(old, new))


class UsageError(SmpatchError):
    """The request makes no sense for any model."""

    exit_code = 2


class ModelUnreadableError(SmpatchError):
    """There is no SavedModel at the path, or it cannot be read."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a patch file.

    Attributes:
        path: Its place, such as ``edit[2].inputs.x``; empty for the document as a whole.
        line: Its line, from 1; None if that is not known.
        found: The fault in words.
        hint: The remedy; empty if there is none.
    """

    path: str
    line: int | None
    found: str
    hint: str = ""

    def __str__(self) -> str:
        """Return one line of text: where, what was found, what would work."""
        line = "" if self.line is None else f"line {self.line}"
        where = f"{self.path} ({line})" if self.path and line else self.path or line
        words = f"{where}: {self.found}" if where else self.found
        return f"{words} ({self.hint})" if self.hint else words


class PatchFileError(SmpatchError):
    """A patch file cannot be read, or its requests make no sense.

    Attributes:
        faults: All its faults, in the order of the document.
    """

    exit_code = 3

    def __init__(self, faults: Sequence[Fault], *, where: str = "") -> None:
        """Put the faults into one line; ``faults`` keeps them apart."""
        self.faults = tuple(faults)
        count = f"{len(self.faults)} faults: " if len(self.faults) > 1 else ""
        super().__init__(count + "; ".join(map(str, self.faults)), where=where)


class RefusedError(SmpatchError):
    """The model is readable, but the edit is impossible or would do harm."""

    exit_code = 4


class TagSetError(RefusedError):
    """No MetaGraph has the tag-set, or several have one and none was chosen."""


class TensorNotFoundError(RefusedError):
    """A tensor name does not resolve in the graph."""


class TensorUnservableError(RefusedError):
    """The tensor exists, but no session can feed or fetch it by name."""


class UnreachableOutputError(RefusedError):
    """An output needs a placeholder that the signature does not feed."""


class AliasError(RefusedError):
    """Readers of the signature cannot use an alias, or two aliases clash."""


class SignatureExistsError(RefusedError):
    """The signature key is taken, and the request does not overwrite it."""


class WriteError(SmpatchError):
    """The file system refused; the model is unchanged."""

    exit_code = 5


class ConflictError(WriteError):
    """Another edit has the lock of the model, or the model changed between load and commit."""


class ValidationError(SmpatchError):
    """The edited model is wrong or cannot be validated; the model on disk is unchanged."""

    exit_code = 5


class ProofError(ValidationError):
    """The graph refers to something that is missing, so that nothing can be proved about it."""
