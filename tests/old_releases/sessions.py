"""Models of graphs and sessions: ``python -m tests.old_releases.sessions DIR``.

An old TensorFlow runs this. Beside the models it writes ``sessions.json``. For each model this file
has the tags, the values to feed, the results of the graph before it was saved, and the saved
signatures as aliases to the names of these values. All numbers are exact in float32. Values that
could be exchanged have the same shape and are different.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import tensorflow as tf

from tests.old_releases.arrays import plain

v1 = tf.compat.v1
Record = Dict[str, Any]

A = np.array([[1, 2], [3, -1]], np.float32)
B = np.array([[0.5, 4], [-2, 8]], np.float32)
WORDS = np.array([b"two", b"none", b"one"], dtype=object)
PREDICT = "tensorflow/serving/predict"


def _examples() -> Any:  # noqa: ANN401 - the types of NumPy differ between its releases
    def example(value: float) -> bytes:
        feature = v1.train.Feature(float_list=v1.train.FloatList(value=[value]))
        features = v1.train.Features(feature={"v": feature})
        return bytes(v1.train.Example(features=features).SerializeToString())

    return np.array([example(1.5), example(-4.0)], dtype=object)


def _mixture() -> None:
    """Build a graph with reference and resource variables."""
    a = v1.placeholder(tf.float32, [None, 2], name="a")
    b = v1.placeholder(tf.float32, [None, 2], name="b")
    kept = np.array([[1, 2], [3, 4]], np.float32)
    weights = v1.get_variable("w", initializer=kept, use_resource=False)
    kept = np.array([0.5, 0.25], np.float32)
    factors = v1.get_variable("c", initializer=kept, use_resource=True)
    mix = tf.add(tf.matmul(a, weights), b * factors, name="mix")
    tf.nn.relu(mix - 4.0, name="hidden")
    tf.subtract(a, 2.0 * b, name="gap")


def _while() -> None:
    """Build a loop that doubles a number until it is 100 or more, and a branch."""
    x = v1.placeholder(tf.float32, [], name="x")
    grown = tf.while_loop(lambda y: y < 100.0, lambda y: [y * 2.0], [x])
    last = grown[0] if isinstance(grown, (list, tuple)) else grown
    tf.identity(last, name="grown")
    tf.identity(v1.cond(x > 2.0, lambda: x * 5.0, lambda: x - 1.0), name="chosen")


def _lookup(directory: str) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Build a table of an asset, and a parser of examples; return the operation that fills it."""
    file = os.path.join(directory, "words.txt")
    with open(file, "w") as stream:
        stream.write("zero\none\ntwo\n")
    asset = tf.constant(file, name="asset")
    if hasattr(tf, "contrib"):
        words = tf.contrib.lookup.index_table_from_file(asset)
    else:
        words = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                asset,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )
    word = v1.placeholder(tf.string, [None], name="word")
    tf.identity(words.lookup(word), name="place")
    examples = v1.placeholder(tf.string, [None], name="examples")
    parsed = v1.parse_example(examples, {"v": v1.FixedLenFeature([1], tf.float32)})
    tf.multiply(parsed["v"], 2.0, name="score")
    tf.as_string(tf.cast(parsed["v"] > 0.0, tf.int64), name="label")
    return v1.tables_initializer()


def _signature(graph: Any, inputs: List[str], outputs: List[str]) -> Any:  # noqa: ANN401 - as above
    def named(names: List[str]) -> Dict[str, Any]:
        return {name: graph.get_tensor_by_name(name + ":0") for name in names}

    return v1.saved_model.predict_signature_def(named(inputs), named(outputs))


