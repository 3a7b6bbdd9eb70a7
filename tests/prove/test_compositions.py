"""Compositions of every signature with every recipe that fits and with Python functions.

The C runtime runs each composition and its parts, one after the other, before the commit. A refusal
must have one of the reasons that are listed here. If numbers are not compared, a note must have the
reason. ``make test`` takes the small models, ``make prove`` takes all.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from smpatch import Options, SignatureDef, SmpatchError, TensorSpec, load, patch
from smpatch.arguments import constants
from smpatch.edits import Compose
from smpatch.fragments import asked_list
from smpatch.validator import Validator
from tests.contract.models import Case
from tests.exporters.subjects import subjects
from tests.prove.ledger import LONG, Count

SMALL = ("linear", "module", "sparse")
MODELS = [each for each in subjects() if LONG or each.name in SMALL]

_FLOATS = {"float32", "float64", "float16"}
_NUMBERS = {*_FLOATS, "int8", "int16", "int32", "int64", "uint8", "uint16"}
_TYPES = {**dict.fromkeys(_NUMBERS, "tf.{}"), "string": "tf.string", "bool": "tf.bool"}

REASONS = (
    "a model in text form cannot be given new nodes",
    "sparse or composite",
    "`outputs` cannot be None or empty",  # it has no outputs
    "the signature's input is",  # a recipe yields a batch
    # The model is broken, or needs a library, and does not load before either.
    "the signature has",
    "no such node in the graph",
    "so it cannot run",
    "did not load before either",
    "_output_shapes attribute inconsistent",  # its shapes are left out
    "Dimensions must be equal",  # its graph has the size of the batch
)
"""The reasons for which a composition may be refused."""

NOT_COMPARED = "is random or has a state", "run in order, fail", "does not run before the edit"
"""The reasons for which the numbers of a composition may be left without a comparison."""


class Wanted(NamedTuple):
    """A composition.

    Attributes:
        name: A name for messages.
        before: The computations before the signature.
        after: The computations after the signature.
        bind: Inputs that become constants.
    """

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    bind: Mapping[str, object] = {}


def _text(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _before(alias: str, spec: TensorSpec, words: Path) -> Iterator[tuple[str, str]]:
    """Yield the recipes that fit an input."""
    shape, name = spec.shape, alias if re.fullmatch(r"[\w.-]+", alias) else ""
    start = f"{name}=" if name else ""
    if spec.dtype in _NUMBERS:
        other = "float64" if spec.dtype != "float64" else "float32"
        yield "cast", f"{start}cast({other})"
    if spec.dtype in _FLOATS:
        yield "normalize", f"{start}normalize(0.5, 2, scale=0.25)"
    if spec.dtype in {"int32", "int64"}:
        yield "lookup", f"{start}lookup({_text(str(words))}, default=0)"
    if spec.dtype in {*_TYPES} and shape and shape[0] is None:
        yield "expand_batch", f"{start}expand_batch()"
    if spec.dtype == "string" and shape is not None and len(shape) == 1:
        yield "encode_example", f"{start}encode_example('x:float32[2]', 'y:string[]')"
    if spec.dtype not in _NUMBERS or shape is None:
        return
    if len(shape) == 4 and None not in shape[1:]:
        yield "resize", f"{start}resize()"
    if len(shape) in {3, 4} and None not in shape[-3:-1] and shape[-1] in {None, 1, 3, 4}:
        yield "decode_image", f"{start}decode_image(scale=1/255)"


def _after(alias: str, spec: TensorSpec, words: Path) -> Iterator[str]:
    """Yield the recipes that fit an output."""
    ranked = spec.shape is not None and len(spec.shape) > 0
    yield f"o_identity=identity({_text(alias)})"
    if spec.dtype in _NUMBERS:
        yield f"o_cast=cast({_text(alias)}, float64)"
        yield f"o_threshold=threshold({_text(alias)}, 1)"
    if spec.dtype in {"int32", "int64"}:
        yield f"o_word=lookup({_text(alias)}, {_text(str(words))})"
    if spec.dtype in _FLOATS:
        yield f"o_sigmoid=sigmoid({_text(alias)})"
    if spec.dtype in _FLOATS and ranked:
        yield f"o_softmax=softmax({_text(alias)})"
    if spec.dtype in _NUMBERS and ranked:
        yield f"o_argmax=argmax({_text(alias)})"
        yield f"o_top=top_k({_text(alias)}, 1)"


def _wanted(  # noqa: C901, PLR0912 - one condition for each way
    signature: SignatureDef, place: Path
) -> Iterator[Wanted]:
    words = place / "words.txt"
    words.write_text("\n".join("abc"))
    inputs = {a: s for a, s in signature.inputs.items() if isinstance(s, TensorSpec)}
    outputs = {a: s for a, s in signature.outputs.items() if isinstance(s, TensorSpec)}
    kinds: dict[str, list[str]] = {}
    for alias, spec in inputs.items():
        for kind, text in _before(alias, spec, words):
            if "=" in text.partition("(")[0] or len(inputs) == 1:
                kinds.setdefault(kind, []).append(text)
    for kind, texts in kinds.items():
        if kind in {"decode_image", "encode_example"} or len(texts) == 1:
            yield from (Wanted(f"before {kind}", (text,)) for text in texts)
        else:
            yield Wanted(f"before {kind}", tuple(texts))
    parsed = [a for a, s in inputs.items() if s.shape and None not in s.shape[1:]]
    if parsed:
        names = ", ".join(map(_text, parsed))
        yield Wanted("before parse_example", (f"parse_example({names})",))
    behind: dict[str, str] = {}
    for alias, spec in outputs.items():
        for text in _after(alias, spec, words):
            behind.setdefault(text.partition("=")[2].partition("(")[0], text)
    for kind, text in behind.items():
        yield Wanted(f"after {kind}", after=(text,))
    for alias, spec in list(inputs.items())[:2]:
        if spec.dtype in _TYPES and spec.shape is not None:
            value: object = {"string": "", "bool": False}.get(spec.dtype, 1)
            for size in reversed(spec.shape):
                value = [value] * (2 if size is None else size)
            yield Wanted("bind", bind={alias: value})
    functions = _functions(inputs, outputs, place)
    if functions:
        yield functions


def _functions(
    inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], place: Path
) -> Wanted | None:
    """Write Python functions: one before for each dense input, one after for each output."""
    typed = {a: s for a, s in inputs.items() if s.dtype in _TYPES and a.isidentifier()}
    numbers = {a: s for a, s in outputs.items() if s.dtype in _NUMBERS and a.isidentifier()}
    lines = ["import tensorflow as tf"]
    for alias, spec in typed.items():
        sizes = None if spec.shape is None else list(spec.shape)
        lines.append(f"def before_{alias}({alias}: tf.TensorSpec({sizes}, tf.{spec.dtype})):")
        made = f"{alias} + 1" if spec.dtype in _NUMBERS else f"tf.identity({alias})"
        lines.append(f"    return {{{alias!r}: {made}}}")
    lines += [f"def after_{each}({each}):\n    return {{{each!r}: {each} * 2}}" for each in numbers]
    file = place / "functions.py"
    file.write_text("\n".join(lines), encoding="utf-8")
    before = tuple(f"{file}:before_{alias}" for alias in typed)
    after = tuple(f"{file}:after_{alias}" for alias in numbers)
    return Wanted("Python functions", before, after) if before or after else None


@pytest.fixture(scope="module")
def quick() -> Iterator[Validator]:
    """The C runtime, in one process for all compositions."""
    with Validator("runtime", [], 300.0) as opened:
        yield opened


@pytest.mark.proof("compositions")
@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_what_fits_can_be_composed(
    case: Case, quick: Validator, tmp_path: Path, count: Count
) -> None:
    found: Counter[str] = Counter()
    model = load(case.directory)
    for meta_graph in model.meta_graphs[:1]:
        for key, signature in sorted(meta_graph.signatures.items()):
            for wanted in _wanted(signature, tmp_path):
                with count.case(f"{key}, {wanted}"):
                    directory = tmp_path / "model"
                    shutil.rmtree(directory, ignore_errors=True)
                    copying = shutil.copyfile
                    shutil.copytree(case.directory, directory, symlinks=True, copy_function=copying)
                    said = _composed(directory, meta_graph.tags, key, wanted, quick)
                    assert said in {"equal", "noted", "refused"}, said
                    found[said] += 1
    count.add(**found)
    count.settle()


def _composed(
    directory: Path, tags: tuple[str, ...], key: str, wanted: Wanted, quick: Validator
) -> str:
    """Return the outcome of a composition, or the error."""
    put = asked_list(wanted.before, "before"), asked_list(wanted.after, "after")
    bind = constants(wanted.bind, "bind")
    edit = Compose(key, "composed", bind, before=put[0], after=put[1])
    try:
        receipt = patch(directory, edit, options=Options(tag_set=tags), validator=quick)
    except SmpatchError as error:
        known = any(reason in str(error) for reason in REASONS)
        return "refused" if known else f"{type(error).__name__}: {error}"
    outputs = tuple(sorted(receipt.signature.outputs))
    if dict(receipt.numbers or {}).get("composed") == outputs:
        return "equal"
    notes = [each.text for each in receipt.notes]
    known = any(reason in note for reason in NOT_COMPARED for note in notes)
    return "noted" if known or not outputs else f"not compared: {notes}"
