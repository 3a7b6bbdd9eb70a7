"""Try one old TensorFlow: ``python -m tests.old_releases PLACE PYTHON [OTHER PYTHON ...]``.

The first Python writes the models and reads them again; the others only read. ``PLACE`` is
emptied first. The last line says how much was read.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from tests.old_releases.trial import WAYS, WRITERS, Subject, edited, judged, read, release, written


def main() -> int:
    """Write models, edit copies, read all, and compare; print the faults, and return 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m tests.old_releases", description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("others", type=Path, nargs="*")
    parser.add_argument("--write", nargs="+", default=WRITERS, choices=WRITERS)
    asked = parser.parse_args()
    shutil.rmtree(asked.place, ignore_errors=True)
    models = list(written(asked.python, asked.place / "written", asked.write))
    copies = asked.place / "edited"
    copies.mkdir()
    every: list[Subject] = []
    for model in models:
        # A frozen graph becomes a model only when ``wrap`` makes one from it.
        every += [model] if model.calls else []
        every += edited(model, copies)
    failed = False
    for python in (asked.python, *asked.others):
        told = []
        for way in WAYS:
            subjects = [each for each in every if way != "keras" or "keras" in each.record]
            if not subjects:
                continue
            answers = read(python, way, subjects, asked.place)
            if isinstance(answers, dict):
                told.append(f"{way}: {answers['absent']}")
                continue
            outcome = judged(way, subjects, answers, own=python == asked.python)
            for line in (*outcome.wrong, *(f"not counted: {each}" for each in outcome.beyond)):
                print(line)  # noqa: T201 - a program
            told.append(f"{way} {outcome.good} of {len(subjects)}")
            failed = failed or bool(outcome.wrong)
        line = f"{release(python)} read: {', '.join(told)}"
        print(line, flush=True)  # noqa: T201 - as above
    edits = sum(not subject.plain for subject in every)
    by = f"written and read by {release(asked.python)}"
    print(f"{by}: {len(models)} models, {edits} edits of copies")  # noqa: T201 - as above
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
