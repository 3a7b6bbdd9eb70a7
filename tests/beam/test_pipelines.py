"""Pipelines of Apache Beam edit and check models; each model has an outcome.

Beam has its own protobuf and threads, so each pipeline runs in a new process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import smpatch

ROOT = Path(__file__).resolve().parents[2]
LINEAR = ROOT / "fixtures" / "models" / "linear"
PATCH = 'version = 1\n[[edit]]\nrename = "scale"\nto = "serving_default"\n'
TWO_THREADS = ("--direct_num_workers", "2")
TWO_WORKERS = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "2")
TRANSFORM = """
import sys
import apache_beam as beam
import smpatch
from smpatch.beam import ModelOutcome, PatchModels
from smpatch.edits import Rename
coder = beam.coders.registry.get_coder(ModelOutcome)
one = ModelOutcome("m", "edited", ("a", "b"), (), "", 0, 1.5)
again = coder.decode(coder.encode(one))
assert ModelOutcome(*again) == one, again
with beam.Pipeline() as pipeline:
    outcomes = pipeline | beam.Create(sys.argv[1:]) | PatchModels(
        Rename("scale", "serving_default"), smpatch.Options(validate="none"))
    outcomes | beam.Map(lambda each: print("outcome", each.outcome, each.exit_code))
"""
IGNORING = """
import sys
import apache_beam as beam
import smpatch
from smpatch.beam import CheckModels
options = smpatch.CheckOptions(ignore=sys.argv[2].split(","))
with beam.Pipeline() as pipeline:
    outcomes = pipeline | beam.Create(sys.argv[1:2]) | CheckModels(options)
    outcomes | beam.Map(
        lambda each: print("outcome", each.outcome, each.exit_code, each.changes))
"""
MEETING = """
import sys
import threading
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from smpatch.beam import transforms
both = threading.Barrier(2)
seen = []
def meet(session, model):
    both.wait(60)
    seen.append(id(session))
    return transforms.ModelOutcome(model, "met", (), (), "", 0, 0.0)
def run():
    with beam.Pipeline(options=PipelineOptions(["--direct_num_workers", "2"])) as pipeline:
        transforms._spread(pipeline | beam.Create([*"abcdefgh"]), meet)
    print(len(seen), len(set(seen)))
"""

needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="apache-beam is not installed (the extra beam)",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Six models and a directory without a model, with a patch file beside them."""
    for number in range(6):
        shutil.copytree(LINEAR, tmp_path / "models" / f"m{number}" / "1")
    (tmp_path / "models" / "none" / "1").mkdir(parents=True)
    (tmp_path / "p.toml").write_text(PATCH)
    return tmp_path


def _run(
    place: Path, *options: str, models: str = "models/*/1"
) -> subprocess.CompletedProcess[str]:
    command = [*_command(*options), "--models", models, "--outcomes", "out.jsonl"]
    return subprocess.run(
        command,
        cwd=place,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
    )


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "smpatch.beam", *options]


