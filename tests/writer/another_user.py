"""Add a signature as another user than root: ``python -m tests.writer.another_user MODEL ...``.

Run by root, who may become anybody. It prints ``done``, or the exit code and the error.
"""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
import sys
from pathlib import Path

import smpatch

# What is imported after the user has changed might lie where only root may look.
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
        group: A group that the user is also in.
        backup: Whether to keep the previous file.

    Returns:
        What the program has printed.
    """
    # pytest's directories are for their owner alone.
    for above in model.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_ISVTX:  # everybody's, as /tmp
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
        print(error.exit_code, error)  # noqa: T201 - to the process that asked
    else:
        print("done")  # noqa: T201 - to the process that asked


if __name__ == "__main__":
    main()
