"""A wrapper function for a signature with tensors of the main graph.

The nodes between inputs and outputs are copied into the wrapper (in TensorFlow 2 exports
mostly a single call). Variables, tables and assets that they use become captured inputs.

This module adds no node to the main graph. It refuses resources whose object is uncertain, and
TensorFlow 1's control flow.

Source: ``tensorflow/core/framework/function.cc`` (how nodes of a function name their inputs).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from smpatch import dtypes, schema
from smpatch.errors import RefusedError
from smpatch.graph.functions import FunctionLibrary, attributes
from smpatch.graph.index import GraphIndex, full
from smpatch.graph.resolve import Output, outputs
from smpatch.loader import MetaGraph
from smpatch.savedmodel.parts import Addition
from smpatch.signature import SignatureDef, Spec, TensorSpec, parameter, shape_proto

ALONE = "--signature-def-only edits what TF Serving reads and leaves Python's view as it is"


@dataclass(frozen=True, slots=True)
class _Captured:
    """A captured input of a wrapper.

    Attributes:
        number: The number of the object.
        arg: Its declaration in the function, an ``OpDef.ArgDef``.
    """

    number: int
    arg: Any


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """The description of a wrapper function.

    Attributes:
        key: The signature key.
        inputs: The specs of the inputs by alias, sorted by Python's parameter.
        arguments: The names of the function's arguments, by alias.
        outputs: The specs of the outputs by alias, sorted by alias.
        results: The tensors of the body (``node:arg:index`` or an argument) by alias of the output.
        captured: The captured inputs, which follow the inputs in this order.
        nodes: The nodes of the body, ``NodeDef`` messages.
    """

    key: str
    inputs: Mapping[str, TensorSpec]
    arguments: Mapping[str, str]
    outputs: Mapping[str, TensorSpec]
    results: Mapping[str, str]
    captured: Sequence[_Captured]
    nodes: Sequence[Any]


def dense(specs: Mapping[str, Spec], kind: Literal["input", "output"]) -> dict[str, TensorSpec]:
    """Return specs in the order in which TensorFlow pairs them, if all are dense tensors.

    Raises:
        RefusedError: A tensor is sparse or composite, which wrapper functions do not take.
    """
    found = {}
    for alias in sorted(specs, key=parameter if kind == "input" else None):
        spec = specs[alias]
        if not isinstance(spec, TensorSpec):
            found_words = "a sparse or composite tensor cannot be given to a wrapper function"
            raise RefusedError(found_words, where=f"{kind} {alias!r}", hint=ALONE)
        found[alias] = replace(spec, name=full(spec.name))
    return found


def argument_names(aliases: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Return a name for the argument of each alias, in the form that TensorFlow writes.

    Args:
        aliases: The aliases.
        taken: Names that are in use; those returned are added.
    """
    return {alias: next(_names(_identifier(alias), taken)) for alias in aliases}


def _assembled(wrapper: _Wrapper, library: FunctionLibrary, name: str = "") -> Addition:
    """Make a wrapper's function, and all entries that the object graph needs for it.

    Args:
        wrapper: The wrapper.
        library: The functions that the graph has.
        name: The name of the function; by default a name as TensorFlow's exporter writes it.

    Returns:
        One function, one concrete function, and one object.
    """
    if not name:
        number = library.last_number + 1
        name = f"__inference_signature_wrapper_{_identifier(wrapper.key)}_{number}"
    concrete = schema.ConcreteFunctionEntry(key=name)
    concrete.value.bound_inputs.extend(each.number for each in wrapper.captured)
    arguments = concrete.value.canonicalized_input_signature.tuple_value.values
    arguments.add().tuple_value.SetInParent()
    _dictionary(arguments.add(), wrapper.inputs)
    _dictionary(concrete.value.output_signature, wrapper.outputs)
    return Addition(
        functions=(_bytes(_function(wrapper, name, library)),),
        objects=(_bytes(_bare_concrete_function(wrapper, name)),),
        concrete_functions=(_bytes(concrete),),
    )


def _function(wrapper: _Wrapper, name: str, library: FunctionLibrary) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    function = schema.FunctionDef()
    signature = function.signature
    signature.name = name
    for place, (alias, spec) in enumerate(wrapper.inputs.items()):
        argument = wrapper.arguments[alias]
        signature.input_arg.add(name=argument, type=dtypes.number(spec.dtype))
        attributes = function.arg_attr[place].attr
        attributes["_user_specified_name"].s = alias.encode()
        attributes["_output_shapes"].list.shape.append(shape_proto(spec.shape))
    signature.input_arg.extend(each.arg for each in wrapper.captured)
    for place, (alias, spec) in enumerate(wrapper.outputs.items()):
        result = f"identity_{place}" if place else "identity"
        signature.output_arg.add(name=result, type=dtypes.number(spec.dtype))
        function.ret[result] = wrapper.results[alias]
    function.node_def.extend(wrapper.nodes)
    # A node with effects runs even if no result needs it, as in TensorFlow's own wrappers.
    for node in wrapper.nodes:
        op_def = library.op_def(node.op)
        if op_def is not None and op_def.is_stateful:
            signature.is_stateful = True
            signature.control_output.append(node.name)
            function.control_ret[node.name] = node.name
    return function


