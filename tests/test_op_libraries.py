"""``--op-library`` accepts the package that has the libraries; errors name this package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import smpatch
from smpatch.errors import UsageError, ValidationError
from smpatch.op_libraries import op_libraries, package_of
from smpatch.runtime import installation
from smpatch.validator.edited import Mode

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"

REGISTERS = b"\x7fELF ... _ZN10tensorflow12OpDefBuilder4AttrE ..."
EXTENSION = REGISTERS + b" PyInit__text"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with two libraries, an extension of Python and another file."""
    top = tmp_path / "site" / "echo_ops"
    (top / "python" / "ops").mkdir(parents=True)
    (top / "__init__.py").write_text("raise RuntimeError('it is not to be imported')\n")
    (top / "python" / "ops" / "_a.so").write_bytes(REGISTERS)
    (top / "python" / "ops" / "_b.so").write_bytes(REGISTERS)
    (top / "python" / "binding.so").write_bytes(EXTENSION)
    (top / "python" / "other.so").write_bytes(b"\x7fELF")
    (top / "python" / "empty.so").write_bytes(b"")
    monkeypatch.syspath_prepend(str(top.parent))
    return top


def test_a_package_is_its_libraries_that_register_operations(package: Path) -> None:
    found = (package / "python" / "ops" / "_a.so", package / "python" / "ops" / "_b.so")
    assert op_libraries("echo_ops") == found
    assert op_libraries([package, "x.so"]) == (*found, Path("x.so"))
    assert smpatch.Options(op_libraries="echo_ops").op_libraries == found
    assert smpatch.CheckOptions(op_libraries=["echo_ops"]).op_libraries == found


def test_a_patch_file_takes_the_package_that_an_error_names(package: Path, tmp_path: Path) -> None:
    """The name was taken for a file beside the patch file."""
    text = 'version = 1\nop-library = ["echo_ops", "x.so"]\n[[edit]]\nremove = "k"\n'
    file = tmp_path / "patch.toml"
    file.write_text(text)
    found = (package / "python" / "ops" / "_a.so", package / "python" / "ops" / "_b.so")
    patch = smpatch.load_patch(file)
    options = smpatch.Options(op_libraries=patch.op_libraries)
    assert options.op_libraries == (*found, tmp_path / "x.so")
    (tmp_path / "echo_ops").mkdir()
    assert smpatch.load_patch(file).op_libraries == (tmp_path / "echo_ops", tmp_path / "x.so")


@pytest.mark.parametrize("name", ["no_such_package", "json", "a/b.so", "echo-ops"])
def test_other_names_stay_and_are_refused_as_files(name: str) -> None:
    assert op_libraries([name]) == (Path(name),)
    options = smpatch.CheckOptions(op_libraries=[name])
    with pytest.raises(UsageError, match="no such file"):
        smpatch.check(MODELS / "linear", options=options)


@pytest.mark.parametrize(
    ("operation", "package"),
    [
        ("CaseFoldUTF8", "tensorflow_text"),
        ("WhitespaceTokenizeWithOffsetsV2", "tensorflow_text"),
        ("SentencepieceTokenizeOp", "tensorflow_text"),
        ("SimpleMLInferenceOpWithHandle", "tensorflow_decision_forests"),
        ("Addons>EuclideanDistanceTransform", "tensorflow_addons"),
        ("MatMul", ""),
        ("SmpatchEcho", ""),
    ],
)
def test_known_operations_name_their_package(operation: str, package: str) -> None:
    assert package_of(operation) == package


def test_all_missing_operations_are_named_at_once_with_their_package(tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))
    file = model / "saved_model.pb"
    data = file.read_bytes()
    # Two operations of the graph get unknown names of the same length.
    changed = data.replace(b"\x12\x03Mul", b"\x12\x03Zul").replace(
        b"\x12\x05AddV2", b"\x12\x05AddZ2"
    )
    assert changed != data
    file.write_bytes(changed)
    with pytest.raises(ValidationError) as caught:
        smpatch.rename_signature(model, "scale", "other")
    assert "'AddZ2', 'Zul'" in caught.value.found
    assert "--op-library FILE" in caught.value.hint
    assert file.read_bytes() == changed
    report = smpatch.check(model)
    (finding,) = (each for each in report.findings if each.code == "unregistered-operation")
    assert "'AddZ2', 'Zul'" in finding.text
    assert finding.hint == "load its library with --op-library FILE"
    with pytest.raises(ValidationError, match="'AddZ2', 'Zul'"):
        smpatch.rename_signature(model, "scale", "other", options=smpatch.Options(dry_run=True))


