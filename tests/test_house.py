"""The rules that hold for the package as a whole, and that no reviewer should have to watch.

What the linter sees (docstrings, types, names) is left to it; here is what needs a view
of all files at once, or a process to look into.
"""

from __future__ import annotations

import ast
import graphlib
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
from tests.matrix import CELLS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "smpatch"
MODEL = ROOT / "fixtures" / "models" / "linear"

# A package imports from the lines above its own, and from no other.
LAYERS = (
    {"errors", "schema", "runtime"},
    {"dtypes", "wire"},
    {"minimal"},
    {"signature", "savedmodel"},
    {"graph", "values", "edits"},
    {"loader", "tensor_syntax", "warmup"},
    {"rules", "functions"},
    {"builder", "proof"},
    {"suggestions", "differ", "patchfile"},
    {"writer", "runs"},
    {"validator"},
    {"editing"},
    {"already_applied", "transaction", "checker"},
    {"patcher", "undoing"},
    {"frozen_graph", "other_export", "batch"},
    {"__init__"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}

# These may be imported by fewer packages than the order allows.
ONLY_FOR = {
    # cli starts a child before anything else is imported, and leaves it to the validator.
    "runtime": {"validator", "patcher", "checker", "frozen_graph", "cli", "runs"},
    "__init__": {"cli", "__main__"},
    "cli": {"__main__"},
}

FACE = [
    "AliasError",
    "Change",
    "CheckOptions",
    "Compared",
    "CompositeTensorSpec",
    "ConflictError",
    "Difference",
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
    "SignatureDef",
    "SignatureExistsError",
    "SmpatchError",
    "SparseRef",
    "SparseTensorSpec",
    "TagSetError",
    "TensorNotFoundError",
    "TensorSpec",
    "TensorUnservableError",
    "Undone",
    "UnreachableOutputError",
    "UsageError",
    "ValidationError",
    "WriteError",
    "add_classify",
    "add_predict",
    "add_regress",
    "apply",
    "check",
    "classification_signature_def",
    "copy_signature",
    "copy_signatures",
    "derive_signature",
    "diff",
    "edit_signature",
    "load",
    "load_patch",
    "patch",
    "predict_signature_def",
    "promote_function",
    "regression_signature_def",
    "remove_signatures",
    "rename_signature",
    "retag",
    "undo",
    "wrap_graph",
]

MEANINGLESS = {"util", "utils", "helper", "helpers", "common", "misc", "core"}
LONGEST_FILE = 450

# Each of these alone costs more than all that `show` does.
HEAVY = {"tensorflow", "keras", "numpy", "pydantic"}

# Typer imports it to parse any argument, from this version on.
PYDANTIC_SINCE = Version("0.29")


def _modules(package: Path) -> dict[str, Path]:
    """Map the dotted names of a package's modules to their files."""
    modules = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return modules


def _package(module: str) -> str:
    """Name the package of a module; the names of the whole package stand in ``__init__``."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


def _named(node: ast.AST, package: str) -> Iterator[tuple[str, ...]]:
    """Yield what one statement or call imports: the longest name first, then what it may be in.

    Args:
        node: Any node of the syntax tree.
        package: The package that relative imports start from.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.name,)
    elif isinstance(node, ast.ImportFrom):
        start = package.split(".")[: len(package.split(".")) + 1 - node.level]
        parts = [*(start if node.level else ()), *([node.module] if node.module else ())]
        base = ".".join(parts)
        for alias in node.names:
            yield (f"{base}.{alias.name}", base)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        # importlib.import_module and __import__ hide an import from a reader, not from here.
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
            yield (node.args[0].value,)


def _imports(package: Path) -> Iterator[tuple[str, str, str]]:
    """Yield every import within a package, wherever it stands: from, to, file and line."""
    modules = _modules(package)
    for module, file in modules.items():
        home = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(file.read_bytes())):
            for names in _named(node, home):
                target = next((name for name in names if name in modules), None)
                if target is not None and target != module:
                    place = f"{file.relative_to(package.parent)}:{getattr(node, 'lineno', 0)}"
                    yield module, target, place


