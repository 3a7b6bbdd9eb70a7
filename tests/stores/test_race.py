"""Many writers of one object: no edit is lost."""

from __future__ import annotations

import threading

import pytest

import smpatch
from smpatch.edits import Copy
from tests.prove.ledger import Count
from tests.stores.conftest import keys, linear

WRITERS = 8


@pytest.mark.proof("writers of one object in a store")
@pytest.mark.parametrize("again", [1, 40])
def test_each_edit_is_there_or_refused(bucket: str, again: int, count: Count) -> None:
    url = linear(f"{bucket}/1")
    start = threading.Barrier(WRITERS)
    done: list[str] = []
    refused: list[str] = []

    def write(key: str) -> None:
        start.wait()
        for _ in range(again):
            try:
                options = smpatch.Options(validate="none", backup=True)
                smpatch.patch(url, Copy("scale", key), options=options)
            except smpatch.ConflictError:
                continue
            done.append(key)
            return
        refused.append(key)

    names = [f"writer_{number}" for number in range(WRITERS)]
    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count.add(writers=WRITERS)
    assert sorted(done + refused) == names
    assert keys(url) == {"scale", *done}
    assert done
    if again > 1:
        assert refused == []
