"""Layers of Keras whose functions hold more than arithmetic."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tests.oracle.factories.exhibit import Exhibit


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
