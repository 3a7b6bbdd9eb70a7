"""The output or tensor of the model before the edits that each output must equal, and its feeds.

Each kind of edit changes these by its fields alone (``Edit.follow``), for the proof by numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smpatch.arguments import Constant
from smpatch.tensor_refs import TensorRef, named_tensors

__all__ = ["Kept", "KeptNames", "KeptSignatures", "named", "tensor"]


@dataclass(frozen=True, slots=True)
class KeptNames:
    """The inputs or the outputs of a signature after the edits.

    Attributes:
        was: Alias to the alias that it had before.
        tensors: Alias to the tensors that an edit names for it, ``op:index`` each, in the order
            of a spec's ``tensors()``. One may be inside a function, and not in the graph.
    """

    was: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A signature after the edits.

    Attributes:
        was: The key that it had before, or that it was made from; empty where there was none.
        inputs: Its inputs.
        outputs: Its outputs.
        complete: Whether these are all; a function has names that the edit does not say.
        function: The traced function that it calls, by path or name. ``was`` of its inputs
            and outputs are then arguments and results; those that are not there keep their
            names, all outputs if none is there.
        bound: Inputs, by the aliases that they had before, to the values that they are fed
            before; they are no inputs any more.
    """

    was: str = ""
    inputs: KeptNames = KeptNames()
    outputs: KeptNames = KeptNames()
    complete: bool = True
    function: str = ""
    bound: Mapping[str, Constant] = field(default_factory=dict)


KeptSignatures = dict[str, Kept]
"""Key to signature."""


def named(refs: Mapping[str, TensorRef]) -> KeptNames:
    """Return inputs or outputs that are tensors which an edit names."""
    tensors = {alias: tuple(map(tensor, named_tensors(ref))) for alias, ref in refs.items()}
    return KeptNames(tensors=tensors)


def tensor(name: str) -> str:
    """Return the full name of a tensor: the first output where no index is written."""
    _, colon, index = name.rpartition(":")
    return name if colon and index.isdecimal() else f"{name}:0"
