"""Edits of models that end TensorFlow's process, make it hang or fill the terminal.

The tests use the command line, as users do. ``test_process`` tests the child alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import google.protobuf
import pytest

import smpatch
from smpatch import Options, ValidationError
from smpatch.runtime import process, questions
from smpatch.runtime.process import Child
from smpatch.validator import Mode
from tests.prove.ledger import Count

ADD = ("add-predict", "--inputs", "x:0", "--outputs", "y:0")
SECONDS = 120.0
# As the installed command: without the current directory on the path.
_COMMAND = "import sys; sys.path.pop(0); from smpatch.cli import main; sys.exit(main())"
ROOT = Path(process.__file__).parents[2]

pytestmark = pytest.mark.proof("models that kill, hang or print")


def _run(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.fixture(autouse=True)
def _counted(count: Count) -> None:
    count.add(models=1)


def _copied(models: Path, name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models / name, tmp_path / name))


def _content(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("validate", ["auto", "full"])
def test_model_that_aborts_tensorflow_is_refused_with_signal_and_last_words(
    models: Path, tmp_path: Path, validate: str
) -> None:
    place = _copied(models, "abort", tmp_path)
    before = _content(tmp_path)
    done = _run(*ADD[:1], str(place), *ADD[1:], "--validate", validate)
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "killed by SIGABRT" in done.stderr
    assert "Check failed: red words" in done.stderr
    assert "\x1b" not in done.stderr
    assert "the unedited model ends it, too: killed by SIGABRT" in done.stderr
    assert _content(tmp_path) == before


@pytest.mark.parametrize("validate", ["runtime", "full"])
def test_crash_that_the_original_does_not_cause_is_told_apart(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validate: Mode
) -> None:
    """The loader that runs last gets a model that aborts, in the place of the edited one."""
    place = _copied(models, "kinds", tmp_path)
    before = _content(tmp_path)
    name = {"runtime": "describe", "full": "python_signatures"}[validate]
    load = getattr(questions, name)

    def misled(child: Child, directory: Path, *others: object, **options: object) -> object:
        wanted = place if directory == place else models / "abort"
        return load(child, wanted, *others, **options)

    monkeypatch.setattr(questions, name, misled)
    with pytest.raises(ValidationError, match="killed by SIGABRT") as caught:
        smpatch.add_predict(
            place,
            inputs={"rows": "partly:0"},
            outputs={"twice": "doubled:0"},
            options=Options(validate=validate, overwrite=True),
            signature="added",
        )
    assert caught.value.hint == "the unedited model does not end it; the model is unchanged"
    assert _content(tmp_path) == before


def test_python_loader_that_crashed_before_too_is_a_note(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _copied(models, "kinds", tmp_path)
    load = questions.python_signatures

    def misled(
        child: Child, _: Path, tags: tuple[str, ...], limit: float, *, variables: bool
    ) -> object:
        return load(child, models / "abort", tags, limit, variables=variables)

    monkeypatch.setattr(questions, "python_signatures", misled)
    receipt = smpatch.add_predict(
        place,
        inputs={"rows": "partly:0"},
        outputs={"twice": "doubled:0"},
        signature="added",
        options=Options(validate="full"),
    )
    (note,) = [each for each in receipt.notes if each.code == "python-loader-failed-before"]
    assert "killed by SIGABRT with the unedited model, too" in note.text


@pytest.mark.parametrize("validate", ["runtime", "full"])
def test_what_a_model_prints_reaches_no_stream_of_the_user(
    models: Path, tmp_path: Path, validate: str
) -> None:
    place = _copied(models, "noise", tmp_path)
    done = _run(*ADD[:1], str(place), *ADD[1:], "--validate", validate)
    assert done.returncode == 0
    assert "printed" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_neither_environment_nor_directory_of_the_user_changes_the_result(
    models: Path, tmp_path: Path
) -> None:
    """The current directory and the path have traps, and variables could change TensorFlow."""
    (tmp_path / "traps").mkdir()
    for name in ("json", "ctypes", "tensorflow", "numpy", "sitecustomize", "google"):
        (tmp_path / "traps" / f"{name}.py").write_text("import os\nos._exit(66)\n")
    quiet, noisy = (_copied(models, "kinds", tmp_path / name) for name in ("quiet", "noisy"))
    hostile = {
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "TF_CPP_MAX_VLOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "nonsense",
        "TF_XLA_FLAGS": "--no_such_flag",
        "TF_USE_LEGACY_KERAS": "1",
        "TF2_BEHAVIOR": "0",
        "XLA_FLAGS": "--no_such_flag",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "OMP_NUM_THREADS": "nonsense",
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "KERAS_BACKEND": "jax",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    }
    if google.protobuf.__version__.startswith("4.") and sys.version_info >= (3, 12):
        del hostile["PYTHONWARNINGS"]  # protobuf itself warns at its import, so all would fail
    add = ("--inputs", "rows=partly:0", "--outputs", "twice=doubled:0", "--signature", "added")
    first = _run("add-predict", str(quiet), *add, "--validate", "full", "--json")
    second = _run(
        *("add-predict", str(noisy), *add, "--validate", "full", "--json"),
        env=hostile,
        cwd=tmp_path / "traps",
    )
    assert (second.returncode, second.stderr) == (first.returncode, first.stderr) == (0, "")
    assert second.stdout.replace("noisy", "quiet") == first.stdout
    kept, got = (each / "saved_model.pb" for each in (quiet, noisy))
    assert got.read_bytes() == kept.read_bytes()


def test_model_that_never_finishes_loading_ends_at_the_limit(models: Path, tmp_path: Path) -> None:
    place = _copied(models, "loop_for_ever", tmp_path)
    before = _content(tmp_path)
    begin = time.monotonic()
    done = _run(*ADD[:1], str(place), *ADD[1:], "--time-limit", "3")
    assert 3 <= time.monotonic() - begin < 60
    assert done.returncode == 5
    assert "within 3 s" in done.stderr
    assert _content(tmp_path) == before
