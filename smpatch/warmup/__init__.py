"""The warm-up requests that TensorFlow Serving replays when it loads a model.

They are in the file ``assets.extra/tf_serving_warmup_requests`` and name signatures, inputs and
outputs. A server does not load a version whose warm-up fails.

``tfrecord`` reads and writes the framing of the file, ``requests`` reads requests and compares them
with a signature, ``rewriting`` changes the names in a record.
"""

from smpatch.warmup.requests import MOST, PLACE, Kind, Misfit, WarmUp, misfits, records, requests
from smpatch.warmup.rewriting import Fate, NotRewrittenError, rewritten

__all__ = [
    "MOST",
    "PLACE",
    "Fate",
    "Kind",
    "Misfit",
    "NotRewrittenError",
    "WarmUp",
    "misfits",
    "records",
    "requests",
    "rewritten",
]
