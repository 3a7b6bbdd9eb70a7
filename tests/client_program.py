"""A program of a client that uses every public function; only type checkers read it.

``make check`` reads it with mypy; ``tests/test_house.py`` compares it with the list of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import smpatch
from smpatch.edits import AddPredict, Copy, Remove, Rename

X = smpatch.TensorSpec("x:0", "float32", (None, 3))


def look(model: str | Path) -> list[str]:
    """Read a model, and return lines about it."""
    opened: smpatch.SavedModel = smpatch.load(model)
    found = smpatch.suggest(model, match="*Relu*")
    report: smpatch.Report = smpatch.check(
        model, options=smpatch.CheckOptions(require="serving_default: x:float32 -> y:float32")
    )
    several = smpatch.check_all([model, "other"], jobs=2)
    codes: dict[str, int] = {str(checked.model): checked.exit_code for checked in several}
    lines = [f"{name} {code}" for name, code in codes.items()]
    lines += [f"{finding.code} {finding.text}" for finding in report.findings]
    lines += [output.spec.name for output in found.outputs]
    lines += [f"{key} {each.method_name}" for key, each in opened.signatures.items()]
    lines += smpatch.describe(model, "markdown").splitlines()
    if not smpatch.diff(model, "other").same:
        lines.append("differs")
    return lines


def edit(model: Path) -> smpatch.Receipt:
    """Apply an edit of each kind."""
    options = smpatch.Options(backup=True, save_to="copy")
    smpatch.add_predict(model, inputs={"x": "x:0"}, outputs={"y": X}, options=options)
    smpatch.add_classify(model, examples="e:0", scores="s:0")
    smpatch.add_regress(model, examples="e:0", predictions="p:0")
    smpatch.promote_function(model, "encode", outputs={"embedding": "output_0"})
    smpatch.derive_signature(model, "a", outputs={"y": "dense/Relu:0"}, signature="b")
    smpatch.compose_signature(model, "a", bind={"is_training": False}, signature="b")
    smpatch.edit_signature(model, smpatch.EditSignature("a", shapes={"x": (None, 3)}))
    smpatch.rename_signature(model, "a", "b")
    smpatch.copy_signature(model, "a", "b")
    smpatch.remove_signatures(model, "a", "b")
    smpatch.set_init_op(model, "init_all_tables")
    smpatch.remove_meta_graph(model, ["train"])
    smpatch.retag(model, "serve", ["serve", "gpu"])
    smpatch.copy_signatures(model, "other", keys=["a"])
    smpatch.wrap_graph("frozen.pb", "made", inputs={"x": "x:0"}, outputs={"y": "y:0"})
    several: list[smpatch.Edit] = [Rename("a", "b"), Copy("b", "c"), Remove(("d",))]
    several.append(AddPredict({"x": "x:0"}, {"y": "y:0"}))
    return smpatch.patch(model, several, options=options)


def batch(models: Sequence[Path]) -> dict[str, str]:
    """Apply a patch file to models, and undo it on all of them if it failed on one."""
    failed: dict[str, str] = {}
    patch: smpatch.Patch = smpatch.load_patch("patch.toml")
    for outcome in smpatch.apply(models, patch.edits, options=smpatch.Options(backup=True)):
        if outcome.error is not None:
            failed[str(outcome.model)] = str(outcome.error)
    for model in models if failed else ():
        undone: smpatch.Undone = smpatch.undo(model)
        print([(change.key, change.outcome) for change in undone.changes])  # noqa: T201 - a program
    return failed


def keep_warm(models: Sequence[str]) -> list[bool]:
    """Edit and check models of a store in a session."""
    smpatch.set_store_options({"region": "eu-central-1"})
    with smpatch.Session(smpatch.Options(unconditional=True)) as session:
        receipts: list[smpatch.Receipt] = [
            session.rename_signature(model, "a", "b") for model in models
        ]
        reports: list[smpatch.Report] = [session.check(model) for model in models]
    return [each.outcome == "renamed" for each in receipts] + [each.ok for each in reports]


def warm_up(model: Path) -> list[str]:
    """Write warm-up requests; return the name of the file, and the signature of each request."""
    written: smpatch.WrittenWarmup = smpatch.write_warmup(model, "a", random=2, batches=(1, 8))
    there: tuple[smpatch.WarmupRequest, ...] = smpatch.warmup_requests(model)
    return [str(written.file), *(each.signature for each in there)]


def build() -> tuple[smpatch.SignatureDef, ...]:
    """Build signatures without a model."""
    examples = smpatch.TensorSpec("e:0", "string", (None,))
    return (
        smpatch.predict_signature_def({"x": X}, {"y": X}),
        smpatch.classification_signature_def(examples, None, X),
        smpatch.regression_signature_def(examples, X),
    )
