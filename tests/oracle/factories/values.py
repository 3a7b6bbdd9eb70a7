"""Arguments and results of every structure and type."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import composite_tensor, type_spec_registry

from tests.oracle.factories.exhibit import Exhibit, Tensor


def structures(_: Path) -> Exhibit:
    """Arguments and results in every structure, in an order other than that of their names."""
    pair = collections.namedtuple("pair", ["second", "first"])  # noqa: PYI024 - as users write it
    scalar = tf.TensorSpec([], tf.float32)

    class Module(tf.Module):
        @tf.function(input_signature=[scalar])
        def serve(self, x: Tensor) -> Tensor:
            return {"z": x + 1, "a": x + 2}

        @tf.function
        def keywords(self, *, z: Tensor, a: Tensor, m: Tensor) -> Tensor:
            return {"z": z - 1, "a": a - 2, "m": m - 3}

        @tf.function
        def ordered(self, z: Tensor, a: Tensor, m: Tensor = 5.0) -> Tensor:
            return pair(z * 2, a * 3), [m, (z + a, z - a)]

        @tf.function
        def mixed(self, z: Tensor, *, y: Tensor, b: Tensor) -> Tensor:
            return {"y": {"q": z * 100 + y * 10 + b, "c": b}, "a": [z, y]}, None, z

        @tf.function
        def many(self, x0: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
            return tuple(x0 + x1 * 10 + x2 * 100 + place for place in range(12))

        @tf.function
        def same(self, x: Tensor, y: Tensor) -> Tensor:
            return {"y": x, "x": y, "x_again": x, "twice": [y, y]}

        @tf.function
        def alike(self, x: Tensor, y: Tensor) -> Tensor:
            return {"a": {"b": x}, "a_b": y, "0": x * 100.0, "output_0": y * 100.0, "Z": x - y}

    module = Module()
    values = [1.0, 20.0, 300.0]
    asks = {
        "serve": {"x": 3.0},
        "keywords": dict(zip("zam", values, strict=True)),
        "ordered": dict(zip("zam", values, strict=True)),
        "mixed": dict(zip("zyb", values, strict=True)),
        "many": {f"x{place}": value for place, value in enumerate(values)},
        "same": {"x": 1.0, "y": 2.0},
        "alike": {"x": 3.0, "y": 5.0},
    }
    for path, arguments in asks.items():
        getattr(module, path).get_concrete_function(**dict.fromkeys(arguments, scalar))
    return Exhibit(module, module.serve, asks)


def types(_: Path) -> Exhibit:
    """Every type of element that a signature can have, and unknown shapes."""
    values = {
        "b": np.array([True, False]),
        "c": np.array([1 + 2j, 3 - 4j], np.complex64),
        "d": np.array([0.5, 0.25], np.float64),
        "h": np.array([0.5, 2.0], np.float16),
        "i": np.array([1, -2], np.int8),
        "n": np.array([1 << 40, -3], np.int64),
        "s": np.array([b"one", b"\xff\x00"], object),
        "u": np.array([1, 200], np.uint8),
    }
    specs = {
        name: tf.TensorSpec(None, tf.string if name == "s" else value.dtype, name)
        for name, value in values.items()
    }

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
        def serve(self, x: Tensor) -> Tensor:
            return x

        @tf.function
        def swap(  # noqa: PLR0913, PLR0917 - one of each type
            self,
            u: Tensor,
            s: Tensor,
            n: Tensor,
            i: Tensor,
            h: Tensor,
            d: Tensor,
            c: Tensor,
            b: Tensor,
        ) -> Tensor:
            return {
                "z": tf.logical_not(b),
                "y": c * 2,
                "x": d * 2,
                "w": h * 2,
                "v": i * 2,
                "u": n * 2,
                "t": tf.strings.join([s, s]),
                "s": u + 1,
            }

    module = Module()
    module.swap.get_concrete_function(**specs)
    return Exhibit(module, module.serve, {"swap": values})


class _Distribution(composite_tensor.CompositeTensor):
    def __init__(self, location: Tensor) -> None:
        self.location = location

    @property
    def _type_spec(self) -> Tensor:
        return _DistributionSpec(tf.TensorSpec(self.location.shape, self.location.dtype))


@type_spec_registry.register("some_package.DistributionSpec")
class _DistributionSpec(tf.TypeSpec):
    """A type as TensorFlow Probability has them, in a package that no other process imports."""

    def __init__(self, spec: Tensor) -> None:
        self._spec = spec

    @property
    def value_type(self) -> type:
        return _Distribution

    @property
    def _component_specs(self) -> Tensor:
        return self._spec

    def _to_components(self, value: Tensor) -> Tensor:
        return value.location

    def _from_components(self, components: Tensor) -> Tensor:
        return _Distribution(components)

    def _serialize(self) -> Tensor:
        return (self._spec,)


def distribution(_: Path) -> Exhibit:
    """A policy as TF-Agents saves it: a function beside its signature has a type of a package."""
    observation = tf.TensorSpec([None], tf.float32, "0/observation")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(2.0)

        @tf.function
        def action(self, x: Tensor) -> Tensor:
            return {"action": x["observation"] * self.w}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def distribution(self, x: Tensor) -> Tensor:
            return _Distribution(x * self.w)

    module = Module()
    module.distribution.get_concrete_function()
    return Exhibit(module, module.action.get_concrete_function({"observation": observation}))


def numbered_input(_: Path) -> Exhibit:
    """An input with PyTorch's name, as in a model that was converted through ONNX."""

    class Module(tf.Module):
        @tf.function
        def serve(self, x: Tensor) -> Tensor:
            return {"y": x["a"] * 2.0}

    module = Module()
    given = tf.TensorSpec([None, 2], tf.float32, "input.1")
    return Exhibit(module, module.serve.get_concrete_function({"a": given}))


def two_inputs(_: Path) -> Exhibit:
    """Signatures that broadcast their second input, and one that does not."""
    rows, column = tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None, 1], tf.float32)

    class Module(tf.Module):
        @tf.function(input_signature=[rows, column])
        def joined(self, x: Tensor, k: Tensor) -> Tensor:
            return {"y": tf.concat([x, k], 1)}

        @tf.function(input_signature=[rows, column])
        def scaled(self, x: Tensor, k: Tensor) -> Tensor:
            return {"y": x * k}

        @tf.function(input_signature=[rows, tf.TensorSpec(None, tf.float32)])
        def any_rank(self, x: Tensor, k: Tensor) -> Tensor:
            return {"y": x * tf.reshape(k, [-1, 1])}

    module = Module()
    keys = ("joined", "scaled", "any_rank")
    return Exhibit(module, {key: getattr(module, key) for key in keys})
