"""Computations before and after a signature, made outside the model.

They are plain TensorFlow and NumPy, for one example at a time if that differs from the operations
that smpatch puts into a model.
"""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.oracle.client import Value, decoded, encoded
from tests.oracle.loading import opened_session, refusal

__all__ = ["build_composable", "encoded_examples", "encoded_images", "example_messages", "outside"]

Answer = dict[str, Any]
Arrays = dict[str, Any]
Step = tuple[str, Mapping[str, Any]]


def outside(  # noqa: PLR0913, PLR0917 - a signature and all that is around it
    directory: str,
    tags: Sequence[str],
    key: str,
    feed: Mapping[str, Value],
    before: Sequence[Step],
    after: Sequence[Step],
    loaders: Sequence[str] = ("session", "python"),
) -> Answer:
    """Run a signature with computations before and after it, which are made outside the model.

    Args:
        directory: The model.
        tags: Its tags.
        key: The signature.
        feed: The values for the first computation and for the signature, by name.
        before: Names of computations with their arguments, in their order.
        after: The same for computations that take outputs.
        loaders: The loaders that run the signature.

    Returns:
        For each loader ``arrays`` by alias, or a refusal.
    """
    values = {alias: decoded(value) for alias, value in feed.items()}
    for name, arguments in before:
        values |= _computed(name, values, arguments)
    answer: Answer = {}
    for loader in loaders:
        run = {"session": _in_session, "python": _in_python}[loader]

        def work(run: Callable[..., Arrays] = run) -> Answer:
            outputs = run(directory, tags, key, values)
            for name, arguments in after:
                made = _computed(name, {**values, **outputs}, arguments)
                taken = arguments.get("takes", [arguments.get("output")])
                outputs = {a: each for a, each in outputs.items() if a not in taken} | made
            return {"arrays": {alias: encoded(each) for alias, each in outputs.items()}}

        answer[loader] = refusal(work)
    return answer


def _computed(name: str, values: Arrays, arguments: Mapping[str, Any]) -> Arrays:
    rest = {key: value for key, value in arguments.items() if key != "takes"}
    made: Arrays = (_COMPUTED.get(name) or _users(name))(values, **rest)
    return {alias: np.asarray(tf.convert_to_tensor(each)) for alias, each in made.items()}


def _users(name: str) -> Callable[..., Arrays]:
    """Return a function of the file of users' code; it is called eagerly."""
    function = getattr(importlib.import_module("tests.compose.user_code"), name)

    def call(values: Arrays, given: Sequence[str], alias: str = "") -> Arrays:
        result = tf.function(function)(**{each: tf.constant(values[each]) for each in given})
        return result if isinstance(result, dict) else {alias: result}

    return call


def _in_session(directory: str, tags: Sequence[str], key: str, values: Arrays) -> Arrays:
    with opened_session(directory, tags) as (session, _, meta_graph):
        signature = meta_graph.signature_def[key]
        fed = {info.name: values[alias] for alias, info in signature.inputs.items()}
        names = {alias: info.name for alias, info in signature.outputs.items()}
        found: Arrays = session.run(names, fed)
        return found


def _in_python(directory: str, tags: Sequence[str], key: str, values: Arrays) -> Arrays:
    signature = tf.saved_model.load(directory, tags=list(tags)).signatures[key]
    _, arguments = signature.structured_input_signature
    fed = {alias: tf.constant(values[alias]) for alias in arguments}
    return {alias: each.numpy() for alias, each in signature(**fed).items()}


def _decode(  # noqa: PLR0913, PLR0917 - as the recipe
    values: Arrays,
    alias: str,
    size: Sequence[int],
    channels: int = 3,
    scale: float = 1.0,
    offset: float = 0.0,
    mean: Any = 0.0,  # noqa: ANN401 - a number or several
    std: Any = 1.0,  # noqa: ANN401 - as above
    dtype: str = "float32",
    layout: str = "NHWC",
    parameter: str = "",
    method: str = "bilinear",
    antialias: bool = False,  # noqa: FBT001, FBT002 - as the recipe
) -> Arrays:
    """Decode one image at a time."""
    data = values[parameter or f"{alias}_bytes"]
    images = []
    for each in data.ravel() if data.ndim else [data.item()]:
        pixels = tf.io.decode_image(each, channels, expand_animations=False)
        pixels = tf.image.resize(pixels, size, method=method, antialias=antialias).numpy()
        f = np.float32
        pixels = (pixels * f(scale) + f(offset) - np.array(mean, f)) / np.array(std, f)
        if np.dtype(dtype).kind in "iu":
            limits = np.iinfo(dtype)
            pixels = np.clip(np.rint(pixels), limits.min, limits.max)
        pixels = pixels.astype(dtype)
        images.append(np.moveaxis(pixels, 2, 0) if layout == "NCHW" else pixels)
    return {alias: np.stack(images) if data.ndim else images[0]}