def environment() -> dict[str, str]:
    """Return the environment of a pipeline, which imports the package of this tree."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _outcomes(place: Path) -> dict[str, dict[str, Any]]:
    lines = (place / "out.jsonl").read_text().splitlines()
    return {each["model"]: each for each in map(json.loads, lines)}


def _kinds(place: Path) -> Sequence[str]:
    return sorted(each["outcome"] for each in _outcomes(place).values())


@needs_beam
@pytest.mark.parametrize(
    "workers", [(), TWO_THREADS, TWO_WORKERS], ids=["one", "two threads", "two processes"]
)
def test_each_model_has_an_outcome_and_a_second_run_changes_nothing(
    place: Path, workers: Sequence[str]
) -> None:
    done = _run(place, "--patch", "p.toml", "--validate", "runtime", *workers)
    assert (done.returncode, _kinds(place)) == (3, ["edited"] * 6 + ["failed"]), done.stderr
    assert done.stdout.splitlines()[-1] == "7 models: 6 edited, 1 failed; outcomes in out.jsonl"
    failed = _outcomes(place)["models/none/1"]
    assert (failed["exit_code"], "no saved_model.pb" in failed["error"]) == (3, True)
    for number in range(6):
        assert set(smpatch.load(place / f"models/m{number}/1").signatures) == {"serving_default"}
    before = {file: file.read_bytes() for file in place.glob("models/*/1/*.pb")}
    _run(place, "--patch", "p.toml", "--validate", "runtime", *workers)
    assert _kinds(place) == ["failed"] + ["unchanged"] * 6
    assert {file: file.read_bytes() for file in place.glob("models/*/1/*.pb")} == before


@needs_beam
def test_models_are_checked(place: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "models" / "wrong_dtype", place / "models" / "wrong" / "1")
    done = _run(place, "--check", "--validate", "none")
    assert done.returncode == 3, done.stderr
    assert _kinds(place) == ["failed", "faults", *["passed"] * 6]
    found = smpatch.check(
        place / "models" / "wrong" / "1", options=smpatch.CheckOptions(validate="none")
    )
    told = _outcomes(place)["models/wrong/1"]["changes"]
    assert len(told) == sum(each.severity == "fault" for each in found.findings)


@needs_beam
def test_faults_that_are_ignored_do_not_count() -> None:
    wrong = ROOT / "fixtures" / "models" / "wrong_dtype"
    codes = {each.code for each in smpatch.check(wrong).faults}
    done = subprocess.run(
        [sys.executable, "-c", IGNORING, str(wrong), ",".join(codes)],
        check=False, capture_output=True, text=True, timeout=300, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "outcome passed 0 ()"


@needs_beam
def test_what_a_patch_file_sets_for_all_edits_holds(place: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "models" / "module", place / "both" / "1")
    (place / "p.toml").write_text(
        "version = 1\nsignature-def-only = true\n"
        '[[edit]]\nrename = "serving_default"\nto = "renamed"\n'
    )
    done = _run(place, "--patch", "p.toml", "--validate", "none", models="both/*")
    assert done.returncode == 0, done.stderr
    meta_graph = smpatch.load(place / "both" / "1").meta_graph()
    assert set(meta_graph.signatures) == {"renamed"}
    assert set(meta_graph.objects.signatures) == {"serving_default"}


@needs_beam
def test_a_pipeline_that_is_killed_leaves_old_and_new_models_and_a_second_one_ends_it(
    place: Path,
) -> None:
    command = _command("--patch", "p.toml", "--models", "models/m*/1", "--outcomes", "out.jsonl")
    running = subprocess.Popen(
        [*command, *TWO_WORKERS], cwd=place, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 120
    while time.monotonic() < until and not _edited(place):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    for number in range(6):
        keys = set(smpatch.load(place / f"models/m{number}/1").signatures)
        assert keys in ({"scale"}, {"serving_default"})
    done = _run(place, "--patch", "p.toml", "--validate", "none", models="models/m*/1")
    assert done.returncode == 0, done.stderr
    assert len(_outcomes(place)) == 6
    for number in range(6):
        assert set(smpatch.load(place / f"models/m{number}/1").signatures) == {"serving_default"}


def _edited(place: Path) -> bool:
    old = (LINEAR / "saved_model.pb").stat().st_size
    return any(file.stat().st_size != old for file in place.glob("models/m*/1/saved_model.pb"))


@needs_beam
def test_a_transform_yields_outcomes_that_beam_can_encode(place: Path) -> None:
    models = [str(place / "models" / name / "1") for name in ("m0", "none")]
    done = subprocess.run(
        [sys.executable, "-c", TRANSFORM, *models],
        check=False, capture_output=True, text=True, timeout=300, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if line.startswith("outcome"))
    assert said == ["outcome edited 0", "outcome failed 3"]


@needs_beam
def test_threads_of_the_local_runner_do_not_wait_for_each_other(place: Path) -> None:
    (place / "meeting.py").write_text(MEETING)
    done = subprocess.run(
        [sys.executable, "-c", "import meeting; meeting.run()"],
        cwd=place, check=False, capture_output=True, text=True, timeout=300, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "8 2\n"


@needs_beam
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--patch", "absent.toml"), 3, "absent.toml: cannot be read: no such file or directory"),
        (("--patch", "p.toml", "--validate", "never"), 2, "'never' is not a mode of --validate"),
    ],
)
def test_mistakes_are_one_line(place: Path, options: Sequence[str], code: int, words: str) -> None:
    done = _run(place, *options)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_beam_an_error_says_what_to_install(place: Path) -> None:
    hidden = place / "hidden" / "apache_beam"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('hidden by the test')")
    env = {**environment(), "PYTHONPATH": os.pathsep.join((str(hidden.parent), str(ROOT)))}
    done = subprocess.run(
        [*_command("--check", "--models", "models/*/1", "--outcomes", "out.jsonl")],
        cwd=place, check=False, capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "smpatch: Apache Beam cannot be imported (hidden by the test); "
        "pip install 'smpatch[beam]'\n"
    )