DOES = {
    "crash": 'fputs("a word of the library\\n", stderr); abort();',
    "hang": "for (;;) sleep(1000);",
}


def _library(does: str, file: Path) -> Path:
    """Compile a library that does something when it is loaded."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc to compile a library with")
    source = file.with_suffix(".c")
    headers = "".join(f"#include <{each}.h>\n" for each in ("stdio", "stdlib", "unistd"))
    source.write_text(f"{headers}__attribute__((constructor)) void at_load(void) {{ {does} }}\n")
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", file], check=True)
    return file


@pytest.mark.parametrize("validate", ["auto", "full"])
def test_a_library_that_crashes_gave_a_traceback_or_a_fault_of_the_model(
    tmp_path: Path, validate: Mode
) -> None:
    library = _library(DOES["crash"], tmp_path / "crash.so")
    model = Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))
    options = smpatch.Options(op_libraries=[library], validate=validate)
    with pytest.raises(ValidationError) as caught:
        smpatch.rename_signature(model, "scale", "other", options=options)
    assert caught.value.where == str(library)
    words = "it ends TensorFlow's process: killed by SIGABRT: a word of the library"
    assert caught.value.found == words


def test_a_library_that_crashes_or_hangs_is_no_fault_of_a_checked_model(tmp_path: Path) -> None:
    crash = _library(DOES["crash"], tmp_path / "crash.so")
    options = smpatch.CheckOptions(op_libraries=[crash])
    with pytest.raises(ValidationError, match=r"crash\.so: it ends TensorFlow's process"):
        smpatch.check(MODELS / "linear", options=options)
    hang = _library(DOES["hang"], tmp_path / "hang.so")
    options = smpatch.CheckOptions(op_libraries=[hang], time_limit=8, validate="runtime")
    with pytest.raises(ValidationError, match=r"hang\.so: TensorFlow does not load it within 8 s"):
        smpatch.check(MODELS / "linear", options=options)


def test_a_session_loads_a_library_again_that_was_built_again(tmp_path: Path) -> None:
    """The children had the old library, with which the model was validated."""
    library = _library("", tmp_path / "ops.so")
    model = Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))
    with smpatch.Session(smpatch.Options(op_libraries=[library])) as session:
        session.copy_signature(model, "scale", "one")
        _library(DOES["crash"], tmp_path / "new.so").replace(library)
        for _ in range(2):
            with pytest.raises(ValidationError, match=r"ops\.so: it ends TensorFlow's process"):
                session.copy_signature(model, "scale", "two")
    assert set(smpatch.load(model).signatures) == {"scale", "one"}


@pytest.mark.own_children
def test_a_tensorflow_that_crashes_at_its_start_is_no_fault_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow crashes so on a processor without AVX."""
    root = tmp_path / "tensorflow"
    root.mkdir()
    library = _library(DOES["crash"], root / "libtensorflow_cc.so.2")
    (root / "__init__.py").write_text("import os\nos.abort()\n")
    broken = installation.Wheel(root, library, library, None)
    monkeypatch.setattr(installation, "find", lambda: broken)
    words = "TensorFlow cannot be loaded: its process ended: killed by SIGABRT"
    with pytest.raises(ValidationError, match="cannot be asked: its process ended: killed by SIG"):
        smpatch.check(MODELS / "linear")
    model = Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))
    for libraries in ((), (library,)):
        options = smpatch.Options(op_libraries=libraries)
        with pytest.raises(ValidationError, match=words):
            smpatch.rename_signature(model, "scale", "other", options=options)
