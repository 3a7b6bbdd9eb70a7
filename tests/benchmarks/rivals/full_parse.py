"""The same edit through TensorFlow's own message classes, as fast as possible.

It measures its own seconds and peak memory and prints them as one line of JSON.
They contain these steps: read and parse the whole file, make a dict of names, walk
from ``y`` back to ``x``, add the signature, serialize, write. They do not contain the
import. The import costs nothing here, neither time nor memory: ``tensorflow/__init__``
does not run, an empty module takes its place, and only the generated ``_pb2``
modules of the installed TensorFlow are loaded. With a real import the same work takes
the same time, and some 500 MB more.

It does not sync to disk, and it frees objects that it no longer needs; both make its
numbers better. The settings of the interpreter are the usual ones, as in a script
that a user would write.

    python full_parse.py SAVED_MODEL_DIR NEW_FILE
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any

_KIBIBYTE = 1 if sys.platform == "darwin" else 1024


def main(model_dir: str, new_file: str) -> None:
    """Add a predict signature from x:0 to y:0 and write the model to ``new_file``."""
    saved_model = _message_classes().SavedModel()
    begin, busy = time.perf_counter(), time.process_time()

    saved_model.ParseFromString(Path(model_dir, "saved_model.pb").read_bytes())
    meta_graph = saved_model.meta_graphs[0]
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    if not _reaches(nodes, "y", "x"):
        sys.exit("y does not depend on x")
    signature = meta_graph.signature_def["serving_default"]
    for tensors, name in ((signature.inputs, "x"), (signature.outputs, "y")):
        attrs = nodes[name].attr
        tensors[name].name = f"{name}:0"
        tensors[name].dtype = attrs["dtype" if name == "x" else "T"].type
        shapes = attrs["_output_shapes"].list.shape if name == "y" else [attrs["shape"].shape]
        tensors[name].tensor_shape.CopyFrom(shapes[0])
    signature.method_name = "tensorflow/serving/predict"
    del nodes
    Path(new_file).write_bytes(saved_model.SerializeToString())

    measured = {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": time.process_time() - busy,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


def _message_classes() -> Any:  # noqa: ANN401  (a generated module has no useful type)
    """Import TensorFlow's ``saved_model_pb2`` without TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("TensorFlow is not installed")
    hollow = types.ModuleType("tensorflow")
    hollow.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = hollow
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415  (only now possible)

    return saved_model_pb2


def _reaches(nodes: dict[str, Any], output: str, fed: str) -> bool:
    """Walk all nodes that ``output`` needs, up to ``fed``, and return whether it needs ``fed``."""
    seen = {fed}
    pending = [output]
    reached = False
    while pending:
        for source in nodes[pending.pop()].input:
            name = source.removeprefix("^").partition(":")[0]
            reached = reached or name == fed
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return reached


if __name__ == "__main__":
    main(*sys.argv[1:])
