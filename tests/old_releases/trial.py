"""Write models with an old TensorFlow, edit copies of them, and read these with old releases.

The expected values are those that a model gave in the program that wrote it. Each release also
reads the model as it was written. The release that wrote the model must be able to read it, in each
way that it has. If another release cannot read it, the copies are not counted, and a line reports
the model.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import smpatch
from tests.old_releases.edits import CASES, Call, Case

__all__ = ["WAYS", "Outcome", "Subject", "edited", "judged", "read", "release", "written"]

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("session", "function", "show", "keras")
WRITERS = ("sessions", "objects")

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    # The rewrites of oneDNN change numbers.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "PYTHONWARNINGS": "ignore",
}
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """A model on disk and its expected properties.

    Attributes:
        name: The name of the model, and of the case if it is an edited copy.
        directory: Its directory.
        tags: Its tags.
        calls: All its signatures.
        record: The record of the program that wrote the model.
        plain: Whether the model is as it was written.
    """

    name: str
    directory: Path
    tags: Sequence[str]
    calls: Mapping[str, Call]
    record: Record
    plain: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of one reading.

    Attributes:
        good: The number of subjects that were read as expected.
        wrong: A line for each subject that was not.
        beyond: A line for each model that this release cannot read even as it was written.
    """

    good: int
    wrong: tuple[str, ...]
    beyond: tuple[str, ...]


def _run(python: Path, module: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [python, "-m", f"tests.old_releases.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | _ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def release(python: Path) -> str:
    """Return the versions of TensorFlow and Python of an interpreter."""
    code = (
        "import platform, pkg_resources as p;"
        "print('TensorFlow', p.get_distribution('tensorflow').version + ', Python',"
        " platform.python_version())"
    )
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def written(python: Path, place: Path, kinds: Sequence[str] = WRITERS) -> Iterator[Subject]:
    """Run the programs that write models; yield each model."""
    for kind in kinds:
        directory = place / kind
        directory.mkdir(parents=True)
        _run(python, kind, directory)
        for name, record in json.loads((directory / f"{kind}.json").read_text()).items():
            _all_differ(name, record["truth"])
            calls = {key: Call(**told) for key, told in record["signatures"].items()}
            yield Subject(name, directory / name, record["tags"], calls, record, plain=True)


def _all_differ(name: str, truth: Mapping[str, Any]) -> None:
    """Raise an error if two values of a model are equal, so that a swap would not be found."""
    for one, other in itertools.combinations(truth, 2):
        if truth[one] == truth[other]:
            raise RuntimeError(f"{name}: {one} and {other} are equal, so that a swap is not seen")


def edited(subject: Subject, place: Path) -> Iterator[Subject]:
    """Do each case to a copy of a model, and yield the copy.

    Raises:
        RuntimeError: smpatch refuses an edit.
    """
    cases = [case for case in CASES if subject.name in case.models]
    words = _words(subject)
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        # Each command loads TensorFlow in a process of its own.
        yield from workers.map(lambda case: _edited(subject, case, place, words), cases)


def _words(subject: Subject) -> dict[str, str]:
    """Return the names of the signatures' tensors, for the text of commands."""
    if not subject.calls:
        return {}
    meta_graph = smpatch.load(subject.directory).meta_graph(list(subject.tags))
    words = {}
    for key, signature in meta_graph.signatures.items():
        for alias, spec in (*signature.inputs.items(), *signature.outputs.items()):
            words[f"{key}.{alias}"] = str(getattr(spec, "name", ""))
    return words


def _edited(subject: Subject, case: Case, place: Path, words: Mapping[str, str]) -> Subject:
    target = place / f"{subject.name} {case.name}".replace(" ", "-")
    whole = {"MODEL": target, "PLAIN": subject.directory, "GRAPH": subject.directory / "graph.pb"}
    if subject.calls:
        shutil.copytree(subject.directory, target)
    for command in case.commands:
        typed = [str(whole.get(word, word)) for word in shlex.split(command % words)]
        if "--tag-set" not in typed and len(subject.tags) > 1 and typed[0] != "retag":
            typed += ["--tag-set", ",".join(subject.tags)]
        done = subprocess.run(
            [sys.executable, "-m", "smpatch", *typed],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"smpatch {command} on {subject.name}: {done.stderr}")
    calls = {key: call for key, call in {**subject.calls, **case.after}.items() if call}
    name = f"{subject.name}: {case.name}"
    return Subject(name, target, case.tags or subject.tags, calls, subject.record)


def read(python: Path, way: str, subjects: Sequence[Subject], place: Path) -> Any:  # noqa: ANN401 - JSON
    """Read models with an old TensorFlow in one way; return its answers, or why it cannot."""
    asked, answers = place / f"{way}-asked.json", place / f"{way}-answers.json"
    asked.write_text(json.dumps([_question(subject) for subject in subjects]))
    _run(python, "read", way, asked, answers)
    return json.loads(answers.read_text())


def _question(subject: Subject) -> dict[str, Any]:
    values = subject.record["feeds"]
    feeds = {
        key: {alias: values[name] for alias, name in call.inputs.items()}
        for key, call in subject.calls.items()
    }
    question = {"directory": str(subject.directory), "tags": subject.tags, "feeds": feeds}
    if "keras" in subject.record:
        question |= {"keras": subject.record["keras"], "values": values}
    return question


def judged(way: str, subjects: Sequence[Subject], answers: Any, *, own: bool) -> Outcome:  # noqa: ANN401 - JSON
    """Compare answers with the expected values.

    Args:
        way: The way of reading.
        subjects: The models that were read; each written model is before its edited copies.
        answers: One answer for each subject.
        own: Whether the release that reads also wrote the models.
    """
    good, wrong, beyond = 0, [], []
    unreadable = set()
    for subject, answer in zip(subjects, answers, strict=True):
        model = subject.name.partition(":")[0]
        complaint = complaints(way, subject, answer)
        if model in unreadable:
            continue
        if subject.plain and complaint and not own:
            unreadable.add(model)
            beyond.append(f"{way}, {model}: {complaint}")
        elif complaint:
            wrong.append(f"{way}, {subject.name}: {complaint}")
        else:
            good += 1
    return Outcome(good, tuple(wrong), tuple(beyond))


def complaints(way: str, subject: Subject, answer: Any) -> str:  # noqa: ANN401 - JSON
    """Return the first difference of an answer from the expected one; empty if there is none."""
    expected = _expected(way, subject)
    for key in sorted({*expected, *answer}):
        if key not in answer:
            return f"{key} is missing" if "refused" not in answer else str(answer["refused"])
        if key not in expected:
            return f"{key} is not expected: {answer[key]}"
        if answer[key] != expected[key]:
            return f"{key}: {answer[key]} instead of {expected[key]}"
    return ""


def _expected(way: str, subject: Subject) -> dict[str, Any]:
    truth = subject.record["truth"]
    if way == "keras":
        return {"keras": {"outputs": {name: truth[name] for name in subject.record["keras"]}}}
    expected: dict[str, Any] = {}
    for key, call in subject.calls.items():
        told: dict[str, Any] = {"inputs": sorted(call.inputs)}
        if way != "function":
            told["method"] = call.method
        if way == "show":
            told["names"] = sorted(call.outputs)
        else:
            told["outputs"] = {alias: truth[name] for alias, name in call.outputs.items()}
        expected[key] = told
    return expected
