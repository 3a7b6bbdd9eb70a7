"""Models with inputs to bind to constants, and runs of several signatures in one session."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tests.oracle.client import Value, decoded, encoded
from tests.oracle.loading import opened_session, refusal

__all__ = ["build_bindable", "run_together"]

Answer = dict[str, Any]
Tensor = Any


def build_bindable(directory: str, kind: str) -> Answer:
    """Export a model with inputs that clients should not have to send."""
    _BUILDERS[kind](directory)
    return {}


def _module(directory: str) -> None:
    """Export variables, a table, and inputs that are not in the order of their names."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([[2.0, 3.0], [5.0, 7.0]])
            words = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([4, 9], tf.int64))
            self.table = tf.lookup.StaticHashTable(words, -1)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, name="zoom"),
                tf.TensorSpec([None], tf.string, name="kind"),
                tf.TensorSpec([], tf.bool, name="training"),
                tf.TensorSpec([None, 2], tf.float32, name="image"),
            ]
        )
        def serve(self, zoom: Tensor, kind: Tensor, training: Tensor, image: Tensor) -> Tensor:
            found = tf.cast(self.table.lookup(kind), tf.float32)[:, None]
            scores = tf.matmul(image, self.weights) * zoom - found
            dropped = tf.cond(training, lambda: scores * 0.5, lambda: scores)
            return {"b": dropped, "a": found, "c": image - zoom}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="word_ids"),
                tf.TensorSpec([None, None], tf.int32, name="mask"),
            ]
        )
        def words(self, word_ids: Tensor, mask: Tensor) -> Tensor:
            return {"v": tf.gather(self.weights, (word_ids + mask) % 2), "n": tf.shape(mask)}

    module = Module()
    signatures = {"serving_default": module.serve, "words": module.words}
    tf.saved_model.save(module, directory, signatures=signatures)


def _session(directory: str) -> None:
    """Export loops, a conditional, control inputs on placeholders, and nodes beside these."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        rate = v1.placeholder(tf.float32, [None, 2], name="rate")
        times = v1.placeholder(tf.int32, [], name="times")
        training = v1.placeholder(tf.bool, [], name="training")
        weights = v1.get_variable("w", initializer=[[2.0, 3.0], [5.0, 7.0]], use_resource=False)
        other = v1.get_variable("v", initializer=[1.0, 10.0], use_resource=True)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1, 2]), tf.constant([8, 6, 4])), 0
        )
        v1.disable_control_flow_v2()
        hidden = tf.matmul(x, weights)
        times_float = tf.cast(times, tf.float32)

        def inner(i: Tensor, value: Tensor) -> Tensor:
            start = (tf.constant(0), value)
            return i + 1, v1.while_loop(lambda j, _: j < i, lambda j, v: (j + 1, v + rate), start)[
                1
            ]

        count, looped = v1.while_loop(lambda i, _: i < 3, inner, (tf.constant(0), hidden))
        beside = v1.while_loop(lambda i: i < times, lambda i: i + 2, [tf.constant(0)])
        mapped = v1.map_fn(lambda row: row * times_float + 1.0, x)
        switched = v1.cond(training, lambda: looped * 0.5, lambda: looped + other)
        with v1.colocate_with(rate), v1.control_dependencies([rate]):
            waits = tf.identity(hidden, name="waits")
        outputs = {
            "switched": switched,
            "waits": waits + 1.0,
            "count": count,
            "beside": beside,
            "found": table.lookup(times),
            "apart": tf.identity(hidden),
            "mapped": mapped,
            "rows": v1.map_fn(lambda row: row + 1.0, x),
        }
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(directory)
        info = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            {
                name: info(each)
                for name, each in {
                    "x": x,
                    "rate": rate,
                    "times": times,
                    "training": training,
                }.items()
            },
            {name: info(each) for name, each in outputs.items()},
            "tensorflow/serving/predict",
        )
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            main_op=v1.tables_initializer(),
        )
        builder.save()


_BUILDERS = {"module": _module, "session": _session}


def run_together(
    directory: str, tags: Sequence[str], feeds: Mapping[str, Mapping[str, Value]]
) -> Answer:
    """Run signatures in one call of one session, as nodes of one graph.

    Args:
        directory: The model.
        tags: Its tags.
        feeds: Key of a signature to its inputs' values. Signatures that share a tensor must feed
            the same value.

    Returns:
        ``arrays`` by key and alias, or a refusal.
    """

    def work() -> Answer:
        with opened_session(directory, tags) as (session, _, meta_graph):
            fed, fetched = {}, {}
            for key, values in feeds.items():
                signature = meta_graph.signature_def[key]
                for alias, value in values.items():
                    fed[signature.inputs[alias].name] = decoded(value)
                fetched[key] = {alias: info.name for alias, info in signature.outputs.items()}
            ran = session.run(fetched, fed)
            return {
                "arrays": {
                    key: {alias: encoded(value) for alias, value in each.items()}
                    for key, each in ran.items()
                }
            }

    return refusal(work)
