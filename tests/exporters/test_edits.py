"""Each kind of edit alone, with the proof of a user's edit: the numbers stay the same.

Other programs accept an edited model as before: TensorFlow saves it again, TFLite converts it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import RefusedError
from tests.exporters.doing import Copy
from tests.exporters.expected import Model
from tests.exporters.numbers import Runner, unlike
from tests.exporters.subjects import Subject
from tests.exporters.verbs import VERBS
from tests.prove.ledger import Count

UNSOUND = {"wrong_dtype": "the signature was a lie before, which each proof finds"}

TAKEN = ("copy", "names", "function", "add-output", "from-signature")
"""The edits of a model before it is saved again or converted."""


@pytest.mark.proof("edits of exporters' models")
def test_each_edit_keeps_the_numbers(proved_copy: Copy, runner: Runner, count: Count) -> None:
    if proved_copy.subject.case.name in UNSOUND:
        pytest.skip(UNSOUND[proved_copy.subject.case.name])
    count.add(models=1)
    for verb in VERBS:
        proved_copy.start()
        with count.case(verb):
            if proved_copy.edit(verb):
                count.add(edits=1)
                assert list(proved_copy.wrong(runner)) == []
    count.settle()
    assert count.numbers["edits"]


@pytest.fixture
def taken(copied: Copy) -> Copy:
    """A model with several new signatures, and with other names in one signature."""
    for verb in TAKEN:
        copied.edit(verb)
    return copied


def test_tensorflow_saves_it_again(taken: Copy, runner: Runner, tmp_path: Path) -> None:
    subject = taken.subject
    again = tmp_path / "again"
    about: dict[str, Any] = {"tags": subject.tags, "to": again}
    refused = runner.oracle.ask("save_again", directory=subject.directory, **about)
    if refused:
        pytest.skip(f"TensorFlow does not save it as it was either: {refused['refused']}")
    before = Model.before(subject)
    feeds = {key: each.feed for key, each in before.signatures.items()}
    kept = runner.run(again, ["serve"], feeds, alone=subject.alone)
    sound = {
        (name, key)
        for name, answers in kept.by_loader.items()
        for key, told in answers.items()
        if name in before.signatures[key].results
        and not unlike(told, before.signatures[key].results[name], random=key in subject.random)
    }
    shutil.rmtree(again)
    assert runner.oracle.ask("save_again", directory=taken.directory, **about) == {}
    feeds = {key: each.feed for key, each in taken.model.signatures.items()}
    told = runner.run(again, ["serve"], feeds, alone=subject.alone)
    wrong = [
        f"{name}: {key}: {line}"
        for name, answers in told.by_loader.items()
        for key, expected in taken.model.signatures.items()
        if name in expected.results and (not expected.source or (name, expected.source) in sound)
        for line in unlike(
            answers[key], expected.results[name], random=expected.source in subject.random
        )
    ]
    assert wrong == []


def test_tflite_converts_what_it_converted(taken: Copy, runner: Runner) -> None:
    subject = taken.subject
    wrong = {}
    converted = 0
    for source, was in Model.before(subject).signatures.items():
        about: dict[str, Any] = {"tags": subject.tags, "feed": was.feed}
        told = runner.oracle.ask("tflite", directory=subject.directory, key=source, **about)
        expected = {} if "refused" in told else told["arrays"]
        if not expected or unlike(told, next(iter(was.results.values()))):
            continue
        converted += 1
        for key, now in taken.model.signatures.items():
            # TFLite loses tensors inside a conditional of TensorFlow 1.
            within = not subject.python and {"inner", "extra"} & {*now.outputs}
            if now.source == source and not within:
                about = {"tags": taken.model.tags, "feed": now.feed}
                told = runner.oracle.ask("tflite", directory=taken.directory, key=key, **about)
                wrong[key] = unlike(told, next(iter(now.results.values())))
    if not converted:
        pytest.skip("the converter takes none of its signatures as it was")
    assert {key: lines for key, lines in wrong.items() if lines} == {}


@pytest.mark.proof("edits of exporters' models")
def test_a_frozen_signature_gives_the_same_when_it_is_wrapped(
    subject: Subject, runner: Runner, tmp_path: Path, count: Count
) -> None:
    refused = ""
    for place, (key, measured) in enumerate(subject.signatures.items()):
        graph, model = tmp_path / f"{place}.pb", tmp_path / f"model_{place}"
        about: dict[str, Any] = {"directory": subject.directory, "tags": subject.tags}
        told = runner.oracle.ask("freeze_signature", key=key, feed=measured.feed, to=graph, **about)
        if "refused" in told or not told["inputs"]:
            refused = told.get("refused", "it takes nothing")
            continue
        names = {"inputs": told["inputs"], "outputs": told["outputs"]}
        try:
            smpatch.wrap_graph(graph, model, **names, signature=key)
        except RefusedError as error:
            refused = str(error)
            continue
        like = tmp_path / f"like_{place}"
        runner.oracle.ask("build_like", graph=graph, export=like, **names, key=key, tags=["serve"])
        count.add(edits=1)
        expected, found = (
            runner.run(each, ["serve"], {key: measured.feed}).by_loader for each in (like, model)
        )
        assert "arrays" in expected["session"][key]
        with count.case(key):
            assert [
                line
                for name, answers in expected.items()
                if "arrays" in answers[key]
                for line in unlike(
                    found[name][key], answers[key]["arrays"], random=key in subject.random
                )
            ] == []
    count.settle()
    if not count.numbers:
        pytest.skip(f"it cannot be frozen: {refused}")
