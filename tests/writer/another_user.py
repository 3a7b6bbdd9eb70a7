"""Add a signature as another user than root: ``python -m tests.writer.another_user MODEL ...``.

Root runs it, because only root may become another user. It prints ``done``, or the exit code and
the error.
"""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
import sys
from pathlib import Path

import smpatch

# Modules that are imported after the change of the user may be in directories that only root reads.
import smpatch.patcher
import smpatch.writer.stage
from tests.writer import models

NOBODY = 65534


def edit(
    model: Path, *, save_to: Path | None = None, group: int = NOBODY, backup: bool = False
) -> str:
    """Add a signature to a model as another user.

    Args:
        model: The model.
        save_to: The directory to make instead.
        group: Another group of the user.
        backup: Whether to keep the previous file.

    Returns:
        The output of the program.
    """
    # Only the owner may enter pytest's directories.
    for above in model.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_ISVTX:  # a directory for all users, such as /tmp
            break
        above.chmod(mode | 0o011)
    options = ["--group", str(group), *(["--save-to", str(save_to)] if save_to else [])]
    options += ["--backup"] if backup else []
    done = subprocess.run(
        [sys.executable, "-B", "-m", __name__, str(model), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def main() -> None:
    """Become another user, and add a signature."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--save-to", type=Path)
    parser.add_argument("--group", type=int)
    parser.add_argument("--backup", action="store_true")
    given = parser.parse_args()
    os.setgroups([given.group])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        models.add(given.model, save_to=given.save_to, backup=given.backup)
    except smpatch.SmpatchError as error:
        print(error.exit_code, error)  # noqa: T201 - to the parent process
    else:
        print("done")  # noqa: T201 - to the parent process


if __name__ == "__main__":
    main()