def _bare_concrete_function(wrapper: _Wrapper, function: str) -> Any:  # noqa: ANN401 - as above
    """Return the object that Python lists under ``signatures``."""
    saved = schema.SavedObject()
    bare = saved.bare_concrete_function
    bare.concrete_function_name = function
    bare.argument_keywords.extend(wrapper.inputs)
    # TensorFlow asserts this when it saves the model again: one input may be passed by position.
    bare.allowed_positional_arguments = 1 if len(wrapper.inputs) == 1 else 0
    spec = bare.function_spec.fullargspec.named_tuple_value
    spec.name = "FullArgSpec"
    spec.values.add(key="args").value.list_value.SetInParent()
    for key in ("varargs", "varkw", "defaults"):
        spec.values.add(key=key).value.none_value.SetInParent()
    keywords = spec.values.add(key="kwonlyargs").value.list_value
    keywords.SetInParent()
    for alias in wrapper.inputs:
        keywords.values.add(string_value=alias)
    spec.values.add(key="kwonlydefaults").value.none_value.SetInParent()
    spec.values.add(key="annotations").value.dict_value.SetInParent()
    bare.function_spec.input_signature.none_value.SetInParent()
    return saved


def _dictionary(structure: Any, specs: Mapping[str, TensorSpec]) -> None:  # noqa: ANN401 - a StructuredValue
    """Write specs as a dictionary of ``TensorSpec``, each under its alias."""
    structure.dict_value.SetInParent()
    for alias, spec in specs.items():
        described = structure.dict_value.fields[alias].tensor_spec_value
        described.name = alias
        described.shape.CopyFrom(shape_proto(spec.shape))
        described.dtype = dtypes.number(spec.dtype)


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - as above
    return bytes(message.SerializeToString(deterministic=True))


def _identifier(alias: str) -> str:
    """Return a name that ``FunctionDef`` arguments may have: lower case, digits, underscores."""
    name = re.sub(r"[^a-z0-9_]", "_", alias.lower())
    return name if name[:1].isalpha() else f"arg_{name}"


def _names(name: str, taken: set[str]) -> Iterator[str]:
    """Yield the name and then numbered ones, without those in use; add each to ``taken``."""
    for fresh in itertools.chain([name], (f"{name}_{number}" for number in itertools.count())):
        if fresh not in taken:
            taken.add(fresh)
            yield fresh


_V1_CONTROL_FLOW = frozenset(
    {"Switch", "RefSwitch", "Merge", "RefMerge", "Enter", "RefEnter", "Exit", "RefExit"}
)


def wrap(meta_graph: MetaGraph, key: str, signature: SignatureDef, name: str = "") -> Addition:
    """Make the function and the object of a signature with tensors of the main graph.

    Args:
        meta_graph: The MetaGraph.
        key: The signature key.
        signature: The signature.
        name: The name of the function; by default a name as TensorFlow's exporter writes it.

    Returns:
        A function, its entry among the concrete functions, and an object; nothing for the
        main graph.

    Raises:
        RefusedError: The object graph cannot have an equal signature.
    """
    inputs, fetched = dense(signature.inputs, "input"), dense(signature.outputs, "output")
    copied, captured_tensors = _between(
        meta_graph,
        {spec.name for spec in inputs.values()},
        [spec.name for spec in fetched.values()],
    )
    taken = set(copied)
    arguments = argument_names(list(inputs), taken)
    names = _names("unknown", taken)
    captured = {
        tensor: _Captured(number, _declared(meta_graph, tensor, next(names)))
        for tensor, number in captured_tensors.items()
    }
    inside = {spec.name: arguments[alias] for alias, spec in inputs.items()}
    inside |= {tensor: each.arg.name for tensor, each in captured.items()}
    nodes = {name: _message(meta_graph.graph, name) for name in copied}
    for node in nodes.values():
        _rewire(meta_graph, node, inside, nodes)
    results = {
        alias: _inner_name(meta_graph, spec.name, inside, nodes) for alias, spec in fetched.items()
    }
    wrapper = _Wrapper(
        key, inputs, arguments, fetched, results, list(captured.values()), list(nodes.values())
    )
    return _assembled(wrapper, meta_graph.functions, name)


