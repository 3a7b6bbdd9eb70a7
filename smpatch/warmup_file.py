"""List and write the warm-up requests of a model.

Source: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from smpatch import arguments, warmup
from smpatch import op_libraries as packages
from smpatch.errors import UsageError
from smpatch.loader import load_file
from smpatch.recording import Recording, Tensor, WarmupRequest
from smpatch.rules import Note
from smpatch.savedmodel.directory import naming, which_file, writing
from smpatch.signature import EXAMPLES
from smpatch.urls import ModelUrl
from smpatch.validator import Validator
from smpatch.warmup import PLACE
from smpatch.warmup.requests import count, described
from smpatch.writer import hold, recover
from smpatch.writer.warm_up_file import check_place, write_warm_up

__all__ = ["Tensor", "WarmupRequest", "WrittenWarmup", "warmup_requests", "write_warmup"]


@dataclass(frozen=True, slots=True)
class WrittenWarmup:
    """The result of writing warm-up requests.

    Attributes:
        file: The file.
        requests: The requests that were made, in their order.
        records: The number of records that the file has now (with ``dry_run``: would have).
        dry_run: Whether nothing was written.
        notes: Notes on the requests.
    """

    file: Path
    requests: tuple[WarmupRequest, ...]
    records: int
    dry_run: bool
    notes: tuple[Note, ...] = ()


def warmup_requests(model: str | os.PathLike[str]) -> tuple[WarmupRequest, ...]:
    """Return the warm-up requests of a model, which TF Serving replays when it loads it.

    Args:
        model: The model directory.

    Returns:
        The requests, in the order of the file; none if there is no such file.

    Raises:
        ModelUnreadableError: There is no model, or the file cannot be read.

    Example:
        >>> smpatch.write_warmup("export/1", "serving_default", random=1).records
        1
        >>> [each.kind for each in smpatch.warmup_requests("export/1")]
        ['predict']
    """
    directory = _local(model)
    which_file(directory)
    return tuple(_listed(directory))


def _listed(directory: Path) -> Iterator[WarmupRequest]:
    for call in warmup.requests(directory):
        tensors = {alias: Tensor("", None) for alias in call.inputs}
        if call.examples is not None:
            tensors = {EXAMPLES: Tensor("string", (call.examples,))}
        for alias, value in zip(call.inputs, call.values, strict=False):
            found = described(value)
            if found is not None:
                tensors[alias] = Tensor(*found)
        yield WarmupRequest(call.record, call.kind, call.signature, tensors, call.outputs)


def write_warmup(  # noqa: PLR0913 - the values, and the options, each with a default
    model: str | os.PathLike[str],
    signature: str,
    *,
    random: int | None = None,
    seed: int = 0,
    feed: str | os.PathLike[str] | None = None,
    batches: Sequence[int] = (),
    append: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    op_libraries: Sequence[str | os.PathLike[str]] = (),
    lock_timeout: float = 60.0,
    time_limit: float = 600.0,
    validator: Validator | None = None,
) -> WrittenWarmup:
    """Write warm-up requests for a signature, after each has run once in TensorFlow's C runtime.

    Args:
        model: The model directory.
        signature: The key of the signature; its method determines the kind of the requests.
        random: The number of requests with random values to make, for each size of the batch.
        seed: The seed of the random values.
        feed: A file of values for one request: a ``.npz`` file of arrays named like inputs, or
            ``KEY/INPUT``; or a ``.json`` or ``.tfrecord`` file, as ``check`` takes them.
        batches: Sizes of the first dimension; each makes a request, from values of ``feed`` with
            that number of their first rows. Default: 1, or all rows of ``feed``.
        append: Add to the requests that are there.
        overwrite: Replace a file that is there.
        dry_run: Do everything except writing.
        op_libraries: Libraries of custom operations that the model needs.
        lock_timeout: Longest wait for an edit of the same model, in seconds.
        time_limit: Longest wait for one answer of TensorFlow, in seconds.
        validator: The validator that asks TensorFlow; None to make one for this call.

    Returns:
        The result, with the requests that were made.

    Example:
        >>> written = smpatch.write_warmup("export/1", "serving_default", random=2, batches=(1, 8))
        >>> [request.inputs["x"].shape[0] for request in written.requests]
        [1, 8, 1, 8]

    Raises:
        UsageError: The arguments contradict each other, or the file of values cannot be read.
        ModelUnreadableError: The model, or the file to append to, cannot be read.
        RefusedError: A request fails, or TF Serving would not take it; or a file is there.
        ConflictError: Another program edits the model.
        WriteError: The file system refused; a file that was there is unchanged.
        ValidationError: There is no TensorFlow to run the requests.
    """
    _check(random, seed, feed, batches, append=append, overwrite=overwrite)
    arguments.seconds(lock_timeout, "lock_timeout")
    arguments.seconds(time_limit, "time_limit")
    libraries = packages.op_libraries(op_libraries)
    packages.check_files(libraries)
    directory = _local(model)
    with writing(directory, "warmed up", hint="nothing was written"), ExitStack() as held:
        if validator is None:
            needed = [Path(each).resolve() for each in libraries]
            validator = held.enter_context(Validator("runtime", needed, time_limit))
        if directory.is_dir() and not dry_run:
            held.enter_context(hold(directory, timeout=lock_timeout))
        opened = load_file(directory, *which_file(directory))
        if not dry_run:
            recover(opened)
        there = check_place(opened, replaces=append or overwrite)
        kept = count(directory) if append else 0
        with naming(opened.file):
            recording = Recording(validator, opened, signature, kept=kept)
            feeds = recording.feeds(random, seed, feed, tuple(batches))
            records = held.enter_context(closing(recording.records(feeds)))
            notes = list(recording.notes)
            if dry_run:
                deque(records, maxlen=0)
            else:
                warnings = write_warm_up(opened, records, there, append=append)
                notes += [Note("after-commit", each) for each in warnings]
        made = tuple(recording.requests)
        return WrittenWarmup(directory / PLACE, made, kept + len(made), dry_run, tuple(notes))


def _check(  # noqa: PLR0913 - the arguments of ``write_warmup``
    random: int | None,
    seed: int,
    feed: str | os.PathLike[str] | None,
    batches: Sequence[int],
    *,
    append: bool,
    overwrite: bool,
) -> None:
    if (random is None) == (feed is None):
        both = "--random and --feed cannot be combined"
        found = "no values are given" if random is None else both
        raise UsageError(found, hint="give --random N, or --feed FILE.npz")
    numbers = (("--random", random, 1), ("--seed", seed, 0), *(("--batch", n, 1) for n in batches))
    for where, number, least in numbers:
        if number is not None and (type(number) is not int or number < least):
            hint = f"give an integer from {least} on"
            raise UsageError(f"it is {number!r}", where=where, hint=hint)
    if append and overwrite:
        raise UsageError("--append and --overwrite contradict each other", hint="give one")


def _local(model: str | os.PathLike[str]) -> Path:
    """Return the directory of a model.

    Raises:
        UsageError: It is a URL.
    """
    directory = arguments.path(model, "model")
    if isinstance(directory, ModelUrl):
        found = "warm-up requests of a model in a store cannot be read or written"
        raise UsageError(found, where=str(directory), hint="copy the model to this machine")
    return directory
