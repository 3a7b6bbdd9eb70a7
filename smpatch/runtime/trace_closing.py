"""Make a traced function independent: its captures become parts of it.

* A captured constant becomes a ``Const``; variables that are only read are frozen.
* A lookup table that does not change is made and filled inside the function. To fill it again with
  the same entries is not an error and changes nothing. Its ``shared_name`` is a digest of its
  contents, so two tables with one name have the same entries.
* All other captures are refused, and also calls back into Python.

Attributes that have their default are left out, because TensorFlow before 2.5 refuses models with
attributes that it does not define. Names of gradients in Python are left out, too.

Standard library and TensorFlow only: this file runs in a child process.

Sources: ``tensorflow/core/kernels/lookup_table_op.h`` (sharing by name),
``tensorflow/core/kernels/lookup_util.cc`` (``InitializeTableV2`` on a table that is filled),
``tensorflow/python/framework/convert_to_constants.py``.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
from typing import Any, NamedTuple

from .refusals import UntraceableError

_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
_WRITES = ("Assign", "ResourceScatter", "ResourceApply", "ResourceSparse", "Scatter", "Rng")
_STANDS_FOR = ("api_", "_implements")
"""Attributes by which grappler and TFLite replace a function by another one."""
_DROPPED = ("_gradient_op_type", "forward_function_name", "backward_function_name")


class Closed(NamedTuple):
    """A function without captures.

    Attributes:
        functions: The function and the functions that it calls, each a serialized ``FunctionDef``.
        ops: The operations that they use, sorted.
        frozen_bytes: The size in bytes of the variables that became constants.
    """

    functions: list[bytes]
    ops: list[str]
    frozen_bytes: int


def closed(tf: Any, concrete: Any, count: int, most_bytes: int | None) -> Closed:
    """Return a concrete function without captures.

    Args:
        tf: The module ``tensorflow``.
        concrete: The function.
        count: The number of its arguments, without its captures.
        most_bytes: The largest size in bytes of variables that may become constants; None if
            variables are refused.

    Raises:
        UntraceableError: A capture or a call cannot become a part of the function.
    """
    names = [each.name for each in concrete.graph.inputs[count:]]
    held = dict(zip(names, (outside for outside, _ in concrete.graph.captures), strict=True))
    root, library = _definitions(concrete)
    for each in [root, *library.values()]:
        check_python(each.node_def)
    frozen = 0
    handles = list(map(id, held.values()))
    variables = [each for each in concrete.graph.variables if id(each.handle) in handles]
    if variables:
        if most_bytes is None:
            found = f"it captures a variable ({variables[0].name})"
            hint = "variables of a function in a file, FILE.py:NAME, become constants"
            raise UntraceableError(found, hint=hint)
        frozen = sum(each.dtype.size * each.shape.num_elements() for each in variables)
        check_size(frozen, most_bytes)
        for each in [root, *library.values()]:
            check_writes(each.node_def)
        freezing = importlib.import_module("tensorflow.python.framework.convert_to_constants")
        convert = freezing.convert_variables_to_constants_v2
        concrete = convert(concrete, lower_control_flow=False)
        name = root.signature.name
        root, library = _definitions(concrete)
        root.signature.name = name
        left = [each.name for each in concrete.graph.inputs[count:]]
        held = {name: held[name] for name in left}
    _bind(tf, root, count, list(held.values()))
    functions = _reached(root, library)
    for each in functions:
        _tidy(each)
    ops = sorted({node.op for each in functions for node in each.node_def} - library.keys())
    return Closed([each.SerializeToString(deterministic=True) for each in functions], ops, frozen)


def _definitions(concrete: Any) -> tuple[Any, dict[str, Any]]:
    root = type(concrete.function_def)()
    root.CopyFrom(concrete.function_def)
    library = concrete.graph.as_graph_def().library
    return root, {each.signature.name: each for each in library.function}


def check_size(size: int, most_bytes: int) -> None:
    """Check that variables are not too large to become constants.

    Raises:
        UntraceableError: They are too large.
    """
    if size > most_bytes:
        hint = f"those of a function become constants, up to {most_bytes:,} bytes"
        raise UntraceableError(f"its variables have {size:,} bytes", hint=hint)


def check_python(nodes: Any) -> None:
    """Check that no node calls back into Python.

    Raises:
        UntraceableError: A node does so.
    """
    for node in nodes:
        if node.op in _PYTHON:
            found = f"it calls back into Python ({node.op} {node.name!r}), which no server can"
            raise UntraceableError(found, hint="use operations of TensorFlow alone")


def check_writes(nodes: Any) -> None:
    """Check that no node writes a variable, such as the state of a random generator.

    Raises:
        UntraceableError: A node does so.
    """
    for node in nodes:
        if node.op.startswith(_WRITES) and node.op != "ScatterNd":  # this makes a tensor
            found = f"it writes variables ({node.op} {node.name!r})"
            raise UntraceableError(
                found, hint="its variables become constants, which cannot change"
            )


def _bind(tf: Any, root: Any, count: int, held: list[Any]) -> None:
    """Replace the arguments that are captures by nodes.

    Raises:
        UntraceableError: A capture cannot become a node.
    """
    arguments = [each.name for each in root.signature.input_arg[count:]]
    taken = {each.name for each in root.node_def} | {e.name for e in root.signature.input_arg}
    for place, (name, value) in enumerate(zip(arguments, held, strict=True)):
        stem = f"captured_{place}"
        while stem in taken:
            stem += "_"
        if value.dtype == tf.resource:
            source, wait = _table(tf, root, stem, value)
        elif value.dtype == tf.variant or not hasattr(value, "numpy"):
            raise UntraceableError(f"it captures a {value.dtype.name} that cannot be carried")
        else:
            source, wait = _constant(tf, root, stem, value), ""
        _redirect(root, name, source, wait)
    del root.signature.input_arg[count:]
    for place in range(count, count + len(arguments)):
        root.arg_attr.pop(place, None)
    root.resource_arg_unique_id.clear()


def _redirect(root: Any, name: str, source: str, wait: str) -> None:
    """Replace an argument by a tensor in all nodes that read it.

    If ``wait`` is the name of a node and not empty, these nodes wait for it.
    """
    for node in root.node_def:
        if name in node.input:
            sources = [source if each == name else each for each in node.input]
            if wait and f"^{wait}" not in sources:
                sources.append(f"^{wait}")
            del node.input[:]
            node.input.extend(sources)
    for result in root.ret:
        if root.ret[result] == name:
            root.ret[result] = source


def _constant(tf: Any, root: Any, name: str, value: Any) -> str:
    node = root.node_def.add(name=name, op="Const")
    array = value.numpy()
    node.attr["value"].tensor.CopyFrom(
        tf.make_tensor_proto(array, dtype=value.dtype, shape=value.shape.as_list())
    )
    node.attr["dtype"].type = value.dtype.as_datatype_enum
    return f"{name}:output:0"


def _table(tf: Any, root: Any, name: str, handle: Any) -> tuple[str, str]:
    """Make a table, and return its handle and the name of the node that fills it.

    Raises:
        UntraceableError: The resource is not a table that does not change.
    """
    table = next(
        (
            each
            for each in gc.get_objects()
            # Not isinstance, which uses the object: a weak proxy raises if its object is deleted.
            if issubclass(type(each), tf.lookup.StaticHashTable) and each.resource_handle is handle
        ),
        None,
    )
    if table is None:
        found = f"it captures a resource ({_resource(handle)})"
        hint = "only variables that are read and tables that do not change are carried"
        raise UntraceableError(found, hint=hint)
    exported = tf.raw_ops.LookupTableExportV2(
        table_handle=handle, Tkeys=table.key_dtype, Tvalues=table.value_dtype
    )
    entries = exported.keys.numpy(), exported.values.numpy()
    held = TableOf(table.key_dtype, table.value_dtype, *entries)
    filled = _made(tf, root.node_def, name, held)
    # In functions, the names of outputs are a part of the names of tensors.
    filled.input[:] = [f"{name}:table_handle:0", *(f"{e}:output:0" for e in filled.input[1:])]
    root.signature.is_stateful = True
    return f"{name}:table_handle:0", str(filled.name)


class TableOf(NamedTuple):
    """A lookup table.

    Attributes:
        key_dtype: The type of the keys.
        value_dtype: The type of the values.
        keys: The keys.
        values: The values, in the order of the keys.
    """

    key_dtype: Any
    value_dtype: Any
    keys: Any
    values: Any


def fill(tf: Any, nodes: Any, name: str, table: TableOf) -> None:
    """Replace a node of a graph by a table that is filled when the graph runs."""
    at = next(place for place, each in enumerate(nodes) if each.name == name)
    del nodes[at]
    wait = f"^{_made(tf, nodes, name, table).name}"
    for node in nodes:
        read = {each.partition(":")[0] for each in node.input}
        if name in read and wait[1:] != node.name and wait not in node.input:
            node.input.append(wait)


def _made(tf: Any, nodes: Any, name: str, table: TableOf) -> Any:
    """Add a table and the nodes that fill it, and return the node ``InitializeTableV2``."""
    taken = {each.name for each in nodes}
    stem = name
    while not taken.isdisjoint(f"{stem}/{part}" for part in ("filled", "keys", "values")):
        stem += "_"
    keys, values = _sorted(table.keys, table.values)
    parts = {
        "keys": tf.make_tensor_proto(keys, dtype=table.key_dtype, shape=[len(keys)]),
        "values": tf.make_tensor_proto(values, dtype=table.value_dtype, shape=[len(values)]),
    }
    digest = hashlib.sha256(
        b"".join(each.SerializeToString(deterministic=True) for each in parts.values())
    ).hexdigest()
    made = nodes.add(name=name, op="HashTableV2")
    made.attr["key_dtype"].type = table.key_dtype.as_datatype_enum
    made.attr["value_dtype"].type = table.value_dtype.as_datatype_enum
    made.attr["shared_name"].s = f"smpatch_table_{digest[:40]}".encode()
    # If it is not set, Python's loader sets it and appends a number to the name.
    made.attr["use_node_name_sharing"].b = True
    filled = nodes.add(name=f"{stem}/filled", op="InitializeTableV2")
    filled.input.append(name)
    for part, proto in parts.items():
        node = nodes.add(name=f"{stem}/{part}", op="Const")
        node.attr["value"].tensor.CopyFrom(proto)
        node.attr["dtype"].type = proto.dtype
        filled.input.append(node.name)
    filled.attr["Tkey"].type = table.key_dtype.as_datatype_enum
    filled.attr["Tval"].type = table.value_dtype.as_datatype_enum
    return filled


def _sorted(keys: Any, values: Any) -> tuple[list[Any], list[Any]]:
    """Return the entries in the order of their keys; a table exports them in any order."""
    pairs = sorted(zip(keys.tolist(), values.tolist(), strict=True))
    return [key for key, _ in pairs], [value for _, value in pairs]


def _resource(handle: Any) -> str:
    text = repr(handle)
    _, found, rest = text.partition('type="')
    return rest.partition('"')[0].rpartition("::")[2] if found else "of an unknown kind"


def _reached(root: Any, library: dict[str, Any]) -> list[Any]:
    """Return a function and the functions that it calls, each after the first one that names it."""
    found = [root]
    seen = {root.signature.name}
    for function in found:
        for node in function.node_def:
            for name in called(node):
                if name in library and name not in seen:
                    seen.add(name)
                    found.append(library[name])
    return found


def called(node: Any) -> list[str]:
    """Return the operation of a node, and the functions that its attributes name."""
    names = [node.op]
    for key in sorted(node.attr):
        value = node.attr[key]
        names += [each.name for each in (value.func, *value.list.func) if each.name]
    return names


def _tidy(function: Any) -> None:
    """Remove the fields that only describe the trace, and attributes that have their default."""
    registry = importlib.import_module("tensorflow.python.framework.op_def_registry")
    for name in [*function.attr]:
        if name in _DROPPED or name.startswith(_STANDS_FOR):
            function.attr.pop(name)
    for node in function.node_def:
        node.ClearField("experimental_debug_info")
        node.ClearField("experimental_type")
        node.ClearField("device")
        for name in _DROPPED:
            node.attr.pop(name, None)
        op_def = registry.get(node.op)
        for attr in op_def.attr if op_def is not None else ():
            if attr.HasField("default_value") and attr.name in node.attr:
                value = node.attr[attr.name]
                if value.SerializeToString(deterministic=True) == (
                    attr.default_value.SerializeToString(deterministic=True)
                ):
                    node.attr.pop(attr.name)
