"""The two halves of a TensorFlow 2 export by their numbers.

Servers run the main graph, Python the functions of the object graph: both must compute the
same. Here both run as they are written, without TensorFlow's optimizers, and are compared bit
for bit: in 108 signatures of 61 exports, with ResNet50, EfficientNet, attention, recurrent
layers, loops, tables, jax2tf and XLA among them, no bit differed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.subject import Subject
from smpatch.runs.examples import features
from smpatch.runs.feeding import Feeding
from smpatch.runs.feeds import Feeds
from smpatch.runs.pairs import Outcome, Values, compare_pairs, pair_up
from smpatch.runs.sessions import Asks, CRuntime, NotLoadedError, Place, PythonLoader
from smpatch.runs.targets import in_c, in_python
from smpatch.runs.values import UnmakeableError

__all__ = ["check_halves"]


def check_halves(
    asks: Asks, subject: Subject, feeding: Feeding, broken: Collection[str]
) -> Iterator[Finding]:
    """Yield where Python computes other numbers than servers.

    Args:
        asks: Who asks TensorFlow.
        subject: A MetaGraph with an object graph, from which Python takes its signatures.
        feeding: What the signatures are fed. Where it makes values up, random ones are fed as
            well: zeros and ones do not tell variables apart.
        broken: Keys of signatures that are known to have a fault; they are left out.
    """
    place = Place(subject.model.directory, subject.meta_graph.tags)
    signatures = subject.meta_graph.signatures
    rules = [feeding]
    if feeding.file is None and feeding.filling != "random":
        rules.append(Feeding("random", feeding.seed, feeding.batches))
    wanted = features(subject.meta_graph)
    feeds = [Feeds(rule, signatures, wanted) for rule in rules]
    python = PythonLoader(asks, place)
    try:
        with python:
            python.load()
        listed, targets = in_python(python.signatures), in_c(signatures)
        pairs = [
            pair
            for key in signatures
            if key in listed and key not in broken
            for pair in pair_up(listed[key], targets[key], _values(feeds, subject, key))
        ]
        outcomes = compare_pairs(
            pairs, lambda: PythonLoader(asks, place), lambda: CRuntime(asks, place)
        )
    except NotLoadedError:
        return  # whoever loads the model reports it
    for key, outcome in outcomes.items():
        yield from _findings(subject, key, outcome)


def _values(feeds: Sequence[Feeds], subject: Subject, key: str) -> Iterator[Values]:
    inputs = subject.meta_graph.signatures[key].inputs
    with contextlib.suppress(UnmakeableError):  # whoever runs the signature reports it
        for each in feeds:
            yield from (feed.values for feed in each.of(key, inputs))


def _findings(subject: Subject, key: str, outcome: Outcome) -> Iterator[Finding]:
    where = subject.where(f"signature {key!r}")
    if outcome.failure:
        text = f"it runs in the C runtime, and not in tf.saved_model.load: {outcome.failure}"
        yield fault("python-run-fails", where, text)
    for alias, comparison in sorted(outcome.outputs.items()):
        if not comparison.same:
            text = f"tf.saved_model.load computes other numbers than the C runtime: {comparison}"
            yield fault("numbers-disagree", f"{where}, output {alias!r}", text)
    for alias in sorted(outcome.unstable):
        text = "it is random or has a state, so that Python and servers cannot be compared"
        yield note("numbers-unstable", f"{where}, output {alias!r}", text)
