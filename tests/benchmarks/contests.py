"""The contests: the two programs, the model and the bar of each.

``rounds`` runs the rounds and computes their ratio.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.commands import (
    ADD_X_TO_Y,
    BARE_IMPORTS,
    SMPATCH,
    X_TO_Y,
    add_predict,
    bytes_label,
    show,
)
from tests.benchmarks.measure import Measured, ProgramError, run
from tests.benchmarks.results import Row
from tests.benchmarks.rounds import compared, memory_row, rounds, time_row
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["CONTESTS"]

_RIVALS = Path(__file__).parent / "rivals"
_MODULE = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "module"
_PEAK_LIMIT = 80_000_000


def add_predict_small(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict`` with its reload, against the Python script and the floor."""

    def ours() -> Measured:
        return run([*SMPATCH, "add-predict", str(shop.small()), *X_TO_Y, "--signature", "bench"])

    def script() -> Measured:
        program = str(_RIVALS / "python_script.py")
        return run([sys.executable, program, str(shop.small()), "bench"])

    def floor(*binding: str) -> Measured:
        program = str(_RIVALS / "floor.py")
        libraries = _tensorflow_directory()
        return run([sys.executable, "-I", "-S", program, libraries, str(shop.small()), *binding])

    sides = (ours, script, floor, lambda: floor("lazy"))
    mine, scripts, floors, lazy = rounds(sides, sizes.short_rounds)
    contest = "`add-predict` with its reload, small model"
    yield time_row(contest, "the same in Python with TensorFlow", (mine, scripts), 0.15)
    yield time_row(contest, "a bare process: C libraries, model", (mine, floors), 1.5)
    yield time_row(contest, "the same, bound lazily", (mine, lazy), 1.45)


