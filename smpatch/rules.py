"""The rules that a signature must keep, besides the rule that its tensors exist.

TensorFlow checks them too late: a SignatureDef that breaks them makes a model unloadable in Python,
or fails at the first request. This module also has the rules of TF Serving for each method.

This module resolves no names and changes nothing.

Sources: ``tensorflow/python/saved_model/load_v1_in_v2.py`` and ``wrap_function.py`` (how
the Python loader reads a signature), ``tensorflow/core/common_runtime/
graph_execution_state.cc`` (what a session refuses).
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from smpatch import dtypes
from smpatch.display import quoted
from smpatch.errors import (
    AliasError,
    RefusedError,
    SignatureExistsError,
    TensorUnservableError,
    UnreachableOutputError,
)
from smpatch.graph.index import op_of
from smpatch.graph.reach import conditional, in_frame, reach, reads_besides
from smpatch.loader import MetaGraph
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    SignatureDef,
    Spec,
    TensorSpec,
    names_of,
    parameter,
)

METHODS = {"predict": PREDICT, "classify": CLASSIFY, "regress": REGRESS}
"""Short name to name, of the methods that TF Serving has."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule of a method that a signature with this method breaks.

    Attributes:
        about: Whether the inputs or the outputs break it.
        found: The names and types that these have, and those that they need.
        hint: The change that would keep the rule.
    """

    about: Literal["inputs", "outputs"]
    found: str
    hint: str


def breaches(signature: SignatureDef) -> Iterator[Breach]:
    """Yield the rules of its method that a signature breaks; first the rule of its inputs."""
    method = signature.method_name
    if method not in {CLASSIFY, REGRESS}:
        return
    inputs, outputs = _dtypes(signature.inputs), _dtypes(signature.outputs)
    if inputs != {EXAMPLES: "string"}:
        found = f"its inputs are {_listed(inputs)}, and {method} takes one, {EXAMPLES}: string"
        hint = "serialized tf.train.Example messages, under that name"
        if list(inputs.values()) == ["string"]:
            hint = f"add --rename-input {next(iter(inputs))}={EXAMPLES}"
        yield Breach("inputs", found, hint)
    if method == REGRESS:
        kept, yields = outputs == {PREDICTIONS: "float32"}, f"{PREDICTIONS}: float32"
    else:
        allowed = {CLASSES: "string", SCORES: "float32"}
        kept = bool(outputs) and outputs.items() <= allowed.items()
        yields = f"{CLASSES}: string, {SCORES}: float32, or both"
    if not kept:
        found = f"its outputs are {_listed(outputs)}, and {method} yields {yields}"
        hint = "rename, drop or add outputs"
        if method == REGRESS and list(outputs.values()) == ["float32"]:
            hint = f"add --rename-output {next(iter(outputs))}={PREDICTIONS}"
        yield Breach("outputs", found, hint)


def check_method(signature: SignatureDef) -> None:
    """Refuse a signature that TF Serving would not serve by its method.

    Raises:
        RefusedError: A rule of the method is broken.
    """
    for breach in breaches(signature):
        raise RefusedError(breach.found, hint=breach.hint)


def _dtypes(specs: Mapping[str, Spec]) -> dict[str, str]:
    return {
        alias: spec.dtype if isinstance(spec, TensorSpec) else "a sparse or composite tensor"
        for alias, spec in specs.items()
    }


def _listed(dtypes_of: Mapping[str, str]) -> str:
    return ", ".join(f"{alias}: {dtype}" for alias, dtype in dtypes_of.items()) or "none"


_RESAVABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
"""Input aliases with which a TF2 export can be loaded in Python and saved again."""

IN_DOUBT = frozenset({"partly-fed", "reference-tensor", "narrowed-shape"})
"""Codes of notes on facts for which some releases of Python's loader refuse some models."""

_MANY = 10
"""The most unfed placeholders that are named; a graph can have thousands."""


@dataclass(frozen=True, slots=True)
class Note:
    """A fact that users should know, and that is not a reason to refuse.

    Attributes:
        code: A stable name for programs, such as ``unused-input``.
        text: One sentence for people.
    """

    code: str
    text: str


def check_key(key: str, option: str = "--signature") -> None:
    """Refuse a key that no signature can have; errors name the option that gave it.

    Raises:
        AliasError: It is empty, not printable, or TensorFlow's own.
    """
    where = f"signature {key!r}"
    if not key or not key.isprintable():
        raise AliasError("not a usable signature key", where=where, hint="use letters and _")
    if key.startswith("__saved_model_"):
        found = "the key is reserved: TensorFlow runs what it names at load time"
        raise AliasError(found, where=where, hint=f"choose another {option}")


