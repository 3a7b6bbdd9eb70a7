"""Find the installed TensorFlow without importing it.

An import takes 3 to 5 s and 500 MB. Only the paths of the two C libraries and of one extension
module are needed, and the import system finds the package. This module reads names and one string;
it does not check whether the libraries load, which the child process does.

Source: the layout of the wheels ``tensorflow`` and ``tensorflow-cpu`` for Linux
and macOS; ``tensorflow/tools/git/gen_git_source.py`` (what a version from git is).
"""

from __future__ import annotations

import importlib.machinery
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FROM_GIT = re.compile(rb"\0(v\d[\w.+-]*-g[0-9a-f]{6,40}(?:-dirty)?)\0")
"""The output of ``git describe --long``, as a string of C."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """An installed TensorFlow.

    Attributes:
        root: The directory of the package.
        framework_library: The path of ``libtensorflow_framework``; None if it does not exist.
        cc_library: The path of ``libtensorflow_cc``, which has the session functions of the C API;
            None if it does not exist.
        saved_model_extension: The path of the extension module that computes fingerprints; None if
            it does not exist.
    """

    root: Path
    framework_library: Path | None
    cc_library: Path | None
    saved_model_extension: Path | None

    @property
    def version(self) -> str | None:
        """The version of the distribution of the package; None if unknown."""
        # Most runs do not need it, and this import alone takes about 15 ms.
        from importlib import metadata  # noqa: PLC0415 - seldom needed

        for distribution in metadata.distributions(path=[str(self.root.parent)]):
            packages = (distribution.read_text("top_level.txt") or "").split()
            # Distributions such as tensorflow-hub have other top-level packages;
            # wheels of some builders have no top_level.txt.
            name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
            if "tensorflow" in packages or name in {"tensorflow", "tensorflow-cpu"}:
                return distribution.version
        return None

    @property
    def git_version(self) -> str | None:
        """The value of ``tf.version.GIT_VERSION``; None if unknown.

        No function of the C API returns it. A function of an extension module does, but this module
        cannot be loaded by itself in every release; so the string is searched in its file.
        """
        try:
            data = (self.root / "python" / "client" / "_pywrap_tf_session.so").read_bytes()
        except OSError:
            return None
        found = _FROM_GIT.search(data)
        return None if found is None else found[1].decode("ascii")


def import_path(entries: Iterable[str]) -> list[str]:
    """Return the absolute entries of an import path such as ``sys.path``.

    The entries that depend on the working directory are left out.

    ``python -m`` puts the working directory first. It may have a directory ``tensorflow/`` with
    models or a file ``json.py``, which must not be imported.
    """
    try:
        here = Path.cwd()
    except OSError:
        here = None
    return [
        entry
        for entry in entries
        if Path(entry).is_absolute() and (here is None or Path(entry) != here)
    ]


def find() -> Wheel | None:
    """Find TensorFlow on the import path, without the working directory; None if there is none."""
    # Not importlib.util.find_spec, which searches the working directory too.
    spec = importlib.machinery.PathFinder.find_spec("tensorflow", import_path(sys.path))
    # Without an origin it is a plain directory named tensorflow, and not a package.
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    names = sorted(entry.name for entry in root.iterdir())
    extension = root / "python" / "saved_model" / "pywrap_saved_model.so"
    return Wheel(
        root=root,
        framework_library=_library(root, names, "libtensorflow_framework"),
        cc_library=_library(root, names, "libtensorflow_cc"),
        saved_model_extension=extension if extension.is_file() else None,
    )


def _library(root: Path, names: list[str], stem: str) -> Path | None:
    """Return the library with this stem: ``STEM.so.2`` on Linux, ``STEM.2.dylib`` on macOS."""
    for name in names:
        if name.startswith(f"{stem}.so") or (
            name.startswith(f"{stem}.") and name.endswith(".dylib")
        ):
            return root / name
    return None
