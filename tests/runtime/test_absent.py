"""Files that stand for objects of a store are read when they are needed, and then whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from smpatch.runtime import absent
from smpatch.writer.copying import copy_tree_entry


class Objects:
    """The objects of a store."""

    def __init__(self) -> None:
        """Start with no object read."""
        self.read: list[str] = []
        self.fails = False

    def write(self, name: str, file: Path) -> None:
        """Write an object to a file, or stop in the middle."""
        with file.open("xb") as opened:
            opened.write(b"ab")
            if self.fails:
                raise ConnectionError
            opened.write(b"cd")
        self.read.append(name)


@pytest.fixture
def objects() -> Iterator[Objects]:
    made = Objects()
    yield made
    absent.forget(made)
    assert not absent._files  # noqa: SLF001 - a file that is left would be read for another model


@pytest.fixture
def model(objects: Objects, tmp_path: Path) -> Path:
    """A directory whose variables are not read yet."""
    variables = tmp_path / "model" / "variables"
    variables.mkdir(parents=True)
    for name, size in (("long", 4000), ("short", 4)):
        absent.stand_in(variables / name, size, partial(objects.write, name), owner=objects)
    return variables.parent


def test_nothing_is_read_before_it_is_needed(model: Path, objects: Objects) -> None:
    assert [(model / "variables" / name).stat().st_size for name in ("long", "short")] == [4000, 4]
    absent.provide(model.parent)
    assert objects.read == []
    absent.provide(model, 1024)
    assert objects.read == ["short"]
    absent.provide(model)
    absent.provide(model)
    assert objects.read == ["short", "long"]
    assert (model / "variables" / "long").read_bytes() == b"abcd"


def test_they_are_found_behind_links(model: Path, objects: Objects, tmp_path: Path) -> None:
    """A staging directory has a link to the variables."""
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "variables").symlink_to(model / "variables")
    absent.provide(staged)
    assert sorted(objects.read) == ["long", "short"]
    assert (staged / "variables" / "short").read_bytes() == b"abcd"


def test_a_copy_stands_for_the_same_and_each_is_read_once(
    model: Path, objects: Objects, tmp_path: Path
) -> None:
    copy_tree_entry(model, tmp_path / "copy")
    assert objects.read == []
    assert (tmp_path / "copy" / "variables" / "long").stat().st_size == 4000
    absent.provide(tmp_path / "copy")
    absent.provide(model)
    assert sorted(objects.read) == ["long", "short"]
    for place in (model, tmp_path / "copy"):
        assert (place / "variables" / "long").read_bytes() == b"abcd"


def test_what_was_read_in_part_is_not_there(model: Path, objects: Objects) -> None:
    objects.fails = True
    with pytest.raises(ConnectionError):
        absent.provide(model)
    assert len([*(model / "variables").iterdir()]) == 1
    objects.fails = False
    absent.provide(model)
    assert sorted(objects.read) == ["long", "short"]
