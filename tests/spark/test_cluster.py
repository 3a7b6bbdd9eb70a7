"""A cluster of Spark edits models; the tests kill a worker meanwhile, and no model is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import smpatch
from tests.beam.test_pipelines import LINEAR
from tests.beam.test_pipelines import place as place  # noqa: PLC0414 - a fixture
from tests.docs.pages import page
from tests.spark.conftest import Cluster

MODELS = 6
LIMIT = 500
PROGRAM = """
import json
import sys
import time
import smpatch
from pyspark.sql import SparkSession
edits = smpatch.load_patch("p.toml").edits
def patched(models):
    with smpatch.Session(smpatch.Options(validate="runtime")) as session:
        for model in models:
            yield model, session.patch(model, edits, once=True).outcome
            time.sleep(1)
context = SparkSession.builder.getOrCreate().sparkContext
print(json.dumps(context.parallelize(sys.argv[1:], 2).mapPartitions(patched).collect()))
"""


def test_the_program_of_the_page_prints_what_it_shows(tmp_path: Path, cluster: Cluster) -> None:
    blocks = page("docs/beam.md").blocks
    at = next(number for number, each in enumerate(blocks) if "pyspark" in each.text)
    patch = next(each.text for each in blocks if each.kind == "toml")
    (tmp_path / "patch.toml").write_text(patch, encoding="utf-8")
    for name in ("1", "2"):
        model = tmp_path / "models" / name
        shutil.copytree(LINEAR, model)
        smpatch.patch(model, smpatch.load_patch(tmp_path / "patch.toml").edits)
    done = subprocess.run(
        [sys.executable, "-c", blocks[at].text],
        cwd=tmp_path, env=cluster.environment, check=True,
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert done.stdout == blocks[at + 1].text


def _program(place: Path, cluster: Cluster) -> subprocess.Popen[str]:
    models = [str(place / f"models/m{number}/1") for number in range(MODELS)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *models],
        cwd=place, env=cluster.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _keys(place: Path) -> list[set[str]]:
    return [set(smpatch.load(place / f"models/m{each}/1").signatures) for each in range(MODELS)]


def _below(process: int) -> list[int]:
    """Return the numbers of a process and of all its descendants."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(each) for file in children for each in file.read_text().split()]
    return [process, *(each for child in found for each in _below(child))]


def test_a_worker_that_is_killed_loses_no_model(place: Path, cluster: Cluster) -> None:
    with _program(place, cluster) as running:
        until = time.monotonic() + LIMIT
        while time.monotonic() < until and {"serving_default"} not in _keys(place):
            time.sleep(0.05)
        for each in _below(cluster.workers[0]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        assert {"scale"} in _keys(place), "it was killed too late"
        said, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 0
    outcomes = dict(json.loads(said))
    assert len(outcomes) == MODELS
    assert set(outcomes.values()) <= {"renamed", "unchanged"}
    assert _keys(place) == [{"serving_default"}] * MODELS
    files = {file: file.read_bytes() for file in place.glob("models/m*/1/saved_model.pb")}
    with _program(place, cluster) as again:
        said, _ = again.communicate(timeout=LIMIT)
    assert set(dict(json.loads(said)).values()) == {"unchanged"}
    assert {file: file.read_bytes() for file in files} == files
    for file in files:
        assert smpatch.check(file.parent).faults == ()
