"""TensorFlow's ``predict_signature_def`` of its own tensors, and smpatch's of the same.

Prints ``{"cases": {case: [TensorFlow's bytes, smpatch's bytes]}, "errors": {case: [class and
words that TensorFlow raises, those that smpatch raises]}, "protos": {name: TensorProto},
"beside": a message of smpatch's own}``; bytes in hexadecimal digits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# isort: split
from smpatch import schema, signature  # after TensorFlow: a clash of names would end this program

v1 = tf.compat.v1
theirs = v1.saved_model.predict_signature_def


def tensors() -> dict[str, Any]:
    """Return tensors of every kind, in the default graph."""
    v1.placeholder(tf.float32, [None, 3], "x")
    graph = v1.get_default_graph()
    flat, splits = v1.placeholder(tf.float32, [None], "flat"), []
    for name, size in (("outer", 5), ("inner", None)):
        splits.append(v1.placeholder(tf.int64, [size], name))
    small = v1.placeholder(tf.int32, [None], "small")
    matrix = v1.placeholder(tf.string, [None, 2], "matrix")
    with graph.as_default():
        handle = v1.get_variable("held", [2, 3], use_resource=True)
        reference = v1.get_variable("referred", [2, 3], use_resource=False)
    indices = v1.placeholder(tf.int64, [None, 2], "indices")
    any_shape = v1.placeholder(tf.int64, [2], "any_shape")
    no_rank = v1.placeholder(tf.int64, [None], "no_rank")
    no_indices = v1.placeholder(tf.int64, [None, None], "no_indices")
    fixed = tf.constant([7, 9], tf.int64, name="fixed")
    partly = tf.RaggedTensor.from_row_splits(flat, splits[0], validate=False)
    return {
        "dense": graph.get_tensor_by_name("x:0"),
        "unknown_rank": v1.placeholder(tf.int64, None, "anything"),
        "scalar": v1.placeholder(tf.float64, [], "scalar"),
        "string": v1.placeholder(tf.string, [None], "text"),
        "bfloat16": v1.placeholder(tf.bfloat16, [1, 0], "brain"),
        "resource_handle": handle.handle,
        "resource_variable": handle,
        "reference_variable": reference,
        "read_value": handle.read_value(),
        "sparse_static": tf.SparseTensor(indices, flat, fixed),
        "sparse_rank": tf.SparseTensor(indices, flat, any_shape),
        "sparse_dynamic": tf.SparseTensor(no_indices, flat, no_rank),
        "sparse_placeholder": v1.sparse_placeholder(tf.float32, [None, 4], "ids"),
        "ragged": partly,
        "ragged_two": tf.RaggedTensor.from_nested_row_splits(flat, splits[::-1], validate=False),
        "ragged_small": tf.RaggedTensor.from_row_splits(matrix, small, validate=False),
        "ragged_placeholder": v1.ragged.placeholder(tf.float32, 2, [], "rows"),
        "slices": tf.IndexedSlices(flat, splits[1]),
        "slices_shape": tf.IndexedSlices(flat, small, tf.constant([9], tf.int32, name="all")),
    }


def raised(call: Callable[[], Any]) -> list[str]:
    """Return the class and the words of the error of a call."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any error is the answer
        return [type(error).__name__, str(error)]
    return ["", ""]


