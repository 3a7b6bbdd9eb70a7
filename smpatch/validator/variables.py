"""A directory of links to a SavedModel, without its variables.

Without ``variables/variables.index``, TensorFlow's C runtime restores no variables and loads the
rest; with the index alone, it tries to restore them, and fails. So the model is loaded from a
directory of links that has no ``variables``. The model's own directory is not changed, because its
fingerprint is computed from the index.

Source: ``tensorflow/cc/saved_model/loader.cc`` (``RunRestore``).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLES = "variables"


@contextlib.contextmanager
def without_variables(directory: Path) -> Iterator[Path | None]:
    """Yield a directory of links to a SavedModel's files, without its variables.

    Yields:
        The directory, or the model's own if it has no variables; None if no directory can be
        made.
    """
    root = directory.absolute()
    if not (root / VARIABLES).exists():
        yield root
        return
    with contextlib.ExitStack() as held:
        view: Path | None = None
        with contextlib.suppress(OSError):
            made = tempfile.TemporaryDirectory(prefix="smpatch-", ignore_cleanup_errors=True)
            place = Path(held.enter_context(made))
            for entry in root.iterdir():
                if entry.name != VARIABLES:
                    (place / entry.name).symlink_to(entry)
            view = place
        yield view
