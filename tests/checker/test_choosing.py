"""A check of chosen signatures, and findings that a check ignores."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Feeding, SameAs, UsageError
from smpatch.checker.choosing import CODES
from tests.checker.faults import FIXTURES
from tests.docs.pages import page
from tests.oracle.client import Oracle

MODEL = FIXTURES / "wrong_tensor_info"


def _keys(where: set[str]) -> set[str]:
    return {key for each in where for key in re.findall(r"signature '([^']+)'", each)}


def test_only_the_signatures_that_are_chosen_are_checked_and_run() -> None:
    keys = sorted(smpatch.load(MODEL).signatures)
    whole = smpatch.check(MODEL, options=CheckOptions(validate="runtime", run=Feeding()))
    found = _keys({each.where for each in whole.findings})
    assert len(found) > 1
    for key in keys:
        options = CheckOptions(validate="runtime", run=Feeding(), signatures=[key])
        report = smpatch.check(MODEL, options=options)
        assert _keys({each.where for each in report.findings}) <= {key}
        mine = [each for each in whole.findings if not _keys({each.where}) - {key}]
        assert list(report.findings) == mine
        assert [each for each, _ in report.ran] == [each for each, _ in whole.ran if each == key]


def test_keys_and_codes_are_written_with_commas_or_one_by_one() -> None:
    keys = sorted(smpatch.load(MODEL).signatures)
    quick = CheckOptions(validate="none")
    whole = smpatch.check(MODEL, options=quick).findings
    for signatures in (",".join(keys), keys, [",".join(keys[:1]), *keys[1:]]):
        options = CheckOptions(validate="none", signatures=signatures)
        assert smpatch.check(MODEL, options=options).findings == whole
    for ignore in ("dtype, missing-tensor", ["dtype", "missing-tensor"]):
        report = smpatch.check(MODEL, options=CheckOptions(validate="none", ignore=ignore))
        assert report.ok
        assert {each.code for each in report.ignored} == {"dtype", "missing-tensor"}
        assert len(report.findings) == len(whole)


def test_what_is_ignored_is_neither_a_fault_nor_a_note() -> None:
    options = CheckOptions(validate="none", ignore=["dtype"])
    report = smpatch.check(FIXTURES / "wrong_dtype", options=options)
    assert (report.ok, report.faults, report.notes) == (True, (), ())
    (ignored,) = report.ignored
    assert (ignored.code, ignored.severity) == ("dtype", "fault")


def test_a_fault_of_the_whole_model_counts_whatever_signature_is_chosen(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = Path(shutil.copytree(FIXTURES / "keras_functional", tmp_path / "model"))
    oracle.ask("plant", directory=directory, fault="tags_spelt")
    options = CheckOptions(validate="none", signatures=["serving_default"])
    assert [each.code for each in smpatch.check(directory, options=options).faults] == [
        "spelt-tags"
    ]


def test_the_comparison_with_another_model_leaves_other_keys_out(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(FIXTURES / "linear", tmp_path / "model"))
    smpatch.copy_signature(directory, "scale", "again")
    same_as = SameAs(FIXTURES / "linear")
    both = CheckOptions(validate="runtime", same_as=same_as)
    assert [each.code for each in smpatch.check(directory, options=both).faults] == ["not-the-same"]
    one = CheckOptions(validate="runtime", same_as=same_as, signatures="scale")
    report = smpatch.check(directory, options=one)
    assert report.ok
    assert {each.key for each in report.compared} == {"scale"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CheckOptions(signatures=["serving_defalt"]), "did you mean 'serving_default'"),
        (CheckOptions(ignore=["dtypes"]), "did you mean 'dtype'"),
        (CheckOptions(ignore=["missing_tensor"]), "did you mean 'missing-tensor'"),
    ],
)
def test_an_unknown_key_or_code_leads_to_the_nearest(options: CheckOptions, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        smpatch.check(MODEL, options=options)
    assert words in str(caught.value)


def test_the_codes_are_those_of_the_documentation() -> None:
    cells = re.findall(r"^\| (`[^|]*) \| (?:fault|note)", page("docs/check.md").text, re.MULTILINE)
    codes = [code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)]
    assert list(CODES) == codes


def test_a_signature_that_was_not_chosen_can_still_stop_pythons_loader() -> None:
    options = CheckOptions(signatures=["serving_default"])
    (fault,) = smpatch.check(MODEL, options=options).faults
    assert (fault.code, fault.where) == ("python-loader", "")
    ignored = CheckOptions(signatures=["serving_default"], ignore=["python-loader"])
    assert smpatch.check(MODEL, options=ignored).ok


def test_a_fault_that_is_ignored_can_still_stop_pythons_loader() -> None:
    """TensorFlow refuses the model, and only ``--ignore python-loader`` hides this."""
    (fault,) = smpatch.check(MODEL, options=CheckOptions(ignore=["missing-tensor", "dtype"])).faults
    assert (fault.code, fault.where) == ("python-loader", "")
    codes = ["missing-tensor", "dtype", "python-loader"]
    assert smpatch.check(MODEL, options=CheckOptions(ignore=codes)).ok
