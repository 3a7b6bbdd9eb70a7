"""The numbers of a model that edits must keep: of signatures, inner tensors and functions.

Values are as in ``client``; the key of a value to feed is the alias of the input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tests.oracle.client import Value, decoded, encoded
from tests.oracle.loading import opened_session, refusal
from tests.oracle.with_object_graph import tour

v1 = tf.compat.v1
Answer = dict[str, Any]
Feeds = Mapping[str, Mapping[str, Value]]

_UNFETCHABLE = {tf.resource, tf.variant}
_SIZE = 2
"""The size that stands in for an unknown dimension."""


def numbers(
    directory: str,
    tags: Sequence[str],
    feeds: Feeds,
    loaders: Sequence[str],
    alone: bool,  # noqa: FBT001 - from JSON
) -> Answer:
    """Run signatures of a model.

    Args:
        directory: The model.
        tags: Its tag-set.
        feeds: Signature key to its feed; other signatures are not called.
        loaders: As ``tour`` takes them.
        alone: Load the model again for each signature, so that none changes the state of another.

    Returns:
        As ``tour``.
    """
    groups = [{key: feed} for key, feed in feeds.items()] if alone else [dict(feeds)]
    answer: Answer = {"listed": {}, **{name: {} for name in loaders}}
    for group in groups or [{}]:
        told = tour(directory, tags, group, loaders=loaders)
        for name, found in told.items():
            answer[name].update(found)
    return answer


def main_graph(
    directory: str, tags: Sequence[str], key: str, feed: Mapping[str, Value], most: int
) -> Answer:
    """Fetch tensors of the main graph between a signature's inputs and its outputs.

    Returns:
        ``arrays``: name of the tensor to its value, for at most ``most`` tensors. ``whole``:
        those of them that are the only output of their operation.
    """

    def work() -> Answer:
        with opened_session(directory, tags) as (session, graph, meta_graph):
            signature = meta_graph.signature_def[key]
            fed = {signature.inputs[alias].name: decoded(value) for alias, value in feed.items()}
            outputs = [graph.get_tensor_by_name(info.name) for info in signature.outputs.values()]
            skipped = {*fed, *(each.name for each in outputs)}
            found = [each for each in _between(outputs, set(fed)) if each.name not in skipped]
            step = max(1, len(found) // most)
            arrays = {}
            for name in [each.name for each in found[::step][:most]]:
                # A tensor in a loop has no single value; in a dead branch it has none.
                told = refusal(lambda: {"array": encoded(session.run(name, fed))})  # noqa: B023 - called at once
                if "array" in told:
                    arrays[name] = told["array"]
            whole = [each for each in arrays if len(graph.get_tensor_by_name(each).op.outputs) == 1]
            return {"arrays": arrays, "whole": whole}

    return refusal(work)


def freeze_signature(
    directory: str, tags: Sequence[str], key: str, feed: Mapping[str, Value], to: str
) -> Answer:
    """Write the graph of a signature to a file, with variables as constants, and run it.

    Returns:
        ``inputs`` and ``outputs``: alias to tensor; a refusal if the written graph does not run,
        because a table or a state is lost.
    """

    def work() -> Answer:
        with opened_session(directory, tags) as (session, graph, meta_graph):
            signature = meta_graph.signature_def[key]
            inputs, outputs = (
                {alias: info.name for alias, info in each.items()}
                for each in (signature.inputs, signature.outputs)
            )
            operations = sorted({name.partition(":")[0] for name in outputs.values()})
            frozen = v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), operations
            )
        tf.io.write_graph(frozen, *os.path.split(to), as_text=False)
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            tf.import_graph_def(frozen, name="")
            fed = {inputs[alias]: decoded(value) for alias, value in feed.items()}
            session.run(outputs, fed)
        return {"inputs": inputs, "outputs": outputs}

    return refusal(work)


def _between(outputs: Sequence[Any], fed: set[str]) -> Iterator[Any]:
    """Yield the tensors that depend on fed tensors and that a session can fetch."""
    depends: dict[str, bool] = {}
    order: list[Any] = []
    stack = [(tensor.op, False) for tensor in outputs]
    while stack:
        op, done = stack.pop()
        if done:
            depends[op.name] = any(
                each.name in fed or depends.get(each.op.name, False) for each in op.inputs
            )
            order.append(op)
        elif op.name not in depends:
            depends[op.name] = False
            stack.append((op, True))
            stack += [(each.op, False) for each in op.inputs if each.name not in fed]
    branched: set[str] = set()
    for op in order:
        # A tensor in a branch has a value for some inputs only.
        if op.type in {"Switch", "RefSwitch"} or (
            op.type not in {"Merge", "RefMerge"}
            and any(each.op.name in branched for each in op.inputs)
        ):
            branched.add(op.name)
        elif depends[op.name]:
            for tensor in op.outputs:
                if tensor.dtype not in _UNFETCHABLE and not tensor.dtype._is_ref_dtype:  # noqa: SLF001 - there is no other way
                    yield tensor


def functions(directory: str, traces: Sequence[tuple[str, int]], feeds: Feeds) -> Answer:
    """Call traced functions in Python, each in a load of its own.

    Args:
        directory: The model.
        traces: Path of a function from the root, and the number of one of its traces.
        feeds: Argument to value by path; others are made up.

    Returns:
        ``functions``: for each trace ``feed`` by argument and ``arrays`` by structured output,
        or a refusal.
    """

    def call(path: str, place: int) -> Answer:
        found = root = tf.saved_model.load(directory)
        for part in path.split("."):
            found = _child(found, part)
        function = found.concrete_functions[place]
        specs = tf.nest.flatten(function.structured_input_signature)
        if any(_is_spec(each) and not isinstance(each, tf.TensorSpec) for each in specs):
            raise ValueError("its arguments are composite")
        own = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
        tensors = dict(zip(function._arg_keywords, own, strict=True))  # noqa: SLF001 - as the exporter names them
        known = feeds.get(path, {})
        feed = {
            name: decoded(known[name]) if name in known else _made(name, spec)
            for name, spec in tensors.items()
        }
        values = [tf.constant(value, tensors[name].dtype) for name, value in feed.items()]
        flat = function._call_flat(values, function.captured_inputs)  # noqa: SLF001 - takes no constants
        del root
        return {
            "feed": {name: encoded(value) for name, value in feed.items()},
            "arrays": {name: encoded(each.numpy()) for name, each in _named(flat).items()},
        }

    def measure(path: str, place: int) -> Answer:
        told = call(path, place)
        if told != call(path, place):
            raise ValueError("it is random")
        return told

    return {"functions": [refusal(lambda: measure(path, place)) for path, place in traces]}  # noqa: B023 - called at once


def _child(found: Any, part: str) -> Any:  # noqa: ANN401 - any object that TensorFlow tracks
    if isinstance(found, Mapping):
        return found[part]
    return found[int(part)] if part.isdigit() else getattr(found, part)


def _is_spec(found: object) -> bool:
    return isinstance(found, tf.TypeSpec)


def _named(results: Any) -> dict[str, Any]:  # noqa: ANN401 - a nest of tensors
    """Return results by the names that the exporter gives to outputs of a signature."""
    found = {"output_0": results}
    if isinstance(results, Mapping):
        found = dict(results)
    elif isinstance(results, list | tuple):
        found = {f"output_{place}": each for place, each in enumerate(results)}
    if not all(isinstance(each, tf.Tensor) for each in found.values()):
        raise ValueError("its results are nested or composite")
    return found


def _made(name: str, spec: Any) -> Any:  # noqa: ANN401 - a TensorSpec, an array
    shape = [_SIZE if size is None else size for size in spec.shape]
    if spec.dtype == tf.string:
        array = np.empty(shape, object)
        array[...] = name.encode()
        return array
    count = np.arange(np.prod(shape, dtype=int)).reshape(shape) + 1
    return count.astype(spec.dtype.as_numpy_dtype)
