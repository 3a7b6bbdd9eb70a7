"""The edit as people do it today, with TensorFlow's Python package alone.

Parse ``saved_model.pb``, import the graph, build the signature with
``predict_signature_def``, serialize, write, and reload with ``tf.saved_model.load``
to check the key. The time contains all of this and the import of TensorFlow,
because such a script costs all of it. It is less careful than smpatch (no check
before the write, no staging, no sync), which makes its time shorter.

    python python_script.py SAVED_MODEL_DIR KEY
"""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def main(model_dir: str, key: str) -> None:
    """Add the signature ``key`` from x:0 to y:0 and reload the model."""
    path = Path(model_dir, "saved_model.pb")
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(path.read_bytes())
    meta_graph = saved_model.meta_graphs[0]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(meta_graph.graph_def, name="")
        signature = tf.compat.v1.saved_model.predict_signature_def(
            inputs={"x": graph.get_tensor_by_name("x:0")},
            outputs={"y": graph.get_tensor_by_name("y:0")},
        )
    meta_graph.signature_def[key].CopyFrom(signature)
    path.write_bytes(saved_model.SerializeToString())

    if key not in tf.saved_model.load(model_dir).signatures:
        sys.exit(f"the reloaded model has no signature {key!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