def _parsed(values: Arrays, name: str, features: Mapping[str, Any]) -> Arrays:
    """Parse the messages with the class of the message, without an operation."""
    found: dict[str, list[Any]] = {each: [] for each in features}
    for message in values[name]:
        example = tf.train.Example.FromString(message)
        for each, (kind, shape, dtype) in features.items():
            held = getattr(example.features.feature[each], kind).value
            array = np.array([*held], object if dtype == "string" else dtype)
            found[each].append(array.reshape(shape))
    return {each: np.stack(arrays) for each, arrays in found.items()}


def _cast(values: Arrays, given: str, alias: str, dtype: str) -> Arrays:
    return {alias: values[given].astype(dtype)}


def _cast_output(values: Arrays, output: str, alias: str, dtype: str) -> Arrays:
    return {alias: values[output].astype(dtype)}


def _normalized(  # noqa: PLR0913, PLR0917 - as the recipe
    values: Arrays,
    given: str,
    alias: str,
    mean: Any = 0.0,  # noqa: ANN401 - as above
    std: Any = 1.0,  # noqa: ANN401 - as above
    scale: float = 1.0,
) -> Arrays:
    f = np.float32
    return {alias: (values[given] * f(scale) - np.array(mean, f)) / np.array(std, f)}


def _resized(values: Arrays, given: str, alias: str, size: Sequence[int]) -> Arrays:
    return {alias: tf.stack([tf.image.resize(each, size) for each in values[given]])}


def _expanded(values: Arrays, given: str, alias: str) -> Arrays:
    return {alias: values[given][None]}


def _looked_up(
    values: Arrays, given: str, alias: str, words: Sequence[str], default: int
) -> Arrays:
    places = {word.encode(): place for place, word in enumerate(words)}
    found = [places.get(each, default) for each in values[given].ravel()]
    return {alias: np.array(found, "i8").reshape(values[given].shape)}


def _words_of(
    values: Arrays, output: str, alias: str, words: Sequence[str], default: str
) -> Arrays:
    known = dict(enumerate(words))
    found = [known.get(int(each), default).encode() for each in values[output].ravel()]
    return {alias: np.array(found, object).reshape(values[output].shape)}


def _softmax(values: Arrays, output: str, alias: str) -> Arrays:
    return {alias: tf.nn.softmax(values[output])}


def _identity(values: Arrays, output: str, alias: str) -> Arrays:
    return {alias: values[output]}


def _sigmoid(values: Arrays, output: str, alias: str) -> Arrays:
    return {alias: tf.sigmoid(values[output])}


def _argmax(values: Arrays, output: str, alias: str, labels: Sequence[str] | None = None) -> Arrays:
    found = np.argmax(values[output], axis=-1)
    return {alias: found if labels is None else _labelled(found, labels)}


def _top_k(
    values: Arrays, output: str, k: int, prefix: str = "", labels: Sequence[str] | None = None
) -> Arrays:
    order = np.argsort(-values[output], axis=-1, kind="stable")[..., :k]
    scores = np.take_along_axis(values[output], order, axis=-1)
    classes = order.astype("i4") if labels is None else _labelled(order, labels)
    return {f"{prefix}scores": scores, f"{prefix}classes": classes}


def _labelled(places: Any, labels: Sequence[str]) -> Any:  # noqa: ANN401 - arrays
    found = [labels[int(each)].encode() for each in places.ravel()]
    return np.array(found, object).reshape(places.shape)


def _threshold(values: Arrays, output: str, alias: str, value: float) -> Arrays:
    return {alias: values[output] >= np.float32(value)}


_COMPUTED: Mapping[str, Callable[..., Arrays]] = {
    "decode_image": _decode,
    "parse_example": _parsed,
    "cast": _cast,
    "cast_output": _cast_output,
    "normalize": _normalized,
    "resize": _resized,
    "expand_batch": _expanded,
    "lookup": _looked_up,
    "lookup_output": _words_of,
    "softmax": _softmax,
    "identity": _identity,
    "sigmoid": _sigmoid,
    "argmax": _argmax,
    "top_k": _top_k,
    "threshold": _threshold,
}


def encoded_images() -> Answer:
    """Return batches of image files of different sizes by kind, and one image alone."""
    generator = np.random.default_rng(17)
    pixels = [
        generator.integers(0, 256, (height, width, 3), np.uint8)
        for height, width in ((9, 7), (20, 31), (8, 6))
    ]
    encode = {"png": tf.io.encode_png, "jpeg": tf.io.encode_jpeg}
    made = {kind: [each(image).numpy() for image in pixels[:2]] for kind, each in encode.items()}
    folder = Path(__file__).with_name("images")
    more = [(folder / name).read_bytes() for name in ("two_frames.gif", "lines.bmp")]
    batches = {**made, "all": [*made["jpeg"], made["png"][1], *more]}
    images = {kind: encoded(np.array(files, object)) for kind, files in batches.items()}
    return {"images": {**images, "one": encoded(np.array(made["png"][0], object))}}


