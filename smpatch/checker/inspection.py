"""The whole check of a model.

The check reads the files, with the facts of tensors from TensorFlow's C runtime if the files
record too little. Then it uses the loaders, the runs and the comparisons that the options ask for.
It writes nothing.

This module calls the other modules and has no rules of its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Literal, get_args

from smpatch import arguments
from smpatch.archive_paths import is_archive
from smpatch.checker.access import check_access, denied
from smpatch.checker.choosing import check_codes, check_keys, ignoring, listed
from smpatch.checker.files import FINGERPRINT, check_fingerprint, check_warmup
from smpatch.checker.findings import Compared, Finding, Report, Subject, Tensors, fault, note
from smpatch.checker.model import (
    CONSUMERS,
    Consumer,
    check_consumer,
    check_entries,
    check_tags,
    sharpened,
)
from smpatch.checker.object_graph import check_computations, check_object_graph
from smpatch.checker.reload import C_RUNTIME, Loaded, load_in_c, load_in_python
from smpatch.checker.requirement import Requirement, check_requirement, parse_requirement
from smpatch.checker.signatures import check_method, check_signature
from smpatch.checker.state import check_checkpoint, check_state, without_checkpoint
from smpatch.display import with_model
from smpatch.errors import ModelUnreadableError, SmpatchError, UsageError
from smpatch.functions.restored import needed_at_load, restored_variables
from smpatch.loader import MetaGraph, SavedModel, load, served
from smpatch.op_libraries import check_files, op_libraries
from smpatch.runs.values import Feeding, SameAs
from smpatch.runtime import questions
from smpatch.runtime.process import ChildError, Program
from smpatch.savedmodel.directory import naming, writing
from smpatch.stores.copies import copied
from smpatch.urls import READ_ONLY, ModelUrl
from smpatch.validator import Validator
from smpatch.validator.lending import validator_for
from smpatch.workers import Workers, job_count

Asked = Literal["full", "runtime", "none"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of a check.

    Attributes:
        tag_set: The tags of the one MetaGraph to check; None for all.
        validate: The loaders of TensorFlow to ask: ``full`` for all, ``runtime`` for the C
            runtime, ``none`` for none. With ``none`` the check reads the files alone.
        run: The values to feed; None runs no signature.
        same_as: Another model, whose names and numbers this one must have; None for none.
        require: Contracts that the model must keep, in the syntax of ``checker.requirement``.
        consumers: Consumers of the model whose known objections count as well.
        signatures: The keys of the signatures to check, beside the model as a whole; empty for
            all. Every contract is checked, also if its key is not among them.
        ignore: Codes of findings that are listed and do not count.
        deny_file_access: Whether operations that use files or the network are faults.
        variables: Whether the loaders read the variables, which may be gigabytes. If the
            init op may need them, or if the model does not load without them, they are read
            in any case.
        op_libraries: Libraries of custom operations that the model needs.
        time_limit: The longest wait for one answer of TensorFlow, in seconds.

    Example:
        >>> smpatch.CheckOptions(require="serving_default: x:float32[?] -> y:float32[?]").require
        ('serving_default: x:float32[?] -> y:float32[?]',)
    """

    tag_set: Sequence[str] | None = None
    validate: Asked = "full"
    run: Feeding | None = None
    same_as: SameAs | None = None
    require: Sequence[str] = ()
    consumers: Sequence[Consumer] = ()
    signatures: Sequence[str] = ()
    ignore: Sequence[str] = ()
    deny_file_access: bool = False
    variables: bool = True
    op_libraries: Sequence[str | os.PathLike[str]] = ()
    time_limit: float = 600.0

    def __post_init__(self) -> None:
        """Accept one text in the place of a sequence of texts."""
        if self.tag_set is not None:
            object.__setattr__(self, "tag_set", arguments.texts(self.tag_set, "tag_set"))
        # A contract may contain commas.
        required = [self.require] if isinstance(self.require, str) else self.require
        object.__setattr__(self, "require", arguments.texts(required, "require"))
        if self.run is not None:
            arguments.instance(self.run, Feeding, "run")
        if self.same_as is not None:
            arguments.instance(self.same_as, SameAs, "same_as")
        for name in ("consumers", "signatures", "ignore"):
            object.__setattr__(self, name, arguments.texts(getattr(self, name), name))
        object.__setattr__(self, "op_libraries", op_libraries(self.op_libraries))


