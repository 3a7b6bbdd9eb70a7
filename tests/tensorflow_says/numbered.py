"""The nodes that TensorFlow's own classes read from graphs that smpatch reads as integers.

Prints ``{"examples": number of drawn graphs, "wrong": [bytes, ...]}``, the bytes in hexadecimal
digits.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from hypothesis import given, settings
from tensorflow.core.framework.graph_pb2 import GraphDef

from tests.graph.test_numbered import Drawn, check_nodes, graphs, windows
from tests.prove.ledger import LONG

SAID: dict[str, Any] = {"examples": 0, "wrong": []}


@settings(max_examples=300 if LONG else 120, deadline=None, derandomize=True, database=None)
@given(graphs(), windows)
def compare(drawn: tuple[list[Drawn], bytes], window: int) -> None:
    """Read a graph in both ways."""
    SAID["examples"] += 1
    try:
        check_nodes(drawn[1], GraphDef.FromString(drawn[1]).node, window)
    except AssertionError:
        SAID["wrong"].append(drawn[1].hex())


if __name__ == "__main__":
    compare()
    json.dump(SAID, sys.stdout)
