"""Feed every signature and see what comes of it.

Runs go through the C runtime's session, as those of TF Serving. With values that were made
up a failure need not be the model's: what parses its input (serialized examples, images)
refuses them rightly. Where a signature says too little for that, a failure is a note; with
values that the user gives, every failure is a fault. So is it where a table or a variable was
never initialized, which no value can mend.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from smpatch import dtypes
from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.reload import C_RUNTIME, perished
from smpatch.checker.shapes import shown
from smpatch.checker.subject import Subject
from smpatch.runs.examples import features
from smpatch.runs.feeding import Feeding
from smpatch.runs.feeds import Feeds, placed
from smpatch.runs.values import UnmakeableError
from smpatch.runtime import answers
from smpatch.runtime.answers import Array, RunResult
from smpatch.runtime.process import ChildError, Program
from smpatch.signature import SignatureDef, TensorSpec, compatible
from smpatch.validator import Judge

__all__ = ["Runs"]

_FAILED_PRECONDITION = 9
"""The status of what was never initialized (``error_codes.proto``); unfit values have another."""


class Runs:
    """The runs of the signatures of one MetaGraph, whose session the C runtime has kept."""

    def __init__(self, judge: Judge, subject: Subject, feeding: Feeding) -> None:
        """Read the file of values, if there is one.

        Raises:
            UsageError: The file cannot be read, or names no input at all.
        """
        self.ran: list[tuple[str, tuple[int, ...]]] = []
        self._judge = judge
        self._subject = subject
        self._feeding = feeding
        meta_graph = subject.meta_graph
        self._feeds = Feeds(feeding, meta_graph.signatures, features(meta_graph))

    def findings(self, broken: Collection[str]) -> Iterator[Finding]:
        """Run the signatures, and yield what fails.

        Args:
            broken: Keys of those that are known to have a fault; they are left out.
        """
        for key, signature in self._subject.meta_graph.signatures.items():
            if key in broken:
                continue
            where = self._subject.where(f"signature {key!r}")
            ran: list[int] = []
            try:
                for feed in self._feeds.of(key, signature.inputs):
                    given = placed(signature.inputs, feed.values)
                    failed = tuple(self._run(key, signature, given, feed.batch))
                    yield from failed
                    if not failed:
                        ran.append(feed.batch)
            except UnmakeableError as error:
                yield note("not-run", where, str(error), "give values with --feed FILE.npz")
            except ChildError as error:
                yield perished(self._subject, C_RUNTIME, error)
                return  # the session is gone with the child
            if ran:
                self.ran.append((key, tuple(ran)))

    def _run(
        self, key: str, signature: SignatureDef, feed: Mapping[str, Array], batch: int
    ) -> Iterator[Finding]:
        where = self._subject.where(f"signature {key!r}")
        fetched = {tensor.name for each in signature.outputs.values() for tensor in each.tensors()}
        # The parts of a sparse tensor may pass through, and no session fetches what it is fed.
        names = sorted(fetched - set(feed))
        said = self._judge.ask(
            Program.CAPI, lambda child, limit: answers.run(child, feed, names, limit)
        )
        if said.ok:
            yield from _differences(where, signature, said)
            return
        if self._feeds.given:
            yield fault("run-fails", where, f"it fails with the values given: {said.message}")
            return
        text = f"it fails with {self._feeding.filling}, batch {batch}: {said.message}"
        if _guessed(signature) and said.code != _FAILED_PRECONDITION:
            hint = "what was made up may be no value for it; give values with --feed FILE.npz"
            yield note("not-run", where, text, hint)
        else:
            yield fault("run-fails", where, text)


def _guessed(signature: SignatureDef) -> bool:
    """Tell whether a signature says too little for a value that it must take.

    Strings may be examples or images, a tensor of unknown rank anything. TensorFlow 2
    calls the parts of a sparse or ragged argument ``x``, ``x_1``, ...: what holds between
    them nobody can make up.
    """
    inputs = signature.inputs
    for alias, spec in inputs.items():
        if not isinstance(spec, TensorSpec) or spec.shape is None or spec.dtype == "string":
            return True
        whole, _, number = alias.rpartition("_")
        if whole in inputs and number.isdecimal():
            return True
    return False


def _differences(where: str, signature: SignatureDef, said: RunResult) -> Iterator[Finding]:
    """Yield where the results are not what the signature promises."""
    for alias, spec in signature.outputs.items():
        if not isinstance(spec, TensorSpec):
            continue
        array = said.arrays.get(spec.name)
        if array is None:
            continue  # it is an input, too
        dtype = dtypes.name(array.dtype)
        if dtypes.base(dtype) != dtypes.base(spec.dtype):
            text = f"it came out as {dtype}, and the signature says {spec.dtype}"
            yield fault("run-dtype", f"{where}, output {alias!r}", text)
        if not compatible(array.shape, spec.shape):
            text = f"it came out as {shown(array.shape)}, and the signature says "
            yield fault("run-shape", f"{where}, output {alias!r}", text + shown(spec.shape))
