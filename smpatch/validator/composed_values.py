"""The numbers of a composed signature, compared with its parts that run one after another.

The parts are the functions before the source, the source as it was before the edit, and the
functions after it. Each part runs in a session of the C runtime of its own, as it was traced or as
it is in the model. The results of a part are fed to the next part. The composed signature is fed
the same values, and must have the same results, bit for bit.

The values are made up; a function that decodes images gets images. If only inputs became constants,
the signature is compared with the signature that it is made of (``with_bound``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from smpatch import dtypes, schema, wire
from smpatch.errors import RefusedError, UsageError
from smpatch.fragments import Fragment, SignatureOf
from smpatch.functions.binding import Bound, Follow, bound_inputs
from smpatch.functions.calls import call, placeholder
from smpatch.functions.fitting import signature_of
from smpatch.functions.joining import Composition
from smpatch.loader import MetaGraph
from smpatch.proof.numbers import Kept
from smpatch.runs.arrays import UnmakeableError, array_of, from_numpy, to_numpy
from smpatch.runs.comparing import EXACT
from smpatch.runs.feeds import Feeds, Names, Target, in_c
from smpatch.runs.pairs import Outcome, Pair, Values, merged, outcome_of
from smpatch.runs.sessions import Asks, Call, CRuntime, Place, Ran
from smpatch.runs.values import Feeding, features
from smpatch.runtime.questions import Array
from smpatch.savedmodel.parts import GRAPH_DEF, META_GRAPHS, META_INFO_DEF
from smpatch.signature import SignatureDef
from smpatch.validator.kept import MADE_UP

_TAGS = ("serve",)
_VERSION = 1000
"""A version of graphs that has functions; any TensorFlow with which smpatch runs is newer."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A composed signature and its parts.

    Attributes:
        edit: The edit, with its functions traced.
        source: The signature that it is made of, with the names that it has at this edit.
        tensors: Input of the source to the tensors that are fed in the model before the edits.
        fetched: Output of the source to the tensors that are fetched in that model.
        before: The model before the edits.
        after: The edited model.
        target: The composed signature.
        was: The key that the source has in the model before the edits.
    """

    edit: Composition
    source: SignatureDef
    tensors: Mapping[str, tuple[str, ...]]
    fetched: Mapping[str, tuple[str, ...]]
    before: Place
    after: Place
    target: SignatureDef
    was: str


def composed_values(
    edit: Composition,
    after: MetaGraph,
    file: str | os.PathLike[str] | None,
    known: Sequence[Values] = (),
) -> list[Values]:
    """Return values with which a composed signature runs.

    Args:
        edit: The edit, with its functions traced.
        after: The edited MetaGraph.
        file: A ``.npz`` file with values, used in addition to those that are made up.
        known: For each rule by which values are made up, the values of some inputs, if they are
            known already.

    Raises:
        UnmakeableError: No values can be made up.
    """
    inputs = after.signatures[edit.key].inputs
    found: list[Values] = []
    if file is not None:
        try:
            given = Feeds(Feeding(file=file), after.signatures)
            found += [feed.values for feed in given.of(edit.key, inputs)]
        except (UnmakeableError, UsageError):
            found = []  # it has values for other signatures
    samples: dict[str, list[Array]] = {}
    for each in edit.before:
        if isinstance(each, Fragment):
            for alias, protos in each.samples.items():
                samples.setdefault(alias, [array_of(proto) for proto in protos])
    wanted = features(after)
    taken = {alias for each in edit.before if isinstance(each, Fragment) for alias in each.inputs}
    for place, rule in enumerate(MADE_UP):
        there = known[place] if place < len(known) else {}
        for feed in Feeds(rule, {}, wanted).of(edit.key, inputs):
            made = dict(feed.values)
            made |= {alias: there[alias] for alias in there.keys() & inputs.keys() - taken}
            for alias in samples.keys() & inputs.keys():
                made[alias] = (_sample(samples[alias], made[alias][0]),)
            found.append(made)
    return found


def _sample(samples: Sequence[Array], made: Array) -> Array:
    """Return the sample that has the shape of a made-up value, or else the first sample."""
    return next((each for each in samples if each.shape == made.shape), samples[0])


def composed_outcome(asks: Asks, chain: Chain, values: Sequence[Values]) -> Outcome:
    """Run a composed signature and its parts, and compare.

    The signature runs once with each of the values.

    Raises:
        NotLoadedError: TensorFlow does not load one of the models.
        ChildUnfit: There is no C runtime.
    """
    found = _compared(asks, chain, values)
    # A difference counts if a second run shows it again.
    again = found if found.same else _compared(asks, chain, values)
    return found if again.not_run else again


def _compared(asks: Asks, chain: Chain, values: Sequence[Values]) -> Outcome:
    twice = [*values, *values]
    reference = _in_parts(asks, chain, twice)
    target = in_c({chain.edit.key: chain.target})[chain.edit.key]
    ran = run_calls(asks, chain.after, [target.call(each) for each in values])
    count = len(values)
    both = zip(ran, reference[:count], reference[count:], strict=True)
    return merged([outcome_of(now, first, again, EXACT) for now, first, again in both])


def _in_parts(asks: Asks, chain: Chain, values: Sequence[Values]) -> list[Ran]:
    """Run the parts one after another."""
    edit = chain.edit
    flow = [Ran(dict(each)) for each in values]
    with ExitStack() as held:
        for each in edit.before:
            if isinstance(each, Fragment):
                ran = _alone(asks, held, each, flow)
                flow = [
                    now if now.failure else Ran({**had.outputs, **now.outputs})
                    for had, now in zip(flow, ran, strict=True)
                ]
        bound = bound_inputs(chain.source, edit.source, edit.bind)
        calls = [each if each.failure else _source(chain, bound, each) for each in flow]
        flow = run_calls(asks, chain.before, calls)
        for each in edit.after:
            if isinstance(each, Fragment):
                flow = _behind(asks, held, each, flow, values)
    return flow


def _source(chain: Chain, bound: Mapping[str, Bound], given: Ran) -> Call:
    feeds: dict[str, Array] = {}
    first = {alias: arrays[0] for alias, arrays in given.outputs.items()}
    for alias, names in chain.tensors.items():
        if alias in bound:
            feeds[names[0]] = _repeated(bound[alias], first)
        else:
            feeds |= dict(zip(names, given.outputs[alias], strict=True))
    return Call(chain.edit.source, feeds, chain.fetched)


def _repeated(bound: Bound, given: Mapping[str, Array]) -> Array:
    """Return a value that is bound to an input, repeated as the edited model repeats it.

    Args:
        bound: The value.
        given: Input to its value, for the inputs whose sizes the bound value follows.
    """
    made = array_of(bound.proto)
    if bound.dims is None:
        return made
    sizes = [
        given[each.alias].shape[each.axis] if isinstance(each, Follow) else each
        for each in bound.dims
    ]
    return from_numpy(np.broadcast_to(to_numpy(made), tuple(sizes)), dtypes.name(made.dtype))


def _behind(
    asks: Asks,
    held: ExitStack,
    fragment: Fragment,
    flow: Sequence[Ran],
    values: Sequence[Values],
) -> list[Ran]:
    """Run a function on outputs, or on inputs of the composed signature; return all outputs."""
    given = [
        each if each.failure else Ran({**fed, **each.outputs})
        for each, fed in zip(flow, values, strict=True)
    ]
    ran = _alone(asks, held, fragment, given)
    return [
        now
        if now.failure
        else Ran(
            {a: e for a, e in had.outputs.items() if a not in fragment.inputs} | dict(now.outputs)
        )
        for had, now in zip(flow, ran, strict=True)
    ]


def _alone(asks: Asks, held: ExitStack, fragment: Fragment, flow: Sequence[Ran]) -> list[Ran]:
    """Run a function in a model that has only this function, or in the model that it is made of."""
    if fragment.model is not None:
        return run_calls(asks, *_of_model(fragment.model, flow))
    directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="smpatch-")))
    (directory / "saved_model.pb").write_bytes(_model_of(fragment))
    fetches = {alias: (f"call:{port}",) for port, alias in enumerate(fragment.outputs)}
    calls = [
        each
        if each.failure
        else Call(
            "",
            {f"input_{n}:0": each.outputs[alias][0] for n, alias in enumerate(fragment.inputs)},
            fetches,
        )
        for each in flow
    ]
    return run_calls(asks, Place(directory, _TAGS), calls)


def _of_model(asked: SignatureOf, flow: Sequence[Ran]) -> tuple[Place, Sequence[Call | Ran]]:
    """Return another model with its variables and tables, and calls of its signature."""
    directory, signature = signature_of(asked)
    target = in_c({asked.key: signature})[asked.key]
    calls = [
        each if each.failure else target.call({a: each.outputs[a] for a in signature.inputs})
        for each in flow
    ]
    return Place(directory, asked.tags), calls


def run_calls(asks: Asks, place: Place, calls: Sequence[Call | Ran]) -> list[Ran]:
    """Make calls in one session; a failure in place of a call is returned unchanged."""
    with CRuntime(asks, place) as session:
        return [each if isinstance(each, Ran) else session.run(each) for each in calls]


def _model_of(fragment: Fragment) -> bytes:
    """Return a SavedModel that has a function and a call of it, and nothing else."""
    graph = schema.GraphDef()
    for each in fragment.functions:
        graph.library.function.add().MergeFromString(each)
    root = schema.FunctionDef.FromString(fragment.functions[0])
    names = [f"input_{place}" for place in range(len(fragment.inputs))]
    nodes = [*map(placeholder, names, fragment.inputs.values())]
    nodes.append(call("call", root, names, [spec.shape for spec in fragment.outputs.values()]))
    graph.node.extend(nodes)
    versions = wire.delimited(4, wire.varint(1 << 3) + wire.varint(_VERSION))
    info = wire.delimited(4, _TAGS[0].encode())
    parts = {META_INFO_DEF: info, GRAPH_DEF: graph.SerializeToString() + versions}
    meta_graph = b"".join(wire.delimited(number, part) for number, part in parts.items())
    return wire.varint(1 << 3) + wire.varint(1) + wire.delimited(META_GRAPHS, meta_graph)


def with_bound(
    pairs: Iterable[Pair], target: Target, there: Kept, source: SignatureDef, named: Names
) -> Iterator[Pair]:
    """Return pairs in which the reference is fed the bound values as well.

    Args:
        pairs: The calls.
        target: The signature that has constants.
        there: The record of this signature.
        source: The signature that it was made of.
        named: Alias to the names that are fed for an input of the source, in the loader that makes
            the calls.

    Raises:
        RefusedError: The source does not have these inputs, or a followed input has another name.
    """
    bound = bound_inputs(source, there.was, there.bound)
    now = {was: alias for alias, was in there.inputs.was.items()}
    followed = {
        size.alias
        for each in bound.values()
        for size in each.dims or ()
        if isinstance(size, Follow)
    }
    if not followed <= now.keys():  # in Python an input may have another name
        raise RefusedError("a value follows an input that has another name here")

    def fed(pair: Pair) -> Pair:
        given = {alias: pair.call.feeds[target.inputs[now[alias]][0]] for alias in followed}
        feeds = {named[alias][0]: _repeated(each, given) for alias, each in bound.items()}
        call = replace(pair.reference, feeds={**pair.reference.feeds, **feeds})
        return replace(pair, reference=call)

    return map(fed, pairs)
