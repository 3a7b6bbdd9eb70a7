"""Download a file, discard it, and print the time: ``python download.py URL``.

The server verifies no signature, but it refuses a request without the name of a user.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request

_NAME = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"


def main(url: str) -> None:
    """Download."""
    begin = time.perf_counter()
    request = urllib.request.Request(url, headers={"Authorization": _NAME})  # noqa: S310 - loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
        while answer.read(1 << 16):
            pass
    print(json.dumps({"seconds": time.perf_counter() - begin, "peak_bytes": 0}))  # noqa: T201 - it is read


if __name__ == "__main__":
    main(*sys.argv[1:])
