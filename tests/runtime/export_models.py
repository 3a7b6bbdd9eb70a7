"""Export the models that the tests of child processes load.

The command is ``python export_models.py DIRECTORY``, in a process of its own, because the tests
themselves never import TensorFlow. Beside the model ``kinds`` it writes the dtypes and shapes of
TensorFlow's Python, for a comparison.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1


def graph_of_kinds(directory: Path) -> None:
    """Write a TF1-style model with one tensor of each kind that is hard to read."""
    with v1.Graph().as_default() as graph, v1.Session() as session:
        partly = v1.placeholder(tf.float32, [None, 3], "partly")
        v1.placeholder(tf.float64, [], "scalar")
        v1.placeholder(tf.int64, None, "any")
        text = v1.placeholder(tf.string, [None], "text")
        doubled = tf.multiply(partly, 2.0, "doubled")
        v1.split(partly, 3, axis=1, name="columns")
        tf.strings.join([text, "!"], name="joined")
        v1.Variable([1.0, 2.0], name="reference", use_resource=False)
        v1.Variable([1.0], name="handle", use_resource=True)
        with v1.control_dependencies(
            [tf.raw_ops.PrintV2(input="not json", output_stream="stdout")]
        ):
            tf.no_op("shout")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(directory), {"rows": partly}, {"twice": doubled})
        facts: dict[str, Any] = {
            tensor.name: [
                tensor.dtype.as_datatype_enum,
                None if tensor.shape.rank is None else tensor.shape.as_list(),
            ]
            for operation in graph.get_operations()
            for tensor in operation.outputs
        }
    directory.with_suffix(".json").write_text(json.dumps(facts))


def hostile(directory: Path, harm: Callable[[], Any]) -> None:
    """Write a TF1-style model whose main operation does harm when the model is loaded."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        tf.multiply(x, 2.0, "y")
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, ["serve"], main_op=harm())
        builder.save()


def abort() -> Any:  # noqa: ANN401 - an operation; TensorFlow has no stubs
    """Return an operation that ends the process as a failed check does."""
    return tf.raw_ops.Abort(error_msg="Check failed: \x1b[31mred\x1b[0m words", name="harm")


def loop_for_ever() -> Any:  # noqa: ANN401 - as above
    """Return an operation that never ends."""
    return v1.while_loop(lambda i: i < 1, lambda i: i * 1, [tf.constant(0)], name="harm").op


def noise() -> Any:  # noqa: ANN401 - as above
    """Return an operation that prints to both streams."""
    first = tf.raw_ops.PrintV2(input="printed to stdout\n", output_stream="stdout")
    with v1.control_dependencies([first]):
        return tf.raw_ops.PrintV2(input="printed to stderr\n", output_stream="stderr")


def module(directory: Path) -> None:
    """Write a TF2 export with one signature."""

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
            return {"total": tf.reduce_sum(x), "same": x}

    tf.saved_model.save(Module(), str(directory))


TYPES = ("float16", "bfloat16", "float64", "int8", "uint16", "int64", "bool", "complex64", "string")


def types(directory: Path) -> None:
    """Write a TF2 export that returns its inputs of many types, and multiplies in two steps."""

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], each, each) for each in TYPES])  # type: ignore[untyped-decorator]
        def same(self, *given: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
            return {
                f"{name}_out": tf.identity(each) for name, each in zip(TYPES, given, strict=True)
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def steps(self, x: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
            # The optimizers make one multiplication of the two.
            return {"y": x * 0.1 * 0.3}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])  # type: ignore[untyped-decorator]
        def words(self, text: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
            split = tf.strings.split(text)
            return {"dense": split.row_lengths(), "ragged": split, "sparse": split.to_sparse()}

    module = Module()
    signatures = {"same": module.same, "steps": module.steps, "words": module.words}
    tf.saved_model.save(module, str(directory), signatures)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    graph_of_kinds(target / "kinds")
    module(target / "module")
    types(target / "types")
    for harm in (abort, loop_for_ever, noise):
        hostile(target / harm.__name__, harm)
