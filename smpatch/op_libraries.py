"""Find libraries of custom operations by file, directory or the name of an installed package.

A library is a ``.so`` file that registers operations and that Python does not import: it has
the symbol of ``OpDefBuilder`` and no ``PyInit_``. Packages are not imported.

This module does not load libraries.

Source: ``tensorflow/core/framework/op_def_builder.h``; the operations of ``tensorflow_text``,
``tensorflow_decision_forests`` and ``tensorflow_addons`` by the names that they register.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from smpatch import arguments
from smpatch.errors import UsageError

_PACKAGES = (
    ("tensorflow_decision_forests", re.compile(r"SimpleML.+")),
    ("tensorflow_addons", re.compile(r"Addons>.+")),
    (
        "tensorflow_text",
        re.compile(
            r"(CaseFold|Normalize)UTF8.*|FindSourceOffsets|(Fast)?(Bert|Wordpiece|Sentencepiece).*"
            r"|(Whitespace|UnicodeScript|SplitMerge|Phrase|ByteSplit).*|RegexSplitWithOffsets"
            r"|Constrained(Sequence|Viterbi).*|SentenceFragment.*|NgramsStringJoin|TokenizerFromLogits"
        ),
    ),
)
"""Package to the operations that it registers."""

_UNREGISTERED = re.compile(r"Op type not registered '([^']+)'")

_MANY = 20

_PACKAGE = re.compile(r"[A-Za-z_]\w*")


def op_libraries(value: object, where: str = "op_libraries") -> tuple[Path, ...]:
    """Return the library files that a request names.

    Args:
        value: A file, a directory or the name of an installed package; or several of these.
        where: The name of the value, with which errors begin.

    Returns:
        The files. A name that is neither a directory nor a package with libraries stays as it is.

    Raises:
        UsageError: Something else is given.

    Example:
        >>> op_libraries("ops/echo.so")
        (PosixPath('ops/echo.so'),)
    """
    one = isinstance(value, str | os.PathLike) or not isinstance(value, Iterable)
    several = [value] if one else value
    found: list[Path] = []
    for each in several:  # type: ignore[attr-defined] # an iterable, as checked
        path = arguments.path(each, where)
        # The methods of pathlib raise if a name is too long.
        directories = [path] if os.path.isdir(path) else _directories(path)  # noqa: PTH112 - see above
        libraries = [file for top in directories for file in sorted(top.rglob("*.so"))]
        found += [file for file in libraries if _registers(file)] or [path]
    return tuple(found)


def check_files(libraries: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse libraries that are not files.

    Raises:
        UsageError: A library is not a file.
    """
    for library in libraries:
        if not os.path.isfile(library):  # noqa: PTH113 - Path's raises if a name is too long
            name = os.fspath(library)
            hint = ""
            if _PACKAGE.fullmatch(name):
                hint = "no package of that name with operations is installed, either"
            raise UsageError("no such file", where=f"--op-library {name}", hint=hint)


def is_package(name: str) -> bool:
    """Return whether a name is that of an installed package, and not of a file or directory."""
    return bool(_directories(Path(name)))


def package_of(operation: str) -> str:
    """Return the package that registers an operation; empty if no known one does.

    Example:
        >>> package_of("SimpleMLCreateModelResource")
        'tensorflow_decision_forests'
    """
    return next((name for name, known in _PACKAGES if known.fullmatch(operation)), "")


def unregistered(message: str, missing: Callable[[], Sequence[str]]) -> tuple[str, str] | None:
    """Return the operations that TensorFlow lacks, if it does not load a model because of them.

    Args:
        message: The error of TensorFlow, which names only the first operation that it lacks.
        missing: Returns all operations of the model that TensorFlow does not register; nothing
            if that is not known.

    Returns:
        The operations in words, and the options that load their libraries; None if the error has
        another reason.
    """
    found = _UNREGISTERED.search(message)
    if found is None:
        return None
    names = missing() or (found[1],)
    listed = ", ".join(map(repr, names[:_MANY])) + (", ..." if len(names) > _MANY else "")
    packages = sorted({package_of(each) or "FILE" for each in names})
    return listed, " ".join(f"--op-library {each}" for each in packages)


def _directories(path: Path) -> list[Path]:
    """Return the directories of an installed package; none for a file or another name."""
    if not _PACKAGE.fullmatch(str(path)) or os.path.exists(path):  # noqa: PTH110 - as above
        return []
    try:
        spec = importlib.util.find_spec(str(path))
    except (ImportError, ValueError):
        return []
    return [Path(each) for each in (spec.submodule_search_locations or ())] if spec else []


def _registers(file: Path) -> bool:
    try:
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as it,
        ):
            return it.find(b"OpDefBuilder") >= 0 and it.find(b"PyInit_") < 0
    except (OSError, ValueError):
        return False
