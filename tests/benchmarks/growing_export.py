"""``python -m tests.benchmarks.growing_export KIND NUMBER DIRECTORY``: a model with many of a kind.

It is an export of TensorFlow 2 (``fixtures/models/module``) to which TensorFlow's message classes
add ``NUMBER`` signatures, library functions or objects. A signature or a function is a copy of an
existing one under another name; an object has no state. TensorFlow does not load the model.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

_MODULE = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "module"


def _add_signatures(meta_graph: Any, number: int) -> None:  # noqa: ANN401 - protobuf's classes
    nodes = meta_graph.object_graph_def.nodes
    root = {child.local_name: child.node_id for child in nodes[0].children}
    children = nodes[root["signatures"]].children
    (served,) = [each.node_id for each in children if each.local_name == "serving_default"]
    for index in range(number):
        key = f"many_{index}"
        meta_graph.signature_def[key].CopyFrom(meta_graph.signature_def["serving_default"])
        children.add(node_id=served, local_name=key)


def _add_functions(meta_graph: Any, number: int) -> None:  # noqa: ANN401 - protobuf's classes
    functions = meta_graph.graph_def.library.function
    first = functions[0]
    for index in range(number):
        copy = functions.add()
        copy.CopyFrom(first)
        copy.signature.name = f"many_{index}"


def _add_objects(meta_graph: Any, number: int) -> None:  # noqa: ANN401 - protobuf's classes
    nodes = meta_graph.object_graph_def.nodes
    for index in range(number):
        nodes[0].children.add(node_id=len(nodes), local_name=f"many_{index}")
        nodes.add().user_object.identifier = "_generic_user_object"


_KINDS = {"signatures": _add_signatures, "functions": _add_functions, "objects": _add_objects}


def main(kind: str, number: str, directory: str) -> None:
    """Write the model."""
    shutil.copytree(_MODULE, directory, copy_function=shutil.copyfile)
    file = Path(directory) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    _KINDS[kind](model.meta_graphs[0], int(number))
    file.write_bytes(model.SerializeToString(deterministic=True))
    # TensorFlow computes the fingerprint; every command would print a note about a stale one.
    (Path(directory) / "fingerprint.pb").unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
