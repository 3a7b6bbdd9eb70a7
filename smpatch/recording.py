"""Make requests for one signature, run each once, and write them in the form of TF Serving's log.

Each request runs in TensorFlow's C runtime, as in TF Serving when it loads the model; a request
that fails is refused.

Sources: ``tensorflow_serving/apis/prediction_log.proto``; ``predict_util.cc``, ``classifier.cc``
and ``regressor.cc`` in ``servables/tensorflow``.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.describer.serving_requests import check_method
from smpatch.describer.subject import Subject, chosen, refuse, refuse_composites
from smpatch.errors import RefusedError, UsageError, ValidationError
from smpatch.loader import SavedModel, served
from smpatch.rules import Note, breaches
from smpatch.signature import CLASSIFY, EXAMPLES, PREDICT, REGRESS, Shape, TensorSpec, shape_text
from smpatch.validator import Validator
from smpatch.warmup import MOST, PLACE, Kind, misfits
from smpatch.warmup.requests import LONGEST, calls_of
from smpatch.warmup.tfrecord import Record, framed

if TYPE_CHECKING:  # NumPy comes with them
    from smpatch.runs.feeds import Feed
    from smpatch.runs.sessions import Ran
    from smpatch.runtime.questions import Array

_KINDS: Mapping[str, Kind] = {PREDICT: "predict", CLASSIFY: "classify", REGRESS: "regress"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that a request feeds.

    Attributes:
        dtype: TensorFlow's name of its type; empty if that cannot be read.
        shape: Its dimensions; None if they cannot be read.
    """

    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class WarmupRequest:
    """One request of a warm-up file.

    Attributes:
        record: The number of its record, from 1; a record may hold several requests.
        kind: The method that it calls: ``predict``, ``classify``, ``regress`` or another one.
        signature: The key of the signature that it calls; empty if it calls none.
        inputs: Alias to the tensor that it feeds.
        outputs: The aliases of the outputs that it requests; empty for all.
    """

    record: int
    kind: Kind
    signature: str
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ()


