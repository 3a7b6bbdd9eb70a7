"""Every kind of edit: the request to smpatch, and the expected model after it.

A verb reads the expected model and returns a request, or None if it has none. It may choose any
alias and key, so that the tests have every order of names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from smpatch import TensorSpec, load
from smpatch.arguments import constants
from smpatch.edits import (
    AddPredict,
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
    SetInitOp,
)
from smpatch.fragments import RecipeOf
from smpatch.functions import load_time
from smpatch.graph.resolve import OpDefMissingError
from tests.exporters.expected import Model, promoted
from tests.exporters.steps import Choose, Step, Verb, first, fresh, keys_of, once, signature_of
from tests.exporters.subjects import Subject
from tests.oracle.client import decoded, encoded

__all__ = ["VERBS"]

NAMES = ("AAA", "zzz", "m_1", "0/q", "a b", "é")
_METHODS = ("mine", "tensorflow/serving/predict")


def rename(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step:
    """Give a signature another key."""
    old, new = choose(keys_of(model)), fresh(model, choose)
    after = model.without(old).with_signature(new, model.signatures[old])
    return once([Rename(old, new)], after)


def copy(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step:
    """Give a signature a second key; the focus is then its first key."""
    old, new = choose(keys_of(model)), fresh(model, choose)
    after = model.with_signature(new, model.signatures[old])
    return once([Copy(old, new)], replace(after, focus=old))


def copy_over(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Put a signature in the place of another one."""
    old = choose(keys_of(model))
    others = [key for key in keys_of(model) if key != old]
    if not others:
        return None
    new = choose(others)
    after = model.with_signature(new, model.signatures[old])
    return once([Copy(old, new, overwrite=True)], replace(after, focus=old))


