"""Runs of every signature, and of the warm-up requests.

The C runtime's session runs them, as in TF Serving. If smpatch makes the values, a failure is not
always a fault of the model: an operation that parses its input (serialized examples, images)
refuses such values correctly. If the signature does not determine values that it must accept, such
a failure is a note. With values that the user gives, every failure is a fault. A table or variable
that was never initialized is a fault too, because it fails with every value.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from smpatch import dtypes, warmup
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.checker.reload import C_RUNTIME, without_answer
from smpatch.errors import ModelUnreadableError
from smpatch.runs.arrays import UnmakeableError, array_of
from smpatch.runs.feeds import Feed, Feeds, in_c, placed
from smpatch.runs.values import Feeding, features, is_open
from smpatch.runtime import questions
from smpatch.runtime.process import ChildError, Program
from smpatch.runtime.questions import Array, RunResult
from smpatch.signature import SignatureDef, Spec, TensorSpec, compatible, shape_text
from smpatch.validator import Validator
from smpatch.warmup import WarmUp, misfits

_BLAMES_VALUES = frozenset(
    {
        2,  # unknown
        3,  # invalid argument
        5,  # not found: a file name or a key in the value
        11,  # out of range
        15,  # data loss: a damaged image or record
    }
)
"""The codes with which an operation refuses a value (``error_codes.proto``).

With the other codes every value of the type fails: a table or variable that nothing initialized
(failed precondition), an operation without a kernel (unimplemented), a Python function that
exists in another process alone (internal).
"""

_WITHOUT_VALUES = ("No OpKernel", "Missing py trampoline")
"""Parts of the messages about a missing kernel or Python function: every value fails then.

