"""Call every signature of a model, in Python and as servers do, and save it again.

Values are as in ``client``; the key of a value to feed is the alias of the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

from tests.oracle.client import Value, decoded, encoded
from tests.oracle.loading import opened_session, refusal

v1 = tf.compat.v1
Answer = dict[str, Any]
Feeds = Mapping[str, Mapping[str, Value]]


def tour(
    directory: str,
    tags: Sequence[str],
    feeds: Feeds,
    times: int = 1,
    loaders: Sequence[str] = ("python",),
) -> Answer:
    """Call signatures of a model, one after the other, after one load.

    Args:
        directory: The model.
        tags: Its tag-set.
        feeds: Signature key to its feed; other signatures are not called.
        times: The number of calls of each; the last results count.
        loaders: ``python`` for ``tf.saved_model.load``, ``session`` for the v1 loader.

    Returns:
        For each loader, key to ``arrays`` by alias or to a refusal. ``listed``: the keys that
        Python lists, with the sorted names of inputs and outputs.
    """
    answer: Answer = {"listed": {}}
    if "python" in loaders:
        loaded = refusal(lambda: {"model": tf.saved_model.load(directory, tags=list(tags))})
        signatures = {} if "refused" in loaded else loaded["model"].signatures
        answer["listed"] = {key: _names(signature) for key, signature in signatures.items()}
        answer["python"] = {
            key: loaded if "refused" in loaded else _in_python(signatures, key, feed, times)
            for key, feed in feeds.items()
        }
    if "session" in loaders:
        with opened_session(directory, tags) as (session, _, meta_graph):
            answer["session"] = {
                key: _in_session(session, meta_graph.signature_def, key, feed, times)
                for key, feed in feeds.items()
            }
    return answer


def _names(signature: Any) -> list[list[str]]:  # noqa: ANN401 - TensorFlow ships no types
    _, arguments = signature.structured_input_signature
    return [sorted(arguments), sorted(signature.structured_outputs)]


def _in_python(signatures: Any, key: str, feed: Mapping[str, Value], times: int) -> Answer:  # noqa: ANN401 - as above
    def call() -> Answer:
        arguments = {alias: tf.constant(decoded(value)) for alias, value in feed.items()}
        for _ in range(times):
            results = signatures[key](**arguments)
        return {"arrays": {alias: encoded(each.numpy()) for alias, each in results.items()}}

    return refusal(call)


def _in_session(
    session: Any,  # noqa: ANN401 - as above
    signatures: Any,  # noqa: ANN401 - as above
    key: str,
    feed: Mapping[str, Value],
    times: int,
) -> Answer:
    def run() -> Answer:
        signature = signatures[key]
        fed = {signature.inputs[alias].name: decoded(value) for alias, value in feed.items()}
        names = {alias: info.name for alias, info in signature.outputs.items()}
        for _ in range(times):
            results = session.run(names, fed)
        return {"arrays": {alias: encoded(each) for alias, each in results.items()}}

    return refusal(run)


def save_again(directory: str, tags: Sequence[str], to: str) -> Answer:
    """Load a model in Python and save it with its signatures, as TensorFlow advises for edits."""

    def work() -> Answer:
        loaded = tf.saved_model.load(directory, tags=list(tags))
        tf.saved_model.save(loaded, to, signatures=dict(loaded.signatures))
        return {}

    return refusal(work)


def inner_values(
    directory: str,
    tags: Sequence[str],
    tensors: Sequence[tuple[Sequence[str], str]],
    feed: Mapping[str, Value],
) -> Answer:
    """Compute tensors inside functions without any copy of a function.

    The bodies of the functions on the way are imported into the main graph, as if they had been
    inlined there, and a session fetches the tensors.

    Args:
        directory: The model.
        tags: Its tag-set.
        tensors: The call nodes on the way, the main graph's first, and the tensor; no call for a
            tensor of the main graph.
        feed: Tensor of the main graph to the value to feed.

    Returns:
        ``arrays``: a value for each of the tensors, in their order.
    """

    def work() -> Answer:
        with opened_session(directory, tags) as (session, graph, meta_graph):
            inlined = _Inlined(graph, meta_graph.graph_def.library)
            names = [inlined.tensor(tuple(calls), tensor) for calls, tensor in tensors]
            fed = {name: decoded(value) for name, value in feed.items()}
            return {"arrays": [encoded(each) for each in session.run(names, fed)]}

    return refusal(work)


class _Inlined:
    """Bodies of functions, imported once for each path of calls that leads to them."""

    def __init__(self, graph: Any, library: Any) -> None:  # noqa: ANN401 - as above
        self._graph = graph
        self._functions = {each.signature.name: each for each in library.function}
        self._library = library
        self._scopes: dict[tuple[str, ...], str] = {}

    def tensor(self, calls: tuple[str, ...], tensor: str) -> Any:  # noqa: ANN401 - as above
        name = f"{self._scope(calls)}/{tensor}" if calls else tensor
        return self._graph.get_tensor_by_name(name)

    def _scope(self, calls: tuple[str, ...]) -> str:
        if calls not in self._scopes:
            outer = f"{self._scope(calls[:-1])}/" if len(calls) > 1 else ""
            scope = f"inlined_{len(self._scopes)}"
            call = self._graph.get_operation_by_name(f"{outer}{calls[-1]}")
            function = self._functions[call.get_attr("f").name]
            body, _ = function_def_to_graph.function_def_to_graph_def(function)
            arguments = [each.name for each in function.signature.input_arg]
            given = dict(zip(arguments, call.inputs, strict=True))
            body.ClearField("library")
            for node in body.node:  # it may name an argument, which is not a node here
                node.attr.pop("_class", None)
            v1.import_graph_def(body, name=scope, input_map=given)
            self._scopes[calls] = scope
        return self._scopes[calls]