def check(model: str | os.PathLike[str], *, options: CheckOptions | None = None) -> Report:
    """Check a model for the faults that TensorFlow accepts until a request fails.

    Args:
        model: The SavedModel directory.
        options: The options of the check.

    Returns:
        The findings; the property ``ok`` is whether there is no fault.

    Example:
        >>> options = smpatch.CheckOptions(require="serving_default: x:float32[?] -> y:float32[?]")
        >>> smpatch.check("export/1", options=options).ok
        True

    Raises:
        UsageError: The options make no sense, or the model has no signature of a key.
        ModelUnreadableError: There is no model that can be read.
        TagSetError: No MetaGraph has the tags.
        ValidationError: The options need TensorFlow, which cannot be asked.
        WriteError: No temporary file can be made, as on a full disk.
    """
    chosen = CheckOptions() if options is None else options
    required = _understood(chosen)
    with _validator(chosen) as validator:
        return _checked(arguments.path(model, "model"), chosen, required, validator)


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check of several models, for one of them.

    Attributes:
        model: The path of the model, as the caller gave it.
        report: The findings; None if the model could not be checked.
        error: The error if the model could not be checked; None otherwise.
    """

    model: Path
    report: Report | None
    error: SmpatchError | None

    @property
    def exit_code(self) -> int:
        """The exit code of ``smpatch check`` for this model alone."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.report is not None and self.report.ok else 1


def check_all(
    models: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    options: CheckOptions | None = None,
    jobs: int | None = None,
) -> Generator[Checked, None, None]:
    """Check several models; if one cannot be checked, the others are checked all the same.

    Args:
        models: The SavedModel directories, or one of them.
        options: The options of the checks, the same for all models.
        jobs: The number of models to process in parallel (one TensorFlow process each); None for
            the number of processors.

    Returns:
        The outcomes, in the order in which models are finished. Closing the generator ends
        the workers.

    Example:
        >>> checked = smpatch.check_all(["export/1", "export/2"])
        >>> sorted((str(each.model), each.exit_code) for each in checked)
        [('export/1', 0), ('export/2', 0)]

    Raises:
        UsageError: The options make no sense.
    """
    chosen = CheckOptions() if options is None else options
    required = _understood(chosen)
    count = job_count(jobs)

    def one(model: Path, validator: Validator) -> Checked:
        try:
            return Checked(model, _checked(model, chosen, required, validator), None)
        except SmpatchError as error:
            return Checked(model, None, error)

    paths = arguments.paths(models, "models")
    return Workers(paths, one, lambda: _validator(chosen)).run(count)


def _validator(options: CheckOptions) -> Validator:
    libraries = [Path(each).resolve() for each in options.op_libraries]
    calls = options.run is not None or options.same_as is not None
    return validator_for(options.validate, libraries, options.time_limit, calls=calls)


def _checked(
    model: Path, options: CheckOptions, required: Sequence[Requirement], validator: Validator
) -> Report:
    if isinstance(model, ModelUrl):
        with copied(model, looks=True, loads=options.validate != "none") as copy:
            report = _checked(copy.directory, options, required, validator)
            return _named(report, copy.directory, model)
    if is_archive(model):
        from smpatch.archives import unpacked

        with unpacked(model, variables=options.validate != "none") as directory:
            return _named(_checked(directory, options, required, validator), directory, model)
    opened = load(model)
    if options.validate == "full":
        validator.expect_python()
    with writing(model, "checked", hint=""), naming(opened.file):
        return _Check(opened, validator, options, required).report()


def _named(report: Report, copy: Path, known: Path) -> Report:
    """Return a report that names the URL or the archive, and not the copy that was checked."""

    def words(text: str) -> str:
        return text.replace(str(copy), str(known))

    findings = [
        replace(each, where=words(each.where), text=words(each.text), hint=words(each.hint))
        for each in report.findings
        # The server of a URL lists no files: the files of the variables may exist there.
        if each.code != "variables-missing"
        or not (isinstance(known, ModelUrl) and known.scheme in READ_ONLY)
    ]
    return replace(report, directory=known, findings=tuple(findings))