def broken_rules(package: Path) -> list[str]:
    """Return each import that breaks a rule, and which rule that is."""
    unknown = sorted({_package(module) for module in _modules(package)} - HEIGHT.keys())
    if unknown:
        return [f"{name} has no place in the order of the layers" for name in unknown]
    broken = []
    graph: dict[str, set[str]] = {}
    for module, target, place in _imports(package):
        graph.setdefault(module, set()).add(target)
        importer, imported = _package(module), _package(target)
        if importer == imported:
            continue
        if HEIGHT[imported] >= HEIGHT[importer]:
            broken.append(f"{place}: {importer} imports {imported}, which does not stand below it")
        elif importer not in ONLY_FOR.get(imported, {importer}):
            allowed = " and ".join(sorted(ONLY_FOR[imported]))
            broken.append(f"{place}: {importer} imports {imported}, which is for {allowed} only")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        broken.append("circle: " + " -> ".join(reversed(error.args[1])))
    return broken


def test_packages_import_downwards_and_never_in_a_circle() -> None:
    assert broken_rules(PACKAGE) == []


def test_the_order_names_no_package_that_is_gone() -> None:
    assert HEIGHT.keys() - {_package(module) for module in _modules(PACKAGE)} == set()


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"wire.py": "from smpatch import loader", "loader.py": ""}, "wire imports loader, which"),
        ({"wire.py": "import smpatch.values", "values.py": ""}, "wire imports values, which does"),
        ({"wire.py": "def f():\n from .cli import main", "cli/__init__.py": ""}, "wire.py:2: wire"),
        ({"runtime/a.py": "from ..errors import X", "errors.py": ""}, "runtime imports errors"),
        ({"loader.py": "from smpatch import runtime", "runtime/__init__.py": ""}, "which is for "),
        ({"loader.py": "from smpatch import load"}, "loader imports __init__, which does not"),
        ({"loader.py": "import importlib\nimportlib.import_module('smpatch.cli')", "cli.py": ""},
         "loader.py:2: loader imports cli"),
        ({"graph/a.py": "from . import b", "graph/b.py": "def f():\n from .a import c"},
         "circle: smpatch.graph."),
        ({"util.py": ""}, "util has no place"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found_and_named(tmp_path: Path, files: dict[str, str], rule: str) -> None:
    for name, source in {"__init__.py": "", **files}.items():
        file = tmp_path / "smpatch" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    (found,) = broken_rules(tmp_path / "smpatch")
    assert rule in found


def _sources() -> list[Path]:
    return [file for top in ("smpatch", "tests", "fixtures") for file in (ROOT / top).rglob("*.py")]


def test_no_file_is_too_long_to_read() -> None:
    lengths = {file.relative_to(ROOT): file.read_bytes().count(b"\n") for file in _sources()}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {(file, part) for file in _sources() for part in file.relative_to(ROOT).parts}
    assert [str(file) for file, part in parts if part.removesuffix(".py") in MEANINGLESS] == []


def _talk(file: Path) -> Iterator[int]:
    """Yield the lines of a file that print, or get hold of what one prints with."""
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
    # What enters a child process is a program, not library; its stdout is a pipe to us.
    talkers = {PACKAGE / "runtime" / "child_main.py", *(PACKAGE / "cli").rglob("*.py")}
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
    """Run Python and tell which modules it imported.

    ``-X importtime`` lists them on stderr and, unlike an environment variable, is not
    handed on to child processes, which may load TensorFlow.
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
    # Were this method blind, the tests below would pass whatever happens.
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
    """Return the lines of the lock with their kind; ``stranger`` is what it must not hold."""
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
    assert {each.name for each in wanted} == {"protobuf", "tensorflow", "tomli", "typer"}
    for requirement in wanted:
        assert locked[requirement.name]
        for version in locked[requirement.name]:
            assert requirement.specifier.contains(version), f"{requirement}: {version} is locked"


def test_the_matrix_has_the_oldest_typer_that_is_allowed_and_the_newest_there_is() -> None:
    cells = {cell.name.partition("-")[0]: cell.requirements for cell in CELLS}
    (oldest,) = [each for each in cells["oldest"] if each.startswith("typer")]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (allowed,) = re.findall(r'^    "(typer.*)",$', project, re.MULTILINE)
    assert oldest == f"{allowed.replace('>=', '==')}.0"
    assert "typer" in cells["newest"]


def test_the_compiled_schema_is_that_of_the_proto(tmp_path: Path) -> None:
    # The compiler is pinned by the lock file; protobuf of older releases has none that is alike.
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
    kinds = {".py", ".typed", ".proto", ".binpb", ".json"}
    files = {file for file in PACKAGE.rglob("*") if file.suffix in kinds}
    assert packed == {file.relative_to(ROOT).as_posix() for file in files}
