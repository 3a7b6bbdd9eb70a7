"""Functions as users put them around a signature; only processes with TensorFlow import them."""

# mypy: disable-error-code="misc, untyped-decorator, valid-type"
# TensorFlow has no types for its decorators.

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any

WORDS = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([4.0, 9.0])), -1.0
)
FACTORS = tf.Variable([1.5, -2.25])
SHIFT = tf.constant([0.5, 0.25])
NAMES = tf.constant([b"cat", b"dog\0bird", b"\xff"])


def words_to_left(text: tf.TensorSpec([None], tf.string)) -> Tensor:
    """Look words up inside a loop, and read a variable and a constant."""
    found = tf.map_fn(WORDS.lookup, text, fn_output_signature=tf.float32)
    return {"left": found[:, None] * FACTORS + SHIFT}


@tf.function(
    input_signature=[
        tf.TensorSpec([None, 2], tf.float64, name="wide"),
        tf.TensorSpec([], tf.int32, name="times"),
    ]
)
def repeated(wide: Tensor, times: Tensor) -> Tensor:
    """Loop and branch on tensors."""
    value = tf.cast(wide, tf.float32)
    for _ in tf.range(times):
        value = value * 1.5 if tf.reduce_sum(value) < 10.0 else value - 1.0
    return {"right": value}


@tf.custom_gradient
def _doubled(x: Tensor) -> Tensor:
    return x * 2.0, lambda upstream: upstream * 7.0


def doubled(right: Tensor) -> Tensor:
    """Take an input under its own name, through a custom gradient."""
    return {"right": _doubled(right)}


@tf.function(jit_compile=True)
def _compiled(x: Tensor) -> Tensor:
    return tf.sin(x) * 3.0


def summed(score: Tensor) -> Tensor:
    """Branch on a tensor, and remove an output."""
    if tf.shape(score)[0] > 1:
        score = score + 1.0
    return {"total": tf.reduce_sum(score), "shifted": score * FACTORS[1]}


def named(both: Tensor) -> Tensor:
    """Return names with zero bytes inside, through a compiled function."""
    return {"names": tf.gather(NAMES, tf.argmax(_compiled(both), axis=-1)), "both": both}


def logits_plus(logits: Tensor) -> Tensor:
    """Take one output and return one tensor, which keeps its name."""
    return logits + 1.0


def lines(image_text: tf.TensorSpec([None], tf.string)) -> Tensor:
    """Make images of text."""
    numbers = tf.strings.to_hash_bucket_fast(image_text, 255)
    pixels = tf.cast(numbers, tf.float32)[:, None, None, None]
    return {"image": tf.tile(pixels, [1, 8, 6, 3]) / 255.0}


def crossed(
    left: tf.TensorSpec([None, 2], tf.float32), right: tf.TensorSpec([None, 2], tf.float32)
) -> Tensor:
    """Return both inputs, each computed from the other."""
    return {"left": right * 2.0, "right": left}


def noisy(score: Tensor) -> Tensor:
    """Add random numbers."""
    return {"score": score + tf.random.uniform(tf.shape(score))}


def of_one(both: tf.TensorSpec([1, 3], tf.float32)) -> Tensor:
    """Count on a batch of one."""
    return {"count": tf.constant(both.shape[0]), "both": both}


def loosely(wide: tf.TensorSpec([None, None], tf.float32)) -> Tensor:
    """Return any number of columns."""
    return {"left": wide}


def beside(score: Tensor, left: Tensor) -> Tensor:
    """Take an output, and an input of the signature."""
    return {"score": score, "sum": score + tf.reduce_sum(left, -1, keepdims=True)}
