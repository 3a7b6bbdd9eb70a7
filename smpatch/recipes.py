"""The recipes that ``compose`` can put before or after a signature, and their arguments.

``runtime/trace_recipes.py`` has their computations; this module checks the arguments, without
TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from smpatch import dtypes
from smpatch.errors import UsageError

Kind = Literal[
    "output",
    "inputs",
    "features",
    "integer",
    "size",
    "number",
    "numbers",
    "flag",
    "text",
    "dtype",
    "file",
]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a recipe.

    Attributes:
        name: Its name.
        kind: The kind of its value: the alias of an output, aliases of inputs, a number, and so on.
        help: Its meaning, in words.
        default: Its default, in words; empty if it must be given.
        choices: The values that it may have; empty if it may have every value of its kind.
    """

    name: str
    kind: Kind
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Its meaning, its choices and its default."""
        notes = [f"one of {', '.join(self.choices)}" if self.choices else ""]
        notes.append(f"default: {self.default}" if self.default else "")
        said = "; ".join(filter(None, notes))
        return f"{self.help} ({said})" if said else self.help


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe.

    Attributes:
        name: Its name.
        place: Whether it is put before or after a signature.
        help: Its computation, in words.
        arguments: Its arguments, in their order; an argument of the kind ``inputs`` or
            ``features`` takes several values.
        example: An example of its text.
        takes_alias: Whether ``ALIAS=`` may be before it, with the input that it yields or the
            name of its output.
    """

    name: str
    place: Literal["before", "after"]
    help: str
    arguments: tuple[Argument, ...]
    example: str
    takes_alias: bool = field(default=True)


_NAME = Argument("name", "text", "name of the new input", "the input's own")
_MEAN = Argument("mean", "numbers", "subtracted: a number, or one for each channel", "nothing")
_STD = Argument("std", "numbers", "divided by, after the mean is subtracted", "nothing")
_METHOD = Argument(
    "method",
    "text",
    "how tf.image.resize interpolates",
    "'bilinear'",
    ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian"),
)
_ANTIALIAS = Argument("antialias", "flag", "of tf.image.resize", "false")
_OUTPUT = Argument("output", "output", "the output that it takes, or an input")