def _record(
    session: Any,  # noqa: ANN401 - as above
    feeds: Dict[str, Any],
    truths: Dict[str, List[str]],
    signatures: Dict[str, Tuple[List[str], List[str]]],
) -> Record:
    """Run the graph, and return the record of the values that must stay the same."""
    truth = {}
    for name, needs in truths.items():
        fed = {need + ":0": feeds[need] for need in needs}
        truth[name] = plain(session.run(name + ":0", fed))
    told = {
        key: {
            "inputs": {name: name for name in inputs},
            "outputs": {name: name for name in outputs},
            "method": PREDICT,
        }
        for key, (inputs, outputs) in signatures.items()
    }
    fed = {name: plain(value) for name, value in feeds.items()}
    return {"tags": ["serve"], "feeds": fed, "truth": truth, "signatures": told}


_MIXED = {"mix": ["a", "b"], "hidden": ["a", "b"], "gap": ["a", "b"]}
_MIXING = {"mixing": (["a", "b"], ["gap", "hidden"])}


def builder(directory: str, *, as_text: bool = False) -> Record:
    """Save variables and a signature with SavedModelBuilder."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        _mixture()
        session.run(v1.global_variables_initializer())
        signatures = {"mixing": _signature(graph, *_MIXING["mixing"])}
        saving = v1.saved_model.Builder(directory)
        saving.add_meta_graph_and_variables(session, ["serve"], signatures)
        saving.save(as_text=as_text)
        return _record(session, {"a": A, "b": B}, _MIXED, _MIXING)


def text(directory: str) -> Record:
    """Save the same model in text form."""
    return builder(directory, as_text=True)


def stripped(directory: str) -> Record:
    """Save a MetaGraph for training, then one for serving; attributes with default values go."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        _mixture()
        session.run(v1.global_variables_initializer())
        signatures = {"mixing": _signature(graph, *_MIXING["mixing"])}
        saving = v1.saved_model.Builder(directory)
        saving.add_meta_graph_and_variables(session, ["train"], {}, strip_default_attrs=True)
        saving.add_meta_graph(["serve", "old"], signatures, strip_default_attrs=True)
        saving.save()
        record = _record(session, {"a": A, "b": B}, _MIXED, _MIXING)
        return {**record, "tags": ["serve", "old"]}


def simple(directory: str) -> Record:
    """Save control flow with simple_save."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        _while()
        fed = {"x": graph.get_tensor_by_name("x:0")}
        given = {"grown": graph.get_tensor_by_name("grown:0")}
        v1.saved_model.simple_save(session, directory, fed, given)
        truths = {"grown": ["x"], "chosen": ["x"]}
        signatures = {"serving_default": (["x"], ["grown"])}
        return _record(session, {"x": np.array(3, np.float32)}, truths, signatures)


def lookup(directory: str) -> Record:
    """Save a table with its asset, and a parser of examples."""
    aside = directory + ".asset"
    os.mkdir(aside)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        filling = _lookup(aside)
        session.run(filling)
        saving = v1.saved_model.Builder(directory)
        saving.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"places": _signature(graph, ["word"], ["place"])},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=filling,
        )
        saving.save()
        truths = {"place": ["word"], "score": ["examples"], "label": ["examples"]}
        feeds = {"word": WORDS, "examples": _examples()}
        return _record(session, feeds, truths, {"places": (["word"], ["place"])})


def frozen(directory: str) -> Record:
    """Freeze the variables into a GraphDef."""
    os.mkdir(directory)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        _mixture()
        session.run(v1.global_variables_initializer())
        graph_def = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), ["hidden", "gap"]
        )
        with open(os.path.join(directory, "graph.pb"), "wb") as stream:
            stream.write(graph_def.SerializeToString())
        return _record(session, {"a": A, "b": B}, _MIXED, {})


WRITERS: Tuple[Callable[[str], Record], ...] = (builder, text, stripped, simple, lookup, frozen)


def main(target: str) -> None:
    """Write all models, and their record."""
    models = {write.__name__: write(os.path.join(target, write.__name__)) for write in WRITERS}
    with open(os.path.join(target, "sessions.json"), "w") as stream:
        json.dump(models, stream)


if __name__ == "__main__":
    main(sys.argv[1])
