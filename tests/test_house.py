"""The rules for the package as a whole, so that no reviewer must check them.

The linter checks docstrings, types and names. These tests check rules that concern all files
together, or that need a process of their own.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import smpatch
from tests.matrix import CELLS, QUICK

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "smpatch"
MODEL = ROOT / "fixtures" / "models" / "linear"

FACE = [
    "AliasError",
    "Change",
    "CheckOptions",
    "Checked",
    "Compared",
    "CompositeTensorSpec",
    "ConflictError",
    "Difference",
    "Edit",
    "EditSignature",
    "Fault",
    "Feeding",
    "Finding",
    "MetaGraph",
    "ModelUnreadableError",
    "Note",
    "Options",
    "Outcome",
    "Patch",
    "PatchFileError",
    "ProofError",
    "RaggedRef",
    "Receipt",
    "RefusedError",
    "Report",
    "Restored",
    "SameAs",
    "SavedModel",
    "Session",
    "SignatureDef",
    "SignatureExistsError",
    "SmpatchError",
    "SparseRef",
    "SparseTensorSpec",
    "Suggestions",
    "TagSetError",
    "TensorNotFoundError",
    "TensorSpec",
    "TensorUnservableError",
    "Undone",
    "UnreachableOutputError",
    "UsageError",
    "ValidationError",
    "WarmupRequest",
    "WriteError",
    "WrittenWarmup",
    "add_classify",
    "add_predict",
    "add_regress",
    "apply",
    "check",
    "check_all",
    "classification_signature_def",
    "compose_signature",
    "copy_signature",
    "copy_signatures",
    "derive_signature",
    "describe",
    "diff",
    "edit_signature",
    "load",
    "load_patch",
    "patch",
    "predict_signature_def",
    "promote_function",
    "regression_signature_def",
    "remove_meta_graph",
    "remove_signatures",
    "rename_signature",
    "retag",
    "set_init_op",
    "set_store_options",
    "suggest",
    "undo",
    "warmup_requests",
    "wrap_graph",
    "write_warmup",
]

MEANINGLESS = {"util", "utils", "helper", "helpers", "common", "misc", "core"}
LONGEST_FILE = 450


# The import of each of these alone takes longer than all of `show`.
HEAVY = {"tensorflow", "keras", "numpy", "pydantic"}

# The version from which Typer imports pydantic to parse any argument.
PYDANTIC_SINCE = Version("0.29")


def _sources() -> list[Path]:
    return [file for top in ("smpatch", "tests", "fixtures") for file in (ROOT / top).rglob("*.py")]


def test_no_file_is_too_long_to_read() -> None:
    lengths = {file.relative_to(ROOT): file.read_bytes().count(b"\n") for file in _sources()}
    too_long = {str(file) for file, length in lengths.items() if length > LONGEST_FILE}
    assert too_long == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {(file, part) for file in _sources() for part in file.relative_to(ROOT).parts}
    assert [str(file) for file, part in parts if part.removesuffix(".py") in MEANINGLESS] == []


def _talk(file: Path) -> Iterator[int]:
    """Yield the numbers of the lines of a file that print or take a standard stream."""
    streams = {"stdout", "stderr", "__stdout__", "__stderr__"}
    for node in ast.walk(ast.parse(file.read_bytes())):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield node.lineno
            case ast.Attribute(value=ast.Name(id="sys"), attr=attr) if attr in streams:
                yield node.lineno
            case ast.ImportFrom(module="sys", names=names) if {n.name for n in names} & streams:
                yield node.lineno


def test_only_the_command_line_prints() -> None:
    # These files run as programs, not as the library; the stdout of a child process is a pipe.
    programs = {PACKAGE / "runtime" / "child_main.py", PACKAGE / "beam" / "__main__.py"}
    talkers = {*programs, *(PACKAGE / "cli").rglob("*.py")}
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in set(PACKAGE.rglob("*.py")) - talkers
        for line in _talk(file)
    ]
    assert sorted(found) == []


def test_the_face_is_pinned_and_everything_in_it_explains_itself() -> None:
    assert smpatch.__all__ == FACE == sorted(FACE)
    silent = [name for name in FACE if not inspect.getdoc(getattr(smpatch, name))]
    assert silent == []


def _run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run Python; return the finished process and the names of the modules that it imported.

    ``-X importtime`` lists them on stderr. Unlike an environment variable, it does not apply
    to child processes, which may load TensorFlow.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stderr.splitlines()
    return done, {line.rpartition("|")[2].strip() for line in lines if "import time:" in line}


def _heavy(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} & HEAVY


def test_what_is_imported_can_be_told() -> None:
    # If this method missed imports, the tests below would always pass.
    assert _heavy(_run("-c", "import numpy.linalg")[1]) == {"numpy"}


def test_the_library_imports_light() -> None:
    done, modules = _run("-c", "import smpatch")
    assert done.returncode == 0
    assert "smpatch" in modules
    assert _heavy(modules) == set()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["--help"], 0),
        (["add-predict", "--help"], 0),
        (["apply", "--help"], 0),
        (["apply", "gone.toml", str(MODEL)], 3),
        (["show", str(MODEL)], 0),
        (["show", str(MODEL), "--json"], 0),
        *((["describe", str(MODEL), "--as", each], 0) for each in ("triton", "rest", "grpc")),
        (["describe", str(MODEL), "--as", "markdown", "--json"], 0),
        (["show", str(MODEL / "variables")], 3),
        (["add-predict", str(MODEL)], 2),
        (["add-predict", str(MODEL / "gone"), "--inputs", "x:0", "--outputs", "y:0"], 3),
        (["add-predict", str(MODEL), "--inputs", "x:0", "--outputs", "Y:0"], 4),
        (["add-predict", str(MODEL), "--inputs", "x:7", "--outputs", "y:0"], 4),
        (["add-predict", str(MODEL), "--inputs", "x", "--outputs", "y", "--signature", "scale"], 4),
    ],
)
def test_what_needs_no_tensorflow_does_not_import_it(arguments: list[str], exit_code: int) -> None:
    done, modules = _run("-m", "smpatch", *arguments)
    assert done.returncode == exit_code, done.stderr
    assert "smpatch.cli" in modules
    typers = Version(importlib.metadata.version("typer")) >= PYDANTIC_SINCE
    assert _heavy(modules) - ({"pydantic"} if typers else set()) == set()


LOCK_LINES = {
    "remark": re.compile(r" *# [\w ().,:-]+"),
    "package": re.compile(r"[a-z0-9-]+==[\w.]+( ; [\w .*<>=!'()]+)? \\"),
    "hash": re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?"),
}


def _lock() -> list[tuple[str, str]]:
    """Return the lines of the lock with their kind; the lock must not hold a ``stranger``."""
    lines = []
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        kinds = (kind for kind, form in LOCK_LINES.items() if form.fullmatch(line))
        lines.append((next(kinds, "stranger"), line))
    return lines


def test_the_lock_holds_packages_with_hashes_and_no_addresses() -> None:
    lines = _lock()
    assert [line for kind, line in lines if kind == "stranger"] == []
    kinds = [kind for kind, _ in lines]
    assert "package" in kinds
    bare = [
        line
        for (kind, line), following in zip(lines, [*kinds[1:], "end"], strict=True)
        if kind == "package" and following != "hash"
    ]
    assert bare == []


def test_the_lock_satisfies_what_the_package_asks_for() -> None:
    locked: dict[str, list[str]] = {}
    for kind, line in _lock():
        if kind == "package":
            name, _, rest = line.partition("==")
            locked.setdefault(name, []).append(rest.split()[0])
    wanted = [Requirement(text) for text in importlib.metadata.requires("smpatch") or ()]
    wanted = [each for each in wanted if "extra" not in str(each.marker)]  # not in the lock
    assert {each.name for each in wanted} == {"protobuf", "tensorflow", "tomli", "typer"}
    for requirement in wanted:
        assert locked[requirement.name]
        for version in locked[requirement.name]:
            assert requirement.specifier.contains(version), f"{requirement}: {version} is locked"


def test_the_tests_that_the_matrix_and_make_prove_name_are_there() -> None:
    """Pytest runs no test at all if one of its paths is missing."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (proofs,) = re.findall(r"^PROOFS := (.*)$", makefile, re.MULTILINE)
    named = [*QUICK, *proofs.split()]
    assert len(named) > 30
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_the_matrix_has_the_oldest_typer_that_is_allowed_and_the_newest_there_is() -> None:
    cells = {cell.name.partition("-")[0]: cell.requirements for cell in CELLS}
    (oldest,) = [each for each in cells["oldest"] if each.startswith("typer")]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (allowed,) = re.findall(r'^    "(typer.*)",$', project, re.MULTILINE)
    assert oldest == f"{allowed.replace('>=', '==')}.0"
    assert "typer" in cells["newest"]