_SEVERAL = {"inputs", "features"}
"""Kinds of arguments that take several values without a name."""
_FEATURE = re.compile(
    r"\s*(\S(?:.*\S)?)\s*:\s*([A-Za-z]\w*)\s*\[((?:\s*(?:\d+|-1|\?|None)\s*,?)*)\]\s*", re.DOTALL
)
_OPEN = {"?", "-1", "None"}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "decode_image",
        "before",
        "image files as bytes become pixels: JPEG, PNG, GIF (the first frame) or BMP, of any "
        "size in one batch",
        (
            Argument("height", "size", "rows after resizing", "those of the input"),
            Argument("width", "size", "columns after resizing", "those of the input"),
            Argument("channels", "size", "1, 3 or 4", "those of the input, or 3"),
            Argument("scale", "number", "multiplied with, after resizing", "1"),
            Argument("offset", "number", "added, after the scale", "0"),
            _MEAN,
            _STD,
            _METHOD,
            _ANTIALIAS,
            Argument("layout", "text", "where the channels are", "'NHWC'", ("NHWC", "NCHW")),
            Argument(
                "format",
                "text",
                "an operation for one format, which TensorFlow 1 has, too",
                "any of the four",
                ("jpeg", "png"),
            ),
            Argument(
                "like",
                "text",
                "the library whose pixels the recipe gives: those of JPEG and PNG files are the "
                "same as there, in RGB; after resizing they differ by at most 1 of 255",
                "'tensorflow'",
                ("tensorflow", "pillow", "opencv"),
            ),
            Argument("name", "text", "name of the new input", "the input's own with _bytes"),
        ),
        "image=decode_image(224, 224, scale=1/255)",
    ),
    Recipe(
        "parse_example",
        "before",
        "serialized tf.train.Example messages become inputs; features have the names of inputs",
        (
            Argument("features", "inputs", "inputs that are parsed", "all inputs"),
            Argument("name", "text", "name of the new input", "'examples'"),
        ),
        "parse_example()",
        takes_alias=False,
    ),
    Recipe(
        "encode_example",
        "before",
        "features become serialized tf.train.Example messages; each is a new input",
        (
            Argument(
                "features",
                "features",
                "name, type and shape of each feature in one example, such as 'x:float32[3]', "
                "'age:int64[]', 'tags:string[?]'",
            ),
        ),
        "examples=encode_example('x:float32[3]', 'kind:string[]')",
    ),
    Recipe(
        "cast",
        "before",
        "takes another type and casts it to the input's",
        (Argument("dtype", "dtype", "the type that clients send"), _NAME),
        "x=cast(float64)",
    ),
    Recipe(
        "normalize",
        "before",
        "scale, then subtract the mean, then divide by std",
        (_MEAN, _STD, Argument("scale", "number", "multiplied with first", "1"), _NAME),
        "image=normalize(127.5, 127.5)",
    ),
    Recipe(
        "resize",
        "before",
        "images of any size, all of one in a batch, become those of the input's size",
        (_METHOD, _ANTIALIAS, _NAME),
        "image=resize()",
    ),
    Recipe(
        "expand_batch",
        "before",
        "takes one example and makes a batch of it",
        (_NAME,),
        "image=expand_batch()",
    ),
    Recipe(
        "lookup",
        "before",
        "words become their line numbers in a file, from 0",
        (
            Argument("vocabulary", "file", "a text file with a word in each line"),
            Argument("default", "integer", "the number of other words", "-1"),
            _NAME,
        ),
        "ids=lookup(vocabulary=words.txt)",
    ),
    Recipe(
        "cast",
        "after",
        "the output in another type",
        (_OUTPUT, Argument("dtype", "dtype", "the type")),
        "cast(scores, float64)",
    ),
    Recipe(
        "lookup",
        "after",
        "numbers become the words in the lines of a file, from 0",
        (
            _OUTPUT,
            Argument("vocabulary", "file", "a text file with a word in each line"),
            Argument("default", "text", "the word of other numbers", "''"),
        ),
        "lookup(ids, vocabulary=words.txt)",
    ),
    Recipe(
        "softmax",
        "after",
        "tf.nn.softmax of the output",
        (_OUTPUT, Argument("axis", "integer", "the dimension of the classes", "-1")),
        "probabilities=softmax(logits)",
    ),
    Recipe(
        "identity",
        "after",
        "an output under another name, or an input that comes out as well",
        (_OUTPUT,),
        "key=identity(key)",
    ),
    Recipe("sigmoid", "after", "tf.sigmoid of the output", (_OUTPUT,), "scores=sigmoid(logits)"),
    Recipe(
        "argmax",
        "after",
        "the place of the largest value in the last dimension, or its label",
        (_OUTPUT, Argument("labels", "file", "a text file with a label in each line", "places")),
        "label=argmax(scores, labels=labels.txt)",
    ),
    Recipe(
        "top_k",
        "after",
        "the k largest values in the last dimension and their places or labels; the outputs are "
        "scores and classes, or ALIAS_scores and ALIAS_classes",
        (
            _OUTPUT,
            Argument("k", "size", "how many"),
            Argument("labels", "file", "a text file with a label in each line", "places"),
        ),
        "top_k(scores, 5, labels=labels.txt)",
    ),
    Recipe(
        "threshold",
        "after",
        "whether the output is at least the value",
        (_OUTPUT, Argument("value", "number", "the least value", "0.5")),
        "is_cat=threshold(scores, 0.8)",
    ),
)