def _understood(options: CheckOptions) -> list[Requirement]:
    """Refuse options that make no sense, and parse the contracts."""
    arguments.instance(options, CheckOptions, "options")
    for what, given, known in (
        ("way to validate", options.validate, get_args(Asked)),
        *(("consumer", each, CONSUMERS) for each in options.consumers),
    ):
        if given not in known:
            raise UsageError(f"{given!r} is not a {what}", hint=f"one of {', '.join(known)}")
    arguments.seconds(options.time_limit, "time_limit")
    _check_numbers(options)
    check_codes(listed(options.ignore))
    check_files(options.op_libraries)
    return [parse_requirement(each) for each in options.require]


def _check_numbers(options: CheckOptions) -> None:
    """Refuse runs that make no sense."""
    same_as = options.same_as
    for feeding in (options.run, None if same_as is None else same_as.feeding):
        if feeding is None:
            continue
        if options.validate == "none":
            hint = "leave --validate none out"
            raise UsageError("nothing can be run without TensorFlow", hint=hint)
        if not options.variables:
            hint = "leave --no-variables out"
            raise UsageError("nothing can be run without the variables", hint=hint)
        if not feeding.batches:
            raise UsageError("a batch has a size of 0 or more", where="--batch")
    if same_as is not None:
        _check_other(same_as)


def _check_other(same_as: SameAs) -> None:
    """Refuse a model that cannot be compared, and tolerances that are not numbers."""
    other = arguments.local_path(same_as.model, "--same-as", "copy that model here first")
    if is_archive(other):
        found = "no values are compared with a model in an archive"
        raise UsageError(found, where=f"--same-as {other}", hint="unpack it first")
    load(other)  # an error of it names no other model here
    for option, size in (("--rtol", same_as.relative), ("--atol", same_as.absolute)):
        if not isinstance(size, Real) or not 0 <= size < math.inf:
            raise UsageError(f"{size} is not a tolerance: give a number from 0 on", where=option)


