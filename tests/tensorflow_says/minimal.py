"""The signatures that TensorFlow's own classes read from the fewest changed bytes.

Prints ``{"examples": number of drawn pairs, "wrong": [[old bytes, wanted bytes], ...]}``, the
bytes in hexadecimal digits.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from hypothesis import given, settings
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from smpatch.minimal import patched
from tests.prove.ledger import LONG
from tests.test_minimal import canonical, odd, signatures

SAID: dict[str, Any] = {"examples": 0, "wrong": []}


@settings(max_examples=300 if LONG else 120, deadline=None, derandomize=True, database=None)
@given(odd(), signatures)
def compare(old: bytes, new: Any) -> None:  # noqa: ANN401 - protobuf makes its classes at run time
    """Change the bytes for smpatch's class and for TensorFlow's, and read both results."""
    wanted: Any = SignatureDef.FromString(canonical(new))
    SAID["examples"] += 1
    for message in (new, wanted):
        found: Any = SignatureDef.FromString(patched(old, message))
        found.DiscardUnknownFields()
        if found != wanted:
            SAID["wrong"].append([old.hex(), canonical(new).hex()])


if __name__ == "__main__":
    compare()
    json.dump(SAID, sys.stdout)
