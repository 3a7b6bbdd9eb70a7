"""The memory for hostile models depends on the size of the file, and not on lengths in it.

The tests measure from outside: each command runs in a process whose address space is limited to a
few megabytes more than the command takes with a small model, or to a multiple of the file's size.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.make import raw
from tests.fuzz.bounded import ended
from tests.prove.ledger import LONG

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere no limit of addresses is kept"
)

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "fixtures" / "models"
LINEAR = MODELS / "linear" / "saved_model.pb"
_META_GRAPH, _GRAPH, _NODE, _SIGNATURE = 2, 2, 1, 5

FEW = 8 << 10
"""The limit in kilobytes for a file of some kilobytes."""

TIMES = 52
"""The bytes of memory allowed for each byte of a file that consists of signatures."""

COMMANDS = {
    "show": ("show",),
    "show --json": ("show", "--json"),
    "suggest": ("suggest",),
    "check": ("check", "--validate", "none"),
    "diff": ("diff", str(MODELS / "linear")),
    "add-predict": (
        *("add-predict", "--inputs", "x:0", "--outputs", "y:0"),
        *("--signature", "added", "--validate", "none", "--dry-run"),
    ),
}


def _run(kilobytes: int, command: str, *models: Path) -> list[tuple[int, str]]:
    """Run a command on models; return the exit code and stderr of each."""
    name, *options = COMMANDS[command]
    return [(end, err) for end, _, err in ended(kilobytes, name, models, options)]


def _promising() -> Iterator[tuple[str, bytes]]:
    """Yield models with a length of 2 GiB and more, at the top level and in their messages."""
    for length in (2**31 - 1, 2**32 - 1):
        yield f"{length} bytes on top", LINEAR.read_bytes() + _promise(length)
    for name, path in (
        ("MetaGraph", (_META_GRAPH,)),
        ("graph", (_META_GRAPH, _GRAPH)),
        ("node", (_META_GRAPH, _GRAPH, _NODE)),
        ("signature", (_META_GRAPH, _SIGNATURE)),
    ):
        data = raw.regrow(LINEAR.read_bytes(), path, lambda each: each + _promise(2**31 - 1))
        yield f"2 GiB in a {name}", data


def _promise(length: int) -> bytes:
    return raw.tag(1, raw.BYTES) + raw.varint(length)


@pytest.mark.parametrize("command", COMMANDS)
def test_length_that_promises_gigabytes_takes_none_of_them(command: str, tmp_path: Path) -> None:
    promising = list(_promising())
    models = [tmp_path / str(at) for at in range(len(promising))]
    for model, (_, data) in zip(models, promising, strict=True):
        model.mkdir()
        (model / "saved_model.pb").write_bytes(data)
    done = _run(FEW, command, *models)
    for (name, _), (code, complaint) in zip(promising, done, strict=True):
        assert code in {0, 1, 3, 4}, name
        assert "Error" not in complaint.replace("Error parsing", ""), name
        assert complaint.count("\n") <= 1, name


def test_the_limit_is_one(tmp_path: Path) -> None:
    """The other tests depend on this: a process that needs more than its limit fails."""
    model = tmp_path / "model"
    model.mkdir()
    shutil.copyfile(LINEAR, model / "saved_model.pb")
    with (model / "saved_model.pb").open("ab") as file:
        file.write(raw.field(1000, bytes(FEW << 10)))
    ((_, complaint),) = _run(FEW // 2, "show", model)
    assert "MemoryError" in complaint


@pytest.mark.parametrize("many", [10_000, 40_000] if LONG else [10_000])
@pytest.mark.parametrize("command", COMMANDS)
def test_memory_for_many_signatures_is_a_multiple_of_the_file(
    command: str, many: int, tmp_path: Path
) -> None:
    info = raw.field(1, b"x") + raw.field(2, raw.field(1, b"x:0") + b"\x10\x01")
    value = raw.field(2, raw.field(1, info) + raw.field(3, b"tensorflow/serving/predict"))
    entries = b"".join(
        raw.field(_SIGNATURE, raw.field(1, b"k%d" % at) + value) for at in range(many)
    )
    data = raw.regrow(LINEAR.read_bytes(), (_META_GRAPH,), lambda each: each + entries)
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(data)
    ((code, complaint),) = _run(FEW + TIMES * (len(data) >> 10), command, model)
    assert code in {0, 1}, complaint
    assert "Error" not in complaint
