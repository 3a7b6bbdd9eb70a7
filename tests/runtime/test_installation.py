"""TensorFlow is found by its files, never by an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from smpatch.runtime import installation
from tests.tensorflow_says import ask


def install(site: Path, files: list[str], distribution: str | None = None) -> Path:
    """Write a TensorFlow of empty files."""
    root = site / "tensorflow"
    for name in ["__init__.py", *files]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if distribution is not None:
        metadata = site / f"{distribution.replace('-', '_')}-2.99.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {distribution}\nVersion: 2.99.1\n")
        (metadata / "top_level.txt").write_text("tensorflow\n")
    return root


def test_the_installed_one_has_all_parts(installed: installation.Wheel) -> None:
    for part in (
        installed.framework_library,
        installed.cc_library,
        installed.saved_model_extension,
    ):
        assert part is not None
        assert part.is_file()
    assert installed.version is not None
    assert installed.version[0].isdigit()


def test_the_version_from_git_is_that_of_the_library(
    installed: installation.Wheel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert installed.git_version == ask("classify_regress", tmp_path_factory)["git_version"]


def test_without_the_extension_there_is_no_version_from_git(tmp_path: Path) -> None:
    root = install(tmp_path, [])
    found = installation.Wheel(root, None, None, None)
    assert found.git_version is None
    extension = root / "python" / "client" / "_pywrap_tf_session.so"
    extension.parent.mkdir(parents=True)
    extension.write_bytes(b"\x7fELF\0v9.9\0git\0")
    assert found.git_version is None
    extension.write_bytes(b"\x7fELF\0v1.12.1-128-g0123456789ab-dirty\0")
    assert found.git_version == "v1.12.1-128-g0123456789ab-dirty"


def test_finding_imports_neither_tensorflow_nor_numpy() -> None:
    program = (
        "import sys\nfrom smpatch.runtime import installation, process, questions\n"
        "assert installation.find() is not None\n"
        "print(sorted({'tensorflow', 'numpy'} & sys.modules.keys()))"
    )
    root = Path(installation.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("distribution", ["tensorflow", "tensorflow-cpu"])
@pytest.mark.parametrize(
    ("framework", "cc"),
    [
        ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"),
        ("libtensorflow_framework.2.dylib", "libtensorflow_cc.2.dylib"),
    ],
)
def test_libraries_of_linux_and_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distribution: str, framework: str, cc: str
) -> None:
    root = install(tmp_path, [framework, cc], distribution)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installation.find() == installation.Wheel(root, root / framework, root / cc, None)
    found = installation.find()
    assert found is not None
    assert found.version == "2.99.1"


def test_another_distribution_does_not_lend_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, [], "tensorflow-hub")
    (tmp_path / "tensorflow_hub-2.99.1.dist-info" / "top_level.txt").write_text("tensorflow_hub\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = installation.find()
    assert found is not None
    assert found.version is None
    assert found.cc_library is None


def test_what_lies_in_the_working_directory_is_not_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, ["libtensorflow_cc.so.2"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path)])
    assert installation.find() is None


@pytest.mark.parametrize("name", ["tensorflow.py", "tensorflow/models/readme"])
def test_a_namesake_is_not_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installation.find() is None


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert installation.import_path(["", "lib", "/lib/python"]) == ["/lib/python"]
    monkeypatch.chdir(tmp_path)
