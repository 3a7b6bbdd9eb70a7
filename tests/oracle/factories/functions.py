"""Functions that call functions, loop, count, or carry attributes."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tests.oracle.factories.exhibit import VECTOR, Exhibit, Tensor, X, each


def calls(_: Path) -> Exhibit:
    """Functions that call functions: one in two places, one with variables as arguments."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tf.Variable([2.0, 3.0]), tf.Variable([5.0, 7.0])

        @tf.function
        def scale(self, x: Tensor, v: Tensor) -> Tensor:
            return tf.add(x * v, 1.0, name="scaled")

        @tf.function
        def parts(self, x: Tensor) -> Tensor:
            low, high = tf.split(x, 2, axis=1, name="halves")
            return {"z": low, "a": high * 10, "top": tf.math.top_k(x, 2, name="best").indices}

        @tf.function
        def middle(self, x: Tensor) -> Tensor:
            found = self.parts(self.scale(x, self.a))
            return self.parts(self.scale(x, self.b))["a"] - found["z"], found["top"]

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            first, top = self.middle(x)
            second, _ = self.middle(x + 1.0)
            return {"z": first, "a": second, "top": top}

        @tf.function(input_signature=[VECTOR])
        def other(self, x: Tensor) -> Tensor:
            return self.middle(self.scale(x, self.b))

    module = Module()
    return Exhibit(module, module.serve, each(["serve", "other"], {"x": X}))


def attributes(_: Path) -> Exhibit:
    """Functions with attributes: compiled by XLA, not inlined, implementations of an interface."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = tf.Variable([2.0, 3.0])

        @tf.function(jit_compile=True)
        def compiled(self, x: Tensor) -> Tensor:
            return tf.multiply(x, self.v, name="in_xla") + 1.0

        @tf.function(
            experimental_attributes={"api_implements": "f_1", "api_preferred_device": "CPU"}
        )
        def one(self, x: Tensor) -> Tensor:
            return tf.multiply(x, 10.0, name="in_one") + self.v

        @tf.function(experimental_implements="my.op")
        def composite(self, x: Tensor) -> Tensor:
            return tf.multiply(x, 7.0, name="in_composite") + 2.0

        @tf.function(input_signature=[VECTOR], autograph=False)
        def serve(self, x: Tensor) -> Tensor:
            return self.compiled(x) + self.one(x) * 100 + self.composite(x)

    module = Module()
    asks = each(["compiled", "one", "composite"], {"x": X})
    for path in asks:
        getattr(module, path).get_concrete_function(VECTOR)
    return Exhibit(module, module.serve, {**asks, "serve": {"x": X}})


def policies(_: Path) -> Exhibit:
    """Functions with custom gradients, saved with these and with the devices of variables."""

    @tf.custom_gradient
    def doubled(x: Tensor) -> Tensor:
        return tf.multiply(x, 2.0, name="doubled"), lambda gradient: gradient * 3.0

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.w = tf.Variable([2.0, 3.0]), tf.Variable([5.0, 7.0])

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            return doubled(x) * self.v

        @tf.function(input_signature=[VECTOR])
        def other(self, x: Tensor) -> Tensor:
            return doubled(x) * self.w

    module = Module()
    options = tf.saved_model.SaveOptions(
        experimental_variable_policy=tf.saved_model.experimental.VariablePolicy.SAVE_VARIABLE_DEVICES,
        experimental_custom_gradients=True,
        function_aliases={"alias": module.other},
    )
    asks = each(["serve", "other"], {"x": X})
    return Exhibit(module, module.serve, asks, options)


def control_flow(_: Path) -> Exhibit:
    """Loops and branches between tensors that can be exposed."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = tf.Variable([2.0, 3.0])

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            before = tf.multiply(x, self.v, name="before")
            looped = tf.while_loop(
                lambda i, _: i < 3,
                lambda i, y: (i + 1, tf.add(y, self.v, name="in_body")),
                [0, before],
            )[1]
            chosen = tf.cond(
                tf.reduce_sum(x) > 0,
                lambda: tf.add(looped, 1.0, name="in_branch"),
                lambda: looped,
            )
            mapped = tf.map_fn(lambda row: tf.multiply(row, 2.0, name="in_map"), chosen)
            return tf.identity(mapped, name="after")

        @tf.function(input_signature=[VECTOR])
        def switch(self, x: Tensor) -> Tensor:
            index = tf.cast(x[0, 0], tf.int32)
            branches = [lambda: x * self.v, lambda: x + self.v, lambda: x - self.v]
            return tf.switch_case(index, branches)

    module = Module()
    return Exhibit(module, module.serve, each(["serve", "switch"], {"x": X}))


def counter(_: Path) -> Exhibit:
    """A variable that counts the calls, inside a function that the signature's function calls."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = tf.Variable(0.0)

        @tf.function
        def count(self) -> Tensor:
            return tf.identity(self.calls.assign_add(1.0), name="now")

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            now = self.count()
            return {"sum": tf.multiply(x, 10.0, name="tenfold") + now, "count": now}

        @tf.function(input_signature=[VECTOR])
        def silent(self, x: Tensor) -> Tensor:
            self.calls.assign_add(1.0)
            return {"same": tf.multiply(x, 2.0, name="doubled")}

        @tf.function(input_signature=[])
        def read(self) -> Tensor:
            return {"calls": self.calls.read_value()}

    module = Module()
    signatures = {"serving_default": module.serve, "silent": module.silent, "read": module.read}
    return Exhibit(module, signatures)


def refused(_: Path) -> Exhibit:
    """Functions that cannot become signatures."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = tf.Variable([2.0, 3.0])

        @tf.function(input_signature=[VECTOR])
        def serve(self, x: Tensor) -> Tensor:
            return x * self.v

        @tf.function(input_signature=[VECTOR])
        def nothing(self, x: Tensor) -> None:
            self.v.assign(x[0])

        @tf.function(input_signature=[VECTOR])
        def handle(self, x: Tensor) -> Tensor:
            return {"x": x, "handle": self.v.handle}

        @tf.function(input_signature=[tf.TensorSpec([], tf.variant, "x")])
        def takes_handle(self, x: Tensor) -> Tensor:
            return tf.raw_ops.TensorListLength(input_handle=x)

        @tf.function(input_signature=[tf.RaggedTensorSpec([None, None])])
        def ragged(self, rows: Tensor) -> Tensor:
            return tf.reduce_sum(rows, axis=1)

        @tf.function(input_signature=[VECTOR])
        def ragged_out(self, x: Tensor) -> Tensor:
            return tf.RaggedTensor.from_tensor(x)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)] * 2)
        def minus(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    module = Module()
    return Exhibit(module, module.serve)
