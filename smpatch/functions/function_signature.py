"""Calls of traced functions, with which they become signatures.

A new node of the main graph calls the function with new placeholders and with the tensors that
represent its captures; the signature names those placeholders and the call's outputs.
A composite argument or result (sparse, ragged) becomes the dense tensors that it consists of, as in
TensorFlow's own export of such a function (``composites``).

This module refuses several traces of one function, and an object that no tensor of the main graph
represents.

Sources: ``tensorflow/python/saved_model/signature_serialization.py``
(``_normalize_outputs``), ``tensorflow/core/protobuf/saved_object_graph.proto``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from smpatch import dtypes
from smpatch.errors import AliasError, RefusedError, TensorNotFoundError
from smpatch.functions.calls import call, first_stem, fresh_name, placeholder, untaken
from smpatch.graph.composites import dense_results
from smpatch.graph.objects import Leaf, ObjectGraph, parts
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import TensorSpec, shape_from_proto, shape_text

_INSTEAD = (
    "if a signature calls it, --from-signature gives access to dense tensors inside the function"
)

_TRAINING = re.compile(r"(is_)?train(ing)?(_mode)?=(True|1)")
"""The arguments that mark a trace for training."""

_WRITES = re.compile(r"Assign(Add|Sub)?VariableOp|Resource(Apply|Scatter|SparseApply)")
"""Operations that write variables: a server that runs them changes the model with each request."""

_UNLIKE_ARGUMENTS = (
    "the function definition and its recorded trace have different numbers of arguments"
)
_UNLIKE_RESULTS = "the function definition and its recorded trace have different results"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Promotable:
    """A traced function, as a signature shows it.

    Attributes:
        path: The path by which Python reaches it; empty if it has only a name.
        function: The name of the concrete function.
        inputs: The specs of the arguments by name, in the order of the function.
        outputs: The specs of the outputs by TensorFlow's name, in the order of the function.
        bound: The numbers of the objects that it captures.
        constants: Arguments that are not tensors and were bound when it was traced.
        refusal: The reason why it cannot become a signature, as far as it alone shows; else empty.
    """

    path: str
    function: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    bound: tuple[int, ...]
    constants: tuple[str, ...]
    refusal: str = ""

    @property
    def key(self) -> str:
        """The signature key that it gets if none is given."""
        return (self.path or self.function).rpartition(".")[2]


def promotable(meta_graph: MetaGraph) -> tuple[Promotable, ...]:
    """Return the traced functions, in the order of their paths."""
    found = []
    for trace in meta_graph.objects.traces:
        with contextlib.suppress(RefusedError):
            found.append(_described(meta_graph, trace.path, trace.function))
    return tuple(found)


def promote(
    meta_graph: MetaGraph,
    path: str,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    key: str | None = None,
) -> tuple[MetaGraph, dict[str, str], dict[str, str]]:
    """Put a call of a function into the main graph.

    Args:
        meta_graph: The MetaGraph.
        path: Its path in the object graph, or its name.
        inputs: The arguments by alias; None for all arguments under their own names. Arguments
            that are left out keep their names.
        outputs: The structured outputs by alias; None for all.
        key: The signature key, with which names of new nodes begin; None for the function's own.

    Returns:
        The MetaGraph with the call, the tensors of the inputs by alias, and those of the outputs.

    Raises:
        RefusedError: The function is not there, has several traces, or captures an object that
            no tensor of the main graph represents.
    """
    found = find_function(meta_graph, path)
    if found.refusal:
        raise RefusedError(found.refusal, where=f"function {path!r}", hint=_INSTEAD)
    if not found.outputs:
        words = "it yields no tensor, so there is nothing to fetch"
        raise RefusedError(words, where=f"function {path!r}")
    fed = _renamed(inputs, found.inputs, "argument", path, keep_others=True)
    fetched = _renamed(outputs, found.outputs, "output", path, keep_others=False)
    graph = meta_graph.graph
    taken: set[str] = set()
    alias = {argument: each for each, argument in fed.items()}
    names = {
        # As in TensorFlow's own export, whose names TFLite shows.
        argument: fresh_name(first_stem(f"{key or found.key}_{alias[argument]}"), graph, taken)
        for argument in found.inputs
    }
    nodes = [placeholder(names[argument], spec) for argument, spec in found.inputs.items()]
    function = meta_graph.functions[found.function]
    caller = fresh_name("StatefulPartitionedCall", graph, taken)
    given = [*names.values(), *(_captured(meta_graph, each, found) for each in found.bound)]
    nodes.append(call(caller, function, given, [spec.shape for spec in found.outputs.values()]))
    places = {name: place for place, name in enumerate(found.outputs)}
    serialized = [node.SerializeToString(deterministic=True) for node in nodes]
    extended = Draft.of(meta_graph.parts).appended(Addition(nodes=tuple(serialized)))
    return (
        meta_graph.with_parts(extended),
        {alias: f"{names[argument]}:0" for alias, argument in fed.items()},
        {alias: f"{caller}:{places[name]}" for alias, name in fetched.items()},
    )


def training_remark(meta_graph: MetaGraph, found: Promotable) -> str:
    """Return the reasons why a trace is for training: its arguments, or that it writes variables.

    Returns:
        Words such as ``training=True, writes variables``; empty for a trace for inference.
    """
    words = [each for each in found.constants if _TRAINING.fullmatch(each)]
    library = meta_graph.functions
    reached = (
        node for name in library.reached([found.function]) for node in library[name].node_def
    )
    if any(_WRITES.match(node.op) for node in reached):
        words.append("writes variables")
    return ", ".join(words)


def find_function(meta_graph: MetaGraph, name: str) -> Promotable:
    """Return the traced function that has a path or a name.

    Raises:
        RefusedError: The function is not there, or has several traces.
    """
    objects = meta_graph.objects
    traces = objects.traces_at(name)
    if len(traces) > 1:
        described = [_described(meta_graph, trace.path, trace.function) for trace in traces]
        marked = [(training_remark(meta_graph, each), each) for each in described]
        marked.sort(key=lambda each: bool(each[0]))
        choices = "; ".join(
            _sketch(each) + (f" for training: {remark}" if remark else "")
            for remark, each in marked
        )
        found = f"it has {len(traces)} traces"
        raise RefusedError(found, where=f"function {name!r}", hint=f"name one of them: {choices}")
    if traces:
        return _described(meta_graph, name, traces[0].function)
    if name in objects.concrete_functions:
        path = next((trace.path for trace in objects.traces if trace.function == name), "")
        return _described(meta_graph, path, name)
    paths = [trace.path for trace in objects.traces if not is_internal(trace.path)]
    hint = nearest(name, paths) or (
        f"functions here: {', '.join(dict.fromkeys(paths))}" if paths else "the model has none"
    )
    raise TensorNotFoundError("no such function", where=f"function {name!r}", hint=hint)


def _described(meta_graph: MetaGraph, path: str, name: str) -> Promotable:
    """Return a concrete function with its arguments and results by name.

    Composite arguments and results are the dense tensors that they consist of.

    Raises:
        RefusedError: The graph does not have it.
    """
    where = f"function {path or name!r}"
    concrete = meta_graph.objects.concrete_functions.get(name)
    if concrete is None or name not in meta_graph.functions:
        raise RefusedError(f"the graph has no function {name!r}", where=where)
    function = meta_graph.functions[name]
    arguments = parts(concrete.canonicalized_input_signature)
    bound = tuple(concrete.bound_inputs)
    bare = Promotable(path, name, {}, {}, bound, ())
    if len(arguments) + len(bound) != len(function.signature.input_arg):
        return replace(bare, refusal=_UNLIKE_ARGUMENTS)
    inputs = _inputs(function, arguments, meta_graph.objects)
    found = replace(bare, inputs=inputs, constants=meta_graph.objects.bound_constants(name))
    handles = [alias for alias, spec in inputs.items() if spec.dtype in dtypes.UNSERVABLE]
    if handles:
        words = f"its argument {handles[0]!r} is a {inputs[handles[0]].dtype} handle"
        return replace(found, refusal=f"{words}, which no request can carry")
    types = [arg.type for arg in function.signature.output_arg]
    results = dense_results(concrete.output_signature, types)
    if results is None:
        return replace(found, refusal=_UNLIKE_RESULTS)
    return replace(found, outputs=_output_names(concrete.output_signature, results))


def _inputs(
    function: Any,  # noqa: ANN401 - a FunctionDef
    arguments: list[Leaf | None],
    objects: ObjectGraph,
) -> dict[str, TensorSpec]:
    """Return the arguments by name; parts of composite ones have the names of the definition."""
    known = objects.argument_keywords(function.signature.name)
    dense = [leaf for leaf in arguments if leaf is not None]
    if len(known) != len(dense):
        known = tuple(leaf.spec.name for leaf in dense)
    names = iter(known)
    found: list[tuple[str, Leaf]] = []
    for place, leaf in enumerate(arguments):
        if leaf is None:
            part = _part(function, place)
            found.append((part.name, Leaf(("", part.name), part)))
        else:
            found.append((next(names), leaf))
    return _argument_names(found)


def _part(function: Any, place: int) -> TensorSpec:  # noqa: ANN401 - as above
    """Return the spec of an argument from the function's definition."""
    arg = function.signature.input_arg[place]
    written = function.arg_attr[place].attr if place in function.arg_attr else {}
    shapes = written["_output_shapes"].list.shape if "_output_shapes" in written else ()
    shape = shape_from_proto(shapes[0]) if shapes else None
    return TensorSpec(arg.name, dtypes.name(arg.type), shape)


