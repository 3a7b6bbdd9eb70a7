"""A signature that is there becomes another: names, tensors, shapes, method, defaults.

All of one request is done at once. What the edit makes worse is refused; what was wrong
before, and stays so, is reported.

This module does not decide what a signature must keep (``rules``, ``methods``), nor which
bytes change.

Source: ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from smpatch import dtypes, schema
from smpatch.builder import Built, Tensors
from smpatch.editing.dropping import missed, refusal, without
from smpatch.editing.naming import source_of
from smpatch.editing.reshaping import reshape, widened
from smpatch.editing.step import Change, Context, Step
from smpatch.edits import EditSignature, TensorRef
from smpatch.errors import (
    AliasError,
    RefusedError,
    TensorNotFoundError,
    UnreachableOutputError,
)
from smpatch.functions import signature_map
from smpatch.functions.inner_outputs import expose
from smpatch.functions.inner_tensors import is_inner
from smpatch.graph.resolve import nearest, parse
from smpatch.loader import MetaGraph
from smpatch.rules import (
    METHODS,
    Note,
    breaches,
    check_aliases,
    check_distinct,
    check_graph,
    check_servable,
    remarks,
)
from smpatch.savedmodel.draft import Draft
from smpatch.signature import (
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.values import tensor_proto

__all__ = ["revise"]

_BEFORE = " (it was so before)"
Kind = Literal["inputs", "outputs"]
_Rule = Callable[[MetaGraph, SignatureDef], object]


def revise(meta_graph: MetaGraph, edit: EditSignature, context: Context) -> Step:
    """Change a signature.

    Raises:
        RefusedError: There is no such signature or alias, or what it would become is refused.
    """
    key = edit.key
    source_of(meta_graph, key, "--signature")
    entry = meta_graph.entries.get(key)
    if entry is None:
        found = "it is only in the object graph; servers never had it"
        raise RefusedError(found, where=f"signature {key!r}", hint="add it with add-predict")
    old = meta_graph.signatures[key]
    message = schema.SignatureDef.FromString(entry.value)
    _check_asked(edit, old)
    meta_graph, added = _brought_out(meta_graph, edit, message, context)
    tensors = Tensors(meta_graph, context.inferred)
    inputs, inputs_were = _mapped("inputs", message.inputs, edit.rename_inputs, edit.drop_inputs)
    outputs, outputs_were = _mapped(
        "outputs", message.outputs, edit.rename_outputs, edit.drop_outputs
    )
    _add("inputs", inputs, edit.add_inputs, tensors)
    _add("outputs", outputs, added, tensors)
    defaults = {
        alias: message.defaults[was]
        for alias in inputs
        if (was := inputs_were.get(alias, alias)) in message.defaults
        and alias not in edit.add_inputs
    }
    meta_graph, notes = _without_dropped(meta_graph, edit, old, inputs, outputs)
    if notes:
        tensors = Tensors(meta_graph, context.inferred)
    wider, shape_notes = reshape(meta_graph, edit.shapes, inputs, outputs, tensors)
    notes += shape_notes
    _set_defaults(edit.defaults, inputs, defaults)
    method = message.method_name
    if edit.method_name is not None:
        method = METHODS.get(edit.method_name, edit.method_name)
    new = schema.SignatureDef()
    new.CopyFrom(message)
    new.method_name = method
    for name, wanted in (("inputs", inputs), ("outputs", outputs), ("defaults", defaults)):
        fields = getattr(new, name)
        fields.clear()
        for alias, what in wanted.items():
            fields[alias].CopyFrom(what)
    value = bytes(new.SerializeToString(deterministic=True))
    signature = SignatureDef.from_bytes(value)
    renamed = _under_new_names(old, edit)
    try:
        notes += _checked(meta_graph, signature, old, renamed)
    except UnreachableOutputError as error:
        raise _as_an_edit(meta_graph, error, edit, old, signature) from error
    built = replace(_built(key, signature, tensors, notes), wider=wider)
    if value == message.SerializeToString(deterministic=True):
        return Step(meta_graph, (Change(key, "unchanged", signature),), {key: built}, built.notes)
    draft = Draft.of(meta_graph.parts).revised(key, value, inputs_were, outputs_were)
    meta_graph = widened(meta_graph.with_parts(draft), signature, wider)
    if context.with_object_graph and (signature.inputs, signature.outputs) != (
        old.inputs,
        old.outputs,
    ):
        if key in meta_graph.objects.signatures:
            meta_graph = signature_map.put(meta_graph, key, signature, old)
        else:
            text = f"signature {key!r} was only in signature_def; the object graph never had it"
            built = replace(built, notes=(*built.notes, Note("one-plane", text)))
    return Step(meta_graph, (Change(key, "edited", signature),), {key: built}, built.notes)


def _check_asked(edit: EditSignature, old: SignatureDef) -> None:
    """Refuse names that are no UTF-8, and what names no input or output that is there."""
    new = (*edit.rename_inputs.values(), *edit.rename_outputs.values())
    for name in (*new, *edit.add_inputs, *edit.add_outputs, edit.method_name or ""):
        if name.encode(errors="replace").decode() != name:
            raise AliasError("not a usable name", where=repr(name), hint="use letters and _")
    for what, present, renamed, dropped in (
        ("input", old.inputs, edit.rename_inputs, edit.drop_inputs),
        ("output", old.outputs, edit.rename_outputs, edit.drop_outputs),
    ):
        for name in (*renamed, *dropped):
            if name not in present:
                hint = nearest(name, present) or f"it has {', '.join(present) or 'none'}"
                found = f"no {what} is called {name!r}"
                raise TensorNotFoundError(found, where=f"signature {edit.key!r}", hint=hint)
        for name in renamed:
            if name in dropped:
                found = f"the {what} {name!r} is to be renamed and dropped"
                raise AliasError(found, where=f"signature {edit.key!r}", hint="it cannot be both")


def _as_an_edit(
    meta_graph: MetaGraph,
    error: UnreachableOutputError,
    edit: EditSignature,
    old: SignatureDef,
    signature: SignatureDef,
) -> UnreachableOutputError:
    """Return an error for an edit, whose options are others than an addition's."""
    for alias in missed(meta_graph, edit, old, signature):
        return refusal(meta_graph, edit.key, alias, old, signature)
    hint = error.hint.replace("add --inputs", "add --add-input")
    return UnreachableOutputError(error.found, where=error.where, hint=hint)


