"""Recipes for images.

Standard library and TensorFlow only: this file runs in a child process.

Sources: ``tensorflow/python/ops/image_ops_impl.py`` (``resize_images_v2``),
``tensorflow/core/kernels/image/decode_image_op.cc``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .refusals import UntraceableError

Tensor = Any

_ONE_IMAGE, _IMAGES = 3, 4
"""The ranks of one image and of a batch of images."""
_COLORS = 3


class Recipe(NamedTuple):
    """A recipe with its arguments.

    Attributes:
        parameters: Parameter to its ``tf.TensorSpec``.
        function: The function to trace; it takes the parameters by name.
        samples: Parameter to values for a test run, each a serialized ``TensorProto``.
    """

    parameters: dict[str, Any]
    function: Callable[..., Any]
    samples: Mapping[str, Sequence[bytes]]


def described(spec: Any) -> str:
    """Return the type and the shape of a spec in smpatch's form, such as ``float32 [?, 3]``."""
    if spec.shape.rank is None:
        return f"{spec.dtype.name} unknown rank"
    sizes = ", ".join("?" if size is None else str(size) for size in spec.shape.as_list())
    return f"{spec.dtype.name} [{sizes}]"


_GIF = bytes.fromhex(
    "47494638396104000300910000ff000000ff000000ffc8643221f904000a0000002c000000000400"
    "030000020844a811a146845a010021f904000a0000002c00000000040003000002088c3830e2c088"
    "4301003b"
)
"""A GIF of two frames of 4 x 3 pixels; TensorFlow has no encoder for GIF."""


def images(tf: Any, spec: Any, channels: int, kind: str) -> list[bytes]:
    """Return serialized tensors of encoded images, with random pixels and different sizes."""
    generator = tf.random.Generator.from_seed(7)
    encode = {"png": tf.io.encode_png, "jpeg": tf.io.encode_jpeg}.get(kind)
    made = []
    for height, width in ((9, 7), (16, 11), (5, 20)):
        shape = [height, width, channels if channels in {1, 3} else 3]
        pixels = tf.cast(generator.uniform(shape, 0, 256, tf.int32), tf.uint8)
        if kind == "gif":
            made.append(_GIF)
        else:
            made.append(_bitmap(pixels.numpy()) if encode is None else encode(pixels).numpy())
    if spec.shape.rank == 0:
        return [_proto(tf, each, []) for each in made[:2]]
    sizes = (1, 3) if spec.shape[0] is None else (spec.shape[0],)
    return [_proto(tf, [made[at % 3] for at in range(size)], [size]) for size in sizes]


def _proto(tf: Any, value: Any, shape: list[int]) -> bytes:
    proto = tf.make_tensor_proto(value, dtype=tf.string, shape=shape)
    return bytes(proto.SerializeToString())