def _argument_names(arguments: list[tuple[str, Leaf]]) -> dict[str, TensorSpec]:
    """Name the arguments: as they were traced, or by their place if that is not unique."""
    names = [_plain(keyword) for keyword, _ in arguments]
    if len(set(names)) != len(names):
        names = _unique(_plain("_".join(leaf.path[1:])) for _, leaf in arguments)
    return {name: leaf.spec for name, (_, leaf) in zip(names, arguments, strict=True)}


def _output_names(structure: Any, results: list[Leaf]) -> dict[str, TensorSpec]:  # noqa: ANN401 - a StructuredValue
    """Name the results as TensorFlow does: by their keys, or ``output_n`` by their place."""
    keyed = structure.WhichOneof("kind") in {"dict_value", "named_tuple_value"}
    names = _unique(
        "_".join(leaf.path if keyed else [f"output_{(leaf.path or '0')[0]}", *leaf.path[1:]])
        for leaf in results
    )
    return {name: leaf.spec for name, leaf in zip(names, results, strict=True)}


def _unique(names: Iterable[str]) -> list[str]:
    """Add numbers to names that occur twice, so that all names are different."""
    found: dict[str, None] = {}
    for name in names:
        found[untaken(name, found.__contains__)] = None
    return list(found)


def _renamed(
    wanted: Mapping[str, str] | None,
    present: Mapping[str, TensorSpec],
    what: str,
    function: str,
    *,
    keep_others: bool,
) -> dict[str, str]:
    """Return names by alias: the requested ones and, with ``keep_others``, all other ones."""
    if wanted is None:
        return {name: name for name in present}
    for name in wanted.values():
        if name not in present:
            of_it = [each for each in present if each.startswith(f"{name}_")]
            hint = nearest(name, present) or f"it has {', '.join(present) or 'none'}"
            if what == "output" and len(of_it) > 1:
                hint = f"its parts are {', '.join(of_it)}"
            found = f"no {what} is called {name!r}"
            raise TensorNotFoundError(found, where=f"function {function!r}", hint=hint)
    named = set(wanted.values())
    others = {name: name for name in present if name not in named} if keep_others else {}
    for alias in wanted.keys() & others.keys():
        found = f"{alias!r} is the name of another {what}"
        hint = f"give that one an alias too: other={alias}"
        raise AliasError(found, where=f"function {function!r}", hint=hint)
    return {**wanted, **others}


def _captured(meta_graph: MetaGraph, number: int, found: Promotable) -> str:
    tensor = meta_graph.captures.tensor(number)
    if tensor is None:
        kind = meta_graph.objects.node(number).WhichOneof("kind")
        which = "no tensor of the main graph represents it for certain"
        words = f"it captures object {number} ({kind}), and {which}"
        raise RefusedError(words, where=f"function {found.path or found.function!r}")
    return tensor.removesuffix(":0")


def _sketch(found: Promotable) -> str:
    arguments = [
        f"{name}: {spec.dtype} {shape_text(spec.shape)}" for name, spec in found.inputs.items()
    ]
    return f"{found.function}({', '.join([*arguments, *found.constants])})"


def is_internal(path: str) -> bool:
    """Return whether a name on its path shows that a function is TensorFlow's or Keras's own."""
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def _plain(name: str) -> str:
    """Return a name with only the characters of an alias: letters, digits and underscores."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return plain if _PLAIN.fullmatch(plain) else f"arg{plain}"