def _without_dropped(
    meta_graph: MetaGraph,
    edit: EditSignature,
    old: SignatureDef,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> tuple[MetaGraph, list[Note]]:
    """Take the outputs from calls without inputs that are dropped and on which none depends.

    Args:
        meta_graph: The MetaGraph.
        edit: The edit.
        old: The signature before the edit.
        inputs: Alias to what is fed, a ``TensorInfo``.
        outputs: The same of what is fetched; they get the names of the new tensors.
    """
    if not edit.drop_inputs:
        return meta_graph, []
    new = schema.SignatureDef()
    for fields, wanted in ((new.inputs, inputs), (new.outputs, outputs)):
        for alias, info in wanted.items():
            fields[alias].CopyFrom(info)
    signature = SignatureDef.from_bytes(bytes(new.SerializeToString()))
    if any(parse(each.name).op not in meta_graph.graph for each in signature.tensors()):
        return meta_graph, []  # refused when the rules are checked
    dropped = missed(meta_graph, edit, old, signature)
    if not dropped:
        return meta_graph, []
    meta_graph, moved = without(meta_graph, dropped, old, signature)
    if not moved:
        return meta_graph, []
    for info in outputs.values():
        info.name = moved.get(info.name, info.name)
    text = (
        f"the function behind the outputs still takes {', '.join(map(repr, dropped))}: it is given "
        "zeros, on which none of its results depends"
    )
    return meta_graph, [Note("zeros-instead", text)]


def _brought_out(
    meta_graph: MetaGraph,
    edit: EditSignature,
    message: Any,  # noqa: ANN401 - a SignatureDef; protobuf makes the class at run time
    context: Context,
) -> tuple[MetaGraph, Mapping[str, TensorRef]]:
    """Bring inner tensors that are asked for into the main graph.

    The outputs that are there are then taken from the same call, so that nothing is computed
    twice; ``message`` names their new tensors.
    """
    inner = {
        alias: ref
        for alias, ref in edit.add_outputs.items()
        if isinstance(ref, str) and is_inner(meta_graph, ref)
    }
    if not inner:
        return meta_graph, edit.add_outputs
    kept = {f"{alias} ": alias for alias in message.outputs}  # a blank keeps them apart
    meta_graph, _, outputs = expose(meta_graph, edit.key, {**kept, **inner}, context.infer)
    for name, alias in kept.items():
        ref = outputs[name]
        if isinstance(ref, str):
            message.outputs[alias].name = ref
    found = {alias: outputs[alias] for alias in inner}
    return meta_graph, {**edit.add_outputs, **found}


def _mapped(
    kind: Kind, present: Mapping[str, Any], renamed: Mapping[str, str], dropped: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what is there under its new names without what goes, and new name to old."""
    gone = set(dropped)
    found: dict[str, Any] = {}
    for alias in sorted(present):
        if alias not in gone:
            name = renamed.get(alias, alias)
            if name in found:
                raise AliasError(f"two {kind} would be called {name!r}", hint="rename both")
            found[name] = present[alias]
    return found, {new: old for old, new in renamed.items() if new != old}


def _add(
    kind: Kind, there: dict[str, Any], added: Mapping[str, TensorRef], tensors: Tensors
) -> None:
    for alias, ref in added.items():
        where = f"{kind.removesuffix('s')} {alias!r}"
        if alias in there:
            hint = "choose another alias, or rename or drop the old one as well"
            raise AliasError("it is there already", where=where, hint=hint)
        there[alias] = _tensor_info(tensors.spec(ref, where))


def _tensor_info(spec: Spec) -> Any:  # noqa: ANN401 - as above
    single = SignatureDef({"": spec}, {}, "").to_bytes()
    return schema.SignatureDef.FromString(single).inputs[""]


def _set_defaults(
    wanted: Mapping[str, object], inputs: Mapping[str, Any], defaults: dict[str, Any]
) -> None:
    for alias, value in wanted.items():
        where = f"default of {alias!r}"
        if alias not in inputs:
            hint = nearest(alias, inputs) or f"it has {', '.join(inputs) or 'none'}"
            raise TensorNotFoundError("no such input", where=where, hint=hint)
        if value is None:
            if alias not in defaults:
                raise TensorNotFoundError("it has none", where=where)
            del defaults[alias]
            continue
        spec = SignatureDef.from_bytes(_alone(alias, inputs[alias])).inputs[alias]
        if not isinstance(spec, TensorSpec):
            raise RefusedError("it is a sparse or composite tensor", where=where)
        try:
            shape, tensor = tensor_proto(value, spec.dtype)
        except ValueError as error:
            raise RefusedError(str(error), where=where) from error
        if spec.shape is not None and not compatible(shape, spec.shape):
            found = f"its shape is {shape_text(shape)}, that of the input {shape_text(spec.shape)}"
            example = f"{'[' * len(spec.shape)}...{']' * len(spec.shape)}"
            hint = f"write {example}, a list for each dimension" if spec.shape else "write no list"
            raise RefusedError(found, where=where, hint=hint)
        defaults[alias] = schema.TensorProto.FromString(tensor)


def _under_new_names(old: SignatureDef, edit: EditSignature) -> SignatureDef:
    inputs = {edit.rename_inputs.get(alias, alias): spec for alias, spec in old.inputs.items()}
    outputs = {edit.rename_outputs.get(alias, alias): spec for alias, spec in old.outputs.items()}
    return replace(old, inputs=inputs, outputs=outputs)


def _alone(alias: str, info: Any) -> bytes:  # noqa: ANN401 - as above
    message = schema.SignatureDef()
    message.inputs[alias].CopyFrom(info)
    return bytes(message.SerializeToString())


def _checked(
    meta_graph: MetaGraph, signature: SignatureDef, old: SignatureDef, renamed: SignatureDef
) -> Iterator[Note]:
    """Check the rules one by one; one that was broken in the same way before is reported.

    Args:
        meta_graph: The MetaGraph.
        signature: What the signature becomes.
        old: What it was.
        renamed: What it was, under the names that it gets.
    """
    same_method = signature.method_name == old.method_name
    there = {breach.about for breach in breaches(old)} if same_method else set()
    for breach in breaches(signature):
        error = RefusedError(breach.found, hint=breach.hint)
        # Of what was broken before, other names and types are no worse.
        yield _so_before(error, error if breach.about in there else None)
    if not signature.outputs:
        error = RefusedError("no outputs are left", hint="remove takes a whole signature away")
        yield _so_before(error, None if old.outputs else error)
    rules = ((_named, old), (_found, renamed))
    for rule, before in (*rules, (_servable, renamed), (_distinct, renamed)):
        broken = _broken(rule, meta_graph, signature)
        if broken is not None:
            yield _so_before(broken, _broken(rule, meta_graph, before))
            if rule is _found:
                return  # what is not there leads nowhere
    try:
        yield from _graph_notes(meta_graph, signature)
    except RefusedError as error:
        yield _so_before(error, _broken(_graph_notes, meta_graph, renamed))
    yield from remarks(meta_graph, signature.inputs, signature.outputs)
    method = signature.method_name
    if method != old.method_name and method not in METHODS.values():
        meant = nearest(method, METHODS)
        text = f"method {method!r}: TF Serving has no such method"
        yield Note("unknown-method", f"{text} ({meant})" if meant else text)


def _so_before(broken: RefusedError, before: RefusedError | None) -> Note:
    """Report a broken rule that it was so before.

    Raises:
        RefusedError: It was not.
    """
    if before is None or (type(before), str(before)) != (type(broken), str(broken)):
        raise broken
    text = f"{broken.where}: {broken.found}" if broken.where else broken.found
    return Note("already-wrong", f"{text}{_BEFORE}")


def _broken(rule: _Rule, meta_graph: MetaGraph, signature: SignatureDef) -> RefusedError | None:
    try:
        rule(meta_graph, signature)
    except RefusedError as error:
        return error
    return None


def _named(_: MetaGraph, signature: SignatureDef) -> None:
    check_aliases(signature.inputs, signature.outputs)


def _found(meta_graph: MetaGraph, signature: SignatureDef) -> None:
    for tensor in signature.tensors():
        if parse(tensor.name).op not in meta_graph.graph:
            raise TensorNotFoundError("no such node in the graph", where=tensor.name)


def _servable(_: MetaGraph, signature: SignatureDef) -> None:
    check_servable(signature.inputs, signature.outputs)


def _distinct(_: MetaGraph, signature: SignatureDef) -> None:
    check_distinct(signature.inputs, signature.outputs)


def _graph_notes(meta_graph: MetaGraph, signature: SignatureDef) -> Iterable[Note]:
    inputs, outputs = signature.inputs, signature.outputs
    fed = {tensor.name: alias for alias, spec in inputs.items() for tensor in spec.tensors()}
    return check_graph(meta_graph, inputs, outputs, fed)


def _built(key: str, signature: SignatureDef, tensors: Tensors, notes: Iterable[Note]) -> Built:
    """Put together what must hold; of the rest of the signature what the graph confirms."""
    for tensor in signature.tensors():
        with contextlib.suppress(RefusedError):
            tensors.spec(tensor.name, "")
    says = {tensor.name: tensor.dtype for tensor in signature.tensors()}
    there = {name: spec for name, spec in tensors.found.items() if name in says}
    found = {name: spec for name, spec in there.items() if says[name] == spec.dtype}
    unknown = tuple(sorted(tensors.unknown_shapes & found.keys()))
    wrong = (  # before, for what an edit adds has its type from the graph
        Note("already-wrong", f"{name} is {its.dtype}, the signature says {says[name]}{_BEFORE}")
        for name, its in there.items()
        if dtypes.base(its.dtype) != dtypes.base(says[name])
    )
    return Built(key, signature, found, unknown, (*notes, *wrong))
