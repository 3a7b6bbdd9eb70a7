"""Models of objects and functions, TensorFlow 2: ``python -m tests.old_releases.objects DIR``.

An old TensorFlow runs this. It writes ``objects.json``, in the form of ``sessions.json``.
TensorFlow 1.15 could write such models too, if its behaviour was set to that of 2.
"""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable, Dict, Mapping, Tuple

import numpy as np
import tensorflow.compat.v2 as tf

from tests.old_releases.arrays import plain

Record = Dict[str, Any]

A = np.array([[1, 2], [3, -1]], np.float32)
B = np.array([[0.5, 4], [-2, 8]], np.float32)
WORDS = np.array([b"two", b"none", b"one"], dtype=object)
PREDICT = "tensorflow/serving/predict"

_PAIR = [tf.TensorSpec([None, 2], tf.float32, name=name) for name in "ab"]


class Mixture(tf.Module):
    """A module with variables, functions that call one another, and a loop."""

    def __init__(self) -> None:
        """Create the variables."""
        super().__init__(name="mixture")
        self.weights = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
        self.factors = tf.Variable([0.5, 0.25], name="c")
        self.steps = tf.Variable(3, name="steps", trainable=False)

    @tf.function(input_signature=_PAIR)
    def blend(self, a: Any, b: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        """Mix both."""
        return tf.add(tf.matmul(a, self.weights), b * self.factors, name="mix")

    @tf.function(input_signature=_PAIR)
    def mixing(self, a: Any, b: Any) -> Any:  # noqa: ANN401 - as above
        """Compute the outputs of the exported signature."""
        hidden = tf.nn.relu(self.blend(a, b) - 4.0)
        return {"hidden": hidden, "gap": a - 2.0 * b}

    @tf.function(input_signature=_PAIR)
    def encode(self, a: Any, b: Any) -> Any:  # noqa: ANN401 - as above
        """Compute the outputs of a function that is traced and not exported as a signature."""
        _, grown = tf.while_loop(
            lambda step, _: step < self.steps,
            lambda step, value: (step + 1, value * 2.0 + b),
            [tf.constant(0), a],
        )
        return {"grown": grown, "blended": self.blend(b, a)}


class Places(tf.Module):
    """A module with a table that is filled from an asset."""

    def __init__(self, file: str) -> None:
        """Create the table."""
        super().__init__(name="places")
        filling = tf.lookup.TextFileInitializer(
            file,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(filling, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def place(self, word: Any) -> Any:  # noqa: ANN401 - as above
        """Compute the output of the exported signature."""
        return {"place": self.table.lookup(word)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def after(self, word: Any) -> Any:  # noqa: ANN401 - as above
        """Compute the output of a function that is traced and not exported as a signature."""
        return {"after": self.table.lookup(word) + tf.constant(10, tf.int64)}


def _record(
    feeds: Dict[str, Any],
    truth: Dict[str, Any],
    signatures: Mapping[str, Tuple[Tuple[str, ...], Tuple[str, ...]]],
) -> Record:
    told = {
        key: {
            "inputs": {name: name for name in inputs},
            "outputs": {name: name for name in outputs},
            "method": PREDICT,
        }
        for key, (inputs, outputs) in signatures.items()
    }
    return {
        "tags": ["serve"],
        "feeds": {name: plain(value) for name, value in feeds.items()},
        "truth": {name: plain(value) for name, value in truth.items()},
        "signatures": told,
    }


def module(directory: str) -> Record:
    """Save a tf.Module with two traced functions, one of them as a signature."""
    mixture = Mixture()
    a, b = tf.constant(A), tf.constant(B)
    truth = {"mix": mixture.blend(a, b), **mixture.mixing(a, b), **mixture.encode(a, b)}
    tf.saved_model.save(mixture, directory, signatures={"mixing": mixture.mixing})
    return _record({"a": A, "b": B}, truth, {"mixing": (("a", "b"), ("gap", "hidden"))})


def table(directory: str) -> Record:
    """Save a module with a table and an asset."""
    aside = directory + ".asset"
    os.mkdir(aside)
    file = os.path.join(aside, "words.txt")
    with open(file, "w") as stream:
        stream.write("zero\none\ntwo\n")
    places = Places(file)
    word = tf.constant(WORDS)
    truth = {**places.place(word), **places.after(word)}
    tf.saved_model.save(places, directory, signatures={"places": places.place})
    return _record({"word": WORDS}, truth, {"places": (("word",), ("place",))})


def _network() -> Any:  # noqa: ANN401 - as above
    """Build a functional model with two inputs and two heads, all weights exact."""
    keras = tf.keras
    left = keras.layers.Input([2], name="left")
    right = keras.layers.Input([2], name="right")
    first = keras.layers.Dense(2, activation="relu", name="first")(left)
    second = keras.layers.Dense(2, name="second")(right)
    both = keras.layers.Add(name="both")([first, second])
    score = keras.layers.Dense(2, name="score")(both)
    network = keras.Model([left, right], [both, score], name="network")
    for place, layer in enumerate(("first", "second", "score")):
        kernel = np.array([[1, 2], [-1, 4]], np.float32) * 0.5 + place
        network.get_layer(layer).set_weights([kernel, np.array([place, 0.5], np.float32)])
    return network


def _network_record(network: Any) -> Record:  # noqa: ANN401 - as above
    inner = tf.keras.Model(network.inputs, network.get_layer("first").output)
    both, score = network.predict([A, B])
    truth = {"both": both, "score": score, "first": inner.predict([A, B])}
    signatures = {"serving_default": (("left", "right"), ("both", "score"))}
    return {**_record({"left": A, "right": B}, truth, signatures), "keras": ["both", "score"]}


def keras(directory: str) -> Record:
    """Save a functional Keras model, as Keras does."""
    network = _network()
    record = _network_record(network)
    network.save(directory, save_format="tf")
    return record


def trained(directory: str) -> Record:
    """Save a model whose optimizer has slots; its learning rate is 0, so that the weights stay."""
    network = _network()
    network.compile(optimizer=tf.keras.optimizers.SGD(0.0, momentum=0.5), loss="mse")
    network.fit([A, B], [A, B], epochs=1, verbose=0)
    record = _network_record(network)
    network.save(directory, save_format="tf")
    return record


WRITERS: Tuple[Callable[[str], Record], ...] = (module, table, keras, trained)


def main(target: str) -> None:
    """Write all models, and their record."""
    tf.compat.v1.enable_v2_behavior()
    models = {write.__name__: write(os.path.join(target, write.__name__)) for write in WRITERS}
    with open(os.path.join(target, "objects.json"), "w") as stream:
        json.dump(models, stream)


if __name__ == "__main__":
    main(sys.argv[1])