Source: ``python/lib/core/py_func.cc``.
"""


class Runs:
    """The runs of the signatures of one MetaGraph, in the session that the C runtime has kept."""

    def __init__(self, validator: Validator, subject: Subject, feeding: Feeding) -> None:
        """Read the file of values, if there is one.

        Raises:
            UsageError: The file cannot be read, or names no input.
        """
        self.ran: list[tuple[str, tuple[int, ...]]] = []
        self._validator = validator
        self._subject = subject
        self._feeding = feeding
        meta_graph = subject.meta_graph
        self._feeds = Feeds(feeding, subject.signatures, features(meta_graph))

    def findings(self, broken: Collection[str]) -> Iterator[Finding]:
        """Run the signatures, and yield the failures and the wrong results.

        Args:
            broken: Keys of signatures that have a fault already; they are left out.
        """
        for name in self._feeds.cut:
            where = f"{self._feeding.file}: {name}"
            text = "it holds bytes of NumPy's type S, which cuts zeros from the end of each element"
            hint = "save it with dtype=object, or write JSON with b64"
            yield note("feed-cut", where, text, hint)
        for key, signature in self._subject.signatures.items():
            if key in broken:
                continue
            where = self._subject.where(f"signature {key!r}")
            runs: dict[int, RunResult] = {}
            failed: list[Finding] = []
            try:
                for feed in self._feeds.of(key, signature.inputs):
                    given = placed(signature.inputs, feed.values)
                    said = self._run(signature, given)
                    if said.ok:
                        runs[feed.batch] = said
                        yield from _differences(where, signature, said)
                    else:
                        failed.append(self._failure(where, signature, said, feed.batch))
            except UnmakeableError as error:
                yield self._not_fed(where, str(error), key, signature)
            except ChildError as error:
                yield without_answer(self._subject, C_RUNTIME, error)
                return  # the session ended with the child
            if runs:
                # Other batches of such values succeed, so that only the size can be the cause.
                failed = [fault("run-fails", where, each.text) for each in failed]
                yield from _lost_rows(where, signature, runs)
                try:
                    yield from self._with_defaults(where, key, signature, runs)
                except ChildError as error:
                    yield without_answer(self._subject, C_RUNTIME, error)
                    return
                self.ran.append((key, tuple(runs)))
            yield from failed

    def _not_fed(self, where: str, text: str, key: str, signature: SignatureDef) -> Finding:
        """Return the finding about a signature that cannot be fed.

        It is a fault if the file of values has some of its inputs.
        """
        if self._feeds.has_some(key, signature.inputs):
            return fault("run-fails", where, text, "add them to the file")
        return note("not-run", where, text, "give values with --feed FILE.npz")

    def _with_defaults(
        self, where: str, key: str, signature: SignatureDef, runs: Mapping[int, RunResult]
    ) -> Iterator[Finding]:
        """Run requests that leave out the inputs with a default; yield those that fail then."""
        try:
            defaults = {
                alias: array_of(value)
                for alias, value in signature.defaults.items()
                if isinstance(signature.inputs.get(alias), TensorSpec)
            }
        except UnmakeableError as error:
            yield note("not-run", where, f"its defaults cannot be fed: {error}")
            return
        ran: dict[int, RunResult] = {}
        for feed in self._feeds.of(key, signature.inputs) if defaults else ():
            if feed.batch not in runs:
                continue  # this batch fails with all inputs fed, too
            said = self._run(signature, placed(signature.inputs, left_out(feed.values, defaults)))
            if said.ok:
                ran[feed.batch] = said
                continue
            text = f"with its defaults it fails, batch {feed.batch}: {said.message}"
            yield fault("default-fails", where, text, self._better(signature, feed, defaults))
        yield from _lost_rows(f"{where}, with its defaults", signature, ran)

    def _better(self, signature: SignatureDef, feed: Feed, defaults: Mapping[str, Array]) -> str:
        """Return advice for a failed run: a form of a default with which the run succeeds."""
        for alias, array in defaults.items():
            for form in forms(array, signature.inputs[alias]):
                values = left_out(feed.values, {**defaults, alias: form})
                if self._run(signature, placed(signature.inputs, values)).ok:
                    shape = "a scalar" if not form.shape else shape_text(form.shape)
                    return f"the same default of {alias!r} as {shape} works"
        return "give a default that the graph broadcasts, or let each request feed the input"

    def _run(self, signature: SignatureDef, feed: Mapping[str, Array]) -> RunResult:
        fetched = {tensor.name for each in signature.outputs.values() for tensor in each.tensors()}
        # An output may be a part of a fed sparse tensor, and no session fetches a fed tensor.
        names = sorted(fetched - set(feed))
        return self._validator.ask(
            Program.CAPI, lambda child, limit: questions.run(child, feed, names, limit)
        )

    def _failure(self, where: str, signature: SignatureDef, said: RunResult, batch: int) -> Finding:
        """Return the finding about a failed run: a note if the values may be the cause."""
        if self._feeds.given:
            return fault("run-fails", where, f"it fails with the values given: {said.message}")
        text = f"it fails with {self._feeding.filling}, batch {batch}: {said.message}"
        blames_values = said.code in _BLAMES_VALUES and not any(
            words in said.message for words in _WITHOUT_VALUES
        )
        if _guessed(signature) and blames_values:
            hint = "what was made up may be no value for it; give values with --feed FILE.npz"
            return note("not-run", where, text, hint)
        return fault("run-fails", where, text)


def _guessed(signature: SignatureDef) -> bool:
    """Return whether a signature does not determine values that it must accept.

    Strings may be examples or images; a tensor of unknown rank may have any shape. TensorFlow 2
    names the parts of a sparse or ragged argument ``x``, ``x_1``, ...: the signature does not have
    the rules between these parts.
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
    """Yield the results whose types or shapes are not those of the signature."""
    for alias, spec in signature.outputs.items():
        if not isinstance(spec, TensorSpec):
            continue
        array = said.arrays.get(spec.name)
        if array is None:
            continue  # the tensor is an input, too
        dtype = dtypes.name(array.dtype)
        if dtypes.base(dtype) != dtypes.base(spec.dtype):
            text = f"it came out as {dtype}, and the signature says {spec.dtype}"
            yield fault("run-dtype", f"{where}, output {alias!r}", text)
        if not compatible(array.shape, spec.shape):
            text = f"it came out as {shape_text(array.shape)}, and the signature says "
            yield fault("run-shape", f"{where}, output {alias!r}", text + shape_text(spec.shape))


