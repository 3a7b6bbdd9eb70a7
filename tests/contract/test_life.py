"""The whole life of a signature: each edit makes the requested change, and its inverse undoes it.

TensorFlow's own message classes (``tests.oracle.living``) compute the expected result of an edit,
never smpatch. By default the tests do one edit of each kind to every fixture; ``SMPATCH_PROVE=1``
does all edits, each with a reload by TensorFlow if it loads the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import Options, RefusedError, SignatureDef, TensorSpec, load, validator
from smpatch.edits import AddPredict, Edit
from tests.contract.editing import Snapshot, copy, snapshot
from tests.contract.journeys import KEY, Journey, journeys
from tests.contract.models import FIXTURES, Case, cases, refs
from tests.oracle.client import Oracle
from tests.prove.ledger import Count

PROVE = bool(os.environ.get("SMPATCH_PROVE"))
LIMIT = 300.0

ASKING = {"no_op_list", "text_form"}
"""Models that do not record the outputs of their operations, so smpatch asks TensorFlow."""

NOT_THE_SAME_BYTES = {
    "padded_lengths": "lengths that were written with needless bytes are written without",
    "newer_writer": "a shape that is forgotten takes its fields of a newer writer along",
    "text_form": "a signature that was laid out by hand and changes is printed by protobuf",
}
"""Models for which an edit and its inverse write a file with other bytes and the same meaning."""

STAYS_ON_A_COPY = {"add-output"}
"""Kinds that add an inner tensor as an output: after its removal the copied call stays in use."""

MODELS = [each for each in cases() if not each.with_object_graph]


@dataclass(frozen=True)
class Trial:
    """A model, its content before the edits, and its journeys."""

    case: Case
    directory: Path
    file: Path
    before: Snapshot
    journeys: Sequence[Journey]
    asked: validator.Validator

    def do(self, edits: Sequence[Edit], tags: Sequence[str]) -> smpatch.Receipt:
        """Do a list of edits to the MetaGraph with these tags."""
        several = len(load(self.directory).meta_graphs) > 1
        options = Options(tag_set=tags if several else None, keep_warmup=True)
        return smpatch.patch(self.directory, edits, options=options, validator=self.asked)


@pytest.fixture(scope="session")
def asking() -> Iterator[validator.Validator]:
    with validator.Validator("runtime", (), LIMIT) as opened:
        yield opened


@pytest.fixture(scope="session")
def believing() -> Iterator[validator.Validator]:
    with validator.Validator("none", (), LIMIT) as opened:
        yield opened


@pytest.fixture(params=MODELS, ids=lambda case: case.name)
def trial(
    request: pytest.FixtureRequest,
    asking: validator.Validator,
    believing: validator.Validator,
    oracle: Oracle,
    tmp_path: Path,
) -> Trial:
    case: Case = request.param
    directory = tmp_path / "model"
    copy(case.directory, directory)
    model = load(directory)
    found = list(journeys(model, dict(_candidates(case, model))))
    if not PROVE:
        found = list({each.kind: each for each in reversed(found)}.values())
    asked = asking if case.name in ASKING else believing
    if PROVE and not any(
        oracle.ask("load", directory=directory, tags=each.tags, loaders=["v1"])["v1"]
        for each in model.meta_graphs
    ):
        asked = asking
    return Trial(case, directory, model.file, snapshot(directory), found, asked)


def _candidates(case: Case, model: smpatch.SavedModel) -> Iterator[tuple[int, AddPredict]]:
    candidate = case.candidate
    if candidate is not None and candidate.inputs:
        tags = [set(each.tags) for each in model.meta_graphs]
        added = AddPredict(refs(candidate.inputs), refs(candidate.outputs), KEY)
        yield tags.index(set(candidate.tags)), added


@pytest.mark.proof("edits and their inverses")
def test_edits_do_what_they_say_and_their_inverses_undo_them(
    trial: Trial, oracle: Oracle, count: Count
) -> None:
    count.add(models=1)
    done = 0
    for journey in trial.journeys:
        tags = load(trial.directory).meta_graphs[journey.place].tags
        held = snapshot(trial.directory)
        try:
            trial.do(journey.there, tags)
        except RefusedError:
            assert snapshot(trial.directory) == held, journey.name
            continue
        done += 1
        count.add(edits=2)
        words = [*_unlike_asked(trial, journey, oracle)]
        trial.do(journey.back, journey.middle)
        words += _unlike_before(trial, journey, oracle)
        with count.case(journey.name):
            assert words == []
        if words:
            trial.file.write_bytes(trial.before[trial.file.name].content)
    count.settle()
    assert done


def _unlike_asked(trial: Trial, journey: Journey, oracle: Oracle) -> Iterator[object]:
    """Yield each difference from the request that TensorFlow finds, and then ``diff``."""
    meta_graphs = load(trial.case.directory).meta_graphs
    both = meta_graphs[journey.place].has_object_graph and len(meta_graphs) == 1
    told = oracle.ask(
        "live",
        before=trial.case.directory,
        after=trial.directory,
        place=journey.place,
        asks=[{"kind": type(edit).__name__, **asdict(edit)} for edit in journey.there],
        halves=2 if both else 1,
    )
    yield from told["wrong"]
    difference = smpatch.diff(trial.case.directory, trial.directory)
    files = [each.path for each in difference.files if each.path != "fingerprint.pb"]
    if files or not difference.same_around:
        yield f"diff: {files} differ, or what is around the MetaGraphs"
    for place, each in enumerate(difference.meta_graphs):
        here = place == journey.place
        found = _differing(each.signatures, "signature_def")
        if found != (told["keys"] if here else []):
            yield f"diff: {found} differ in signature_def instead of {told['keys']}"
        elsewhere = set(_differing(each.signatures, "object_graph"))
        asked = {*told["children"], *told["keys"]} if here and both else set()
        if not elsewhere <= asked or not elsewhere >= ({*told["children"]} if here else set()):
            yield f"diff: {elsewhere} differ in the object graph instead of {asked}"
        if each.retagged != (here and journey.kind == "retag"):
            yield "diff: tags"
        yield from _touched(each.parts, both=both)


def _differing(found: Sequence[Any], half: str) -> list[str]:
    """Return the keys whose signatures differ in one half."""
    of_half = [each for each in found if each.half == half]
    return sorted({key for each in of_half for key in (each.key, each.was) if key is not None})


def _touched(parts: Sequence[Any], *, both: bool) -> Iterator[str]:
    """Yield each change outside the map of signatures that does not only append."""
    for part in parts:
        if not part.counts:
            continue
        if not both or part.name not in {"graph", "functions", "object_graph"}:
            yield f"diff: {part.name} is {part.outcome}"
        for tally in part.tallies:
            maps = 1 if tally.kind == "objects" else 0
            inside = tally.added and not tally.appended
            if tally.removed or tally.changed > maps or tally.reordered or inside:
                yield f"diff: {tally}"


def _unlike_before(trial: Trial, journey: Journey, oracle: Oracle) -> Iterator[object]:
    now, name = snapshot(trial.directory), trial.file.name
    changed = {key for key in trial.before if now.get(key) != trial.before[key]}
    if now.keys() != trial.before.keys() or not changed <= {name, "fingerprint.pb"}:
        yield f"the files {sorted(changed)} are not what they were"
    was = trial.before[name].content
    if trial.file.read_bytes() == was:
        return
    old, new = (load(each).meta_graphs for each in (trial.case.directory, trial.directory))
    if journey.kind in STAYS_ON_A_COPY or any(
        # In an object graph with such a field no part is provably unused, so all of it stays.
        each.has_object_graph and each.objects.has_unknown_fields
        for each in old
    ):
        yield from (
            f"{key}: {_without_ops(now.signatures[key])} instead of {_without_ops(before)}"
            for meta_graph, now in zip(old, new, strict=True)
            for key, before in meta_graph.signatures.items()
            if _without_ops(before) != _without_ops(now.signatures[key])
        )
    elif trial.case.name not in NOT_THE_SAME_BYTES:
        yield f"{trial.file.stat().st_size} bytes instead of {len(was)}"
    elif trial.case.name in {"padded_lengths", "text_form"}:
        place = {"before": trial.case.directory, "after": trial.directory, "place": 0}
        yield from oracle.ask("live", **place, asks=[], halves=1)["wrong"]
    trial.file.write_bytes(was)


def _without_ops(signature: SignatureDef) -> SignatureDef:
    """Return a signature without the names of the nodes that yield its outputs."""
    outputs = {
        alias: replace(spec, name=spec.name.rpartition(":")[2])
        for alias, spec in signature.outputs.items()
        if isinstance(spec, TensorSpec)
    }
    return replace(signature, outputs={**signature.outputs, **outputs})


@pytest.mark.parametrize("name", ["module", "resource_variables"])
def test_tensorflow_proves_each_kind_of_edit(name: str, tmp_path: Path) -> None:
    """Both loaders prove each edit, as they prove the edits of users."""
    model = tmp_path / "model"
    copy(FIXTURES / name, model)
    before = (model / "saved_model.pb").read_bytes()
    found = {each.kind: each for each in reversed(list(journeys(load(model), {})))}
    with validator.Validator("full", (), LIMIT) as proving:
        for journey in found.values():
            for edits in (journey.there, journey.back):
                receipt = smpatch.patch(model, edits, validator=proving)
                assert receipt.loaders == ("C runtime", "tf.saved_model.load"), journey.name
            after = (model / "saved_model.pb").read_bytes()
            assert (after == before) == (journey.kind not in STAYS_ON_A_COPY), journey.name
            (model / "saved_model.pb").write_bytes(before)
