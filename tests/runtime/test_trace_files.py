"""Functions of a user's file, as a child process reads them."""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from smpatch.runtime.trace_files import loaded

if TYPE_CHECKING:
    import pytest

TF = SimpleNamespace(function=lambda function: function)


def test_the_bytecode_of_an_older_file_was_taken_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python compares only the size and the second: a number that was changed at once was lost."""
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(sys, "path", [*sys.path])
    code = tmp_path / "code_of_a_user.py"
    code.write_text("def factor():\n    return 2.0\n")
    compiled = Path(str(py_compile.compile(str(code))))
    before, status = compiled.read_bytes(), code.stat()
    code.write_text("def factor():\n    return 2.5\n")
    os.utime(code, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert loaded(TF, str(code), "factor").callable() == 2.5
    assert compiled.read_bytes() == before


def test_nothing_is_written_beside_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_a_file_of_a_user.py").write_text("FACTOR = 3.0\n")
    code = tmp_path / "file_of_a_user.py"
    code.write_text(
        "from beside_a_file_of_a_user import FACTOR\n\n\ndef factor():\n    return FACTOR\n"
    )
    assert loaded(TF, str(code), "factor").callable() == 3.0
    assert {each.name for each in tmp_path.iterdir()} == {code.name, "beside_a_file_of_a_user.py"}
