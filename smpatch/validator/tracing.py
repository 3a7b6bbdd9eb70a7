"""Functions and recipes that TensorFlow traces in a child process.

A user's file runs in the child process, with the user's rights. If the process ends or hangs, the
edit is refused, because the model is not the cause. A callable object is traced in the process that
has it, which is not a child process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from smpatch import dtypes
from smpatch.errors import RefusedError
from smpatch.runtime.process import Child, ChildDied, ChildHung, ChildUnfit, Program
from smpatch.signature import Spec, TensorSpec
from smpatch.validator.reload import Validator

if TYPE_CHECKING:
    from smpatch.fragments import Fragment, Mode, Tracing
    from smpatch.runtime.python_questions import Traced
    from smpatch.runtime.questions import TensorFact

_MOST_BYTES = 64 << 20
"""The largest size of the variables of a function that become constants, in bytes."""

_DIRECTORIES: MutableMapping[Child, str] = WeakKeyDictionary()
"""A child to the directory of the users' files that it has imported."""


class Tracer:
    """Traces functions, each once."""

    def __init__(self, validator: Validator) -> None:
        """Trace in the children of a validator."""
        self._validator = validator
        # With the request, so that no other callable gets the same ``id``.
        self._known: dict[object, tuple[Tracing, Fragment]] = {}

    def trace(self, tracing: Tracing) -> Fragment:
        """Trace a function.

        Raises:
            RefusedError: The function cannot be traced.
            ValidationError: There is no TensorFlow.
        """
        key = _key(tracing)
        if key not in self._known:
            self._known[key] = tracing, self._traced(tracing)
        _, fragment = self._known[key]
        return replace(fragment, text=str(tracing.asked))

    def _traced(self, tracing: Tracing) -> Fragment:
        from smpatch.fragments import Fragment, SignatureOf

        asked, place = tracing.asked, tracing.place
        where = f"{place} {asked}"
        said = self._said(tracing, where)
        if said.refusal is not None:
            no = said.refusal
            printed = f"; it printed: {' / '.join(said.printed)}" if said.printed else ""
            raise RefusedError(no.found + printed, where=no.where or where, hint=no.hint)
        return Fragment(
            str(asked),
            {name: _spec(name, fact) for name, fact in said.inputs.items()},
            _outputs(said, place, tracing.specs, where),
            said.functions,
            said.ops,
            said.samples,
            said.printed,
            said.frozen_bytes,
            asked if isinstance(asked, SignatureOf) else None,
        )

    def _said(self, tracing: Tracing, where: str) -> Traced:
        from smpatch.fragments import CallableOf, FunctionOf, RecipeOf, SignatureOf
        from smpatch.runtime.python_questions import trace, traced_here

        asked, place = tracing.asked, tracing.place
        specs = {
            alias: _wire(spec)
            for alias, spec in tracing.specs.items()
            if isinstance(spec, TensorSpec)
        }
        request: dict[str, Any] = {"place": place, "specs": specs, "most_bytes": _MOST_BYTES}
        if isinstance(asked, CallableOf):
            here = {"callable": asked.callable, "name": str(asked), "most_bytes": None}
            return traced_here({**request, **here})
        if isinstance(asked, FunctionOf):
            request |= {"file": asked.file, "name": asked.name}
        elif isinstance(asked, SignatureOf):
            request["model"] = {
                "directory": asked.directory,
                "tags": list(asked.tags),
                "key": asked.key,
                "input_names": dict(asked.input_names),
                "output_names": dict(asked.output_names),
            }
        else:
            arguments = dict(asked.arguments)
            request["recipe"] = {"name": asked.name, "alias": asked.alias, "arguments": arguments}
        try:
            # Made here, so that it is removed even if the child process is ended.
            with tempfile.TemporaryDirectory(prefix="smpatch-") as scratch:
                asks = partial(trace, request={**request, "scratch": scratch})
                if isinstance(asked, RecipeOf):
                    return self._validator.trace_in_python(asks)
                if isinstance(asked, FunctionOf):
                    return self._in_file(asked.file, asks)
                return self._validator.ask(Program.PYTHON, asks)
        except ChildHung as error:
            hint = "wait longer with --time-limit"
            found = f"it is not traced within {error.limit:g} s"
            raise RefusedError(found, where=where, hint=hint) from error
        except ChildDied as error:
            found = f"it ends the process in which it is traced ({error})"
            raise RefusedError(found, where=where) from error
        except ChildUnfit as error:
            hint = "TensorFlow is needed to trace a function"
            raise RefusedError(f"TensorFlow cannot be loaded: {error}", hint=hint) from error

    def _in_file(self, file: str, asks: Callable[[Child, float], Traced]) -> Traced:
        """Trace a function of a file in a child that has no imports of files elsewhere.

        Files in two directories may import different modules of one name.
        """
        directory = str(Path(file).parent)

        def ask(child: Child, limit: float) -> Traced | None:
            if _DIRECTORIES.setdefault(child, directory) == directory:
                return asks(child, limit)
            child.close()  # the next question starts another child
            return None

        while (said := self._validator.ask(Program.TRACER, ask)) is None:
            pass
        return said


def _key(tracing: Tracing) -> object:
    """Return a value that is equal for equal requests only.

    Two callables with different constants can have one text, so that their identity counts.
    """
    from smpatch.fragments import CallableOf

    asked = tracing.asked
    function = id(asked.callable) if isinstance(asked, CallableOf) else repr(asked)
    return function, tracing.place, repr(tracing.specs)


def _outputs(
    said: Traced, place: Mode, specs: Mapping[str, Spec], where: str
) -> dict[str, TensorSpec]:
    """Return the outputs by name; a single tensor without a name gets the only input's name."""
    found = {}
    for name, fact in said.outputs:
        known = name
        if known is None:
            names = list(specs) if place == "before" else list(said.inputs)
            if len(names) != 1:
                kind = "inputs" if place == "before" else "parameters"
                words = f"it returns one tensor without a name, and there are {len(names)} {kind}"
                hint = "return a dictionary" + (f" with {', '.join(names)}" if names else "")
                raise RefusedError(words, where=where, hint=hint)
            (known,) = names
        found[known] = _spec(known, fact)
    return found


def _wire(spec: TensorSpec) -> dict[str, Any]:
    known = spec.shape is not None
    sizes = [-1 if size is None else size for size in spec.shape or ()] if known else None
    return {"dtype": dtypes.base(spec.dtype), "shape": sizes}


def _spec(name: str, fact: TensorFact) -> TensorSpec:
    return TensorSpec(name, dtypes.name(fact.dtype), fact.shape)
