"""Variables, tables and constants that could be confused with one another."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.oracle.factories.exhibit import VECTOR, Exhibit, Tensor, X, each


class _Layer(tf.Module):
    def __init__(self, factor: float, *, name: str = "same") -> None:
        super().__init__(name=name)
        self.w = tf.Variable([factor, -factor], name="w")
        self.shift = tf.constant([factor * 10, factor * 100])

    @tf.function(input_signature=[VECTOR])
    def run(self, x: Tensor) -> Tensor:
        return tf.nn.relu(tf.multiply(x, self.w, name="product") + self.shift, name="act")


def two_layers(_: Path) -> Exhibit:
    """Two layers of one class: variables, constants and nodes of the same names."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = _Layer(2.0), _Layer(3.0)

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            return {"sum": self.first.run(x) + 1000 * self.second.run(self.first.run(x))}

        @tf.function(input_signature=[VECTOR])
        def only_second(self, x: Tensor) -> Tensor:
            return self.second.run(x), self.second.w

    module = Module()
    asks = each(["serve", "only_second", "first.run", "second.run"], {"x": X})
    return Exhibit(module, module.serve, asks)


def crossed_names(_: Path) -> Exhibit:
    """Variables with the names of other attributes, and attributes with dots in their names."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable([1.0, 2.0], name="w2")
            self.w2 = tf.Variable([4.0, 8.0], name="w3")
            self.w3 = tf.Variable([16.0, 32.0], name="w")
            self.table = {
                "a.S": tf.Variable([3.0, 5.0], name="w"),
                "a./": tf.Variable([7.0, 11.0], name="w"),
                "a/b": tf.Variable([13.0, 17.0], name="w"),
                ".S": tf.Variable([19.0, 23.0], name="w"),
            }

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            return {"same": x}

        @tf.function(input_signature=[VECTOR])
        def by_w(self, x: Tensor) -> Tensor:
            return {"w3": x * self.w, "w2": x + self.w2, "w": x - self.w3}

        @tf.function(input_signature=[VECTOR])
        def dots(self, x: Tensor) -> Tensor:
            return x * self.table["a.S"], x * self.table["a./"]

        @tf.function(input_signature=[VECTOR])
        def slashes(self, x: Tensor) -> Tensor:
            return x * self.table["a/b"], x * self.table[".S"]

    module = Module()
    asks = each(["by_w", "dots", "slashes"], {"x": X})
    return Exhibit(module, module.serve, asks)


def shared_variables(_: Path) -> Exhibit:
    """One variable under several paths, lists and dictionaries of variables, of several types."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = tf.Variable([1.0, 2.0])
            self.same = self.v
            self.listed = [tf.Variable([4.0, 8.0]), self.v, tf.Variable([16.0, 32.0])]
            self.count = tf.Variable(7, dtype=tf.int64, trainable=False)
            self.words = tf.Variable([b"one", b"two"], trainable=False)
            self.loose = tf.Variable([[1.0, 2.0]], shape=tf.TensorShape(None))
            self.flag = tf.Variable(True, trainable=False)  # noqa: FBT003 - a value

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            return x * self.v

        @tf.function(input_signature=[VECTOR])
        def everything(self, x: Tensor) -> Tensor:
            return collections.OrderedDict(
                [
                    ("z", x * self.same + self.listed[1]),
                    ("lists", x * self.listed[0] - self.listed[2]),
                    ("count", self.count + 1),
                    ("words", tf.strings.join([self.words, "!"])),
                    ("loose", self.loose * 2.0),
                    ("flag", tf.logical_not(self.flag)),
                    ("a", x),
                ]
            )

    module = Module()
    return Exhibit(module, module.serve, each(["everything", "serve"], {"x": X}))


def resources(scratch: Path) -> Exhibit:
    """Tables with and without assets, two of each, captured also by functions not exported."""

    def of_file(name: str, words: str) -> Tensor:
        file = scratch / name
        file.write_text(words)
        number = tf.lookup.TextFileIndex.LINE_NUMBER
        whole = tf.lookup.TextFileIndex.WHOLE_LINE
        initializer = tf.lookup.TextFileInitializer(str(file), "string", whole, "int64", number)
        return tf.lookup.StaticHashTable(initializer, -1)

    def of_values(*numbers: int) -> Tensor:
        keys = tf.constant(["a", "b", "c"])
        values = tf.constant(numbers, tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
        return tf.lookup.StaticHashTable(initializer, -2)

    words = tf.TensorSpec([None], tf.string, "words")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = of_file("up.txt", "a\nb\nc\n"), of_file("down.txt", "c\nb\na\n")
            self.odd, self.even = of_values(1, 3, 5), of_values(2, 4, 6)
            self.bias = tf.constant(1000, tf.int64)

        @tf.function(input_signature=[words])
        def serve(self, words: Tensor) -> Tensor:
            return self.up.lookup(words)

        @tf.function(input_signature=[words])
        def other(self, words: Tensor) -> Tensor:
            return {"down": self.down.lookup(words), "biased": self.odd.lookup(words) + self.bias}

        @tf.function(input_signature=[words])
        def last(self, words: Tensor) -> Tensor:
            return self.even.lookup(words), self.up.lookup(words), self.even.size()

    module = Module()
    fed = {"words": np.array([b"c", b"a", b"x"], object)}
    return Exhibit(module, module.serve, each(["other", "last", "serve"], fed))