def add_predict_tf2(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """A function of a TensorFlow 2 export becomes a signature, with the reload of ``auto``.

    The rivals are the way that people use today, the import that ``tf.saved_model.load`` needs, and
    the edit of a TensorFlow 1 model, which needs no Python's TensorFlow. Most of the time is that
    import, so the first and the last ratio depend on it. The ratios compare processor time, because
    two processes run at the same time.
    """

    def ours() -> Measured:
        words = ("--function", "encode", "--signature", "bench")
        return run([*SMPATCH, "add-predict", str(shop.small(_MODULE)), *words])

    def resave() -> Measured:
        program, output = str(_RIVALS / "resave.py"), shop.root / "resaved"
        shutil.rmtree(output, ignore_errors=True)
        model = str(shop.small(_MODULE))
        return run([sys.executable, program, model, "encode", "bench", str(output)])

    def tf1() -> Measured:
        return run([*SMPATCH, "add-predict", str(shop.small()), *X_TO_Y, "--signature", "bench"])

    def floor() -> Measured:
        program = str(_RIVALS / "light_floor.py")
        return run([sys.executable, program, str(shop.small(_MODULE))])

    mine, resaves, floors, tf1s = rounds((ours, resave, floor, tf1), sizes.short_rounds)
    contest = "`add-predict --function` with its reload, small TensorFlow 2 export, processor time"
    for rival, theirs, limit in (
        ("load and save again in Python", resaves, 0.7),
        ("a bare process: the modules of the loader, model", floors, 1.5),
        ("`add-predict` with its reload, small model of TensorFlow 1", tf1s, 4.2),
    ):
        pairs = [
            (a.processor_seconds, b.processor_seconds) for a, b in zip(mine, theirs, strict=True)
        ]
        yield compared((contest, rival, "s"), pairs, limit)


def compose_tf2(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """A recipe behind a signature of a TensorFlow 2 export, against an edit without a trace.

    Both edits reload the model with ``auto``. The process that reloads also traces the recipe, and
    the composed signature is run. The ratio compares processor time.
    """

    def ours() -> Measured:
        words = ("--from-signature", "serving_default", "--after", "sigmoid(score)")
        model = str(shop.small(_MODULE))
        return run([*SMPATCH, "compose", model, *words, "--signature", "bench"])

    def function() -> Measured:
        words = ("--function", "encode", "--signature", "bench")
        return run([*SMPATCH, "add-predict", str(shop.small(_MODULE)), *words])

    mine, theirs = rounds((ours, function), sizes.short_rounds)
    contest = "`compose` of a recipe with its reload, small TensorFlow 2 export, processor time"
    pairs = [(a.processor_seconds, b.processor_seconds) for a, b in zip(mine, theirs, strict=True)]
    yield compared((contest, "`add-predict --function`", "s"), pairs, 1.5)


def add_predict_variables(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """An edit with its reload: a model with gigabytes of variables, against one with kilobytes."""
    few = 4096

    def edit(size: int) -> Measured:
        words = ("--function", "encode", "--signature", shop.new_key())
        return run([*SMPATCH, "add-predict", str(shop.variables(size)), *words])

    many = sizes.variable_bytes
    sides = (lambda: edit(many)), (lambda: edit(few))
    mine, theirs = rounds(sides, sizes.short_rounds)
    contest = f"`add-predict --function` with its reload, {bytes_label(many)} of variables"
    rival = "the same with 4 kB"
    pairs = [(a.processor_seconds, b.processor_seconds) for a, b in zip(mine, theirs, strict=True)]
    yield compared((f"{contest}, processor time", rival, "s"), pairs, 1.2, judged=sizes.judged)
    yield memory_row(contest, rival, (mine, theirs), 1.2, judged=sizes.judged)


def show_small(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``show``, against TensorFlow's own program and against the imports that ``show`` needs."""
    model = shop.small()

    def ours() -> Measured:
        return show(model)

    def cli() -> Measured:
        module = "tensorflow.python.tools.saved_model_cli"
        return run([sys.executable, "-m", module, "show", "--all", "--dir", str(model)])

    def imports() -> Measured:
        return run(BARE_IMPORTS)

    contest = "`show`, small model"
    mine, clis = rounds((ours, cli), sizes.short_rounds)
    yield time_row(contest, "`saved_model_cli show --all`", (mine, clis), 0.06)
    # These are separate rounds: the other rival takes seconds, in which the load of the machine
    # changes, and a run of a tenth of a second may then take a third longer.
    mine, bare = rounds((ours, imports), sizes.instant_rounds)
    yield time_row(contest, "bare imports", (mine, bare), 1.6)


def add_predict_constants(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict --validate none`` on a big file, against a copy of the file to disk."""
    model = shop.constants(sizes.constant_bytes[-1])
    copy = shop.root / "copy.pb"

    def ours() -> Measured:
        copy.unlink(missing_ok=True)
        os.sync()
        return add_predict(model, shop.new_key())

    def copy_and_sync() -> Measured:
        copy.unlink(missing_ok=True)
        os.sync()
        source = str(model / "saved_model.pb")
        commands = 'cp "$1" "$2" && sync "$2" "$3"'
        return run(["sh", "-c", commands, "sh", source, str(copy), str(shop.root)])

    mine, copies = rounds((ours, copy_and_sync), sizes.long_rounds)
    copy.unlink()
    contest = f"`add-predict --validate none`, {bytes_label(sizes.constant_bytes[-1])} of constants"
    yield time_row(contest, "`cp` and `sync`", (mine, copies), 1.25, judged=sizes.judged)
    limit = [Measured(seconds=0.0, peak_bytes=_PEAK_LIMIT)] * len(mine)
    yield memory_row(contest, "the limit", (mine, limit), 1.0, judged=sizes.judged)


def add_predict_chain(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict --validate none`` on large graphs, against TensorFlow's message classes.

    The outputs need all nodes, or one in a hundred. The ratio compares processor time: on a busy
    machine the program with more work waits longer.

    If few nodes are needed, the rival's walk is short, but smpatch reads all nodes as before: a
    name may occur twice, and a field may have any place in its node. The start of Python, the
    import of NumPy and the write of the new file alone take 0.15 of the rival's time.
    """
    written, nodes = shop.root / "written.pb", sizes.chain_nodes[-1]
    for what, stride, time_limit, memory_limit in (
        ("all are needed", 1, 0.23, 0.1),
        ("1 % are needed", 100, 0.35, 0.1),
    ):
        model = shop.chain(nodes, stride)

        def ours(model: Path = model) -> Measured:
            written.unlink(missing_ok=True)
            os.sync()
            return add_predict(model, shop.new_key())

        def full_parse(model: Path = model) -> Measured:
            program = str(_RIVALS / "full_parse.py")
            return run([sys.executable, program, str(model), str(written)], self_timed=True)

        mine, parses = rounds((ours, full_parse), sizes.long_rounds)
        written.unlink()
        contest = f"`add-predict --validate none`, {nodes:,} nodes, {what}"
        rival = "TensorFlow's message classes"
        pairs = [
            (a.processor_seconds, b.processor_seconds) for a, b in zip(mine, parses, strict=True)
        ]
        labels = (f"{contest}, processor time", rival, "s")
        yield compared(labels, pairs, time_limit, judged=sizes.judged)
        yield memory_row(contest, rival, (mine, parses), memory_limit, judged=sizes.judged)


def promote_keras(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """A function of a Keras export becomes a signature without a reload, against a new save."""
    key = ("--signature", "bench", "--validate", "none")

    def ours() -> Measured:
        model = str(shop.resnet())
        return run([*SMPATCH, "add-predict", model, "--function", "serve", *key])

    def resave() -> Measured:
        program, output = str(_RIVALS / "resave.py"), shop.root / "resaved"
        shutil.rmtree(output, ignore_errors=True)
        return run([sys.executable, program, str(shop.resnet()), "serve", "bench", str(output)])

    mine, resaves = rounds((ours, resave), sizes.short_rounds)
    contest = "`add-predict --function --validate none`, ResNet50"
    yield time_row(contest, "load and save again in Python", (mine, resaves), 1.0)
    limits = [Measured(seconds=0.5, peak_bytes=150_000_000)] * len(mine)
    # A busy machine makes a rival slower too, but not a limit in seconds, so the best run counts.
    best = min(mine, key=lambda each: each.seconds)
    yield time_row(contest, "the limit (best run)", ([best], limits[:1]), 1.0)
    yield memory_row(contest, "the limit", (mine, limits), 1.0, judged=True)


def apply_batch(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``apply`` on many small models, one at a time: models in a second, with the start."""
    patch = shop.root / "patch.toml"
    patch.write_text(ADD_X_TO_Y)
    for least, mode in ((10.0, "auto"), (60.0, "none")):

        def ours(mode: str = mode) -> Measured:
            options = ("--jobs", "1", "--validate", mode)
            return run([*SMPATCH, "apply", str(patch), *shop.batch(sizes.batch), *options])

        (mine,) = rounds((ours,), sizes.short_rounds)
        contest = f"`apply --validate {mode} --jobs 1`, {sizes.batch} small models"
        # As above, a busy machine does not change a limit, so the best run counts. If other
        # programs run too, processor time is a better measure than wall time.
        for limit, seconds in (
            ("the least (best run)", min(each.seconds for each in mine)),
            ("the least, of processor time", min(each.processor_seconds for each in mine)),
        ):
            rates = [(least, sizes.batch / seconds)]
            row = compared((contest, limit, "/s"), rates, 1.0, judged=sizes.judged)
            yield replace(row, ours=row.theirs, theirs=row.ours)


def apply_one_by_one(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``apply`` on many small models, against one command for each model."""
    patch = shop.root / "patch.toml"
    patch.write_text(ADD_X_TO_Y)
    several = max(2, sizes.batch // 20)

    def ours() -> Measured:
        return run([*SMPATCH, "apply", str(patch), *shop.batch(several), "--jobs", "1"])

    def one_by_one() -> Measured:
        models = shop.batch(several)
        loop = 'for model; do "$0" -m smpatch add-predict "$model" --inputs x:0 --outputs y:0; done'
        return run(["sh", "-c", loop, sys.executable, *models])

    mine, theirs = rounds((ours, one_by_one), sizes.short_rounds)
    contest = f"`apply --jobs 1` with its reload, {several} small models"
    yield time_row(contest, "`add-predict` for each", (mine, theirs), 0.5, judged=sizes.judged)


def proofs(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """The structural proof: edits with it, against the same edits without it."""
    inner = "resnet50_1/conv5_block3_out_1/Relu:0"
    small = ("add-predict", *X_TO_Y, "--signature", "bench", "--validate", "runtime")
    source = ("--from-signature", "serving_default", "--signature", "bench")
    deep = ("add-predict", *source, "--outputs", inner, "--validate", "runtime")
    edits = (
        ("small model", shop.small, small, sizes.short_rounds, 1.3),
        ("ResNet50, an inner tensor", shop.resnet, deep, sizes.instant_rounds, 1.5),
    )
    for name, model, (verb, *words), count, limit in edits:

        def proved(verb: str = verb, words: Sequence[str] = words) -> Measured:
            return run([*SMPATCH, verb, str(model()), *words])  # noqa: B023 - called at once

        def unproved(verb: str = verb, words: Sequence[str] = words) -> Measured:
            program = str(_RIVALS / "unproved.py")
            return run([sys.executable, program, verb, str(model()), *words])  # noqa: B023 - as above

        mine, theirs = rounds((proved, unproved), count)
        contest = f"the structural proof, {name}"
        yield time_row(contest, "the same edit without it", (mine, theirs), limit)


CONTESTS: dict[str, Callable[[Workshop, Sizes], Iterator[Row]]] = {
    "small": add_predict_small,
    "tf2": add_predict_tf2,
    "compose": compose_tf2,
    "variables": add_predict_variables,
    "show": show_small,
    "constants": add_predict_constants,
    "chain": add_predict_chain,
    "keras": promote_keras,
    "proof": proofs,
    "apply": apply_batch,
    "apply-each": apply_one_by_one,
}


def _tensorflow_directory() -> str:
    """Return the directory of the installed TensorFlow, without an import of it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        message = "TensorFlow is not installed, so there is nothing to measure against"
        raise ProgramError(message)
    return spec.submodule_search_locations[0]