def errors() -> dict[str, Any]:
    """Return the errors of both for signatures that cannot be built."""
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None], "x")
        wrong: dict[str, tuple[Any, Any]] = {
            "no inputs": (None, {"y": x}),
            "no outputs": ({"x": x}, None),
            "empty inputs": ({}, {"y": x}),
            "empty outputs": ({"x": x}, {}),
            "nothing": (None, None),
            "a number": ({"x": 3}, {"y": x}),
            "an array": ({"x": np.zeros(3, np.float32)}, {"y": x}),
            "text": ({"x": "x:0"}, {"y": x}),
            "an operation": ({"x": x.op}, {"y": x}),
        }
        found = {
            what: [raised(lambda: theirs(*given)), raised(lambda: ours(*given))]  # noqa: B023 - called at once
            for what, given in wrong.items()
        }
    for what, eager in {
        "an eager tensor": tf.constant([1.0]),
        "an eager variable": tf.Variable([1.0]),
        "an eager sparse tensor": tf.sparse.from_dense([[1.0]]),
        "an eager ragged tensor": tf.ragged.constant([[1.0], []]),
    }.items():
        given = ({"x": eager}, {"y": eager})
        found[what] = [raised(lambda: theirs(*given)), raised(lambda: ours(*given))]  # noqa: B023 - as above
    return found


def ours(inputs: Any, outputs: Any) -> signature.SignatureDef:  # noqa: ANN401 - arguments of any type
    """Call smpatch's function, with the arguments in TensorFlow's order."""
    return signature.predict_signature_def(inputs, outputs)


def protos() -> dict[str, str]:
    """Return values of many types as TensorFlow encodes them."""
    values = {
        **{name: np.arange(1, 4).astype(name) for name in ("int8", "uint8", "int16", "uint16")},
        **{name: np.arange(1, 4).astype(name) for name in ("int32", "uint32", "int64", "uint64")},
        **{name: np.array([0.5, -1.5], name) for name in ("float32", "float64", "float16")},
        "bool": np.array([True, False]),
        "string": np.array([b"a", b"\xff"], object),
        "scalar": np.array(2.5, np.float32),
        "many": np.arange(9, dtype=np.int32),
        "matrix": np.arange(4, dtype=np.int64).reshape(2, 2),
        "empty": np.zeros([0, 3], np.float32),
    }
    made = {name: tf.make_tensor_proto(value) for name, value in values.items()}
    made["same"] = tf.make_tensor_proto(7, tf.int32, [3])
    made["one"] = tf.make_tensor_proto(7.0, tf.float32, [1])
    return {name: proto.SerializeToString(deterministic=True).hex() for name, proto in made.items()}


def read() -> dict[str, bool]:
    """Return whether TensorFlow reads tensors of floats, by the bytes of each ``TensorProto``."""
    tensors = [
        *(b"\x12\x00\x22" + bytes((count,)) + b"a" * count for count in (1, 3, 4, 8)),
        *(b"\x12\x04\x12\x02\x08\x02\x22" + bytes((count,)) + b"a" * count for count in (4, 8)),
        b"\x12\x0d\x12\x0b\x08" + b"\xff" * 9 + b"\x01",  # a dimension of unknown size
        b"\x12\x04\x12\x02\x08\x00" * 300,  # 300 dimensions
        b"\x12\x02\x18\x01",  # of unknown rank
        *(b"", b"\x2a\x08abcdefgh", b"\x12\x04\x12\x02\x08\x02\x2a\x04abcd"),
    ]
    return {each.hex(): _reads(each) for each in (b"\x08\x01" + tensor for tensor in tensors)}


def _reads(tensor: bytes) -> bool:
    try:
        tf.io.parse_tensor(tensor, tf.float32)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def main() -> None:
    """Print the answer."""
    cases = {}
    with v1.Graph().as_default():
        known = tensors()
        dense = known["dense"]
        for case, tensor in known.items():
            # Inputs and outputs have several aliases, not in their sorted order.
            given = {"b": dense, "a": tensor}, {"y": tensor, "é": dense, "x/1": tensor}
            message = theirs(*given)
            cases[case] = [message.SerializeToString(deterministic=True).hex()]
            cases[case].append(ours(*given).to_bytes().hex())
    own = schema.SignatureDef(method_name="beside").SerializeToString()
    assert not isinstance(message, schema.SignatureDef)
    answer = {"cases": cases, "errors": errors(), "protos": protos(), "beside": own.hex()}
    answer["read"] = read()
    sys.stdout.write("\n" + json.dumps(answer))


main()
