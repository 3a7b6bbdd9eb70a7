"""Models in which a mistake changes a number, and faults that make a number wrong."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

Answer = dict[str, Any]

_UNEXPORTED = {"inner", "traced"}
_VECTOR = [tf.TensorSpec([None], tf.float32, "x")]


class Twins(tf.Module):
    """A module with two functions of the same types over the same two variables."""

    def __init__(self, first: float = 2.0) -> None:
        """Create two variables of one type and shape."""
        super().__init__(name="twins")
        self.p = tf.Variable(first, name="p")
        self.q = tf.Variable(7.0, name="q")

    @tf.function(input_signature=_VECTOR)
    def one(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return two results."""
        return {"a": x * self.p, "b": x + self.q}

    @tf.function(input_signature=_VECTOR)
    def two(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return two other results."""
        return {"a": x - self.p, "b": x / self.q}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, each) for each in ("Left", "right")]
    )
    def inner(self, Left: Any, right: Any) -> Any:  # noqa: ANN401, N803 - symbolic tensors
        """Take two arguments of one type; no signature calls this function."""
        return Left - right * self.q, {"least": tf.minimum(Left, right)}

    @tf.function
    def traced(self, x: Any, times: int) -> Any:  # noqa: ANN401 - symbolic tensors
        """Compute a result, in one trace for each value of ``times``."""
        return x * tf.cast(times, tf.float32)


class Fickle(tf.Module):
    """A module with functions that are random, have a state, or yield NaN and infinity."""

    def __init__(self) -> None:
        """Create the state."""
        super().__init__(name="fickle")
        self.count = tf.Variable(0.0, name="count")

    @tf.function(input_signature=_VECTOR)
    def noise(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return a random result and one that is not random."""
        return {"random": x + tf.random.normal([]), "steady": x * 2.0}

    @tf.function(input_signature=_VECTOR)
    def counter(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Count the calls."""
        return {"count": self.count.assign_add(1.0) + 0.0 * tf.reduce_sum(x)}

    @tf.function(input_signature=_VECTOR)
    def reader(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return a result from the variable that another signature changes."""
        return {"read": x + self.count}

    @tf.function(input_signature=_VECTOR)
    def nothing(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return NaN and infinity."""
        return {"nan": tf.math.log(x - 2.0), "inf": x / 0.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def text(self, text: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Return strings."""
        return {"upper": text + "\x00end", "length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "path")])
    def write(self, path: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Write a file, as the signature of a model that saves itself does."""
        with tf.control_dependencies([tf.io.write_file(path, "written")]):
            return {"written": tf.io.read_file(path)}


class Parser(tf.Module):
    """A module with functions that parse examples, in each way that TensorFlow has."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def batch(self, examples: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Parse as ``tf.io.parse_example``."""
        read = tf.io.parse_example(
            examples,
            {
                "vector": tf.io.FixedLenFeature([2, 3], tf.float32),
                "number": tf.io.FixedLenFeature([], tf.int64),
                "word": tf.io.FixedLenFeature([1], tf.string),
                "some": tf.io.VarLenFeature(tf.float32),
                "rows": tf.io.RaggedFeature(tf.int64),
                "any": tf.io.FixedLenSequenceFeature([2], tf.float32, allow_missing=True),
            },
        )
        return {
            "vector": read["vector"] * 2.0,
            "number": read["number"],
            "word": read["word"],
            "some": tf.sparse.to_dense(read["some"]),
            "rows": read["rows"].to_tensor(),
            "any": read["any"],
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def old(self, inputs: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Parse as TensorFlow 1 did."""
        read = tf.raw_ops.ParseExample(
            serialized=inputs,
            names=[],
            sparse_keys=["thin"],
            dense_keys=["thick", "label"],
            dense_defaults=[tf.zeros([0]), tf.constant([], tf.string)],
            sparse_types=[tf.int64],
            dense_shapes=[[2], []],
        )
        return {"thick": read.dense_values[0], "thin": read.sparse_values[0]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "example")])
    def single(self, example: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        """Parse one example."""
        read = tf.io.parse_single_example(example, {"one": tf.io.FixedLenFeature([4], tf.int64)})
        return {"one": read["one"] + 1}


def build_numbers(directory: str, kind: str, *, first: float = 2.0) -> Answer:
    """Export one of the modules with all its functions as signatures."""
    made = Twins(first) if kind == "twins" else Parser() if kind == "parser" else Fickle()
    names = [
        name
        for name, each in vars(type(made)).items()
        if hasattr(each, "get_concrete_function") and name not in _UNEXPORTED
    ]
    if kind == "twins":
        for times in (3, 5):
            made.traced.get_concrete_function(*_VECTOR, times)
    signatures = {name: getattr(made, name) for name in names}
    tf.saved_model.save(made, directory, signatures=signatures)
    return {}


def mutate(directory: str, fault: str, key: str) -> Answer:
    """Plant a fault in a signature that every loader accepts."""
    file = Path(directory) / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    _FAULTS[fault](message.meta_graphs[0], key)
    # A staged file may be a link to the original.
    file.unlink()
    file.write_bytes(message.SerializeToString(deterministic=True))
    return {}


def _exchange_outputs(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - a MetaGraphDef
    one, other, *_ = sorted(meta_graph.signature_def[key].outputs.values(), key=lambda e: e.name)
    one.name, other.name = other.name, one.name


def _exchange_inputs(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - as above
    one, other, *_ = meta_graph.signature_def[key].inputs.values()
    one.name, other.name = other.name, one.name


def _exchange_captures(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - as above
    node = _call(meta_graph, key)
    node.input[-1], node.input[-2] = node.input[-2], node.input[-1]


def _call_another(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - as above
    """Make the main graph call the function of the other signature, with the same captures."""
    others = [
        each for each in meta_graph.signature_def if each not in {key, "__saved_model_init_op"}
    ]
    _call(meta_graph, key).attr["f"].CopyFrom(_call(meta_graph, others[0]).attr["f"])


def _exchange_bound_inputs(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - as above
    function = _python(meta_graph, key)
    bound = meta_graph.object_graph_def.concrete_functions[function].bound_inputs
    bound[0], bound[1] = bound[1], bound[0]


def _call_another_in_python(meta_graph: Any, key: str) -> None:  # noqa: ANN401 - as above
    nodes = meta_graph.object_graph_def.nodes
    names = {_python(meta_graph, each) for each in meta_graph.signature_def if "_" not in each}
    function = _python(meta_graph, key)
    (other,) = names - {function}
    for node in nodes:
        if node.bare_concrete_function.concrete_function_name == function:
            node.bare_concrete_function.concrete_function_name = other


def _call(meta_graph: Any, key: str) -> Any:  # noqa: ANN401 - as above
    outputs = meta_graph.signature_def[key].outputs.values()
    name = next(iter(outputs)).name.partition(":")[0]
    return next(node for node in meta_graph.graph_def.node if node.name == name)


def _python(meta_graph: Any, key: str) -> str:  # noqa: ANN401 - as above
    """Return the name of the function that Python calls for a key."""
    nodes = meta_graph.object_graph_def.nodes
    signatures = next(each for each in nodes[0].children if each.local_name == "signatures")
    child = next(e for e in nodes[signatures.node_id].children if e.local_name == key)
    return str(nodes[child.node_id].bare_concrete_function.concrete_function_name)


_FAULTS: dict[str, Callable[[Any, str], None]] = {
    "exchange_inputs": _exchange_inputs,
    "exchange_outputs": _exchange_outputs,
    "exchange_captures": _exchange_captures,
    "call_another": _call_another,
    "exchange_bound_inputs": _exchange_bound_inputs,
    "call_another_in_python": _call_another_in_python,
}