def _bitmap(pixels: Any) -> bytes:
    """Return pixels as a BMP file of 24 bits."""
    height, width, _ = pixels.shape
    padding = bytes(-width * 3 % 4)
    rows = b"".join(
        b"".join(bytes(int(each) for each in reversed(pixel)) for pixel in row) + padding
        for row in reversed([[[*p, *p, *p][:3] if len(p) == 1 else p for p in r] for r in pixels])
    )
    header = (40, width, height, 1 | 24 << 16, 0, len(rows), 0, 0, 0, 0)
    info = b"".join(each.to_bytes(4, "little") for each in header)
    start = (54 + len(rows)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    return b"BM" + start + info + rows


def decode_image(  # noqa: C901 - one condition for each argument
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    height: int | None = None,
    width: int | None = None,
    channels: int | None = None,
    scale: float | None = None,
    offset: float | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    method: str = "bilinear",
    antialias: bool = False,
    layout: str = "NHWC",
    format: str | None = None,  # noqa: A002 - the name that users expect
    like: str = "tensorflow",
    name: str | None = None,
) -> Recipe:
    """Return the recipe that decodes image files."""
    spec = specs[alias]
    if spec.shape.rank not in {_ONE_IMAGE, _IMAGES}:
        found = f"an image is [height, width, channels], and the input is {described(spec)}"
        raise UntraceableError(found)
    sizes = spec.shape.as_list()[-3:]
    if layout == "NCHW":
        sizes = [*sizes[1:], sizes[0]]
    height, width = height or sizes[0], width or sizes[1]
    found_channels: int = channels or sizes[2] or 3
    channels = found_channels
    if height is None or width is None:
        found = f"height and width are not known: the input is {described(spec)}"
        raise UntraceableError(found, hint="decode_image(224, 224)")
    if channels not in {1, 3, 4}:
        found = f"an image has 1, 3 or 4 channels, and the input is {described(spec)}"
        hint = "layout='NCHW' is for channels that come first" if layout == "NHWC" else ""
        raise UntraceableError(found, hint=hint)

    check_numbers(tf.float32, channels, scale=scale, offset=offset, mean=mean, std=std)
    other = like != "tensorflow"
    if other and (channels != _COLORS or method != "bilinear" or format == "png"):
        found = f"like={like} is only for three channels and method=bilinear, not for format=png"
        raise UntraceableError(found, hint=f"leave out like={like}")

    def pixels(data: Tensor) -> Tensor:
        if other:
            # This operation decodes PNG as well; its default transform is faster but less accurate.
            image = tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE")
        elif format == "jpeg":
            image = tf.io.decode_jpeg(data, channels=channels)
        elif format == "png":
            image = tf.io.decode_png(data, channels=channels)
        else:
            image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        image.set_shape([None, None, channels])
        smooth = like == "pillow" or antialias
        image = tf.image.resize(image, [height, width], method=method, antialias=smooth)
        image = tf.round(image) if other else image  # the other libraries yield whole numbers
        image = normalized(tf, tf.cast(image, tf.float32), scale, offset, mean, std)
        if spec.dtype.is_integer:
            image = tf.saturate_cast(tf.round(image), spec.dtype)
        image = tf.cast(image, spec.dtype)
        return tf.transpose(image, [2, 0, 1]) if layout == "NCHW" else image

    parameter = name or f"{alias}_bytes"
    if spec.shape.rank == _ONE_IMAGE:
        taken = tf.TensorSpec([], tf.string)
        return Recipe(
            {parameter: taken},
            lambda **given: {alias: pixels(given[parameter])},
            {parameter: images(tf, taken, channels, format or "jpeg")},
        )
    yielded = [channels, height, width] if layout == "NCHW" else [height, width, channels]
    taken = tf.TensorSpec([spec.shape[0]], tf.string)
    one = tf.TensorSpec(yielded, spec.dtype)

    def batch(**given: Tensor) -> dict[str, Tensor]:
        return {alias: tf.map_fn(pixels, given[parameter], fn_output_signature=one)}

    samples = images(tf, taken, channels, format or "jpeg")
    return Recipe({parameter: taken}, batch, {parameter: samples})


def check_numbers(dtype: Any, size: int | None, **named: float | Sequence[float] | None) -> None:
    """Refuse numbers that TensorFlow would change, or refuse with an error of Python.

    Args:
        dtype: The type in which the recipe computes.
        size: The size of the last dimension; None if it is not known.
        **named: Arguments of the recipe; a list has a number for each element of that dimension.

    Raises:
        UntraceableError: The type does not hold a number, or a list has another length.
    """
    for name, value in named.items():
        if value is None:
            continue
        numbers = [value] if isinstance(value, int | float) else value
        for each in numbers:
            if name == "std" and not each:
                raise UntraceableError("std is 0, and nothing is divided by 0")
            if not _holds(dtype, each):
                raise UntraceableError(f"{name} is {each}, which {dtype.name} does not hold")
        if numbers is value and len(numbers) not in {1, size or len(numbers) or 1}:
            found = f"{name} has {len(numbers)} numbers, and the last dimension has the size {size}"
            raise UntraceableError(found)


def _holds(dtype: Any, number: float) -> bool:
    if dtype.is_floating:
        return bool(float(dtype.min) <= number <= float(dtype.max))
    return bool(dtype.is_integer and dtype.min <= number <= dtype.max and number == int(number))


def normalized(
    tf: Any,
    value: Tensor,
    scale: float | None,
    offset: float | None,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
) -> Tensor:
    """Return ``(value * scale + offset - mean) / std``; an argument that is None is left out."""
    if scale is not None:
        value = value * tf.constant(scale, value.dtype)
    if offset is not None:
        value = value + tf.constant(offset, value.dtype)
    if mean is not None:
        value = value - tf.constant(mean, value.dtype)
    if std is not None:
        value = value / tf.constant(std, value.dtype)
    return value


def resize_images(
    tf: Any,
    specs: Mapping[str, Any],
    alias: str,
    method: str = "bilinear",
    antialias: bool = False,
    name: str | None = None,
) -> Recipe:
    """Return the recipe that resizes images."""
    spec = specs[alias]
    sizes = None if spec.shape.rank is None else spec.shape.as_list()
    if sizes is None or len(sizes) != _IMAGES or None in sizes[1:3]:
        found = f"images are [batch, height, width, channels], and the input is {described(spec)}"
        raise UntraceableError(found, hint="height and width must be known")
    parameter = name or alias
    taken = tf.TensorSpec([sizes[0], None, None, sizes[3]], spec.dtype)

    def resize(**given: Tensor) -> dict[str, Tensor]:
        made = tf.image.resize(given[parameter], sizes[1:3], method=method, antialias=antialias)
        if spec.dtype.is_integer:
            made = tf.saturate_cast(tf.round(made), spec.dtype)
        return {alias: tf.cast(made, spec.dtype)}

    return Recipe({parameter: taken}, resize, {})
