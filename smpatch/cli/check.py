"""``smpatch check``: faults of a model that TensorFlow accepts until a request fails."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smpatch.cli.arguments import (
    Jobs,
    Json,
    Models,
    OpLibraries,
    Quiet,
    TagSet,
    TimeLimit,
    model_directory,
    named,
)
from smpatch.cli.several import Answer, collected, print_answers
from smpatch.display import printable, tag_set
from smpatch.errors import SmpatchError, UsageError

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.checker import Checked, CheckOptions, Consumer, Feeding, Finding, Report, SameAs


def check(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    models: Models = None,
    run: Annotated[
        bool, typer.Option("--run", help="Feed every signature, and report what fails.")
    ] = False,
    filling: Annotated[
        Literal["zeros", "ones", "random"] | None,
        typer.Option("--with", metavar="VALUES", help="What to feed: zeros, ones or random."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Where the random values start. Default: 0.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="One run for each size of the batch. Default: 1."),
    ] = None,
    feed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Feed these arrays, called like inputs or KEY/INPUT, instead. A FILE.json holds "
            'them as TF Serving\'s REST API does, bytes as {"b64": "..."}; FILE.tfrecord feeds its '
            "records to signatures that take only strings.",
        ),
    ] = None,
    same_as: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER",
            parser=model_directory,
            help="A model that this one must be the same as: the same keys and aliases, and the "
            "same numbers. Both are fed the same; random values, unless --with or --feed.",
        ),
    ] = None,
    rtol: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="With --same-as: how far numbers with a fraction may differ, as a share of the "
            "value in OTHER. Default: 0, the same bits.",
        ),
    ] = None,
    atol: Annotated[
        float | None,
        typer.Option(metavar="X", help="With --same-as: what is added to that. Default: 0."),
    ] = None,
    require: Annotated[
        list[str] | None,
        named(
            "CONTRACT",
            "A signature that clients count on, such as 'serving_default: "
            "image:float32[?,224,224,3] -> scores:float32[?,1000]'. May be repeated.",
        ),
    ] = None,
    consumers: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="READER",
            help="Also report what this reader rejects: serving, triton, tflite or python. "
            "May be repeated.",
        ),
    ] = None,
    signature: Annotated[
        list[str] | None,
        named(
            "KEY,...",
            "Check these signatures and the model as a whole, and no other signature. May be "
            "repeated.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        named("CODE,...", "List findings of these codes, and do not count them. May be repeated."),
    ] = None,
    deny_file_access: Annotated[
        bool,
        typer.Option(
            "--deny-file-access",
            help="Count operations that use files or the network when the model is served.",
        ),
    ] = False,
    no_variables: Annotated[
        bool,
        typer.Option(
            "--no-variables",
            help="Load the model without its variables, which may be gigabytes.",
        ),
    ] = False,
    tag_set: TagSet = None,
    validate: Annotated[
        Literal["full", "runtime", "none"],
        typer.Option(
            metavar="MODE",
            help="Which loaders of TensorFlow are asked: runtime (its C runtime, as TF Serving), "
            "full (tf.saved_model.load as well), or none.",
        ),
    ] = "full",
    op_library: OpLibraries = None,
    time_limit: TimeLimit = 600.0,
    jobs: Jobs = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find what loads in TensorFlow and fails when the model is served. Exit code 0 or 1.

    Each signature against its graph, both halves of a TensorFlow 2 export against each other,
    the rules of TF Serving, the warm-up requests and the fingerprint; then the reload. What
    fails is a fault and makes the exit code 1; what is only worth knowing is a note.
    --run runs both halves of a TensorFlow 2 export, too, and compares their numbers.

    \b
    smpatch check export/1
    smpatch check models/*/1 --jobs 4
    smpatch check export/1 --run --with random --batch 1,3
    smpatch check converted/1 --same-as export/1 --rtol 1e-5
    smpatch check export/1 --require 'serving_default: x:float32[?] -> y:float32[?]' --for serving
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import checker, tensor_syntax

    given = (filling, seed, batch, feed)
    other = None
    if same_as is not None:
        rule = _feeding(filling or ("random" if feed is None else None), seed, batch, feed)
        other = checker.SameAs(same_as, rule, rtol or 0.0, atol or 0.0)
    elif rtol is not None or atol is not None:
        raise UsageError(
            "a tolerance is for --same-as", where="--rtol" if atol is None else "--atol"
        )
    # Without --same-as, an option about the values to feed implies --run.
    wanted = run or (same_as is None and any(each is not None for each in given))
    feeding = _feeding(*given) if wanted else None
    options = checker.CheckOptions(
        tag_set=None if tag_set is None else tensor_syntax.parse_tags(tag_set),
        validate=validate,
        run=feeding,
        same_as=other,
        require=tuple(require or ()),
        consumers=_consumers(consumers or ()),
        signatures=tuple(signature or ()),
        ignore=tuple(ignore or ()),
        deny_file_access=deny_file_access,
        variables=not no_variables,
        op_libraries=tuple(op_library or ()),
        time_limit=time_limit,
    )
    several = models or [Path()]
    code = print_answers(
        "check",
        _answers(several, options, jobs, quiet=quiet),
        several=len(several) > 1,
        as_json=as_json,
        quiet=quiet,
    )
    if code:
        raise typer.Exit(code)


def _answers(
    models: Sequence[Path], options: CheckOptions, jobs: int | None, *, quiet: bool
) -> list[tuple[Path, Answer | SmpatchError]]:
    """Check the models, and return the answers in the order of the models."""
    from smpatch import checker

    if len(models) == 1:
        return [(models[0], _answer(checker.check(models[0], options=options), options))]
    distinct = list(dict.fromkeys(models))
    with closing(checker.check_all(distinct, options=options, jobs=jobs)) as finished:
        done = {each.model: each for each in collected(finished, len(distinct), quiet=quiet)}
    return [(model, _outcome(done[model], options)) for model in models]


def _outcome(checked: Checked, options: CheckOptions) -> Answer | SmpatchError:
    if checked.report is not None:
        return _answer(checked.report, options)
    return checked.error or SmpatchError("not checked")


def _answer(report: Report, options: CheckOptions) -> Answer:
    summary = "" if report.ok else f"{printable(str(report.directory))}: {_summary(report)}"
    code = 0 if report.ok else 1
    return Answer(_lines(report, options), _body(report, options), code, summary)


def _feeding(
    filling: Literal["zeros", "ones", "random"] | None,
    seed: int | None,
    batch: str | None,
    feed: Path | None,
) -> Feeding:
    from smpatch.checker import Feeding

    if feed is not None:
        for option, given in (("--with", filling), ("--seed", seed), ("--batch", batch)):
            if given is not None:
                raise UsageError(f"--feed and {option} do not go together")
    return Feeding(filling or "zeros", seed or 0, _batches(batch), feed)


def _consumers(given: Sequence[str]) -> tuple[Consumer, ...]:
    from smpatch.checker import CONSUMERS

    names = [name.strip() for each in given for name in each.split(",")]
    for name in names:
        if name not in CONSUMERS:
            hint = f"one of {', '.join(CONSUMERS)}"
            raise UsageError(f"{name!r} is not a known reader", where="--for", hint=hint)
    return tuple(each for each in CONSUMERS if each in names)


def _batches(given: str | None) -> tuple[int, ...]:
    if given is None:
        return (1,)
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):  # noqa: PLR2004 - an int32
        raise UsageError(f"{given!r} is not a list of sizes", where="--batch", hint="write 1,3")
    return tuple(map(int, parts))


def _lines(report: Report, options: CheckOptions) -> list[str]:
    lines = [_line(each) for each in report.findings]
    lines += [
        f"ran   {printable(key)}, batch {','.join(map(str, batches))}"
        if options.run is None or options.run.file is None
        else f"ran   {printable(key)}"
        for key, batches in report.ran
    ]
    lines += [
        f"same  {printable(each.key)}, {printable(each.output)}: {each.text} ({each.loader})"
        for each in report.compared
        if each.same
    ]
    tags = " | ".join(map(tag_set, report.tag_sets))
    loaders = f"; loaded by {' and '.join(report.loaders)}" if report.loaders else ""
    if report.variables_read is False:
        loaders += ", variables not read"
    if options.validate == "none":
        loaders = "; TensorFlow was not asked (--validate none)"
    return [*lines, f"{printable(str(report.directory))} ({tags}): {_summary(report)}{loaders}"]


def _line(finding: Finding) -> str:
    where = f"{printable(finding.where)}: " if finding.where else ""
    hint = f" ({printable(finding.hint)})" if finding.hint else ""
    stops = "; tf.saved_model.load refuses the whole model for it" if finding.stops_python else ""
    ignored = "ignored " if finding.ignored else ""
    return (
        f"{ignored}{finding.severity} {finding.code}: {where}{printable(finding.text)}{stops}{hint}"
    )


def _summary(report: Report) -> str:
    faults, notes, ignored = map(len, (report.faults, report.notes, report.ignored))
    summary = f"{faults} fault{'' if faults == 1 else 's'}" if faults else "no faults"
    summary += f", {notes} note{'' if notes == 1 else 's'}" if notes else ""
    return f"{summary}, {ignored} ignored" if ignored else summary


def _body(report: Report, options: CheckOptions) -> dict[str, object]:
    return {
        "directory": str(report.directory),
        "ok": report.ok,
        "tag_sets": [list(each) for each in report.tag_sets],
        "validate": options.validate,
        "loaders": list(report.loaders),
        "variables_read": report.variables_read,
        "findings": [
            {
                "code": each.code,
                "severity": each.severity,
                "where": each.where or None,
                "text": each.text,
                "hint": each.hint or None,
                "stops_python": each.stops_python,
                "ignored": each.ignored,
            }
            for each in report.findings
        ],
        "ran": [{"key": key, "batches": list(batches)} for key, batches in report.ran],
        "same_as": None if options.same_as is None else _same_as(report, options.same_as),
    }


def _same_as(report: Report, asked: SameAs) -> dict[str, object]:
    return {
        "model": os.fspath(asked.model),
        "rtol": asked.relative,
        "atol": asked.absolute,
        "outputs": [
            {
                "key": each.key,
                "output": each.output,
                "loader": each.loader,
                "same": each.same,
                "elements": each.elements,
                "different": each.different,
                "largest_absolute": _finite(each.absolute),
                "largest_relative": _finite(each.relative),
                "text": each.text,
            }
            for each in report.compared
        ],
    }


def _finite(size: float | None) -> float | None:
    """Return a difference for JSON: None if it is not finite."""
    return size if size is not None and math.isfinite(size) else None