class Recording:
    """Requests for one signature: it makes, runs and serializes them."""

    def __init__(
        self, validator: Validator, model: SavedModel, signature: str, *, kept: int
    ) -> None:
        """Choose the signature.

        Args:
            validator: The validator that asks TensorFlow.
            model: The model.
            signature: The key.
            kept: The number of records in the file that stay.

        Raises:
            RefusedError: There is no such signature, or TF Serving takes no requests to it.
        """
        self.requests: list[WarmupRequest] = []
        self.notes: list[Note] = []
        self._validator = validator
        self._kept = kept
        self._meta_graph = served(model.meta_graphs)
        present = chosen(model, self._meta_graph, signature)
        self._subject = Subject(model, self._meta_graph, "", signature)
        self._signature = present[signature]
        check_method(self._subject)
        refuse_composites(self._subject, "TF Serving")
        method = self._signature.method_name
        self._kind: Kind = _KINDS[method]
        for breach in breaches(self._signature):
            refuse(self._subject, "", breach.found, breach.hint)

    def feeds(
        self,
        random: int | None,
        seed: int,
        file: str | os.PathLike[str] | None,
        batches: tuple[int, ...],
    ) -> Iterator[Feed]:
        """Return the values of the requests, made one by one.

        Raises:
            UsageError: The file of values cannot be read.
            RefusedError: There are too many requests, or examples would have to be made up.
        """
        from smpatch.runs.feeds import Feeds  # noqa: PLC0415 - NumPy
        from smpatch.runs.values import Feeding, features, has_batch  # noqa: PLC0415 - as above

        key, inputs = self._subject.key, self._signature.inputs
        sizes = batches or (1,)
        wanted = len(sizes) if has_batch(inputs) else 1
        if random is not None:
            if self._kind != "predict":
                line = self._subject.command("warmup", "--signature", key)
                hint = f"{line} --feed FILE.npz, with serialized examples called {EXAMPLES!r}"
                found = "it takes tf.train.Example messages, which are not made up"
                refuse(self._subject, "", found, hint)
            wanted *= random
        if self._kept + wanted > MOST:
            found = f"it would have {self._kept + wanted:,} records"
            hint = f"TF Serving refuses a model with more than {MOST:,}"
            raise RefusedError(found, where=str(PLACE), hint=hint)
        signatures, parsed = {key: self._signature}, features(self._meta_graph)
        if random is not None:
            rules = (Feeding("random", seed + number, sizes) for number in range(random))
            return (
                each for rule in rules for each in Feeds(rule, signatures, parsed).of(key, inputs)
            )
        given = Feeds(Feeding(file=file), signatures)
        for name in given.cut:
            text = f"{name}: NumPy's type S cuts zeros from the end; save it with dtype=object"
            self.notes.append(Note("feed-cut", text))
        return self._given(given.of(key, inputs), batches if has_batch(inputs) else ())

    def _given(self, feeds: Iterator[Feed], batches: tuple[int, ...]) -> Iterator[Feed]:
        for feed in feeds:
            if not batches:
                yield feed
            for size in batches:
                yield self._first(feed, size)

    def _first(self, feed: Feed, size: int) -> Feed:
        """Return values with the first ``size`` rows of inputs whose first dimension is open."""
        values = dict(feed.values)
        for alias, spec in self._signature.inputs.items():
            (array,) = values[alias]
            if not isinstance(spec, TensorSpec) or not array.shape:
                continue
            if spec.shape is None or spec.shape[:1] == (None,):
                if array.shape[0] < size:
                    found = f"it needs {size} rows, and the file has {array.shape[0]}"
                    raise UsageError(found, where=f"--batch, input {alias!r}")
                per_row = [len(each) // array.shape[0] for each in (array.data, array.strings)]
                values[alias] = (
                    replace(
                        array,
                        shape=(size, *array.shape[1:]),
                        data=array.data[: size * per_row[0]],
                        strings=array.strings[: size * per_row[1]],
                    ),
                )
        return replace(feed, batch=size, values=values)

    def records(self, feeds: Iterator[Feed]) -> Generator[bytes, None, None]:
        """Yield a record for each request, after the request has run.

        Raises:
            RefusedError: A request fails or TF Serving would not take it, or TensorFlow does not
                load the model.
            ValidationError: TensorFlow cannot be asked.
        """
        from smpatch.runs.arrays import UnmakeableError  # noqa: PLC0415 - as above
        from smpatch.runs.feeds import in_c  # noqa: PLC0415 - NumPy
        from smpatch.runs.sessions import CRuntime, NotLoadedError, Place  # noqa: PLC0415 - as above
        from smpatch.runtime.process import ChildError  # noqa: PLC0415 - only if one is started

        subject, place = self._subject, Place(self._subject.directory, self._meta_graph.tags)
        target = in_c({subject.key: self._signature})[subject.key]
        with CRuntime(self._validator, place) as session:
            try:
                for number, feed in enumerate(feeds, start=1):
                    record = self._record(number, feed)
                    ran = session.run(target.call(feed.values))
                    reason = ran.failure or self._misfit(feed, ran)
                    if reason:
                        hint = "give values that it takes with --feed FILE.npz"
                        refuse(subject, "", f"request {number} fails: {reason}", hint)
                    yield record
            except UnmakeableError as error:
                refuse(subject, "", str(error), "give values with --feed FILE.npz")
            except NotLoadedError as error:
                found = f"TensorFlow does not load the model: {error}"
                raise RefusedError(found, where=str(subject.directory)) from error
            except ChildError as error:
                found = f"no request can run: {error}"
                raise ValidationError(found, where=str(subject.directory)) from error

    def _record(self, number: int, feed: Feed) -> bytes:
        from smpatch.runs.arrays import tensor_of  # noqa: PLC0415 - NumPy

        log = schema.PredictionLog()
        kept = {alias: array for alias, (array,) in feed.values.items()}
        if self._kind == "predict":
            request = log.predict_log.request
            for alias, array in kept.items():
                request.inputs[alias].MergeFromString(tensor_of(array))
        else:
            request = getattr(log, f"{self._kind}_log").request
            request.input.example_list.examples.extend(self._examples(number, kept[EXAMPLES]))
        request.model_spec.signature_name = self._subject.key
        data = bytes(log.SerializeToString(deterministic=True))
        if len(data) >= LONGEST:
            refuse(self._subject, "", f"request {number} has {len(data):,} bytes, too many")
        for call in calls_of(Record(number, 0, data)):
            for each in misfits(call, self._signature):
                refuse(self._subject, "", f"request {number} fails: {each.text}", each.hint)
        tensors = {
            alias: Tensor(dtypes.name(array.dtype), array.shape) for alias, array in kept.items()
        }
        self.requests.append(
            WarmupRequest(self._kept + number, self._kind, self._subject.key, tensors)
        )
        return framed(data)

    def _examples(self, number: int, array: Array) -> Sequence[bytes]:
        """Return the examples of a request, which TF Serving feeds as one dimension."""
        words = f"request {number} has no row of serialized tf.train.Example messages"
        if array.dtype != dtypes.number("string") or len(array.shape) != 1 or not array.strings:
            refuse(self._subject, f"input {EXAMPLES!r}", words)
        try:
            for each in array.strings:
                schema.Example.FromString(each)
        except DecodeError:
            refuse(self._subject, f"input {EXAMPLES!r}", words)
        return array.strings

    def _misfit(self, feed: Feed, ran: Ran) -> str:
        """Return why TF Serving refuses results of Classify or Regress; empty if it takes them."""
        if self._kind == "predict":
            return ""
        examples = feed.values[EXAMPLES][0].shape[0]
        last = set()
        for alias, (array,) in ran.outputs.items():
            words = f"{alias!r} has the shape {shape_text(array.shape)} for {examples} examples"
            ranks = (2,) if self._kind == "classify" else (1, 2)
            if len(array.shape) not in ranks or array.shape[0] != examples:
                return words
            last.add(array.shape[1] if len(array.shape) > 1 else 1)
        if len(last) > 1 or (self._kind == "regress" and last != {1}):
            return f"each of {examples} examples has {' and '.join(map(str, sorted(last)))} results"
        return ""
