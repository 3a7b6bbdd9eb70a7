"""A signature of another SavedModel as an independent function.

The model is loaded into a session, as servers load it. The part of its graph between the inputs
and the outputs of the signature becomes the body of the function:

* TensorFlow makes constants of the variables (``convert_to_constants.py``).
* A lookup table is made and filled inside the function, with the entries that it has after the
  model is loaded; see ``trace_closing``.
* Other state is refused, and also files (assets) that the signature reads when it runs.

Standard library and TensorFlow only: this file runs in a child process.

Sources: ``tensorflow/core/graph/subgraph.cc`` (the nodes that a session leaves out for a feed),
``tensorflow/python/framework/convert_to_constants.py``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .refusals import UntraceableError
from .trace_closing import TableOf, called, check_python, check_size, check_writes, fill

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_TABLE = "HashTableV2"
_LOOPS = ("Enter", "RefEnter")
_LONGEST = 600
"""The most characters of an error that another error repeats."""
_LOCAL = ("TensorArrayV3", "StackV2")
"""Operations that yield a handle to a resource that exists only during one run."""


class OtherModel(NamedTuple):
    """A signature of another model.

    Attributes:
        function: The signature as a function, which takes its inputs by name.
        inputs: Input to type and shape.
        variables: The size in bytes of the variables that became constants.
    """

    function: Callable[..., dict[str, Any]]
    inputs: dict[str, Any]
    variables: int


def other_model(tf: Any, asked: Mapping[str, Any], most_bytes: int) -> OtherModel:
    """Return a signature of another model as a function without variables.

    Args:
        tf: The module ``tensorflow``.
        asked: The ``directory`` of the model, the ``tags`` of the MetaGraph and the ``key`` of the
            signature; ``input_names`` and ``output_names``, alias in the other model to the name in
            this one.
        most_bytes: The largest size in bytes of variables that may become constants.

    Raises:
        UntraceableError: A part of the signature cannot become a part of a function.
    """
    v1, input_names, output_names = tf.compat.v1, asked["input_names"], asked["output_names"]
    config = v1.ConfigProto(allow_soft_placement=True)
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        try:
            meta_graph = v1.saved_model.load(session, asked["tags"], asked["directory"])
        except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
            words = " ".join(str(error).split())[:_LONGEST]
            raise UntraceableError(f"TensorFlow does not load the model: {words}") from error
        signature = meta_graph.signature_def[asked["key"]]
        cut = _Cut(meta_graph.graph_def, signature)
        inputs = {
            input_names.get(alias, alias): _spec(tf, session, alias, info)
            for alias, info in sorted(signature.inputs.items())
        }
        assets = {each.tensor_info.name for each in meta_graph.asset_file_def}
        cut.check({name.partition(":")[0] for name in assets})
        variables = [each for each in cut.graph.node if each.op in _VARIABLES]
        declared = ((each.attr["dtype"].type, each.attr["shape"].shape) for each in variables)
        check_size(sum(_size(tf, *each) for each in declared), most_bytes)
        tables = {
            each.name: _entries(tf, session, each) for each in cut.graph.node if each.op == _TABLE
        }
        outputs = sorted({each.partition(":")[0] for each in cut.outputs.values()})
        graph = _frozen(tf, session, cut.graph, variables, outputs)
        known = {each.name for each in variables}
        made = [each.attr["value"].tensor for each in graph.node if each.name in known]
        size = sum(_size(tf, each.dtype, each.tensor_shape) for each in made)
        check_size(size, most_bytes)
    _plain(graph)
    for name, table in tables.items():
        fill(tf, graph.node, name, table)
    fed = {input_names.get(alias, alias): tensor for alias, tensor in cut.inputs.items()}
    read = {_full(each) for node in graph.node for each in node.input}
    for place in reversed(range(len(graph.node))):
        if f"{graph.node[place].name}:0" in fed.values():
            del graph.node[place]

    def call(**given: Any) -> dict[str, Any]:
        values = {tensor: given[name] for name, tensor in fed.items()}
        wanted = sorted(set(cut.outputs.values()) - values.keys())
        feeds = {tensor: value for tensor, value in values.items() if tensor in read}
        made = v1.import_graph_def(graph, feeds, return_elements=wanted, name="model")
        values |= dict(zip(wanted, made, strict=True))
        named = {output_names.get(alias, alias): each for alias, each in cut.outputs.items()}
        return {name: values[tensor] for name, tensor in named.items()}

    return OtherModel(call, inputs, size)


class _Cut:
    """The part of a graph between the inputs and the outputs of a signature.

    Attributes:
        graph: The ``GraphDef`` of this part, in which a placeholder replaces each input.
        inputs: Alias of an input to the tensor of its placeholder.
        outputs: Alias of an output to its tensor.
    """

    def __init__(self, graph_def: Any, signature: Any) -> None:
        """Make the ``GraphDef`` of this part.

        Raises:
            UntraceableError: An output is not a tensor of the graph, or two inputs are the same.
        """
        nodes = {node.name: node for node in graph_def.node}
        fed = {_full(info.name): alias for alias, info in sorted(signature.inputs.items())}
        if len(fed) < len(signature.inputs):
            raise UntraceableError("two of its inputs are the same tensor")
        stands: dict[str, str] = {}
        for place, tensor in enumerate(fed):
            name = f"input_{place}"
            while name in nodes:
                name += "_"
            stands[tensor] = f"{name}:0"
        self.inputs = {alias: stands[tensor] for tensor, alias in fed.items()}
        tensors = {alias: _full(info.name) for alias, info in signature.outputs.items()}
        self.outputs = {alias: stands.get(each, each) for alias, each in tensors.items()}
        for alias, tensor in self.outputs.items():
            if tensor not in stands.values() and _node(tensor) not in nodes:
                raise UntraceableError(f"its output {alias!r} is not a tensor of its graph")
        self.graph = type(graph_def)(versions=graph_def.versions)
        for tensor, alias in fed.items():
            placeholder = self.graph.node.add(name=_node(stands[tensor]), op="Placeholder")
            placeholder.attr["dtype"].type = signature.inputs[alias].dtype
        self.graph.node.extend(_reached(nodes, map(_node, self.outputs.values()), stands))
        library = {each.signature.name: each for each in graph_def.library.function}
        self.graph.library.function.extend(_used(self.graph.node, library))
        _plain(self.graph)

    def check(self, assets: set[str]) -> None:
        """Check that all nodes can become parts of a function.

        Args:
            assets: The names of nodes that yield the path of a file.

        Raises:
            UntraceableError: A node cannot become a part of a function.
        """
        bodies = [self.graph.node, *(each.node_def for each in self.graph.library.function)]
        registry = importlib.import_module("tensorflow.python.framework.op_def_registry")
        for place, body in enumerate(bodies):
            check_python(body)
            check_writes(body)
            for node in body:
                what = f"({node.op} {node.name!r})"
                if node.op in _PLACEHOLDERS[:2] and f"{node.name}:0" not in self.inputs.values():
                    found = f"it needs the placeholder {node.name!r}, but no input feeds it"
                    raise UntraceableError(found)
                if node.op in _LOOPS:
                    found = f"it has a loop of TensorFlow 1 {what}"
                    hint = "compose the other model instead, with this one before or behind it"
                    raise UntraceableError(found, hint=hint)
                is_known = place == 0 and node.op in (*_VARIABLES, _TABLE)
                if not is_known and _holds(registry.get(node.op), node):
                    found = f"it has a state {what}"
                    hint = "only variables that are read and tables that do not change are carried"
                    raise UntraceableError(found, hint=hint)
        for node in self.graph.node:
            if node.name in assets:
                found = f"it reads a file of its model when it runs ({node.name!r})"
                raise UntraceableError(found, hint="a function has no files")


def _reached(
    nodes: Mapping[str, Any], outputs: Iterable[str], stands: Mapping[str, str]
) -> list[Any]:
    """Return the nodes that outputs need, with other tensors instead of the fed ones.

    If a node waits for the node of a fed tensor, a session runs that node too, unless it is a
    placeholder.

    Args:
        nodes: Name to node.
        outputs: The names of the nodes of the outputs.
        stands: Fed tensor to the tensor that replaces it.
    """
    fed = {_node(tensor) for tensor in stands}
    fed = {name for name in fed if name in nodes and nodes[name].op in _PLACEHOLDERS}
    kept: dict[str, Any] = {}
    wanted = list(outputs)
    while wanted:
        name = wanted.pop()
        if name in kept or name not in nodes:
            continue
        node = type(nodes[name])()
        node.CopyFrom(nodes[name])
        reads = (each for each in node.input if not (each[0] == "^" and each[1:] in fed))
        node.input[:] = [stands.get(_full(each), each) for each in reads]
        wanted += map(_node, node.input)
        kept[name] = node
    return list(kept.values())


def _plain(graph: Any) -> None:
    """Remove the attributes ``_class`` and ``_output_shapes``, which may be about removed nodes."""
    for node in graph.node:
        for key in ("_class", "_output_shapes"):
            node.attr.pop(key, None)


def _used(nodes: Iterable[Any], library: Mapping[str, Any]) -> list[Any]:
    """Return the functions that nodes call, directly or not, in the order of the library."""
    seen: set[str] = set()
    wanted = list(nodes)
    while wanted:
        for name in called(wanted.pop()):
            if name in library and name not in seen:
                seen.add(name)
                wanted += library[name].node_def
    return [each for name, each in library.items() if name in seen]


def _holds(op_def: Any, node: Any) -> bool:
    """Return whether an operation yields a handle to a resource that exists after a run."""
    if op_def is None or not op_def.is_stateful or node.op in _LOCAL:
        return False
    resource = 20  # DT_RESOURCE
    return any(each.is_ref or each.type == resource for each in op_def.output_arg)


def _size(tf: Any, dtype: int, shape: Any) -> int:
    return int(tf.as_dtype(dtype).size * (tf.TensorShape(shape).num_elements() or 0))


def _frozen(tf: Any, session: Any, graph: Any, variables: list[Any], outputs: list[str]) -> Any:
    """Return a graph in which constants replace the variables.

    Raises:
        UntraceableError: TensorFlow cannot do this.
    """
    if not variables:
        return graph
    for node in variables:
        if node.op != "VarHandleOp":
            continue
        read = f"{node.name}/Read/ReadVariableOp"  # TensorFlow looks the node up by this name
        try:
            session.graph.get_operation_by_name(read)
        except KeyError:
            handle = session.graph.get_tensor_by_name(f"{node.name}:0")
            dtype = tf.as_dtype(node.attr["dtype"].type)
            with tf.name_scope(""):
                tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype, name=read)
    graph = _inlined(tf, graph, outputs)
    freezing = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    convert = freezing.convert_variables_to_constants_from_session_graph
    try:
        return convert(session, graph, outputs)
    except ValueError as error:
        raise UntraceableError(f"its variables do not become constants: {error}") from error


def _inlined(tf: Any, graph_def: Any, outputs: list[str]) -> Any:
    """Return a graph in which calls of functions are inlined, except in branches and loops.

    TensorFlow does the same before it makes constants of the variables of a function: it cannot
    make them if a function is called several times.
    """
    freezing = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    optimizer = importlib.import_module("tensorflow.python.grappler.tf_optimizer")
    graph_def = freezing.disable_lower_using_switch_merge(graph_def)
    with tf.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(graph_def, name="")
        meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(outputs)
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # also for small graphs
    options.optimizers.append("function")
    return optimizer.OptimizeGraph(config, meta_graph)


def _entries(tf: Any, session: Any, node: Any) -> TableOf:
    """Return the entries of a table after the model is loaded.

    Raises:
        UntraceableError: The table cannot be read.
    """
    types = [tf.as_dtype(node.attr[key].type) for key in ("key_dtype", "value_dtype")]
    handle = session.graph.get_tensor_by_name(f"{node.name}:0")
    exported = tf.raw_ops.LookupTableExportV2(table_handle=handle, Tkeys=types[0], Tvalues=types[1])
    try:
        keys, values = session.run([exported.keys, exported.values])
    except tf.errors.OpError as error:
        found = f"its table {node.name!r} cannot be read: {error.message}"
        raise UntraceableError(found) from error
    return TableOf(types[0], types[1], keys, values)


def _spec(tf: Any, session: Any, alias: str, info: Any) -> Any:
    """Return the type and the shape of an input, merged from the signature and the graph.

    Raises:
        UntraceableError: The types differ, or the shapes are not compatible.
    """
    there = session.graph.get_tensor_by_name(_full(info.name))
    said = tf.TensorShape(info.tensor_shape)
    if there.dtype.base_dtype.as_datatype_enum != info.dtype or not (
        there.shape.is_compatible_with(said)
    ):
        found = f"its input {alias!r} has another type or shape in the graph than in the signature"
        raise UntraceableError(found)
    return tf.TensorSpec(there.shape.merge_with(said), there.dtype.base_dtype)


def _full(name: str) -> str:
    """Return the name of a tensor with its index; the name of a control input stays."""
    if name.startswith("^"):
        return name
    return name if re.search(r":\d+$", name) else f"{name}:0"


def _node(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]