def check_free(
    meta_graph: MetaGraph, key: str, *, overwrite: bool, option: str = "--signature"
) -> None:
    """Refuse a key that is taken, unless its signature may be replaced.

    Raises:
        SignatureExistsError: It is taken.
    """
    taken = key in meta_graph.entries or key in meta_graph.objects.signatures
    if taken and not overwrite:
        hint = f"choose another {option}, or replace it with --overwrite"
        raise SignatureExistsError("the key is taken", where=f"signature {key!r}", hint=hint)


def check_aliases(inputs: Mapping[str, object], outputs: Mapping[str, object]) -> None:
    """Refuse names that readers of a signature cannot use, or that clash.

    Args:
        inputs: Alias to the tensor that is fed; if it is a name, the hint repeats it.
        outputs: Alias to the tensor that is fetched.

    Raises:
        AliasError: A name cannot be used.
    """
    for kind, aliases in (("input", inputs), ("output", outputs)):
        for alias in aliases:
            where = f"{kind} {alias!r}"
            if not alias or not alias.isprintable():
                raise AliasError("not a usable alias", where=where, hint="use letters and _")
            if kind == "input" and (keyword.iskeyword(alias) or alias == "self"):
                found = "Python cannot pass an argument of that name"
                named = isinstance(inputs[alias], str)
                hint = f"choose another alias: --inputs {alias}_={inputs[alias]}" if named else ""
                raise AliasError(found, where=where, hint=hint)
    arguments: dict[str, str] = {}
    for alias in inputs:
        other = arguments.setdefault(parameter(alias), alias)
        if other != alias:
            found = f"Python writes it like the input {other!r}, as {parameter(alias)!r}"
            hint = "choose another alias: letters, digits and _ stay as they are"
            raise AliasError(found, where=f"input {alias!r}", hint=hint)


