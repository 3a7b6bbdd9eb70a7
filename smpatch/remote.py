"""The bytes of a remote file, fetched in blocks when they are read.

Blocks that are not read are not fetched. This module uses no store: callers pass a function that
fetches bytes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import SupportsIndex, overload

_BLOCK = 1 << 18


class RemoteBytes:
    """The bytes of a file, read by index and slice.

    A reader of many small parts calls ``bytes`` first, which fetches the whole file in one request.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        """Make the object, and fetch nothing yet.

        Args:
            size: The length of the file in bytes.
            fetch: A function that returns the bytes from a start to an end, or raises an error.
        """
        self._size = size
        self._fetch = fetch
        self._blocks: dict[int, bytes] = {}
        self._whole: bytes | None = None
        self._failed: Exception | None = None

    def __len__(self) -> int:
        """Return the length of the file."""
        return self._size

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> int: ...

    @overload
    def __getitem__(self, place: slice, /) -> bytes: ...

    def __getitem__(self, place: SupportsIndex | slice, /) -> int | bytes:
        """Return a byte, or the bytes of a slice without a step."""
        if self._whole is not None:
            return self._whole[place]
        if not isinstance(place, slice):
            at = range(self._size)[operator.index(place)]
            return self._between(at, at + 1)[0]
        start, stop, _ = place.indices(self._size)
        return self._between(start, stop) if start < stop else b""

    def __bytes__(self) -> bytes:
        """Return the whole file."""
        if self._whole is None:
            self._whole = self._fetched(0, self._size)
            self._blocks.clear()
        return self._whole

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Return the offset of ``wanted`` between two offsets; -1 if the bytes are not there."""
        return bytes(self).find(wanted, start, end)

    def _between(self, start: int, stop: int) -> bytes:
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        missing = [each for each in range(first, last + 1) if each not in self._blocks]
        if missing:
            begin, end = missing[0] * _BLOCK, min((missing[-1] + 1) * _BLOCK, self._size)
            data = self._fetched(begin, end)
            for at in range(0, len(data), _BLOCK):
                self._blocks[(begin + at) // _BLOCK] = data[at : at + _BLOCK]
        whole = b"".join([self._blocks[each] for each in range(first, last + 1)])
        return whole[start - first * _BLOCK : stop - first * _BLOCK]

    def _fetched(self, start: int, end: int) -> bytes:
        """Fetch bytes; after a failure, raise the same error at each fetch.

        A caller may catch the first error and read on without the missing part.
        """
        if self._failed is not None:
            raise self._failed
        try:
            return self._fetch(start, end)
        except Exception as error:
            self._failed = error
            raise
