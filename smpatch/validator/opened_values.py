"""The numbers of a signature in which tensors became inputs, compared with the whole signature.

The whole signature is the signature before the edit. It runs in the C runtime, and so do the
tensors that became inputs. Tensors of the main graph run in the model before the edit. Tensors
inside functions run in a copy of it in which the functions yield them
(``functions.inner_outputs``). The signature in which tensors became inputs is fed these values, and
must have the results of the whole signature, bit for bit.

The copy is a directory with one new file and links to the other files; it is removed afterwards.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from smpatch import wire
from smpatch.functions.calls import prefix_of
from smpatch.functions.inner_inputs import Opened, opened
from smpatch.functions.inner_outputs import expose
from smpatch.loader import MetaGraph, SavedModel
from smpatch.runs.comparing import EXACT
from smpatch.runs.feeds import Feeds, in_c
from smpatch.runs.pairs import Outcome, Values, merged, outcome_of
from smpatch.runs.sessions import Asks, Call, Place, Ran
from smpatch.runs.values import features
from smpatch.signature import Spec, TensorSpec
from smpatch.tensor_refs import TensorRef
from smpatch.validator.composed_values import Chain, run_calls
from smpatch.validator.kept import MADE_UP
from smpatch.writer.plan import merge

_FILE = "saved_model.pb"


@dataclass(frozen=True, slots=True)
class OpenedChain:
    """A signature in which tensors became inputs, and the whole signature.

    Attributes:
        chain: The composed signature, with the signature in which tensors became inputs as source.
        whole: The composed signature, with the whole signature as source.
        fetched: New input to its tensor in the model ``chain.before``.
        is_target: Whether the edit composes nothing else, so that the edited signature itself is
            compared.
    """

    chain: Chain
    whole: Chain
    fetched: Mapping[str, tuple[str, ...]]
    is_target: bool


@contextmanager
def opened_chain(chain: Chain, model: SavedModel, before: MetaGraph) -> Iterator[OpenedChain]:
    """Yield a signature in which tensors became inputs, and the whole signature.

    The source of the chain is the whole signature. ``model`` and ``before`` are those before the
    edit.
    """
    edit = chain.edit
    prefix = prefix_of(edit.key, before.graph)
    made = opened(before, chain.was, chain.source, edit.starts, prefix)
    is_target = not (edit.before or edit.after or edit.bind or edit.dummy_input)
    inside = {a: each.inner.path for a, each in edit.starts.items() if each.inner is not None}
    fetched: dict[str, TensorRef] = {
        a: s.spec.name for a, s in edit.starts.items() if a not in inside
    }
    if not inside:
        yield _opened(chain, made, chain.before, fetched, is_target=is_target)
        return
    extended, _, found = expose(made.meta_graph, chain.was, inside, tensors=inside)
    with _written(model, extended) as directory:
        place = Place(directory, chain.before.tags)
        yield _opened(chain, made, place, fetched | found, is_target=is_target)


def _opened(
    chain: Chain,
    made: Opened,
    place: Place,
    fetched: Mapping[str, TensorRef],
    *,
    is_target: bool,
) -> OpenedChain:
    target = in_c({"": made.source})[""]
    part = replace(
        chain, source=made.source, tensors=target.inputs, fetched=target.outputs, before=place
    )
    names = {alias: (str(each),) for alias, each in fetched.items()}
    return OpenedChain(part, chain, names, is_target)


@contextmanager
def _written(model: SavedModel, meta_graph: MetaGraph) -> Iterator[Path]:
    """Write a model with a changed MetaGraph, beside links to its other files."""
    root = model.directory.absolute()
    with tempfile.TemporaryDirectory(prefix="smpatch-", ignore_cleanup_errors=True) as made:
        place = Path(made)
        for entry in root.iterdir():
            if entry.name not in {_FILE, model.file.name}:
                (place / entry.name).symlink_to(entry)
        splices = merge(model, [meta_graph]).splices
        (place / _FILE).write_bytes(wire.apply(model.data, splices))
        yield place


def opened_outcome(
    asks: Asks, opened_one: OpenedChain, before: MetaGraph
) -> tuple[Outcome, list[Values]]:
    """Run a signature in which tensors became inputs and the whole signature, and compare.

    Returns:
        The outcome, and the values of the tensors in each run; no values for a run that failed.

    Raises:
        UnmakeableError: No values can be made up.
        NotLoadedError: TensorFlow does not load one of the models.
        ChildUnfit: There is no C runtime.
    """
    inputs = opened_one.whole.source.inputs
    wanted = features(before)
    made = [feed.values for rule in MADE_UP for feed in Feeds(rule, {}, wanted).of("", inputs)]
    with_images = [_with_images(inputs, each) for each in made]
    for values in (made, with_images):
        outcome, given = _compared(asks, opened_one, values)
        if not outcome.same:  # a difference counts if a second run shows it again
            again = _compared(asks, opened_one, values)
            outcome, given = (outcome, given) if again[0].not_run else again
        if not outcome.not_run or with_images == made:
            break
    return outcome, given


def _with_images(inputs: Mapping[str, Spec], values: Values) -> Values:
    """Return values with an image in place of each string, for models that decode images."""
    shown = dict(values)
    for alias, spec in inputs.items():
        if isinstance(spec, TensorSpec) and spec.dtype == "string":
            (array,) = values[alias]
            shown[alias] = (replace(array, strings=(_image(),) * len(array.strings)),)
    return shown


def _image() -> bytes:
    """Return a PNG file, which all of TensorFlow's image decoders take but the BMP decoder."""
    width, height = 24, 16
    line = bytes((7 * place) % 256 for place in range(3 * width))
    rows = b"".join(b"\0" + line[row:] + line[:row] for row in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in parts)


def _compared(
    asks: Asks, both: OpenedChain, values: Sequence[Values]
) -> tuple[Outcome, list[Values]]:
    whole, part = both.whole, both.chain
    calls = [_call(whole, each, whole.fetched) for each in values]
    reference = run_calls(asks, whole.before, [*calls, *calls])
    count = len(values)
    tensors = run_calls(asks, part.before, [_call(whole, each, both.fetched) for each in values])
    given = [
        {} if each.failure else {**had, **each.outputs}
        for had, each in zip(values, tensors, strict=True)
    ]
    target = in_c({part.edit.key: part.target if both.is_target else part.source})
    asked: list[Call | Ran] = [
        target[part.edit.key].call({alias: each[alias] for alias in target[part.edit.key].inputs})
        if each
        else failed
        for each, failed in zip(given, tensors, strict=True)
    ]
    place = part.after if both.is_target else part.before
    ran = run_calls(asks, place, asked)
    three = zip(ran, reference[:count], reference[count:], strict=True)
    outcome = merged([outcome_of(*each, EXACT) for each in three])
    return outcome, [{a: each[a] for a in both.fetched} if each else {} for each in given]


def _call(chain: Chain, values: Values, fetches: Mapping[str, tuple[str, ...]]) -> Call:
    feeds = {
        name: array
        for alias, names in chain.tensors.items()
        for name, array in zip(names, values[alias], strict=True)
    }
    return Call(chain.edit.source, feeds, fetches)
