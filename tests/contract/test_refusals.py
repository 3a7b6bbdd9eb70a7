"""Requests that the manifest of the fixtures calls impossible: smpatch refuses them.

TensorFlow refuses them too: its own message classes write the same signature, and its own loaders
do not run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import Options, RefusedError, UsageError
from tests.contract.editing import add, copy, snapshot
from tests.contract.models import CORPUS, FIXTURES, KEY, Candidate, Case, cases, feed_of, found_in
from tests.oracle.client import Oracle

Request = Mapping[str, Any]

REQUESTS = [
    pytest.param(case, request, id=f"{case.name}-{request['reason']}-{index}")
    for case in found_in(FIXTURES)
    for index, request in enumerate(case.entry.get("impossible", ()))
]


def test_corpus_is_under_contract() -> None:
    if not CORPUS:
        pytest.skip("SMPATCH_CORPUS names no directory of further models")
    assert [each for each in cases() if each.directory.is_relative_to(CORPUS)]


def test_signature_without_inputs_is_refused() -> None:
    """TensorFlow's own builder refuses it, though some exporters wrote such signatures."""
    bare = [each for each in cases() if each.candidate and not each.candidate.inputs]
    if not bare:
        pytest.skip("only models of the corpus have a candidate without inputs")
    for case in bare:
        before = snapshot(case.directory)
        with pytest.raises(UsageError, match="inputs"):
            add(case.directory, Candidate(case.entry["candidate"]), Options())
        assert snapshot(case.directory) == before


def _aliases(names: list[str], prefix: str) -> dict[str, str]:
    return {f"{prefix}_{index}": name for index, name in enumerate(names)}


@pytest.mark.parametrize(("case", "request_"), REQUESTS)
class TestImpossible:
    def test_is_refused_by_name_and_nothing_is_written(
        self, case: Case, request_: Request, tmp_path: Path
    ) -> None:
        directory = tmp_path / "model"
        copy(case.directory, directory)
        before = snapshot(directory)
        with pytest.raises((RefusedError, UsageError)) as refused:
            smpatch.add_predict(
                directory,
                inputs=_aliases(request_["inputs"], "in"),
                outputs=_aliases(request_["outputs"], "out"),
                signature=KEY,
                options=Options(tag_set=request_["tags"]),
            )
        if request_["inputs"]:
            assert refused.value.exit_code == 4
            said = str(refused.value)
            assert [name for name in request_["names"] if name not in said] == []
        else:
            assert refused.value.exit_code == 2
        assert snapshot(directory) == before
        assert [each.name for each in tmp_path.iterdir()] == ["model"]

    def test_tensorflow_cannot_do_it_either(
        self, case: Case, request_: Request, tmp_path: Path, oracle: Oracle
    ) -> None:
        directory = tmp_path / "model"
        copy(case.directory, directory)
        inputs = _aliases(request_["inputs"], "in")
        outputs = _aliases(request_["outputs"], "out")
        tags, feed = request_["tags"], feed_of(request_["feed"])
        oracle.ask("put", directory=directory, tags=tags, key=KEY, inputs=inputs, outputs=outputs)
        served = oracle.ask("run_signature", directory=directory, tags=tags, key=KEY, feed=feed)
        assert served["refused"] == request_["tensorflow_says"]
        described = {alias: ["dense", name] for alias, name in inputs.items()}
        called = oracle.ask(
            "call", directory=directory, tags=tags, key=KEY, inputs=described, feed=feed
        )
        assert "refused" in called
