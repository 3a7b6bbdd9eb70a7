"""Changes of the parts of a signature, and the check of the result by the rules.

This module does not define the rules (``rules``), and changes no bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from smpatch import dtypes, schema
from smpatch.builder import Built, Tensors
from smpatch.display import quoted
from smpatch.editing.dropping import missed, without
from smpatch.editing.edit import Context
from smpatch.editing.tracking import Kind
from smpatch.errors import AliasError, RefusedError, TensorNotFoundError
from smpatch.functions.inner_outputs import expose
from smpatch.functions.inner_tensors import is_inner
from smpatch.functions.open_sizes import with_open_sizes
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
from smpatch.signature import (
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    TensorSpec,
    compatible,
    shape_from_proto,
    shape_text,
    spec_from_proto,
    spec_proto,
)
from smpatch.tensor_refs import TensorRef
from smpatch.values import tensor_proto

_BEFORE = " (as before the edit)"
_Rule = Callable[[MetaGraph, SignatureDef], object]


def without_dropped(
    meta_graph: MetaGraph,
    dropped: Sequence[str],
    old: SignatureDef,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> tuple[MetaGraph, list[Note]]:
    """Fetch the outputs from new calls that get zeros for dropped inputs, if no result needs these.

    Args:
        meta_graph: The MetaGraph.
        dropped: The inputs that are dropped.
        old: The signature before the edit.
        inputs: Alias to the ``TensorInfo`` of each input.
        outputs: Alias to the ``TensorInfo`` of each output, which gets the name of its new tensor.
    """
    if not dropped:
        return meta_graph, []
    fed, fetched = (
        {alias: spec_from_proto(info) for alias, info in sorted(each.items())}
        for each in (inputs, outputs)
    )
    signature = SignatureDef(fed, fetched, "")
    if any(parse(each.name).op not in meta_graph.graph for each in signature.tensors()):
        return meta_graph, []  # refused when the rules are checked
    unfed = missed(meta_graph, dropped, old, signature)
    if not unfed:
        return meta_graph, []
    meta_graph, moved = without(meta_graph, unfed, old, signature)
    if not moved:
        return meta_graph, []
    for info in outputs.values():
        info.name = moved.get(info.name, info.name)
    text = (
        f"the function behind the outputs still takes {', '.join(map(repr, unfed))}: it is given "
        "zeros, on which none of its results depends"
    )
    return meta_graph, [Note("zeros-instead", text)]


def brought_out(
    meta_graph: MetaGraph,
    key: str,
    added: Mapping[str, TensorRef],
    message: Any,  # noqa: ANN401 - a SignatureDef; protobuf makes the class at run time
    context: Context,
) -> tuple[MetaGraph, Mapping[str, TensorRef]]:
    """Bring the inner tensors among the added outputs into the main graph.

    The present outputs are then fetched from the same call, so that nothing is computed twice.
    ``message`` gets the names of their new tensors.
    """
    inner = {
        alias: ref
        for alias, ref in added.items()
        if isinstance(ref, str) and is_inner(meta_graph, ref)
    }
    if not inner:
        return meta_graph, added
    blanks = " " * (1 + max(map(len, inner)))  # they make the names longer than the others
    kept = {f"{alias}{blanks}": alias for alias in message.outputs}
    meta_graph, _, outputs = expose(
        meta_graph, key, {**kept, **inner}, context.infer, tensors=inner
    )
    for name, alias in kept.items():
        _point(message.outputs[alias], outputs[name])
    found = {alias: outputs[alias] for alias in inner}
    return meta_graph, {**added, **found}


def _point(info: Any, ref: TensorRef) -> None:  # noqa: ANN401 - a TensorInfo
    """Give an output the names of other tensors, and leave all else."""
    if isinstance(ref, str):
        info.name = ref
    elif isinstance(ref, TensorSpec):
        info.name = ref.name
    elif isinstance(ref, SparseTensorSpec):
        info.coo_sparse.MergeFrom(spec_proto(ref).coo_sparse)
    elif isinstance(ref, CompositeTensorSpec):
        for component, each in zip(info.composite_tensor.components, ref.components, strict=True):
            _point(component, each)


def mapped(
    kind: Kind, present: Mapping[str, Any], renamed: Mapping[str, str], dropped: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the inputs or outputs that are kept, by new name, and new name to old name."""
    gone = set(dropped)
    found: dict[str, Any] = {}
    for alias in sorted(present):
        if alias not in gone:
            name = renamed.get(alias, alias)
            if name in found:
                raise AliasError(f"two {kind} would be called {name!r}", hint="rename both")
            found[name] = present[alias]
    return found, {new: old for old, new in renamed.items() if new != old}


