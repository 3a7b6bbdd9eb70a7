"""Edit or check many models on Apache Beam: ``python -m smpatch.beam``.

The options that this program does not have are Beam's, such as ``--runner``.
"""

from __future__ import annotations

import argparse
import glob
import json
import sys
from collections.abc import Sequence
from typing import Any

from smpatch.arguments import path
from smpatch.batch import listed
from smpatch.errors import SmpatchError, UsageError
from smpatch.urls import ModelUrl


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline, and return the exit code.

    Args:
        arguments: The words of the command line; None for those of the process.
    """
    try:
        return _run(arguments)
    except (SmpatchError, ImportError) as error:
        print(f"smpatch: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return error.exit_code if isinstance(error, SmpatchError) else UsageError.exit_code


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m smpatch.beam", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--patch", metavar="FILE", help="patch file with the edits")
    what.add_argument("--check", action="store_true", help="check the models, and edit none")
    parser.add_argument(
        "--models",
        action="append",
        required=True,
        metavar="PATTERN",
        help="path or URL of models, in which * and [...] stand for a part of a name; repeatable",
    )
    parser.add_argument("--outcomes", required=True, metavar="FILE", help="JSON lines, one a model")
    parser.add_argument("--validate", default="auto", help="as smpatch apply and smpatch check")
    given, others = parser.parse_known_args(arguments)

    # After the command line is parsed, so that --help and its errors need no Beam. The module of
    # smpatch comes first: its error names the command that installs Beam.
    from smpatch.beam.transforms import CheckModels, ModelOutcome, PatchModels  # noqa: PLC0415
    from smpatch.checker import CheckOptions  # noqa: PLC0415
    from smpatch.options import Options  # noqa: PLC0415
    from smpatch.patchfile import load_patch  # noqa: PLC0415

    if given.check:
        mode: Any = "full" if given.validate == "auto" else given.validate
        transform = CheckModels(CheckOptions(validate=mode))
    else:
        asked = load_patch(given.patch)
        options = Options(
            validate=given.validate,
            tag_set=asked.tag_set,
            signature_def_only=asked.signature_def_only,
            op_libraries=asked.op_libraries,
        )
        transform = PatchModels(asked.edits, options)

    import apache_beam as beam  # noqa: PLC0415

    def line(outcome: ModelOutcome) -> str:
        return json.dumps(outcome._asdict())

    pipeline = beam.Pipeline(argv=others)
    (
        pipeline
        | beam.Create(_models(given.models))
        | transform
        | beam.Map(line)
        | beam.io.WriteToText(given.outcomes, num_shards=1, shard_name_template="")
    )
    result = pipeline.run()
    result.wait_until_finish()
    known = result.metrics().query()
    counts = {
        each.key.metric.name: each.result
        for each in known["counters"]
        if each.key.metric.namespace == "smpatch"
    }
    codes = [
        each.result.max
        for each in known["distributions"]
        if (each.key.metric.namespace, each.key.metric.name) == ("smpatch", "exit code")
    ]
    words = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    total = sum(counts.values())
    models = "1 model" if total == 1 else f"{total:,} models"
    print(f"{models}: {words}; outcomes in {given.outcomes}")  # noqa: T201 - a command line
    return max(codes, default=0)


def _models(patterns: Sequence[str]) -> list[str]:
    """Return the models that match patterns, each once.

    Raises:
        UsageError: No model matches a pattern.
        ModelUnreadableError: A store refuses the listing.
    """
    found: list[str] = []
    for pattern in patterns:
        place = path(pattern, "--models")
        if isinstance(place, ModelUrl):
            names = [str(each) for each in listed([place])]
        else:
            # A pattern may be absolute, which Path.glob refuses. A name without a pattern is a
            # model even if it does not exist: its outcome is then a failure.
            found_here = sorted(glob.glob(str(place)))  # noqa: PTH207
            names = found_here if glob.has_magic(pattern) else [str(place)]
        if not names:
            raise UsageError("nothing has such a name", where=f"--models {pattern}")
        found += names
    return [*dict.fromkeys(found)]


if __name__ == "__main__":
    sys.exit(main())
