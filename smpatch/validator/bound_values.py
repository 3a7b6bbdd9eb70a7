"""Values that are bound to inputs, as the signature is fed that a bound one is made of.

They are repeated here by NumPy, as the edited model repeats them by TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from smpatch import dtypes
from smpatch.errors import RefusedError
from smpatch.functions.binding import Bound, Follow, bound_inputs
from smpatch.proof.numbers import Kept
from smpatch.runs.arrays import from_numpy, to_numpy
from smpatch.runs.feeds import Names, Target
from smpatch.runs.pairs import Pair
from smpatch.runs.protos import array_of
from smpatch.runtime.questions import Array
from smpatch.signature import SignatureDef

__all__ = ["with_bound"]


def with_bound(
    pairs: Iterable[Pair], target: Target, there: Kept, source: SignatureDef, named: Names
) -> Iterator[Pair]:
    """Return pairs in which the reference is fed the values that are bound, too.

    Args:
        pairs: The calls.
        target: The signature that has constants.
        there: What it was.
        source: The signature that it was made of.
        named: Alias to what the source is fed by, in the loader that makes the calls.

    Raises:
        RefusedError: The source does not have such inputs.
    """
    bound = bound_inputs(source, there.was, there.bound)
    now = {was: alias for alias, was in there.inputs.was.items()}
    followed = {
        size.alias
        for each in bound.values()
        for size in each.dims or ()
        if isinstance(size, Follow)
    }
    if not followed <= now.keys():  # in Python an input may have another name
        raise RefusedError("a value follows an input that has another name here")

    def sizes(pair: Pair, each: Bound) -> Iterator[int]:
        for size in each.dims or ():
            if isinstance(size, Follow):
                (fed,) = target.inputs[now[size.alias]]
                yield pair.call.feeds[fed].shape[size.axis]
            else:
                yield size

    def value(pair: Pair, each: Bound) -> Array:
        made = array_of(each.proto)
        if each.dims is None:
            return made
        repeated = np.broadcast_to(to_numpy(made), tuple(sizes(pair, each)))
        return from_numpy(repeated, dtypes.name(made.dtype))

    def fed(pair: Pair) -> Pair:
        feeds = {named[alias][0]: value(pair, each) for alias, each in bound.items()}
        call = replace(pair.reference, feeds={**pair.reference.feeds, **feeds})
        return replace(pair, reference=call)

    return map(fed, pairs)
