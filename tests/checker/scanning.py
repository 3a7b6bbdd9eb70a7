"""A program with TensorFlow: it prints the operations that ``saved_model_cli scan`` finds.

It reads a JSON object from stdin, ``models`` (directories) and ``ops`` (names of operations; null
for the list of ``saved_model_cli``), and prints a JSON object: directory to the operations found.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys

from tensorflow.python.tools import saved_model_cli, saved_model_utils

_FOUND = re.compile(r"'([\w>]+)'")


def _scanned(directory: str, ops: set[str]) -> list[str]:
    """Return the operations of a list that the scan finds, in all MetaGraphs."""
    found: set[str] = set()
    for tags in saved_model_utils.get_saved_model_tag_sets(directory):
        meta_graph = saved_model_utils.get_meta_graph_def(directory, ",".join(tags))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            saved_model_cli.scan_meta_graph_def(meta_graph, ops)
        _, contains, reported = printed.getvalue().partition("contains the following")
        found.update(_FOUND.findall(reported) if contains else ())
    return sorted(found & ops)


def main() -> None:
    """Scan, and print."""
    asked = json.load(sys.stdin)
    ops = set(saved_model_cli._OP_DENYLIST if asked["ops"] is None else asked["ops"])  # noqa: SLF001 - the list of the command
    found = {each: _scanned(each, ops) for each in asked["models"]}
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
