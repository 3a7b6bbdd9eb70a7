"""``RemoteBytes`` gives the bytes of the remote file, by index, by slice and as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch import remote
from smpatch.remote import RemoteBytes

FILE = bytes(range(256)) * 3
BLOCK = 50
PLACES = st.integers(-len(FILE) - 9, len(FILE) + 9)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> object:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remote, "_BLOCK", BLOCK)
        yield


def _opened() -> tuple[RemoteBytes, list[tuple[int, int]]]:
    fetched: list[tuple[int, int]] = []

    def fetch(start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(FILE)
        fetched.append((start, end))
        return FILE[start:end]

    return RemoteBytes(len(FILE), fetch), fetched


@given(st.lists(st.one_of(PLACES, st.tuples(PLACES, PLACES))), st.booleans())
def test_what_is_read_is_what_lies_there(
    places: list[int | tuple[int, int]],
    whole: bool,  # noqa: FBT001 - drawn
) -> None:
    data, _ = _opened()
    if whole:
        assert bytes(data) == FILE
    for place in places:
        if isinstance(place, tuple):
            assert data[slice(*place)] == FILE[slice(*place)]
        elif -len(FILE) <= place < len(FILE):
            assert data[place] == FILE[place]
        else:
            with pytest.raises(IndexError):
                data[place]


def test_a_part_is_fetched_once_and_what_lies_between_is_not() -> None:
    data, fetched = _opened()
    for _ in range(2):
        assert data[3] == FILE[3]
        assert data[490:560] == FILE[490:560]
        assert data[-1:] == FILE[-1:]
    assert fetched == [(0, 50), (450, 600), (750, 768)]
    assert data.find(FILE[600:610], 560, len(FILE)) == FILE.find(FILE[600:610], 560)
    assert fetched[3:] == [(0, 768)]


def test_after_a_failure_nothing_more_is_read() -> None:
    """Some callers continue without unreadable parts, and would print half of a model."""
    answers = [b"x" * BLOCK]

    def fetch(_start: int, _end: int) -> bytes:
        if not answers:
            raise ConnectionError
        return answers.pop()

    data = RemoteBytes(len(FILE), fetch)
    assert data[0] == ord("x")
    with pytest.raises(ConnectionError):
        data[BLOCK]
    answers.append(b"x" * len(FILE))
    for read in (lambda: data[2 * BLOCK], lambda: bytes(data)):
        with pytest.raises(ConnectionError):
            read()