def _between(
    meta_graph: MetaGraph, fed: set[str], fetched: list[str]
) -> tuple[list[str], dict[str, int]]:
    """Return the nodes from the outputs back to the inputs, and the tensors that they capture.

    Returns:
        The nodes in the order of the main graph; the numbers of the objects by captured tensor,
        sorted by number.
    """
    wanted = list(fetched)
    nodes: set[str] = set()
    captured: dict[str, int] = {}
    fed_nodes = {name.rpartition(":")[0] for name in fed}
    while wanted:
        tensor = wanted.pop()
        if tensor in fed or tensor in captured:
            continue
        if tensor.startswith("^"):
            # A fed or captured tensor exists before anything runs.
            op = tensor[1:]
            if op in fed_nodes or meta_graph.captures.number(f"{op}:0") is not None:
                continue
        op = tensor.removeprefix("^").rpartition(":")[0] or tensor.removeprefix("^")
        number = meta_graph.captures.number(tensor)
        if number is not None:
            captured[tensor] = number
        elif op not in nodes:
            _check_copyable(meta_graph, op)
            nodes.add(op)
            wanted += [full(source) for source in meta_graph.graph.wiring(op).inputs]
    # Sorted by object, so that the order does not depend on the walk.
    ordered = dict(sorted(captured.items(), key=lambda each: (each[1], each[0])))
    return [name for name in meta_graph.graph if name in nodes], ordered


def _check_copyable(meta_graph: MetaGraph, name: str) -> None:
    wiring = meta_graph.graph.wiring(name)
    if wiring.op in _V1_CONTROL_FLOW:
        raise RefusedError(f"{name!r} is control flow of TensorFlow 1 ({wiring.op})", hint=ALONE)
    if wiring.op in {"Placeholder", "PlaceholderV2"}:
        raise RefusedError(f"the placeholder {name!r} is not fed", hint=ALONE)
    op_def = meta_graph.functions.op_def(wiring.op)
    if op_def is None:
        found = f"the model does not define the operation {wiring.op!r} of {name!r}"
        raise RefusedError(found, hint=ALONE)
    if not wiring.inputs and any(
        output.dtype == "resource" for output in outputs(op_def, meta_graph.graph.node(name).attr)
    ):
        raise RefusedError(f"it is not certain which object the resource {name!r} is", hint=ALONE)


def _declared(meta_graph: MetaGraph, tensor: str, name: str) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    """Return a captured tensor's declaration: its type, and a variable's own type and shape."""
    op, _, index = tensor.rpartition(":")
    node = meta_graph.graph.node(op)
    op_def = meta_graph.functions.op_def(node.wiring.op)
    if op_def is None:
        found = f"the model does not define the operation {node.wiring.op!r} of {op!r}"
        raise RefusedError(found, hint=ALONE)
    arg = schema.OpDef.ArgDef(name=name)
    arg.type = dtypes.number(outputs(op_def, node.attr)[int(index)].dtype)
    dtype, shape = node.attr("dtype"), node.attr("shape")
    if node.wiring.op == "VarHandleOp" and dtype is not None and shape is not None:
        arg.handle_data.add(dtype=dtype.type, shape=shape.shape)
    return arg


def _message(graph: GraphIndex, name: str) -> Any:  # noqa: ANN401 - as above
    message = graph.node(name).message()
    # It names nodes of the main graph, and the loader places the function's nodes again.
    message.attr.pop("_class", None)
    return message


def _rewire(
    meta_graph: MetaGraph,
    node: Any,  # noqa: ANN401 - as above
    inside: Mapping[str, str],
    nodes: Mapping[str, Any],
) -> None:
    """Give a copied node the inputs that it has inside the function."""
    sources = list(node.input)
    del node.input[:]
    for source in sources:
        if not source.startswith("^"):
            node.input.append(_inner_name(meta_graph, full(source), inside, nodes))
        elif source[1:] in nodes:  # a fed or captured tensor exists before anything runs
            node.input.append(source)


def _inner_name(
    meta_graph: MetaGraph, tensor: str, inside: Mapping[str, str], nodes: Mapping[str, Any]
) -> str:
    """Return the name of a tensor of the main graph inside the function."""
    if tensor in inside:
        return inside[tensor]
    op, _, index = tensor.rpartition(":")
    op_def = meta_graph.functions.op_def(nodes[op].op)
    found: list[Output] = outputs(op_def, attributes(nodes[op]))
    output = found[int(index)]
    return f"{op}:{output.arg}:{output.index}"
