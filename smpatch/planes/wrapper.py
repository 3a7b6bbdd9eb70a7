"""A wrapper function and what the object graph says of it.

The order trap: TensorFlow pairs tensors with alphabetically sorted names, so results of a
wrapper are always in the order of their sorted aliases, and arguments in that of the parameters
that Python makes of their aliases; nowhere does an order come from anything else.

This room does not know what a wrapper computes: nodes and results are given to it.

Sources: ``tensorflow/python/saved_model/signature_serialization.py``,
``function_serialization.py``, ``function_deserialization.py``,
``tensorflow/core/framework/function.proto``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smpatch import dtypes, schema
from smpatch.errors import RefusedError
from smpatch.forms.parts import Addition
from smpatch.graph.functions import FunctionLibrary
from smpatch.signature import Spec, TensorSpec, parameter, shape_proto

__all__ = ["ALONE", "Captured", "Wrapper", "argument_names", "assemble", "dense"]

ALONE = "--signature-def-only edits what TF Serving reads and leaves Python's view as it is"


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured input of a wrapper.

    Attributes:
        number: The object that it is.
        arg: How the function declares it, an ``OpDef.ArgDef``.
    """

    number: int
    arg: Any


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What a wrapper function is to be.

    Attributes:
        key: The signature key.
        inputs: Alias to what is fed, sorted by Python's parameter.
        arguments: Alias to the name of the function's argument.
        outputs: Alias to what is fetched, sorted by alias.
        results: Alias to the tensor of the body (``node:arg:index`` or an argument).
        captured: What follows the inputs, in this order.
        nodes: The body, ``NodeDef`` messages.
    """

    key: str
    inputs: Mapping[str, TensorSpec]
    arguments: Mapping[str, str]
    outputs: Mapping[str, TensorSpec]
    results: Mapping[str, str]
    captured: Sequence[Captured]
    nodes: Sequence[Any]


def dense(specs: Mapping[str, Spec], kind: Literal["input", "output"]) -> dict[str, TensorSpec]:
    """Return specs in the order in which TensorFlow pairs them, when all are dense tensors.

    Raises:
        RefusedError: One is sparse or composite, which wrapper functions do not take.
    """
    found = {}
    for alias in sorted(specs, key=parameter if kind == "input" else None):
        spec = specs[alias]
        if not isinstance(spec, TensorSpec):
            found_words = "a sparse or composite tensor cannot be given to a wrapper function"
            raise RefusedError(found_words, where=f"{kind} {alias!r}", hint=ALONE)
        found[alias] = spec
    return found


def argument_names(aliases: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Return a name for the argument of each alias, as TensorFlow writes them.

    Args:
        aliases: The aliases.
        taken: Names that are in use; those returned are added.
    """
    return {alias: _free(_identifier(alias), taken) for alias in aliases}


def captured_name(taken: set[str]) -> str:
    """Return a name for the next captured input, as TensorFlow writes them."""
    return _free("unknown", taken)


def assemble(wrapper: Wrapper, library: FunctionLibrary, name: str = "") -> Addition:
    """Make a wrapper's function and everything that the object graph needs of it.

    Args:
        wrapper: The wrapper.
        library: The functions that are there.
        name: What the function is called; by default as TensorFlow's exporter would.

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


def _function(wrapper: Wrapper, name: str, library: FunctionLibrary) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
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
    # What has effects runs although no result may need it, as in TensorFlow's own wrappers.
    for node in wrapper.nodes:
        op_def = library.op_def(node.op)
        if op_def is not None and op_def.is_stateful:
            signature.is_stateful = True
            signature.control_output.append(node.name)
            function.control_ret[node.name] = node.name
    return function


def _bare_concrete_function(wrapper: Wrapper, function: str) -> Any:  # noqa: ANN401 - as above
    """Return the object that Python lists under ``signatures``."""
    saved = schema.SavedObject()
    bare = saved.bare_concrete_function
    bare.concrete_function_name = function
    bare.argument_keywords.extend(wrapper.inputs)
    # TensorFlow asserts it when it saves again: one input may be passed by position.
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


def _free(name: str, taken: set[str]) -> str:
    fresh, count = name, 0
    while fresh in taken:
        fresh, count = f"{name}_{count}", count + 1
    taken.add(fresh)
    return fresh