def add(
    kind: Kind,
    there: dict[str, Any],
    added: Mapping[str, TensorRef],
    tensors: Tensors,
    *,
    sizes_open: bool = False,
) -> None:
    """Add tensors to the inputs or outputs; ``sizes_open`` leaves all sizes open."""
    for alias, ref in added.items():
        where = f"{kind.removesuffix('s')} {alias!r}"
        if alias in there:
            hint = "choose another alias, or rename or drop the old one as well"
            raise AliasError("it is there already", where=where, hint=hint)
        spec = tensors.spec(ref, where)
        there[alias] = spec_proto(with_open_sizes(spec) if sizes_open else spec)


def set_defaults(
    wanted: Mapping[str, object], inputs: Mapping[str, Any], defaults: dict[str, Any]
) -> None:
    """Set and remove the values that inputs have if a request omits them."""
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
        spec = spec_from_proto(inputs[alias])
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


def check_defaults(
    inputs: Mapping[str, Any], defaults: Mapping[str, Any], before: Mapping[str, Any]
) -> None:
    """Refuse new shapes of inputs that their defaults do not have.

    Args:
        inputs: Alias to ``TensorInfo``, after the edit.
        defaults: Alias to ``TensorProto``.
        before: Alias after the edit to ``TensorInfo`` before it, of those that were there.
    """
    for alias, info in sorted(before.items()):
        shape = shape_from_proto(defaults[alias].tensor_shape)
        now, old = (shape_from_proto(each.tensor_shape) for each in (inputs[alias], info))
        if not compatible(shape, now) and compatible(shape, old):
            found = f"its default is {shape_text(shape)}, which {shape_text(now)} contradicts"
            name = quoted(alias)
            hint = f"--default {name}=VALUE gives it another one, --default {name}=null none"
            raise RefusedError(found, where=f"shape of {alias!r}", hint=hint)


def with_fields(message: Any, wanted: Mapping[str, Mapping[str, Any]]) -> Any:  # noqa: ANN401 - as above
    """Return a copy of a ``SignatureDef`` with other inputs, outputs and defaults."""
    new = schema.SignatureDef()
    new.CopyFrom(message)
    for name, content in wanted.items():
        fields = getattr(new, name)
        fields.clear()
        for alias, each in content.items():
            fields[alias].CopyFrom(each)
    return new


def checked(
    meta_graph: MetaGraph, signature: SignatureDef, old: SignatureDef, renamed: SignatureDef
) -> Iterator[Note]:
    """Check the rules one by one; yield a note on a rule that was broken in the same way before.

    Args:
        meta_graph: The MetaGraph.
        signature: The signature after the edit.
        old: The signature before the edit.
        renamed: The signature before the edit, with its new aliases.
    """
    same_method = signature.method_name == old.method_name
    there = {breach.about for breach in breaches(old)} if same_method else set()
    for breach in breaches(signature):
        error = RefusedError(breach.found, hint=breach.hint)
        # A rule that was broken before stays broken with other names and types.
        yield _so_before(error, error if breach.about in there else None)
    if not signature.outputs:
        error = RefusedError("no outputs are left", hint="smpatch remove removes a whole signature")
        yield _so_before(error, None if old.outputs else error)
    rules = ((_named, old), (_found, renamed))
    for rule, before in (*rules, (_servable, renamed), (_distinct, renamed)):
        broken = _broken(rule, meta_graph, signature)
        if broken is not None:
            yield _so_before(broken, _broken(rule, meta_graph, before))
            if rule is _found:
                return  # the other rules need all nodes
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
    """Return a note on a rule that was broken before in the same way.

    Raises:
        RefusedError: The rule was not broken before in this way.
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


def built_of(key: str, signature: SignatureDef, tensors: Tensors, notes: Iterable[Note]) -> Built:
    """Return the signature with the tensors that the graph confirms."""
    for tensor in signature.tensors():
        with contextlib.suppress(RefusedError):
            tensors.spec(tensor.name, "")
    says = {tensor.name: tensor.dtype for tensor in signature.tensors()}
    there = {name: spec for name, spec in tensors.found.items() if name in says}
    found = {name: spec for name, spec in there.items() if says[name] == spec.dtype}
    unknown = tuple(sorted(tensors.unknown_shapes & found.keys()))
    wrong = (  # before the edit, because an added tensor has its type from the graph
        Note("already-wrong", f"{name} is {its.dtype}, the signature says {says[name]}{_BEFORE}")
        for name, its in there.items()
        if dtypes.base(its.dtype) != dtypes.base(says[name])
    )
    return Built(key, signature, found, unknown, (*notes, *wrong))
