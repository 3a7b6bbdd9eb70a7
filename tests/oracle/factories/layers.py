"""Layers of Keras whose functions have more than arithmetic."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tests.oracle.factories.exhibit import Exhibit, Tensor


def keras_layers(_: Path) -> Exhibit:
    """Dropout, normalization, recurrent layers both ways, convolution, and a layer used twice."""
    layers = tf.keras.layers
    tf.keras.utils.set_random_seed(1)
    words = tf.keras.Input([4], dtype="int32", name="words")
    values = tf.keras.Input([4, 3], name="values")
    shared = layers.Dense(3, name="shared")
    embedded = layers.Embedding(30, 3, name="embedding")(words)
    both = layers.Concatenate(name="join")([shared(embedded), shared(values)])
    normal = layers.BatchNormalization(name="normal")(layers.Dropout(0.5, name="drop")(both))
    convolved = layers.Conv1D(4, 2, padding="same", activation="relu", name="conv")(normal)
    recurrent = layers.LSTM(3, return_sequences=True, name="lstm")(convolved)
    turned = layers.Bidirectional(layers.GRU(2, name="gru"), name="turned")(recurrent)
    scores = layers.Dense(2, activation="softmax", name="scores")(
        layers.LayerNormalization()(turned)
    )
    pooled = layers.GlobalAveragePooling1D(name="pooled")(recurrent)
    return Exhibit(tf.keras.Model([words, values], {"z": scores, "a": pooled}))


def keras_in_module(_: Path) -> Exhibit:
    """A model of Keras 3 in a module: the checkpoint has other variables than the calls use."""
    given = tf.keras.Input([4], name="x")
    network = tf.keras.Model(given, tf.keras.layers.Dense(2, name="d")(given))

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def serve(self, x: Tensor) -> Tensor:
            return {"y": self.network(x)}

    module = Module()
    return Exhibit(module, module.serve)
