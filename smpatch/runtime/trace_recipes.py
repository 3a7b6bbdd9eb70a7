"""The recipes, as functions of TensorFlow.

``smpatch/recipes.py`` has the names and arguments of recipes, and checks them first. Here each
recipe is a function that gets the types of the signature.

Standard library and TensorFlow only: this file runs in a child process.

Source: ``tensorflow/python/ops/parsing_ops.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .refusals import UntraceableError
from .trace_images import (
    Recipe,
    check_numbers,
    decode_image,
    described,
    normalized,
    resize_images,
)

Tensor = Any


def recipe(tf: Any, asked: Mapping[str, Any], specs: Mapping[str, Any], place: str) -> Recipe:
    """Return a recipe as a function.

    Args:
        tf: The module ``tensorflow``.
        asked: The ``name`` of the recipe, the ``alias`` of its result, and its ``arguments``.
        specs: The specs of the inputs (before) or outputs (after) of the signature, by alias.
        place: ``before`` or ``after``.

    Raises:
        UntraceableError: The recipe does not fit the signature.
    """
    make = _RECIPES[asked["name"], place]
    made: Recipe = make(tf, specs, asked["alias"], **asked["arguments"])
    return made


_PARSED = {"float64": "float32", "float16": "float32", "bfloat16": "float32"}


def _parse_example(
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    features: Sequence[str] = (),
    name: str = "examples",
) -> Recipe:
    del alias
    wanted = list(features) or list(specs)
    parsed = {}
    for each in wanted:
        spec = specs[each]
        sizes = spec.shape.as_list()[1:] if spec.shape.rank else [None]
        if None in sizes:
            found = (
                f"a feature has a fixed size for each example, and {each!r} is {described(spec)}"
            )
            others = ", ".join(other for other in wanted if other != each)
            hint = f"name the inputs that are parsed: parse_example({others})" if others else ""
            raise UntraceableError(found, hint=hint)
        dtype = spec.dtype
        if dtype not in {tf.float32, tf.int64, tf.string}:
            known = dtype.is_integer or dtype == tf.bool
            dtype = tf.int64 if known else tf.as_dtype(_PARSED.get(dtype.name, "variant"))
        if dtype == tf.variant:
            found = f"a feature cannot have the type {spec.dtype.name}, which {each!r} has"
            raise UntraceableError(found)
        parsed[each] = tf.io.FixedLenFeature(sizes, dtype)

    def parse(**given: Tensor) -> dict[str, Tensor]:
        found = tf.io.parse_example(given[name], parsed)
        return {each: tf.cast(found[each], specs[each].dtype) for each in wanted}

    return Recipe({name: tf.TensorSpec([None], tf.string)}, parse, {})


_EXAMPLE_TYPES = {"float": ("FloatList", 2), "int": ("Int64List", 3), "string": ("BytesList", 1)}
"""The kind of a feature to the message of its values, and its field number in ``Feature``."""


def _encode_example(
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    features: Sequence[tuple[str, str, Sequence[int]]],
) -> Recipe:
    spec = specs[alias]
    if spec.dtype != tf.string or spec.shape.rank not in {None, 1}:
        raise UntraceableError(f"it yields string [?], and the input is {described(spec)}")
    descriptors = _descriptors()
    taken, kinds = {}, {}
    for name, text, sizes in features:
        dtype = tf.as_dtype(text)
        kind = "float" if dtype.is_floating else "string" if dtype == tf.string else "int"
        if (kind == "int" and not (dtype.is_integer or dtype == tf.bool)) or dtype == tf.uint64:
            found = f"a feature cannot have the type {dtype.name}, which {name!r} has"
            raise UntraceableError(found)
        taken[name] = tf.TensorSpec([None, *(None if n < 0 else n for n in sizes)], dtype)
        kinds[name] = kind

    def encoded(message: str, **fields: Tensor) -> Tensor:
        names = list(fields)
        rows = tf.shape(fields[names[0]])[0]
        counts = [tf.fill([rows], tf.shape(fields[each])[1]) for each in names]
        return tf.io.encode_proto(
            sizes=tf.stack(counts, axis=1),
            values=[fields[each] for each in names],
            field_names=names,
            message_type=f"smpatch.{message}",
            descriptor_source=descriptors,
        )[:, None]

    def encode(**given: Tensor) -> dict[str, Tensor]:
        entries = []
        # In the order of their names, as in deterministic serialization.
        for name in sorted(given, key=lambda each: each.encode()):
            value, kind = given[name], kinds[name]
            if kind != "string":
                value = tf.cast(value, tf.float32 if kind == "float" else tf.int64)
            size = tf.reduce_prod(tf.shape(value)[1:])
            flat = tf.reshape(value, tf.stack([tf.shape(value)[0], size]))
            values = encoded(_EXAMPLE_TYPES[kind][0], value=flat)
            feature = encoded("Feature", **{f"{kind}_list": values})
            key = tf.fill(tf.shape(feature), tf.constant(name))
            entries.append(encoded("Entry", key=key, value=feature))
        made = encoded("Features", feature=tf.concat(entries, axis=1))
        return {alias: encoded("Example", features=made)[:, 0]}

    return Recipe(taken, encode, {})


def _descriptors() -> bytes:
    """Return descriptors of ``tf.train.Example`` and its parts; inner messages are bytes fields.

    With them, an operation does not need the descriptors that are compiled into a program.
    """
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - seldom needed

    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    messages = {
        "FloatList": [("value", 1, field.TYPE_FLOAT, many)],
        "Int64List": [("value", 1, field.TYPE_INT64, many)],
        "BytesList": [("value", 1, field.TYPE_BYTES, many)],
        "Feature": [
            (f"{kind}_list", number, field.TYPE_BYTES, one)
            for kind, (_, number) in _EXAMPLE_TYPES.items()
        ],
        "Entry": [("key", 1, field.TYPE_BYTES, one), ("value", 2, field.TYPE_BYTES, one)],
        "Features": [("feature", 1, field.TYPE_BYTES, many)],
        "Example": [("features", 1, field.TYPE_BYTES, one)],
    }
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name="smpatch_example.proto", package="smpatch", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for title, number, kind, label in fields:
            made = message.field.add(name=title, number=number, type=kind, label=label)
            if label == many and kind != field.TYPE_BYTES:
                made.options.packed = True
    return b"bytes://" + files.SerializeToString(deterministic=True)


def _cast(
    tf: Any, specs: Mapping[str, Any], alias: str, dtype: str, name: str | None = None
) -> Recipe:
    spec = specs[alias]
    parameter = name or alias
    taken = tf.TensorSpec(spec.shape, tf.as_dtype(dtype))
    _castable(tf, taken.dtype, spec.dtype)
    return Recipe(
        {parameter: taken}, lambda **given: {alias: tf.cast(given[parameter], spec.dtype)}, {}
    )


def _castable(tf: Any, source: Any, target: Any) -> None:
    """Refuse a cast between strings and numbers: TensorFlow traces it, but cannot run it."""
    if (source == tf.string) != (target == tf.string):
        found = f"TensorFlow does not cast {source.name} to {target.name}"
        hint = "a function of your own takes tf.strings.to_number or tf.strings.as_string"
        raise UntraceableError(found, hint=hint)


def _cast_output(tf: Any, specs: Mapping[str, Any], alias: str, output: str, dtype: str) -> Recipe:
    _castable(tf, specs[output].dtype, tf.as_dtype(dtype))
    return _of_output(specs, alias, output, lambda value: tf.cast(value, tf.as_dtype(dtype)))


def _normalize(
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    scale: float | None = None,
    name: str | None = None,
) -> Recipe:
    spec = _floating(specs[alias], "input")
    size = spec.shape[-1] if spec.shape.rank else None
    check_numbers(spec.dtype, size, scale=scale, mean=mean, std=std)
    parameter = name or alias

    def normalize(**given: Tensor) -> dict[str, Tensor]:
        return {alias: normalized(tf, given[parameter], scale, None, mean, std)}

    return Recipe({parameter: spec}, normalize, {})


def _floating(spec: Any, kind: str) -> Any:
    if not spec.dtype.is_floating:
        raise UntraceableError(
            f"it needs floating-point numbers, but the {kind} is {described(spec)}"
        )
    return spec


def _expand_batch(tf: Any, specs: Mapping[str, Any], alias: str, name: str | None = None) -> Recipe:
    spec = specs[alias]
    if not spec.shape.rank:
        raise UntraceableError(f"the input has no batch: it is {described(spec)}")
    parameter = name or alias
    taken = tf.TensorSpec(spec.shape[1:], spec.dtype)
    return Recipe(
        {parameter: taken}, lambda **given: {alias: tf.expand_dims(given[parameter], 0)}, {}
    )


def _words(file: str, what: str) -> list[str]:
    try:
        # Python would take a carriage return within a line for the end of the line.
        with open(file, encoding="utf-8-sig", newline="") as opened:
            text = opened.read().replace("\r\n", "\n")
    except OSError as error:
        found = f"it cannot be read: {(error.strerror or str(error)).lower()}"
        raise UntraceableError(found, where=file) from error
    except UnicodeDecodeError as error:
        raise UntraceableError("it is not UTF-8", where=file) from error
    if not text:
        raise UntraceableError(f"it has no {what}", where=file)
    # Not splitlines, which splits at other characters, too.
    return text.removesuffix("\n").split("\n")


def _lookup(
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    vocabulary: str,
    default: int = -1,
    name: str | None = None,
) -> Recipe:
    spec = specs[alias]
    if not spec.dtype.is_integer:
        raise UntraceableError(f"it yields numbers of words, and the input is {described(spec)}")
    words = _words(vocabulary, "words")
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise UntraceableError(f"the word {word!r} occurs twice", where=vocabulary)
        seen.add(word)
    if not all(spec.dtype.min <= each <= spec.dtype.max for each in (len(words) - 1, default)):
        wanted = f"the numbers from {default} to {len(words) - 1}"
        found = f"the type {spec.dtype.name} is too small for {wanted}"
        raise UntraceableError(found, where=vocabulary)
    table = _numbers_of(tf, words, default)
    parameter = name or alias
    taken = tf.TensorSpec(spec.shape, tf.string)

    def lookup(**given: Tensor) -> dict[str, Tensor]:
        return {alias: tf.cast(table.lookup(given[parameter]), spec.dtype)}

    return Recipe({parameter: taken}, lookup, {})


def _numbers_of(tf: Any, words: list[str], default: int) -> Any:
    numbers = tf.range(len(words), dtype=tf.int64)
    filled = tf.lookup.KeyValueTensorInitializer(tf.constant(words), numbers)
    return tf.lookup.StaticHashTable(filled, default)


def _lookup_output(
    tf: Any, specs: Mapping[str, Any], alias: str, output: str, vocabulary: str, default: str = ""
) -> Recipe:
    spec = specs[output]
    if not spec.dtype.is_integer:
        raise UntraceableError(f"it takes numbers of words, and the output is {described(spec)}")
    words = _words(vocabulary, "words")
    numbers = tf.range(len(words), dtype=tf.int64)
    filled = tf.lookup.KeyValueTensorInitializer(numbers, tf.constant(words))
    table = tf.lookup.StaticHashTable(filled, default)
    return _of_output(specs, alias, output, lambda v: table.lookup(tf.cast(v, tf.int64)))


def _of_output(
    specs: Mapping[str, Any], alias: str, output: str, compute: Callable[[Tensor], Tensor]
) -> Recipe:
    """Return a recipe that takes one output and yields one output."""
    yielded = alias or output
    return Recipe({output: specs[output]}, lambda **given: {yielded: compute(given[output])}, {})


def _softmax(tf: Any, specs: Mapping[str, Any], alias: str, output: str, axis: int = -1) -> Recipe:
    spec = _floating(specs[output], "output")
    if spec.shape.rank is not None and not -spec.shape.rank <= axis < spec.shape.rank:
        raise UntraceableError(f"axis is {axis}, and the output is {described(spec)}")
    return _of_output(specs, alias, output, lambda value: tf.nn.softmax(value, axis=axis))


def _identity(tf: Any, specs: Mapping[str, Any], alias: str, output: str) -> Recipe:
    return _of_output(specs, alias, output, tf.identity)


def _sigmoid(tf: Any, specs: Mapping[str, Any], alias: str, output: str) -> Recipe:
    _floating(specs[output], "output")
    return _of_output(specs, alias, output, tf.sigmoid)


def _argmax(
    tf: Any, specs: Mapping[str, Any], alias: str, output: str, labels: str | None = None
) -> Recipe:
    spec = specs[output]
    names = None if labels is None else _labels(tf, labels, spec)
    if not spec.shape.rank or spec.dtype == tf.string:
        raise UntraceableError(f"the output has no classes: it is {described(spec)}")

    def argmax(value: Tensor) -> Tensor:
        found = tf.argmax(value, axis=-1)
        return found if names is None else tf.gather(names, found)

    return _of_output(specs, alias, output, argmax)


def _top_k(
    tf: Any, specs: Mapping[str, Any], alias: str, output: str, k: int, labels: str | None = None
) -> Recipe:
    spec = specs[output]
    if not spec.shape.rank or not (spec.dtype.is_floating or spec.dtype.is_integer):
        raise UntraceableError(f"the output has no classes: it is {described(spec)}")
    size = spec.shape[-1]
    if size is not None and k > size:
        raise UntraceableError(f"k is {k}, and the output is {described(spec)}")
    names = None if labels is None else _labels(tf, labels, spec)
    prefix = f"{alias}_" if alias else ""

    def top_k(**given: Tensor) -> dict[str, Tensor]:
        found = tf.math.top_k(given[output], k)
        classes = found.indices if names is None else tf.gather(names, found.indices)
        return {f"{prefix}scores": found.values, f"{prefix}classes": classes}

    return Recipe({output: spec}, top_k, {})


def _labels(tf: Any, file: str, spec: Any) -> Any:
    words = _words(file, "labels")
    size = spec.shape[-1] if spec.shape.rank else None
    if size is not None and size != len(words):
        found = f"it has {len(words):,} labels, and the output is {described(spec)}"
        raise UntraceableError(found, where=file, hint="one line for each class")
    return tf.constant(words)


def _threshold(
    tf: Any, specs: Mapping[str, Any], alias: str, output: str, value: float = 0.5
) -> Recipe:
    dtype = specs[output].dtype
    check_numbers(dtype, None, value=value)
    limit = tf.constant(value if dtype.is_floating else int(value), dtype)
    return _of_output(specs, alias, output, lambda given: given >= limit)


_RECIPES: dict[tuple[str, str], Callable[..., Recipe]] = {
    ("decode_image", "before"): decode_image,
    ("parse_example", "before"): _parse_example,
    ("encode_example", "before"): _encode_example,
    ("cast", "before"): _cast,
    ("cast", "after"): _cast_output,
    ("normalize", "before"): _normalize,
    ("resize", "before"): resize_images,
    ("expand_batch", "before"): _expand_batch,
    ("lookup", "before"): _lookup,
    ("lookup", "after"): _lookup_output,
    ("softmax", "after"): _softmax,
    ("identity", "after"): _identity,
    ("sigmoid", "after"): _sigmoid,
    ("argmax", "after"): _argmax,
    ("top_k", "after"): _top_k,
    ("threshold", "after"): _threshold,
}