class _Check:
    """One check, with the values that its steps share."""

    def __init__(
        self,
        model: SavedModel,
        validator: Validator,
        options: CheckOptions,
        required: Sequence[Requirement],
    ) -> None:
        self._model = model
        self._validator = validator
        self._options = options
        self._required = required
        self._keys = listed(options.signatures)
        self._loaders: list[str] = []
        self._ran: list[tuple[str, tuple[int, ...]]] = []
        self._compared: list[Compared] = []
        self._read: list[bool] = []

    def report(self) -> Report:
        tag_set, model = self._options.tag_set, self._model
        chosen = model.meta_graphs if tag_set is None else (model.meta_graph(tag_set),)
        check_keys(self._keys, chosen)
        found = [
            replace(each, hint=with_model(each.hint, model.directory)) for each in check_tags(model)
        ]
        for meta_graph in chosen:
            tags = meta_graph.tags if len(model.meta_graphs) > 1 else None
            found += [
                replace(each, hint=with_model(each.hint, model.directory, tags))
                for each in self._meta_graph(meta_graph)
            ]
        found += check_warmup(model)
        found += self._fingerprint()
        consumers = tuple(self._options.consumers)
        ignored = listed(self._options.ignore)
        if self._options.deny_file_access:
            found = [denied(each) for each in found]
        counted = [ignoring(sharpened(each, consumers), ignored) for each in found]
        return Report(
            directory=model.directory,
            tag_sets=tuple(each.tags for each in chosen),
            findings=tuple(dict.fromkeys(counted)),
            loaders=tuple(dict.fromkeys(self._loaders)),
            ran=tuple(self._ran),
            compared=tuple(self._compared),
            variables_read=any(self._read) if self._read else None,
        )

    def _meta_graph(self, meta_graph: MetaGraph) -> list[Finding]:
        restores, variables, loaded = False, True, Loaded()
        if self._options.validate != "none":
            restores, variables = self._variables(meta_graph)
            loaded = load_in_c(self._validator, self._model, meta_graph, variables=variables)
        subject = Subject(self._model, meta_graph, loaded.facts, loaded.op_defs, self._keys)
        found: list[Finding] = []
        broken: list[str] = []
        try:
            found += self._static(subject, broken)
        except ModelUnreadableError as error:
            stops = subject.python_reads_signature_def
            damaged = fault("damaged", subject.where(), str(error), stops_python=stops)
            found.append(damaged)
        found += loaded.findings
        if loaded.loader:
            self._loaders.append(loaded.loader)
            self._read += [loaded.variables_read] if restores else []
        if self._options.run is not None:
            found += self._run(subject, loaded, broken)
        if self._options.validate == "full":
            in_python = load_in_python(self._validator, subject, variables=variables)
            if in_python.loader:
                self._loaders.append(in_python.loader)
                self._read += [in_python.variables_read] if restores else []
            # The fault that stops Python is reported already, with better advice, if it counts.
            counted = [e for e in found if e.code not in listed(self._options.ignore)]
            known = any(each.stops_python for each in counted)
            found += [e for e in in_python.findings if not (known and e.code == "python-loader")]
        if loaded.loader == C_RUNTIME:
            found += self._numbers(subject, broken)
        return found

    def _variables(self, meta_graph: MetaGraph) -> tuple[bool, bool]:
        """Return whether there are variables to restore, and whether the loaders read them."""
        try:
            restores = bool(restored_variables(meta_graph))
            return restores, self._options.variables or not restores or needed_at_load(meta_graph)
        except ModelUnreadableError:
            return True, True

    def _numbers(self, subject: Subject, broken: Sequence[str]) -> Iterator[Finding]:
        """Compare the numbers of the two halves, and the numbers of the model with another's."""
        full = self._options.validate == "full"
        run, same_as = self._options.run, self._options.same_as
        if run is not None and full and not subject.python_reads_signature_def:
            from smpatch.checker.object_graph import check_halves

            yield from check_halves(self._validator, subject, run, broken)
        if same_as is not None:
            from smpatch.checker.same_as import Comparing

            comparing = Comparing(self._validator, subject, load(same_as.model), same_as)
            yield from comparing.findings(python=full)
            self._compared += comparing.compared

    def _static(self, subject: Subject, broken: list[str]) -> Iterator[Finding]:
        """Yield the findings about the files; add the keys of signatures with a fault to broken."""
        yield from check_entries(subject)
        tensors = Tensors(subject)
        for key in subject.signatures:
            found = [*check_signature(subject, tensors, key), *check_method(subject, key)]
            if any(each.severity == "fault" for each in found):
                broken.append(key)
            yield from found
        missing = [*check_checkpoint(subject)]
        yield from missing
        if missing:
            broken += without_checkpoint(subject)
        for broken_key, each in check_state(subject):
            broken.append(broken_key)
            yield each
        yield from check_access(subject)
        yield from check_object_graph(subject)
        yield from check_computations(subject)
        for wanted in self._required:
            yield from check_requirement(subject, wanted)
        for consumer in self._options.consumers:
            yield from check_consumer(subject, consumer)

    def _run(self, subject: Subject, loaded: Loaded, broken: Sequence[str]) -> Iterable[Finding]:
        if loaded.loader != C_RUNTIME or self._options.run is None:
            why = "the C runtime has not loaded the model"
            return [note("not-run", subject.where(), why)] if not loaded.findings else []
        from smpatch.checker.running import Runs, run_warm_up
        from smpatch.runs.sessions import scratch

        runs = Runs(self._validator, subject, self._options.run)
        with scratch(self._validator, Program.CAPI):
            found = [*runs.findings(broken)]
            if subject.meta_graph is served(self._model.meta_graphs):
                found += run_warm_up(self._validator, subject)
        self._ran += runs.ran
        return found

    def _fingerprint(self) -> list[Finding]:
        asked = self._options.validate != "none" and self._model.form == "binary"
        if not asked or not (self._model.directory / FINGERPRINT).exists():
            return []
        directory = self._model.directory
        data: bytes | str
        try:
            said = self._validator.ask(
                Program.CAPI, lambda child, limit: questions.fingerprint(child, directory, limit)
            )
            data = said.data if said.ok else said.message
            version = self._validator.ask(Program.CAPI, questions.version)
        except ChildError as error:
            data, version = str(error), ""
        return [*check_fingerprint(self._model, data, version)]
