"""Models that were not made for these tests: no right edit is refused because of its numbers.

``make test`` takes a few of them; ``SMPATCH_PROVE=1`` (``make prove``) takes all, and the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import smpatch
from smpatch import Feeding, MetaGraph, Options, RefusedError, ValidationError, patcher
from smpatch.checker.findings import Subject
from smpatch.checker.object_graph import check_halves
from smpatch.edits import AddSignature, Copy, Edit, EditSignature, FromSignature, Rename
from smpatch.validator import Validator
from tests.contract.editing import copy
from tests.contract.models import Case, cases, found_in
from tests.exporters.subjects import EXPORTED

PROVE = bool(os.environ.get("SMPATCH_PROVE"))
FEW = (
    "dense_table",
    "keras_functional",
    "many_types",
    "old_tf2",
    "parsed_examples",
    "ref_variables",
)

LYING = "wrong_dtype"
"""In this model Python lists another type than the signature, which no edit of it may leave."""

CASES = [
    case
    for case in (*cases(), *found_in(EXPORTED))
    if not case.with_object_graph and case.name != LYING and (PROVE or case.name in FEW)
]
IDS = [case.name for case in CASES]


def _edits(key: str, signature: smpatch.SignatureDef) -> Iterator[list[Edit]]:
    """Yield edits of a signature that put its names in another order."""
    turned = {
        kind: {alias: f"n{len(names) - place}" for place, alias in enumerate(names)}
        for kind, names in (("in", signature.inputs), ("out", signature.outputs))
    }
    yield [Rename(key, "zz"), Copy("zz", "a")]
    yield [EditSignature(key, rename_inputs=turned["in"], rename_outputs=turned["out"])]
    yield [FromSignature(key, {new: old for old, new in turned["out"].items()}, "derived")]
    yield [AddSignature(signature, "added")]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_no_number_is_another_after_an_edit(
    case: Case, validator: Validator, tmp_path: Path
) -> None:
    model = smpatch.load(case.directory)
    ran = 0
    for meta_graph in model.meta_graphs[:1]:
        for place, (key, signature) in enumerate([*meta_graph.signatures.items()][:2]):
            for number, edits in enumerate(_edits(key, signature)):
                directory = tmp_path / f"{place}_{number}"
                copy(case.directory, directory)
                ran += _proved(directory, meta_graph, edits, validator)
    assert ran or PROVE


def _proved(directory: Path, meta_graph: MetaGraph, edits: list[Edit], validator: Validator) -> int:
    """Do edits, and return the number of outputs that stay the same; 0 if an edit is refused."""
    options = Options(validate="run", tag_set=meta_graph.tags)
    try:
        receipt = patcher.patch(directory, edits, options=options, validator=validator)
    except RefusedError:
        return 0
    except ValidationError as error:
        if "did not load" not in error.hint:
            raise
        return 0
    return sum(map(len, (receipt.numbers or {}).values()))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_two_halves_compute_the_same(validator: Validator, case: Case) -> None:
    model = smpatch.load(case.directory)
    subjects = [Subject(model, each) for each in model.meta_graphs]
    for subject in subjects:
        if subject.python_reads_signature_def:
            continue
        found = [*check_halves(validator, subject, Feeding("random", 1, (1, 3)), ())]
        assert [each for each in found if each.severity == "fault"] == []
