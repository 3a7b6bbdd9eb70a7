"""Put a model into a store many times: ``python -m tests.benchmarks.store_upload DIR URL COUNT``.

The copies are ``URL/0``, ``URL/1`` and so on.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from smpatch.stores.access import Store
from smpatch.urls import ModelUrl


def main(directory: str, url: str, count: str) -> None:
    """Put the files of all copies."""
    root, place = Path(directory), ModelUrl(url)
    store = Store(place)
    files = [each.relative_to(root) for each in root.rglob("*") if each.is_file()]
    with ThreadPoolExecutor(8) as threads:
        put = [
            threads.submit(store.put, (place / str(number) / file).key, root / file)
            for number in range(int(count))
            for file in files
        ]
    for each in put:
        each.result()  # it raises the error of a failed put


if __name__ == "__main__":
    main(*sys.argv[1:])
