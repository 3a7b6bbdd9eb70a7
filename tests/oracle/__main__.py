"""Answer questions about models with TensorFlow, one JSON object per line.

A refusal by TensorFlow is an answer; only a fault of this program itself is a ``bug``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tests.oracle import (
    changing,
    composing,
    consumers,
    factories,
    freezing,
    living,
    loading,
    measuring,
    numbers,
    opening,
    outside,
    parsing,
    planting,
    reference,
    replaying,
    shapes,
    sizes,
    with_object_graph,
)
from tests.oracle.factories.composites import build_composites
from tests.oracle.factories.objects import build_objects
from tests.oracle.factories.random import build_random

_ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "build": factories.build,
    "build_bindable": composing.build_bindable,
    "build_composable": outside.build_composable,
    "build_opening": opening.build_opening,
    "outside": outside.outside,
    "encoded_images": outside.encoded_images,
    "encoded_examples": outside.encoded_examples,
    "example_messages": outside.example_messages,
    "build_composites": build_composites,
    "build_objects": build_objects,
    "build_random": build_random,
    "build_without_shapes": shapes.build_without_shapes,
    "change": changing.change,
    "appended": parsing.appended,
    "checkpoint": parsing.checkpoint,
    "compare": parsing.compare,
    "edit_like": reference.edit_like,
    "fingerprint": parsing.fingerprint,
    "freeze": freezing.freeze,
    "build_numbers": numbers.build_numbers,
    "build_sizes": sizes.build_sizes,
    "freeze_model": freezing.freeze_model,
    "build_like": freezing.build_like,
    "compare_parts": freezing.compare_parts,
    "as_binary": freezing.as_binary,
    "parse": parsing.parse,
    "parse_all": parsing.parse_all,
    "put": parsing.put,
    "call": loading.call,
    "live": living.live,
    "served": living.served,
    "protos": living.protos,
    "load": loading.load,
    "mutate": numbers.mutate,
    "freeze_signature": measuring.freeze_signature,
    "functions": measuring.functions,
    "main_graph": measuring.main_graph,
    "measure": loading.measure,
    "numbers": measuring.numbers,
    "plant": planting.plant,
    "read_requests": replaying.read_requests,
    "replay": replaying.replay,
    "run_together": composing.run_together,
    "run_signature": loading.run_signature,
    "tflite": consumers.tflite,
    "keras_layer": consumers.keras_layer,
    "openvino": consumers.openvino,
    "save_alone": consumers.save_alone,
    "tf2onnx": consumers.tf2onnx,
    "inner_values": with_object_graph.inner_values,
    "show": planting.show,
    "save_again": with_object_graph.save_again,
    "to_text": parsing.to_text,
    "without_op_list": parsing.without_op_list,
    "without_function_ops": shapes.without_function_ops,
    "without_shapes": shapes.without_shapes,
    "tour": with_object_graph.tour,
    "write_records": planting.write_records,
    "write_requests": replaying.write_requests,
}


def main() -> None:
    """Answer questions until the input ends."""
    # TensorFlow prints to stdout; its output must not be between two answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    gc.freeze()  # no garbage collection goes through the modules of TensorFlow
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            answer = _ANSWERS[request.pop("do")](**request)
        except Exception:  # noqa: BLE001 - the client raises it
            answer = {"bug": traceback.format_exc()}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