def checked(
    recipe: Recipe, given: Sequence[object], named: Mapping[str, object], where: str
) -> dict[str, object]:
    """Return the arguments of a recipe by name.

    ``given`` are those without a name, and ``named`` those with one. Errors begin with ``where``,
    the text of the request.

    Raises:
        UsageError: There is no such argument, one is missing, or one is of another kind.
    """
    known = {each.name: each for each in recipe.arguments}
    found: dict[str, object] = {}
    several = next((each for each in recipe.arguments if each.kind in _SEVERAL), None)
    if several is not None and given:
        found[several.name] = list(given)
        given = ()
    if len(given) > len(recipe.arguments):
        words = f"it has {len(given)} arguments, and {recipe.name} takes {len(recipe.arguments)}"
        raise UsageError(words, where=where, hint=f"such as {recipe.example}")
    found |= {each.name: value for each, value in zip(recipe.arguments, given, strict=False)}
    for name, value in named.items():
        if name not in known:
            hint = f"{recipe.name} has {', '.join(known)}"
            raise UsageError(f"there is no argument {name!r}", where=where, hint=hint)
        if name in found:
            raise UsageError(f"the argument {name!r} is given twice", where=where)
        found[name] = value
    for each in recipe.arguments:
        if each.name in found:
            found[each.name] = _value(each, found[each.name], where)
        elif not each.default:
            hint = f"{each.help}; such as {recipe.example}"
            raise UsageError(f"the argument {each.name!r} is missing", where=where, hint=hint)
    return found


def _value(argument: Argument, value: object, where: str) -> object:
    fits, words = _KINDS[argument.kind]
    hint = ""
    if not fits(value):
        hint = f"{argument.help}: {words}"
    elif argument.choices and value not in argument.choices:
        hint = f"one of {', '.join(argument.choices)}"
    elif argument.kind == "size" and isinstance(value, int) and value < 1:
        hint = "a size is at least 1"
    if hint:
        raise UsageError(f"the argument {argument.name!r} is {value!r}", where=where, hint=hint)
    if argument.kind == "features" and isinstance(value, list):
        return _features(value, where)
    if argument.kind == "dtype":
        try:
            return dtypes.spelled(str(value))
        except ValueError as error:
            raise UsageError(str(error), where=where) from error
    return value


def _features(texts: Sequence[str], where: str) -> list[tuple[str, str, list[int]]]:
    """Return the name, the type and the sizes of each feature; an unknown size is -1."""
    found: dict[str, tuple[str, str, list[int]]] = {}
    for text in texts:
        written = _FEATURE.fullmatch(text)
        if written is None:
            hint = "write NAME:TYPE[SIZES], such as 'x:float32[3]', 'age:int64[]'"
            raise UsageError(f"{text!r} is not a feature", where=where, hint=hint)
        name, dtype = written[1], written[2]
        try:
            dtype = dtypes.spelled(dtype)
        except ValueError as error:
            raise UsageError(str(error), where=where) from error
        if name in found:
            raise UsageError(f"the feature {name!r} is given twice", where=where)
        sizes = [each.strip() for each in written[3].split(",") if each.strip()]
        found[name] = name, dtype, [-1 if each in _OPEN else int(each) for each in sizes]
    return list(found.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_integer(value)


def _are_numbers(value: object) -> bool:
    return _is_number(value) or (isinstance(value, list) and all(map(_is_number, value)))


_KINDS: Mapping[Kind, tuple[Callable[[object], bool], str]] = {
    "output": (_is_text, "the name of an output"),
    "inputs": (_are_texts, "names of inputs"),
    "features": (_are_texts, "texts such as 'x:float32[3]'"),
    "integer": (_is_integer, "an integer"),
    "size": (_is_integer, "an integer from 1"),
    "number": (_is_number, "a number"),
    "numbers": (_are_numbers, "a number, or a list of them"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "text": (_is_text, "a text"),
    "dtype": (_is_text, "such as float32"),
    "file": (_is_text, "the name of a file"),
}
"""Kind to the test of a value, and to the words for such a value."""
