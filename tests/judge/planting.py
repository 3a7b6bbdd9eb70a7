"""Write what no exporter writes: faults of a model, and the records of its warm-up requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Answer = dict[str, Any]


def write_records(file: str, records: Sequence[str]) -> Answer:
    """Write a TFRecord file of records that are given in hexadecimal."""
    with tf.io.TFRecordWriter(file) as writer:
        for record in records:
            writer.write(bytes.fromhex(record))
    return {}