def exchange(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Let two signatures exchange their keys."""
    if len(model.signatures) < 2:
        return None
    one = choose(keys_of(model))
    other = choose([key for key in keys_of(model) if key != one])
    between = fresh(model, first)
    found = model.signatures
    after = model.with_signature(other, found[one]).with_signature(one, found[other])
    return once([Rename(one, between), Rename(other, one), Rename(between, other)], after)


def remove(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Remove a signature other than the focus."""
    if len(model.signatures) < 2:
        return None
    key = choose(keys_of(model)[1:])
    return once([Remove((key,))], model.without(key))


def remove_this(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Remove any signature; the first choice is the focus."""
    if len(model.signatures) < 2:
        return None
    key = choose(keys_of(model))
    return once([Remove((key,))], model.without(key))


def add(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Add the tensors of a signature again, under names that sort in the reverse order."""
    old, new = choose(keys_of(model)), fresh(model, choose)
    signature, expected = signature_of(directory, model, old), model.signatures[old]
    if not signature.inputs:
        return None
    inputs, outputs = _turned(signature.inputs, "i"), _turned(signature.outputs, "o")
    asked = AddPredict(
        {inputs[alias]: _name(spec) for alias, spec in signature.inputs.items()},
        {outputs[alias]: _name(spec) for alias, spec in signature.outputs.items()},
        new,
    )
    return once([asked], model.with_signature(new, expected.renamed(inputs, outputs)))


def _name(spec: object) -> str:
    assert isinstance(spec, TensorSpec)
    return spec.name


def add_and_remove(
    subject: Subject, directory: Path, model: Model, choose: Choose[Any]
) -> Step | None:
    """Add a signature, and remove it again in a second commit."""
    added = add(subject, directory, model, choose)
    if added is None or added.commits is None:
        return None
    return Step((*added.commits, (Remove((added.after.focus,)),)), model)


def names(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step:
    """Give all inputs and outputs names that sort in the reverse order."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    inputs, outputs = _turned(expected.feed, "i"), _turned(expected.outputs, "o")
    if all(old == new for old, new in {**inputs, **outputs}.items()):
        inputs, outputs = _turned(expected.feed, "x"), _turned(expected.outputs, "y")
    return _renaming(model, key, inputs, outputs)


def _turned(aliases: Mapping[str, object] | Sequence[str], letter: str) -> dict[str, str]:
    count = len(aliases)
    return {old: f"{letter}{count - place:02}" for place, old in enumerate(sorted(aliases))}


def _renaming(
    model: Model, key: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> Step:
    asked = EditSignature(key, rename_inputs=inputs, rename_outputs=outputs)
    return once([asked], model.with_signature(key, model.signatures[key].renamed(inputs, outputs)))


def rename_input(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Give one input another name."""
    key = choose(keys_of(model))
    return _one_name(model, key, sorted(model.signatures[key].feed), choose, inputs=True)


def rename_output(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Give one output another name."""
    key = choose(keys_of(model))
    return _one_name(model, key, model.signatures[key].outputs, choose, inputs=False)


def _one_name(
    model: Model, key: str, aliases: Sequence[str], choose: Choose[Any], *, inputs: bool
) -> Step | None:
    if not aliases:
        return None
    given = {choose(aliases): choose([name for name in NAMES if name not in aliases])}
    return _renaming(model, key, given if inputs else {}, {} if inputs else given)


def exchange_names(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Let the inputs exchange their names, and the outputs theirs."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    inputs, outputs = _around(sorted(expected.feed)), _around(expected.outputs)
    return _renaming(model, key, inputs, outputs) if inputs or outputs else None


def _around(aliases: Sequence[str]) -> dict[str, str]:
    if len(aliases) < 2:
        return {}
    return dict(zip(aliases, [*aliases[1:], aliases[0]], strict=True))


def drop_output(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Remove an output; the first choice is an output that an edit has added."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    if len(expected.outputs) < 2:
        return None
    dropped = choose(sorted(expected.outputs, key=lambda alias: not alias.startswith("extra")))
    kept = {alias: alias for alias in expected.outputs if alias != dropped}
    asked = EditSignature(key, drop_outputs=(dropped,))
    return once([asked], model.with_signature(key, expected.with_outputs(kept, {})))


def add_output(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Add an inner tensor, or a tensor of the main graph, as an output."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    known = subject.signatures[expected.source].inner if expected.source else {}
    alias = choose([name for name in ("extra", "extra_2", "aa") if name not in expected.outputs])
    if not known:
        return None
    path = choose(list(known))
    kept = {each: each for each in expected.outputs}
    asked = EditSignature(key, add_outputs={alias: path})
    added = expected.with_outputs(kept, {alias: known[path]})
    return once([asked], model.with_signature(key, added))


def from_signature(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Make a signature from another one, with one of its outputs and an inner tensor of it."""
    key, new = choose(keys_of(model)), fresh(model, choose)
    expected = model.signatures[key]
    known = subject.signatures[expected.source].inner if expected.source else {}
    kept = {"old": choose(expected.outputs)}
    path = choose(list(known)[::-1]) if known else ""
    asked = FromSignature(key, {**kept, **({"inner": path} if path else {})}, new)
    made = expected.with_outputs(kept, {"inner": known[path]} if path else {})
    return once([asked], model.with_signature(new, made))


def bind(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Make a signature from another one, and bind an input to the value that the tests feed."""
    key, new = choose(keys_of(model)), fresh(model, choose)
    expected = model.signatures[key]
    signature = signature_of(directory, model, key)
    aliases = [
        alias
        for alias, each in sorted(expected.feed.items())
        if each["dtype"] in _BOUND and isinstance(signature.inputs.get(alias), TensorSpec)
    ]
    if not aliases:
        return None
    alias = choose(aliases)
    value = constants({alias: decoded(expected.feed[alias])}, "bind")
    left = {name: each for name, each in expected.feed.items() if name != alias}
    made = model.with_signature(new, replace(expected, feed=left))
    return once([Compose(key, new, value)], made)


def cast_before(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Make a signature from another one, and cast an input from a wider type."""
    key, new = choose(keys_of(model)), fresh(model, choose)
    expected = model.signatures[key]
    signature = signature_of(directory, model, key)
    aliases = [
        alias
        for alias, each in sorted(expected.feed.items())
        if each["dtype"] == "float32" and isinstance(signature.inputs.get(alias), TensorSpec)
    ]
    if not aliases:
        return None
    alias = choose(aliases)
    wide = encoded(decoded(expected.feed[alias]).astype("f8"))
    made = model.with_signature(new, replace(expected, feed={**expected.feed, alias: wide}))
    recipe = RecipeOf("cast", alias, {"dtype": "float64"})
    return once([Compose(key, new, before=(recipe,))], made)


def add_input(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Add a tensor of the main graph as an input; the tests feed its measured value."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    measured = subject.signatures.get(expected.source or "")
    own = sorted(measured.whole) if measured else []
    if subject.python or not measured or not own or "fed" in expected.feed:
        return None
    path = choose(own)
    asked = EditSignature(key, add_inputs={"fed": path})
    made = replace(expected, feed={**expected.feed, "fed": measured.inner[path]})
    return once([asked], model.with_signature(key, made))


def drop_input(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Remove an input that an edit has added."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    if subject.python or "fed" not in expected.feed:
        return None
    left = {alias: each for alias, each in expected.feed.items() if alias != "fed"}
    asked = EditSignature(key, drop_inputs=("fed",))
    return once([asked], model.with_signature(key, replace(expected, feed=left)))


def shape(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Give an input the shape of its value or, if it has this shape, an open first dimension."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    signature = signature_of(directory, model, key)
    aliases = [
        alias for alias, spec in sorted(signature.inputs.items()) if _name(spec) and _rank(spec)
    ]
    if not aliases:
        return None
    alias = choose(aliases)
    fed = tuple(decoded(expected.feed[alias]).shape)
    wider: tuple[int | None, ...] = (None, *fed[1:])
    now = signature.inputs[alias]
    wanted = wider if isinstance(now, TensorSpec) and now.shape == fed else fed
    name = f"inputs.{alias}" if alias in signature.outputs else alias
    asked = EditSignature(key, shapes={name: wanted})
    return once([asked], model.with_signature(key, expected))


def _rank(spec: object) -> int:
    return len(spec.shape or ()) if isinstance(spec, TensorSpec) else 0


def default(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Give an input a default, or remove its default."""
    key = choose(keys_of(model))
    expected = model.signatures[key]
    aliases = [alias for alias, each in sorted(expected.feed.items()) if _plain(each["dtype"])]
    if not aliases:
        return None
    alias = choose(aliases)
    there = alias in signature_of(directory, model, key).defaults
    value = None if there else decoded(expected.feed[alias]).tolist()
    asked = EditSignature(key, defaults={alias: value})
    return once([asked], model.with_signature(key, expected))


_BOUND = {"bool", "float32", "float64", "int32", "int64", "string"}


def _plain(dtype: str) -> bool:
    return dtype in {"float32", "int32", "int64"}


def method(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step:
    """Give a signature another method."""
    key = choose(keys_of(model))
    now = signature_of(directory, model, key).method_name
    asked = EditSignature(key, method_name=_METHODS[now == _METHODS[0]])
    return once([asked], model.with_signature(key, model.signatures[key]))


def function(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Make a signature from a traced function."""
    if not subject.functions:
        return None
    chosen, new = choose(subject.functions), fresh(model, choose)
    asked = PromoteFunction(chosen.name, key=new)
    return once([asked], model.with_signature(new, promoted(subject, chosen)))


def init_op(_: Subject, directory: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Add an operation that does nothing to the init op, or restore the first that it ran."""
    meta_graph = next(
        each for each in load(directory).meta_graphs if sorted(each.tags) == sorted(model.tags)
    )
    present, graph = load_time.init_op(meta_graph), meta_graph.graph
    ran = () if present is None else present.names
    grouped = [each[1:] for name in ran if name in graph for each in graph.wiring(name).inputs]
    idle = [n for n in graph if graph.wiring(n).op == "NoOp" and not graph.wiring(n).inputs]
    if not idle:
        return None
    more = choose(idle)
    asked = SetInitOp(tuple(grouped[:1]) if more in grouped else (*ran, more))
    return once([asked], replace(model, focus=choose([model.focus])))


def retag(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step:
    """Give the MetaGraph one more tag, or remove it again."""
    tags = model.tags[:-1] if "more" in model.tags else (*model.tags, "more")
    focus = choose([model.focus])
    return once([Retag(model.tags, tags)], replace(model, tags=tags, focus=focus))


def copy_signatures(subject: Subject, _: Path, model: Model, choose: Choose[Any]) -> Step | None:
    """Copy the signatures of the exporter's model into the edited model."""
    before = Model.before(subject)
    if subject.several or model.tags != before.tags:
        return None
    if any(_contradicts_graph(subject, key) for key in before.signatures):
        return None  # such a signature is left out, with a note
    focus = choose([model.focus])
    return Step(
        None, replace(model, signatures={**model.signatures, **before.signatures}, focus=focus)
    )


def _contradicts_graph(subject: Subject, key: str) -> bool:
    """Return whether a signature of the exporter's model has another type than its graph."""
    meta_graph = load(subject.directory).meta_graph(subject.tags)
    resolver = meta_graph.resolver()
    try:
        return any(
            resolver.resolve(each.name).spec.dtype != each.dtype
            for spec in meta_graph.signatures[key].inputs.values()
            for each in spec.tensors()
        )
    except OpDefMissingError:
        return False


def together(_: Subject, __: Path, model: Model, choose: Choose[Any]) -> Step:
    """Copy a signature, change the names of one and the method of both, in one commit."""
    key, new = choose(keys_of(model)), fresh(model, choose)
    expected = model.signatures[key]
    inputs, outputs = _turned(expected.feed, "b"), _turned(expected.outputs, "c")
    edits: list[Edit] = [
        Copy(key, new),
        EditSignature(key, rename_inputs=inputs, rename_outputs=outputs, method_name=_METHODS[0]),
        EditSignature(new, method_name=_METHODS[0]),
    ]
    after = model.with_signature(new, expected)
    return once(edits, after.with_signature(key, expected.renamed(inputs, outputs)))


VERBS: Mapping[str, Verb] = {
    each.__name__.replace("_", "-"): each
    for each in (
        rename,
        copy,
        copy_over,
        exchange,
        remove,
        remove_this,
        add,
        add_and_remove,
        names,
        rename_input,
        rename_output,
        exchange_names,
        add_output,
        drop_output,
        from_signature,
        bind,
        cast_before,
        add_input,
        drop_input,
        shape,
        default,
        method,
        function,
        init_op,
        retag,
        copy_signatures,
        together,
    )
}