def _lost_rows(
    where: str, signature: SignatureDef, runs: Mapping[int, RunResult]
) -> Iterator[Finding]:
    """Yield outputs that have as many rows as the smallest batch, also for a larger batch."""
    if len(runs) == 1 or not all(is_open(spec) for spec in signature.inputs.values()):
        return
    for alias, spec in signature.outputs.items():
        if not isinstance(spec, TensorSpec) or not is_open(spec):
            continue
        rows = {
            batch: said.arrays[spec.name].shape[0]
            for batch, said in runs.items()
            if spec.name in said.arrays and said.arrays[spec.name].shape
        }
        smallest = min(rows, default=0)
        lost = [batch for batch, count in rows.items() if batch != count == smallest]
        if rows.get(smallest) == smallest and lost:
            text = f"a batch of {lost[0]} goes in, and {smallest} comes out: rows are lost"
            yield fault("run-batch", f"{where}, output {alias!r}", text)


def left_out(
    values: Mapping[str, tuple[Array, ...]], defaults: Mapping[str, Array]
) -> dict[str, tuple[Array, ...]]:
    """Return the values that a signature is fed if a request leaves out inputs with a default."""
    return {**values, **{alias: (array,) for alias, array in defaults.items() if alias in values}}


def forms(array: Array, spec: Spec) -> Iterator[Array]:
    """Yield a default in the forms that more graphs broadcast: one row, and a scalar.

    Args:
        array: The default; it has other forms only if its rows, or elements, are equal.
        spec: The spec of the input.
    """
    if not isinstance(spec, TensorSpec) or not array.shape or 0 in array.shape:
        return
    shapes: list[tuple[int, ...]] = [(1, *array.shape[1:]), ()]
    for shape in shapes:
        times = math.prod(array.shape) // math.prod(shape)
        if shape != array.shape and compatible(shape, spec.shape):
            data = array.data[: len(array.data) // times]
            strings = array.strings[: len(array.strings) // times]
            if (data * times, strings * times) == (array.data, array.strings):
                yield replace(array, shape=shape, data=data, strings=strings)


_REPLAYED = frozenset({"predict", "predict_streamed"})


def run_warm_up(validator: Validator, subject: Subject) -> Iterator[Finding]:
    """Run warm-up requests in the session that the C runtime has kept; yield those that fail.

    Predict requests alone are run, each once: the values of the methods that take examples are
    not decoded. A request that does not fit the signature is left out.

    Source: ``tensorflow_serving/servables/tensorflow/predict_util.cc`` (what a request feeds and
    fetches; an input that it leaves out takes its default).

    Args:
        validator: The owner of the child process that has the session.
        subject: The MetaGraph that servers load.
    """
    try:
        requests = warmup.requests(subject.model.directory)
    except ModelUnreadableError:
        return  # the check of the files reports it
    where = str(warmup.PLACE)
    seen: set[tuple[WarmUp, tuple[bytes, ...]]] = set()
    for call in requests:
        signature = subject.meta_graph.signatures.get(call.signature)
        if signature is None or call.kind not in _REPLAYED or (call, call.values) in seen:
            continue
        seen.add((call, call.values))
        if any(misfits(call, signature)) or not _complete(call, signature):
            continue
        try:
            said = _replay(validator, call, signature)
        except UnmakeableError as error:
            yield note("not-run", where, f"record {call.record}: {error}")
        except ChildError as error:
            yield without_answer(subject, C_RUNTIME, error)
            return  # the session ended with the child
        else:
            if not said.ok:
                text = f"record {call.record}, a request to {call.signature!r}, fails: "
                hint = "TF Serving does not load the model"
                yield fault("warm-up-fails", where, text + said.message, hint)


def _complete(call: WarmUp, signature: SignatureDef) -> bool:
    """Return whether a request and the defaults feed all inputs, and all inputs are dense."""
    given = {*call.inputs, *signature.defaults}
    return all(
        alias in given and isinstance(spec, TensorSpec) for alias, spec in signature.inputs.items()
    )


def _replay(validator: Validator, call: WarmUp, signature: SignatureDef) -> RunResult:
    target = in_c({call.signature: signature})[call.signature]
    given = {**signature.defaults, **dict(zip(call.inputs, call.values, strict=True))}
    values = {alias: (array_of(given[alias]),) for alias in signature.inputs}
    ready = target.yielding(call.outputs or target.outputs).call(values)
    fetched = {name for names in ready.fetches.values() for name in names}
    return validator.ask(
        Program.CAPI,
        lambda child, limit: questions.run(
            child, ready.feeds, sorted(fetched - ready.feeds.keys()), limit
        ),
    )
