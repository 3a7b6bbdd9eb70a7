"""A signature with functions before and after it, and constants in the place of inputs.

New inputs are placeholders of the main graph, and each function is a call. The nodes between a
replaced input and the outputs are copied to read the replacement (``copies``); in a TensorFlow 2
export that is one call. The object graph gets a wrapper function that makes the same calls.

This module traces nothing.

Source: ``tensorflow/core/framework/function.cc`` (the places in which a name of a function can be).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from smpatch import dtypes, schema
from smpatch.arguments import Constant
from smpatch.errors import AliasError, RefusedError, UsageError
from smpatch.fragments import Asked, Fragment
from smpatch.functions.binding import Bound, Constants, Follow, bound_inputs
from smpatch.functions.calls import call, first_stem, fresh_name, node_stem, placeholder, prefix_of
from smpatch.functions.copies import copies, with_names
from smpatch.functions.fitting import inputs_before, outputs_after
from smpatch.functions.inner_inputs import Opened, Start, opened
from smpatch.functions.open_sizes import is_wider
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, full, op_of
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import Shape, SignatureDef, Spec, TensorSpec, compatible, names_of

DUMMY = TensorSpec("", "float32", (None,))
"""An input that nothing reads: a number for each example of the batch."""


class Composition(Protocol):
    """The request for a composed signature (``Compose``, which this module does not import).

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: The value of each input of the source that is bound, by alias.
        before: The functions that yield inputs of the source, in the order in which they run.
        after: The functions that take outputs of the source, in the order in which they run.
        from_input: Tensors between the source's inputs and outputs that become inputs, by alias.
        starts: The same tensors, after the search for them.
        dummy_input: An input that nothing reads; empty for none.
        in_parts: Whether to compare its numbers with the numbers of its parts.
    """

    @property
    def source(self) -> str: ...  # noqa: D102 - described above
    @property
    def key(self) -> str: ...  # noqa: D102 - described above
    @property
    def bind(self) -> Mapping[str, Constant]: ...  # noqa: D102 - described above
    @property
    def before(self) -> tuple[Asked, ...]: ...  # noqa: D102 - described above
    @property
    def after(self) -> tuple[Asked, ...]: ...  # noqa: D102 - described above
    @property
    def from_input(self) -> Mapping[str, str]: ...  # noqa: D102 - described above
    @property
    def starts(self) -> Mapping[str, Start]: ...  # noqa: D102 - described above
    @property
    def dummy_input(self) -> str: ...  # noqa: D102 - described above
    @property
    def in_parts(self) -> bool: ...  # noqa: D102 - described above


class Composed(NamedTuple):
    """A MetaGraph with the nodes of a composed signature.

    Attributes:
        meta_graph: The MetaGraph.
        signature: The signature, with the tensors that are its inputs and outputs.
        copied: The number of copied nodes, without calls of functions.
        size: The number of their bytes.
    """

    meta_graph: MetaGraph
    signature: SignatureDef
    copied: int
    size: int


def source_of(
    meta_graph: MetaGraph, edit: Composition, found: Mapping[str, Start] | None = None
) -> Opened:
    """Return the signature that an edit starts from, with the tensors that become inputs.

    ``found`` has the tensors that become inputs, by alias.

    Raises:
        RefusedError: There is no such signature, or a tensor cannot become an input of it.
        UsageError: The request composes nothing.
    """
    source = meta_graph.signature(edit.source)
    if not (edit.bind or edit.before or edit.after or edit.from_input or edit.dummy_input):
        hint = "use --before, --after, --bind, --from-input or --dummy-input"
        raise UsageError("nothing is composed", where=f"signature {edit.source!r}", hint=hint)
    if not edit.from_input:
        return Opened(meta_graph, source)
    prefix = prefix_of(edit.key, meta_graph.graph)
    return opened(meta_graph, edit.source, source, found or {}, prefix)


def join(
    meta_graph: MetaGraph, edit: Composition, found: Mapping[str, Start] | None = None
) -> Composed:
    """Put functions before and after a signature, and constants in the place of inputs.

    The functions of the edit are traced; ``found`` has the tensors that become inputs, by alias.

    Raises:
        RefusedError: Something does not fit.
    """
    bare = meta_graph
    start = source_of(meta_graph, edit, found)
    meta_graph, source = start.meta_graph, start.source
    bound = bound_inputs(source, edit.source, edit.bind)
    left = {alias: spec for alias, spec in source.inputs.items() if alias not in bound}
    before, after = fragments(edit.before), fragments(edit.after)
    inputs = dict(left)
    for fragment in reversed(before):
        inputs = inputs_before(inputs, fragment)
    if edit.dummy_input:
        if inputs:
            words = f"the signature has inputs: {', '.join(inputs)}"
            raise RefusedError(
                words, where=f"input {edit.dummy_input!r}", hint="leave out --dummy-input"
            )
        inputs = {edit.dummy_input: DUMMY}
    calls = _Calls(meta_graph, edit.key)
    inputs = {alias: calls.fed(alias, spec) for alias, spec in inputs.items()}
    env = {a: full(s.name) for a, s in inputs.items() if isinstance(s, TensorSpec)}
    fed_tensors = dict(env)
    for fragment in before:
        env |= calls.put(fragment, env, "before")
    replaced = {
        alias: spec
        for alias, spec in left.items()
        if isinstance(spec, TensorSpec) and env[alias] != full(spec.name)
    }
    values = {alias: each.spec for alias, each in bound.items()}
    _check_replaced(meta_graph, source, {**replaced, **values})
    replacements = {full(spec.name): env[alias] for alias, spec in replaced.items()}
    prefix = prefix_of(edit.key, meta_graph.graph)
    constants = Constants(prefix, env, meta_graph.graph)
    fed = set(map(full, names_of(left.values()))) - replacements.keys()
    replacements |= {full(e.spec.name): constants.put(alias, e) for alias, e in bound.items()}
    wider = is_wider(meta_graph, source)
    if wider:  # shared nodes have recorded shapes of one size only
        replacements |= {tensor: tensor for tensor in fed}
        fed = set()
    outputs = [*map(full, names_of(source.outputs.values()))]
    copied = copies(
        meta_graph.graph,
        replacements,
        fed,
        outputs,
        prefix,
        keep_shapes=not wider and _shapes_stay(meta_graph, left, bound, before),
    )
    yielded = {alias: with_names(spec, copied.tensors) for alias, spec in source.outputs.items()}
    for alias in {alias for each in after for alias in each.inputs}:
        _check_known(meta_graph, f"output {alias!r}", source.outputs.get(alias))
    for fragment in after:
        given = dict(fed_tensors)
        given |= {a: full(s.name) for a, s in yielded.items() if isinstance(s, TensorSpec)}
        made = calls.put(fragment, given, "after") if given.keys() >= fragment.inputs.keys() else {}
        yielded = {
            alias: replace(spec, name=made[alias])
            if isinstance(spec, TensorSpec) and not spec.name
            else spec
            for alias, spec in outputs_after(yielded, inputs, fragment).items()
        }
    nodes = [*calls.placeholders, *calls.before, *constants.nodes, *copied.nodes, *calls.after]
    roots = names_of((*inputs.values(), *yielded.values()))
    nodes = [*_needed(start.nodes, [*roots, *(i for node in nodes for i in node.input)]), *nodes]
    serialized = tuple(node.SerializeToString(deterministic=True) for node in nodes)
    addition = Addition(nodes=serialized, functions=(*start.functions, *calls.functions))
    draft = Draft.of(bare.parts).appended(addition)
    defaults = {
        alias: value
        for alias, value in source.defaults.items()
        if alias in inputs and inputs[alias] == source.inputs.get(alias)
    }
    signature = SignatureDef(inputs, yielded, source.method_name, defaults)
    sizes = [node.ByteSize() for node in copied.nodes if node.op not in CALLS]
    return Composed(bare.with_parts(draft), signature, len(sizes), sum(sizes))


def _needed(nodes: Sequence[Any], read: Iterable[str]) -> list[Any]:
    """Return the nodes that the tensors ``read`` need, in their order."""
    known = {node.name: node for node in nodes}
    found: set[str] = set()
    waiting = [op_of(each) for each in read]
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found.add(name)
            waiting += map(op_of, known[name].input)
    return [node for node in nodes if node.name in found]


def fragments(asked: Sequence[object]) -> list[Fragment]:
    """Return functions, after a check that all are traced.

    Raises:
        UsageError: A function is not traced.
    """
    found = [each for each in asked if isinstance(each, Fragment)]
    if len(found) < len(asked):
        raise UsageError("a function is not traced, because TensorFlow was not asked")
    return found


def _check_replaced(
    meta_graph: MetaGraph, source: SignatureDef, replaced: Mapping[str, TensorSpec]
) -> None:
    """Check that inputs have the types of the graph, and that no other input is the same tensor."""
    others = [spec for alias, spec in source.inputs.items() if alias not in replaced]
    taken = set(map(full, names_of(others)))
    for alias, spec in replaced.items():
        _check_known(meta_graph, f"input {alias!r}", spec)
        tensor = full(spec.name)
        if tensor in taken:
            found = f"another input has the same tensor {tensor}"
            raise AliasError(found, where=f"input {alias!r}", hint="drop one: smpatch edit")
        taken.add(tensor)


def _check_known(meta_graph: MetaGraph, where: str, spec: Spec | None) -> None:
    """Check that a tensor has the same type in the graph and in a signature."""
    if not isinstance(spec, TensorSpec):
        return
    known = meta_graph.resolver().resolve(spec.name).spec.dtype
    if dtypes.base(known) != dtypes.base(spec.dtype):
        found = f"the signature has {spec.dtype}, and the graph has {known}"
        raise RefusedError(found, where=where, hint="see smpatch check")


def _shapes_stay(
    meta_graph: MetaGraph,
    left: Mapping[str, Spec],
    bound: Mapping[str, Bound],
    before: Sequence[Fragment],
) -> bool:
    """Return whether the replacements of inputs have the shapes that the graph has for these."""
    shapes: list[tuple[str, Shape]] = [
        (
            each.spec.name,
            tuple(None if isinstance(d, Follow) else d for d in each.dims or each.shape),
        )
        for each in bound.values()
    ]
    shapes += [
        (spec.name, fragment.outputs[alias].shape)
        for fragment in before
        for alias, spec in left.items()
        if alias in fragment.outputs and isinstance(spec, TensorSpec)
    ]
    resolver = meta_graph.resolver()
    return all(compatible(shape, resolver.resolve(name).spec.shape) for name, shape in shapes)


class _Calls:
    """Calls of functions, with the functions and the placeholders that they need.

    Attributes:
        placeholders: ``NodeDef`` messages of new inputs.
        before: ``NodeDef`` messages of the calls before the signature.
        after: ``NodeDef`` messages of the calls after it.
        functions: Serialized functions.
    """

    def __init__(self, meta_graph: MetaGraph, key: str) -> None:
        """Keep the names; make no call yet."""
        self.placeholders: list[Any] = []
        self.before: list[Any] = []
        self.after: list[Any] = []
        self.functions: list[bytes] = []
        self._key = node_stem(key)
        self._graph = meta_graph.graph
        self._taken: set[str] = set()
        self._numbers = _numbers(meta_graph.functions)

    def fed(self, alias: str, spec: Spec) -> Spec:
        """Return an input with the tensor that is fed; a new one gets a placeholder."""
        if not isinstance(spec, TensorSpec) or spec.name:
            return spec
        name = fresh_name(first_stem(f"{self._key}_{alias}"), self._graph, self._taken)
        self.placeholders.append(placeholder(name, spec))
        return replace(spec, name=f"{name}:0")

    def put(self, fragment: Fragment, given: Mapping[str, str], place: str) -> dict[str, str]:
        """Make a call; return the tensors that it yields, by name."""
        root, *others = _named(fragment.functions, self._numbers)
        self.functions += [each.SerializeToString(deterministic=True) for each in (root, *others)]
        stem = _stem(root.signature.name)
        prefix = prefix_of(f"{self._key}_{place}", self._graph)
        name = fresh_name(f"{prefix}/{stem}", self._graph, self._taken)
        inputs = [given[alias].removesuffix(":0") for alias in fragment.inputs]
        node = call(name, root, inputs, [spec.shape for spec in fragment.outputs.values()])
        if not root.signature.is_stateful:
            node.op = "PartitionedCall"
        (self.before if place == "before" else self.after).append(node)
        return {alias: f"{name}:{port}" for port, alias in enumerate(fragment.outputs)}


def _numbers(library: FunctionLibrary) -> Iterator[int]:
    number = library.last_number
    while True:
        number += 1
        yield number


def _named(functions: Sequence[bytes], numbers: Iterator[int]) -> list[Any]:
    """Return functions with new names, which the model does not have."""
    messages = [schema.FunctionDef.FromString(each) for each in functions]
    names = {
        str(each.signature.name): f"__inference_{_stem(each.signature.name)}_{next(numbers)}"
        for each in messages
    }
    for each in messages:
        each.signature.name = names[each.signature.name]
        for node in each.node_def:
            node.op = names.get(node.op, node.op)
            for value in node.attr.values():
                for func in (value.func, *value.list.func):
                    if func.name in names:
                        func.name = names[func.name]
    return messages


def _stem(name: str) -> str:
    """Return the name of a function without the prefix and the number that TensorFlow adds."""
    plain = re.sub(r"_\d+$", "", name.removeprefix("__inference_"))
    plain = plain.removeprefix("wrapped_function_")
    return re.sub(r"[^A-Za-z0-9_]", "_", plain).strip("_") or "function"
