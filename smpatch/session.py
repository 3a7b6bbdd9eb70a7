"""A session: the child processes that load TensorFlow stay for many calls, on many models.

Each function of the library starts child processes of its own, which load TensorFlow. The verbs
of a session are the same functions, but they use children that were started before.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from smpatch import arguments, checker, frozen_graph, other_export, patcher, undoing, verbs
from smpatch.checker import CheckOptions
from smpatch.errors import UsageError
from smpatch.options import Options, check_options
from smpatch.savedmodel.directory import FileIdentity
from smpatch.validator import Mode, Validator
from smpatch.validator.lending import lending

_P = ParamSpec("_P")
_R = TypeVar("_R")

_RECYCLED_AFTER = 200
"""The default number of calls after which a session replaces its children."""


class _Verb(Generic[_P, _R]):
    """A function of the library as a method of a session."""

    def __init__(self, function: Callable[_P, _R], options: str = "") -> None:
        """Take the function, and the session's attribute that holds its default options."""
        self._function = function
        self._options = options
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, session: None, owner: type[Session]) -> _Verb[_P, _R]: ...

    @overload
    def __get__(self, session: Session, owner: type[Session]) -> Callable[_P, _R]: ...

    def __get__(
        self, session: Session | None, owner: type[Session]
    ) -> _Verb[_P, _R] | Callable[_P, _R]:
        """Return the function with the session's children and default options."""
        if session is None:
            return self
        function: Callable[..., _R] = self._function

        @functools.wraps(self._function)
        def call(*given: _P.args, **named: _P.kwargs) -> _R:
            further: dict[str, Any] = dict(named)
            if self._options and further.get("options") is None:
                further["options"] = getattr(session, self._options)
            return session._call(lambda: function(*given, **further))  # noqa: SLF001 - its own method

        return call


class Session:
    """TensorFlow's child processes, kept for many calls.

    A session is a context manager. Its methods are the functions of the library, with the same
    arguments, results and errors, without ``apply`` and ``check_all``, which keep children of their
    own. A child that has died is replaced at the next call, and all children are replaced after
    ``recycle_after`` calls.

    Use a session only in the thread and the process that made it, because the system ends a child
    with the thread that started it. Several threads need a session each.

    Example:
        >>> with smpatch.Session(smpatch.Options(validate="runtime")) as session:
        ...     for model in ["export/1", "export/2"]:
        ...         session.rename_signature(model, "serving_default", "predict").outcome
        'renamed'
        'renamed'
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        check_options: CheckOptions | None = None,
        recycle_after: int = _RECYCLED_AFTER,
    ) -> None:
        """Start nothing yet: a child starts with the first call that needs it.

        Args:
            options: The options of edits, if a call gives none.
            check_options: The options of checks, if a call gives none.
            recycle_after: The number of calls after which all children are replaced.

        Raises:
            UsageError: The options make no sense for several models.
        """
        self.options = Options() if options is None else options
        self.check_options = CheckOptions() if check_options is None else check_options
        _check(self.options, recycle_after)
        arguments.instance(self.check_options, CheckOptions, "check_options")
        self._recycle_after = recycle_after
        self._calls = 0
        self._validators: dict[tuple[Path, ...], Validator] = {}
        self._built: dict[tuple[Path, ...], list[FileIdentity]] = {}
        self._owner = os.getpid(), threading.get_ident()
        self._closed = False

    def __enter__(self) -> Session:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all children."""
        self.close()

    def close(self) -> None:
        """End all children; a session may be closed twice.

        Raises:
            UsageError: Another thread or process made the session.
        """
        self._check_owner()
        self._closed = True
        self._end_children()

    patch = _Verb(patcher.patch, "options")
    add_predict = _Verb(verbs.add_predict, "options")
    promote_function = _Verb(verbs.promote_function, "options")
    derive_signature = _Verb(verbs.derive_signature, "options")
    compose_signature = _Verb(verbs.compose_signature, "options")
    add_classify = _Verb(verbs.add_classify, "options")
    add_regress = _Verb(verbs.add_regress, "options")
    edit_signature = _Verb(verbs.edit_signature, "options")
    rename_signature = _Verb(verbs.rename_signature, "options")
    copy_signature = _Verb(verbs.copy_signature, "options")
    remove_signatures = _Verb(verbs.remove_signatures, "options")
    remove_meta_graph = _Verb(verbs.remove_meta_graph, "options")
    set_init_op = _Verb(verbs.set_init_op, "options")
    retag = _Verb(verbs.retag, "options")
    copy_signatures = _Verb(other_export.copy_signatures, "options")
    wrap_graph = _Verb(frozen_graph.wrap_graph, "options")
    check = _Verb(checker.check, "check_options")
    undo = _Verb(undoing.undo)

    def _call(self, function: Callable[[], _R]) -> _R:
        """Call a function that takes its validators from this session."""
        self._check_owner()
        if self._closed:
            raise UsageError("the session is closed", hint="open another: smpatch.Session()")
        if self._calls == self._recycle_after:
            self._end_children()
        self._calls += 1
        with lending(self._lend):
            return function()

    def _lend(
        self, mode: Mode, op_libraries: Sequence[Path], time_limit: float, *, calls: bool
    ) -> Validator:
        """Lend the children for these op libraries, because a process cannot unload a library.

        If a library was built again, its children are replaced.
        """
        libraries = tuple(op_libraries)
        built = [FileIdentity.of(each.stat()) for each in libraries]
        if libraries in self._validators and self._built[libraries] != built:
            with self._validators.pop(libraries):
                pass
        self._built[libraries] = built
        if libraries not in self._validators:
            self._validators[libraries] = Validator("none", libraries, time_limit)
        return self._validators[libraries].lend(mode, time_limit, calls=calls)

    def _end_children(self) -> None:
        self._calls = 0
        while self._validators:
            with self._validators.popitem()[1]:
                pass

    def _check_owner(self) -> None:
        if self._owner != (os.getpid(), threading.get_ident()):
            found = "the session belongs to another thread or process"
            raise UsageError(found, hint="open one in each: smpatch.Session()")


def _check(options: Options, recycle_after: int) -> None:
    check_options(options)
    if options.save_to is not None:
        found = "several models cannot be saved to one directory"
        raise UsageError(found, where="save_to", hint="give it with each call")
    arguments.whole(recycle_after, "recycle_after", 1)