def encoded_examples(values: Value, name: str) -> Answer:
    """Return each row of an array as a serialized ``tf.train.Example``."""
    rows = decoded(values)
    messages = []
    for row in rows:
        example = tf.train.Example()
        feature = example.features.feature[name]
        if rows.dtype.kind == "f":
            feature.float_list.value.extend(row.ravel().tolist())
        else:
            feature.int64_list.value.extend(row.ravel().tolist())
        messages.append(example.SerializeToString())
    return {"examples": encoded(np.array(messages, object))}


def example_messages(features: Mapping[str, Value]) -> Answer:
    """Return serialized ``tf.train.Example`` messages: one for each row of all features."""
    arrays = {name: decoded(value) for name, value in features.items()}
    messages = []
    for row in range(len(next(iter(arrays.values())))):
        example = tf.train.Example()
        for name, array in arrays.items():
            feature, values = example.features.feature[name], array[row : row + 1].ravel().tolist()
            if array.dtype == object:
                feature.bytes_list.value.extend(values)
            elif array.dtype.kind == "f":
                feature.float_list.value.extend(values)
            else:
                feature.int64_list.value.extend(map(int, values))
        messages.append(example.SerializeToString(deterministic=True))
    return {"examples": encoded(np.array(messages, object))}


def build_composable(directory: str, kind: str) -> Answer:
    """Export a model to which clients want to send other inputs than it takes.

    Args:
        directory: The directory to write.
        kind: A key of ``_MAKERS``, with ``session_`` before it for a graph of TensorFlow 1.
    """
    if kind.startswith("session_"):
        _in_tensorflow_1(directory, kind.removeprefix("session_"))
    else:
        module = tf.Module()
        module.weights = tf.Variable(_WEIGHTS)
        make = _MAKERS[kind]
        specs = _SPECS[kind]

        @tf.function(input_signature=[tf.TensorSpec(*each, name=n) for n, each in specs.items()])
        def serve(*given: Any) -> Any:  # noqa: ANN401 - tensors
            return make(module.weights, *given)

        module.serve = serve
        tf.saved_model.save(module, directory, signatures=serve)
    return {}


_WEIGHTS = np.random.default_rng(5).normal(size=(3, 4)).astype("f4")

_SPECS: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "images": {"image": ([None, 8, 6, 3], tf.float32)},
    "ids": {"ids": ([None, None], tf.int64), "factor": ([None, 2], tf.float32)},
    "small": {
        "pixels": ([None, 3, 5, 4], tf.uint8),
        "one": ([5, 4, 1], tf.int32),
    },
    "fixed": {"x": ([4, 2], tf.float32), "z": ([4, 2], tf.float32)},
}


def _images(weights: Any, image: Any) -> Arrays:  # noqa: ANN401 - tensors
    logits = tf.matmul(tf.reduce_mean(image, [1, 2]), weights)
    return {"logits": logits, "best": tf.argmax(logits, axis=-1), "image_again": image + 1.0}


def _ids(weights: Any, ids: Any, factor: Any) -> Arrays:  # noqa: ANN401 - tensors
    scores = tf.gather(weights, tf.math.floormod(ids, 3))
    return {"scores": tf.reduce_sum(scores, 1) * factor[:, :1], "ids": ids + 1}


def _small(weights: Any, pixels: Any, one: Any) -> Arrays:  # noqa: ANN401 - tensors
    del weights
    return {"pixels": tf.cast(pixels, tf.int32) + 1, "one": one * 2}


def _fixed(weights: Any, x: Any, z: Any) -> Arrays:  # noqa: ANN401 - tensors
    return {"y": tf.matmul(tf.nn.relu(x) + z, weights[:2, :3])}


_MAKERS: Mapping[str, Callable[..., Arrays]] = {
    "images": _images,
    "ids": _ids,
    "small": _small,
    "fixed": _fixed,
}


def _in_tensorflow_1(directory: str, kind: str) -> None:
    v1 = tf.compat.v1
    make = _MAKERS[kind]
    with v1.Graph().as_default(), v1.Session() as session:
        specs = _SPECS[kind].items()
        inputs = {name: v1.placeholder(spec[1], spec[0], name=name) for name, spec in specs}
        weights = v1.get_variable("w", initializer=_WEIGHTS, use_resource=False)
        outputs = make(weights, *inputs.values())
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(Path(directory)), inputs, outputs)
