"""The warm-up requests that TensorFlow Serving replays when it loads a model.

They lie in ``assets.extra/tf_serving_warmup_requests`` and name signatures, inputs and
outputs. A server does not load a version whose warm-up fails, so an edit that takes one of
those names away, or an export that never had it, keeps the model from being served.

``tfrecord`` has the framing of the file, ``requests`` reads what is called, ``misfits`` compares
a call with a signature, ``rewriting`` changes the names in a record.
"""

from smpatch.warmup.misfits import Misfit, misfits
from smpatch.warmup.requests import MOST, PLACE, Kind, WarmUp, records, requests
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