def check_servable(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> None:
    """Refuse handles of resources and variants, which no session feeds or fetches.

    Raises:
        TensorUnservableError: One is such a handle.
    """
    for kind, specs, verb in (("input", inputs, "fed"), ("output", outputs, "fetched")):
        for alias, spec in specs.items():
            for tensor in spec.tensors():
                if dtypes.base(tensor.dtype) in dtypes.UNSERVABLE:
                    found = f"{tensor.name} is a {tensor.dtype} handle, which cannot be {verb}"
                    raise TensorUnservableError(found, where=f"{kind} {alias!r}")


def check_distinct(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> dict[str, str]:
    """Return tensor to alias of the inputs, after a check that each is fed once and not fetched.

    Raises:
        AliasError: A tensor is fed twice, or is fed and fetched.
    """
    fed: dict[str, str] = {}
    for alias, spec in inputs.items():
        for name in names_of([spec]):
            if name in fed:
                found = f"{name} is already the input {fed[name]!r}"
                raise AliasError(found, where=f"input {alias!r}", hint="a tensor can be fed once")
            fed[name] = alias
    for alias, spec in outputs.items():
        for name in names_of([spec]):
            if name in fed:
                found = f"{name} is the input {fed[name]!r} too"
                hint = "sessions refuse to fetch what they are fed"
                raise AliasError(found, where=f"output {alias!r}", hint=hint)
    return fed


def check_graph(
    meta_graph: MetaGraph,
    inputs: Mapping[str, Spec],
    outputs: Mapping[str, Spec],
    fed: Mapping[str, str],
) -> Iterable[Note]:
    """Check that the inputs feed all placeholders of the outputs, and that no tensor is in a loop.

    Args:
        meta_graph: The MetaGraph that has the tensors.
        inputs: Alias to the spec of an input.
        outputs: Alias to the spec of an output.
        fed: Tensor to alias of the inputs, as ``check_distinct`` returns it.

    Returns:
        Notes on facts that are not a reason to refuse.

    Raises:
        TensorUnservableError: A tensor is inside a while loop.
        UnreachableOutputError: An output needs a placeholder that is not fed.
        ModelUnreadableError: The graph is damaged.
    """
    graph = meta_graph.graph
    fetched = names_of(outputs.values())
    walk = reach(graph, fetched, set(fed))
    meta_graph.functions.check_calls(walk.calls)
    loops = not meta_graph.op_defs or not {"Enter", "RefEnter"}.isdisjoint(meta_graph.op_defs)
    for kind, specs, possible in (("input", inputs, loops), ("output", outputs, walk.loops)):
        for alias, spec in specs.items() if possible else ():
            for name in names_of([spec]):
                door = in_frame(graph, name)
                if door is not None:
                    found = f"{name} lies inside the while loop that {door!r} enters"
                    hint = "name a tensor before or after the loop, such as its Exit"
                    raise TensorUnservableError(found, where=f"{kind} {alias!r}", hint=hint)
    if walk.unfed:
        besides = reads_besides(graph, fetched, set(fed)) if walk.partly_fed else ()
        raise _unfed(walk.unfed, outputs, besides)
    notes = _partly_fed_notes(meta_graph, walk.partly_fed, fetched, fed)
    for alias in dict.fromkeys(fed.values()):
        names = {name for name, owner in fed.items() if owner == alias}
        if not names & walk.used:
            text = f"no output depends on the input {alias!r} ({', '.join(sorted(names))})"
            notes.append(Note("unused-input", text))
    for name in fetched if walk.branches else ():
        switch = conditional(graph, name)
        if switch is not None:
            text = f"{name} is yielded only when the conditional at {switch!r} takes its branch"
            notes.append(Note("conditional-output", text))
    return notes


def _partly_fed_notes(
    meta_graph: MetaGraph, nodes: Collection[str], fetched: Sequence[str], fed: Mapping[str, str]
) -> list[Note]:
    besides = reads_besides(meta_graph.graph, fetched, set(fed)) if nodes else ()
    notes = []
    for name in nodes:
        given = sorted(tensor for tensor in fed if op_of(tensor) == name)
        needed = [tensor for tensor in besides if op_of(tensor) == name]
        reason = f"{_are(needed)} needed" if needed else "another operation waits for it"
        instead = f"; feed {', '.join(needed)} as well" if needed else ""
        text = (
            f"{_are(given)} fed, but {name!r} still runs because {reason}; sessions serve that, "
            f"tf.saved_model.load may not load the model with it{instead}"
        )
        notes.append(Note("partly-fed", text))
    return notes


def _are(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}"


def _unfed(
    paths: Sequence[tuple[str, ...]], outputs: Mapping[str, Spec], besides: Sequence[str]
) -> RefusedError:
    """Return the error for placeholders that no input feeds.

    Args:
        paths: The nodes from an output to each placeholder.
        outputs: Alias to the spec of an output.
        besides: Tensors that are needed although other outputs of their operations are fed. To
            feed a placeholder that such an operation needs would not help Python's loader.
    """
    nodes = {
        op_of(tensor.name): alias for alias, spec in outputs.items() for tensor in spec.tensors()
    }
    running = {op_of(name) for name in besides}
    direct = [path for path in paths if running.isdisjoint(path)]
    where = f"output {nodes.get(paths[0][0], paths[0][0])!r}"
    found: list[str] = []
    options: list[str] = []
    if direct:
        needed = [f"{path[-1]!r}" for path in direct[:_MANY]]
        more = f" and {len(direct) - _MANY} more" if len(direct) > _MANY else ""
        plural = "s" if len(direct) > 1 else ""
        found.append(f"the placeholder{plural} {', '.join(needed)}{more}, which no input feeds")
        options += [f"{path[-1]}:0" for path in direct[:_MANY]]
    if len(direct) < len(paths):
        other = "an operation of which other outputs are fed"
        found.append(f"{', '.join(besides[:_MANY])} as well, of {other}")
        options += [f"{_alias(name)}={name}" for name in besides[:_MANY]]
    hint = f"add --inputs {quoted(','.join(options))}"
    return UnreachableOutputError(f"needs {' and '.join(found)}", where=where, hint=hint)


def _alias(tensor: str) -> str:
    """Return an alias for one of several outputs of an operation."""
    op, _, index = tensor.rpartition(":")
    return f"{op.rpartition('/')[2]}_{index}"


def remarks(
    meta_graph: MetaGraph, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]
) -> Iterator[Note]:
    """Yield notes on facts that are allowed, but that some programs do not accept."""
    yield from _reference_notes(outputs)
    if not inputs:
        text = "the signature has no inputs; TF Serving's Predict does not accept that"
        yield Note("no-inputs", text)
    in_lower_case = Counter(alias.lower() for alias in inputs)
    for alias in inputs if meta_graph.has_object_graph else ():
        alike = in_lower_case[alias.lower()] > 1
        if alike or not _RESAVABLE.fullmatch(alias):
            beside = " beside one that is the same in lower case" if alike else ""
            text = f"an input {alias!r}{beside} keeps TensorFlow from saving the loaded model again"
            yield Note("alias-not-resavable", text)


def _reference_notes(outputs: Mapping[str, Spec]) -> Iterable[Note]:
    for spec in outputs.values():
        for tensor in spec.tensors():
            if dtypes.is_ref(tensor.dtype):
                text = (
                    f"{tensor.name} is a reference to a TF1 variable; sessions serve it, "
                    "tf.saved_model.load may not load the model with it"
                )
                yield Note("reference-tensor", text)
