"""Load and run models with TensorFlow's Python, the way its users do.

A tensor is described as ``["dense", name]``, ``["sparse", values, indices, dense_shape]`` or
``["ragged", values, row_splits...]``. Values are as in ``client``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tests.oracle.client import Value, decoded, encoded

v1 = tf.compat.v1
Answer = dict[str, Any]

# The first lines of an error of session.run, before the line with the cause.
_PREAMBLE = ("Graph execution error", "Detected at node", "Node: ", "Original stack trace")


def refusal(action: Callable[[], Answer]) -> Answer:
    """Return the answer of an action, or ``{"refused": ...}`` with the error's class and cause."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - TensorFlow raises errors of every kind
        lines = [line.strip() for line in str(error).splitlines() if line[:1].strip()]
        telling = [line for line in lines if not line.startswith(_PREAMBLE)]
        return {"refused": f"{type(error).__name__}: {(telling or lines or [''])[0]}"[:300]}


@contextmanager
def opened_session(directory: str, tags: Sequence[str]) -> Iterator[tuple[Any, Any, Any]]:
    """Load with the v1 loader; yield the session, its graph and the MetaGraphDef."""
    # Without it, exports pinned to a GPU load only there; smpatch sets it too.
    config = v1.ConfigProto(allow_soft_placement=True)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=config) as opened:
        yield opened, graph, v1.saved_model.load(opened, list(tags), directory)


def _tensor(graph: Any, described: Sequence[str]) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    kind, *names = described
    tensors = [graph.get_tensor_by_name(name) for name in names]
    if kind == "sparse":
        values, indices, dense_shape = tensors
        return tf.SparseTensor(indices, values, dense_shape)
    if kind == "ragged":
        return tf.RaggedTensor.from_nested_row_splits(tensors[0], tensors[1:], validate=False)
    return tensors[0]


def measure(
    directory: str,
    tags: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Sequence[str]],
    feed: Mapping[str, Value],
) -> Answer:
    """Load with the v1 loader, build a predict signature, and fetch its outputs by name.

    Returns:
        ``signature`` and ``results``, each a refusal if TensorFlow refuses it; ``steady``:
        whether a second run gives the same results.
    """

    def work() -> Answer:
        with opened_session(directory, tags) as (opened, graph, _):

            def signature() -> Answer:
                built = v1.saved_model.predict_signature_def(
                    {alias: _tensor(graph, each) for alias, each in inputs.items()},
                    {alias: _tensor(graph, each) for alias, each in outputs.items()},
                )
                data = built.SerializeToString(deterministic=True)
                return {"bytes": base64.b64encode(data).decode()}

            def run() -> Answer:
                fed = {name: decoded(value) for name, value in feed.items()}
                names = {alias: described[1] for alias, described in outputs.items()}
                first, second = (_arrays(opened.run(names, fed)) for _ in range(2))
                return {"arrays": first, "steady": first == second}

            return {"signature": refusal(signature), "results": refusal(run)}

    return refusal(work)


def _arrays(results: Mapping[str, Any]) -> dict[str, Value]:
    return {alias: encoded(array) for alias, array in results.items()}


def load(directory: str, tags: Sequence[str], loaders: Sequence[str] = ("v1", "v2")) -> Answer:
    """Return the error of each loader; an empty string if it loads the model."""

    def load_v1() -> Answer:
        with opened_session(directory, tags):
            return {}

    def load_v2() -> Answer:
        tf.saved_model.load(directory, tags=list(tags))
        return {}

    chosen = {"v1": load_v1, "v2": load_v2}
    return {name: refusal(chosen[name]).get("refused", "") for name in loaders}


def run_signature(
    directory: str, tags: Sequence[str], key: str, feed: Mapping[str, Value]
) -> Answer:
    """Load with the v1 loader and fetch the outputs of a signature, as servers do."""

    def work() -> Answer:
        with opened_session(directory, tags) as (opened, graph, meta_graph):
            signature = meta_graph.signature_def[key]
            fed = {graph.get_tensor_by_name(name): decoded(value) for name, value in feed.items()}
            names = {alias: info.name for alias, info in signature.outputs.items()}
            fetched = {alias: graph.get_tensor_by_name(name) for alias, name in names.items()}
            return {"arrays": _arrays(opened.run(fetched, fed))}

    return refusal(work)


def call(
    directory: str,
    tags: Sequence[str],
    key: str,
    inputs: Mapping[str, Sequence[str]],
    feed: Mapping[str, Value],
) -> Answer:
    """Call ``tf.saved_model.load(...).signatures[key]``; ``inputs`` as in ``measure``.

    Returns:
        ``arrays`` by alias, or a refusal; ``stage`` is whether the load or the call was refused.
    """
    loaded: dict[str, Any] = {}

    def load_it() -> Answer:
        loaded["model"] = tf.saved_model.load(directory, tags=list(tags))
        return {}

    def call_it() -> Answer:
        arguments = {
            name: tf.constant(decoded(feed[tensor]))
            for alias, described in inputs.items()
            for name, tensor in _arguments(alias, *described)
        }
        results = loaded["model"].signatures[key](**arguments)
        return {"arrays": _arrays({alias: array.numpy() for alias, array in results.items()})}

    refused = refusal(load_it)
    return {"stage": "load", **refused} if refused else {"stage": "call", **refusal(call_it)}


def _arguments(alias: str, kind: str, *names: str) -> list[tuple[str, str]]:
    """Return the arguments that the Python loader makes of one input of a TF1-style signature."""
    if kind == "sparse":
        parts = ("values", "indices", "dense_shape")
        return [(f"{alias}_{part}", name) for part, name in zip(parts, names, strict=True)]
    if kind == "ragged":
        return [(f"{alias}_component_{index}", name) for index, name in enumerate(names)]
    return [(alias, names[0])]