def test_the_compiled_schema_is_that_of_the_proto(tmp_path: Path) -> None:
    # The lock file pins the compiler; older releases of protobuf have none that is equal.
    pytest.importorskip("grpc_tools", reason="the lock file is not what is installed")
    source, compiled = PACKAGE / "schema" / "saved_model.proto", tmp_path / "saved_model.binpb"
    options = [f"-I{source.parent}", f"--descriptor_set_out={compiled}"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *options, source.name], check=True, timeout=60
    )
    assert compiled.read_bytes() == source.with_suffix(".binpb").read_bytes(), "run make schema"


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("smpatch/")}
    kinds = {".py", ".typed", ".proto", ".binpb", ".json", ".html", ".css", ".js"}
    files = {file for file in PACKAGE.rglob("*") if file.suffix in kinds}
    assert packed == {file.relative_to(ROOT).as_posix() for file in files}


def test_the_client_program_uses_every_public_function() -> None:
    program = ast.parse((ROOT / "tests" / "client_program.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(program) if isinstance(node, ast.Attribute)}
    functions = {name for name in smpatch.__all__ if inspect.isfunction(getattr(smpatch, name))}
    assert functions <= used


def test_no_hint_begins_in_the_middle_of_a_choice() -> None:
    """A hint that began with "or" was the whole hint if the first choice was left out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign):
                value: ast.AST = node.value
            elif isinstance(node, ast.keyword) and node.arg == "hint":
                value = node.value
            else:
                continue
            if isinstance(value, ast.JoinedStr) and value.values:
                value = value.values[0]
            text = value.value if isinstance(value, ast.Constant) else ""
            assert not str(text).startswith("or "), f"{path}:{getattr(node, 'lineno', '')}"
