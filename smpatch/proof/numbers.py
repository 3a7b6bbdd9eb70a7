"""For each output after the edits, the output or tensor before them that it must equal.

Each kind of edit updates these records by its fields alone (``Edit.follow``), for the proof by
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smpatch.arguments import Constant
from smpatch.tensor_refs import TensorRef, named_tensors


@dataclass(frozen=True, slots=True)
class KeptNames:
    """The inputs or the outputs of a signature after the edits.

    Attributes:
        was: Alias to the alias before the edits.
        tensors: Alias to the tensors that an edit names for it, ``op:index`` each, in the order
            of a spec's ``tensors()``. A tensor may be inside a function, and not in the graph.
    """

    was: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A signature after the edits.

    Attributes:
        was: The key that it had before, or the key of the signature from which it was made; empty
            if there is none.
        inputs: Its inputs.
        outputs: Its outputs.
        complete: Whether these are all its inputs and outputs; a function has names that the edit
            does not have.
        function: The traced function that it calls, by path or name. ``was`` of its inputs
            and outputs are then arguments and results. Arguments that are not there keep their
            names, and so do all results if none is there.
        bound: Input, by its alias before the edits, to the value that the model before the edits
            is fed for it; the signature does not have this input any more.
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
    """Return the inputs or outputs for tensors that an edit names."""
    tensors = {alias: tuple(map(tensor, named_tensors(ref))) for alias, ref in refs.items()}
    return KeptNames(tensors=tensors)


def tensor(name: str) -> str:
    """Return the full name of a tensor; a name without an index means the first output."""
    _, colon, index = name.rpartition(":")
    return name if colon and index.isdecimal() else f"{name}:0"
