"""Load models and run their signatures: ``python -m tests.old_releases.read WAY ASKED ANSWERS``.

An old TensorFlow runs this, once for each of ``WAYS``. ``ASKED`` is a JSON list of models, each
with its directory, its tags and the feed of each signature. The answer has for each signature the
inputs, the method and the outputs that it gave, or the error of TensorFlow. It is
``{"absent": ...}`` if this TensorFlow does not have the way.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from typing import Any, Callable, Dict

import tensorflow as tf

from tests.old_releases.arrays import Plain, array, plain

v1 = tf.compat.v1
Asked = Dict[str, Any]
Answer = Dict[str, Any]

RESERVED = "__"
"""The first characters of keys that are not signatures; only a loader uses them."""


def _refusal(action: Callable[[], Answer]) -> Answer:
    """Return the answer, or the error in its place."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - TensorFlow raises errors of every kind
        return {"refused": "{}: {}".format(type(error).__name__, str(error)[:500])}


def _each(keys: Any, one: Callable[[str], Answer]) -> Answer:  # noqa: ANN401 - maps of all releases
    def answer(key: str) -> Answer:
        return _refusal(lambda: one(key))

    return {str(key): answer(key) for key in keys if not key.startswith(RESERVED)}


def _fed(asked: Asked, key: str) -> Dict[str, Plain]:
    fed: Dict[str, Plain] = asked["feeds"].get(key, {})
    return fed


def session(asked: Asked) -> Answer:
    """Load into a session, as servers and TensorFlow 1 do."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as opened:
        loading = v1.saved_model.loader.load
        signatures = loading(opened, asked["tags"], asked["directory"]).signature_def

        def run(key: str) -> Answer:
            signature = signatures[key]
            told = {"inputs": sorted(signature.inputs), "method": signature.method_name}
            if told["inputs"] != sorted(_fed(asked, key)):
                return told
            fed = {
                signature.inputs[alias].name: array(value)
                for alias, value in _fed(asked, key).items()
            }
            names = {alias: info.name for alias, info in signature.outputs.items()}
            given = opened.run(names, fed)
            return {**told, "outputs": {alias: plain(value) for alias, value in given.items()}}

        return _each(sorted(signatures), run)


def function(asked: Asked) -> Answer:
    """Call ``tf.saved_model.load(...).signatures``."""
    model = tf.compat.v2.saved_model.load(asked["directory"], tags=asked["tags"])

    def call(key: str) -> Answer:
        signature = model.signatures[key]
        # For a wrapped graph, the oldest releases have only the keywords.
        told = {"inputs": sorted(signature._arg_keywords)}  # noqa: SLF001 - the reason is above
        if told["inputs"] != sorted(_fed(asked, key)):
            return told
        fed = {alias: tf.constant(array(value)) for alias, value in _fed(asked, key).items()}
        given = signature(**fed)
        outputs = {alias: plain(value.numpy()) for alias, value in given.items()}
        return {**told, "outputs": outputs}

    return _each(model.signatures, call)


_LINE = re.compile(
    r"signature_def\['(?P<key>.*)'\]:"
    r"|(?:inputs\['(?P<input>.*)'\]|outputs\['(?P<output>.*)'\]) tensor_info:"
    r"|Method name is: (?P<method>.*)"
)


def show(asked: Asked) -> Answer:
    """Parse the output of ``saved_model_cli show --all``."""
    from tensorflow.python.tools import saved_model_cli  # noqa: PLC0415 - one way needs it

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        saved_model_cli._show_all(asked["directory"])  # noqa: SLF001 - the function of the command
    tables: Answer = {}
    table: Dict[str, Any] = {}
    for line in printed.getvalue().splitlines():
        found = _LINE.fullmatch(line.strip())
        if found and found.group("key"):
            table = tables[found.group("key")] = {"inputs": [], "names": []}
        elif found and found.group("input"):
            table["inputs"].append(found.group("input"))
        elif found and found.group("output"):
            table["names"].append(found.group("output"))
        elif found:
            table["method"] = found.group("method")
    return {key: table for key, table in tables.items() if not key.startswith(RESERVED)}


def keras(asked: Asked) -> Answer:
    """Load with Keras and predict; the answer has one key, ``keras``."""
    model = tf.keras.models.load_model(asked["directory"])
    fed = [array(asked["values"][name]) for name in ("left", "right")]
    given = [plain(value) for value in model.predict(fed)]
    return {"keras": {"outputs": dict(zip(asked["keras"], given))}}


WAYS = {"session": session, "function": function, "show": show, "keras": keras}


def _absent(way: str) -> str:
    """Return the reason why this TensorFlow does not have a way; empty if it has it."""
    if way in {"function", "keras"}:
        if not hasattr(getattr(tf.compat, "v2", None), "function"):
            return "no functions"
        v1.enable_v2_behavior()
    return ""


def main(way: str, asked: str, answers: str) -> None:
    """Write an answer for each model."""
    with open(asked) as stream:
        models = json.load(stream)
    absent = _absent(way)
    told: Any = {"absent": absent}
    if not absent:
        told = [_refusal(lambda: WAYS[way](model)) for model in models]  # noqa: B023 - called at once
    with open(answers, "w") as stream:
        json.dump(told, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
