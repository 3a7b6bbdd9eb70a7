"""What a signature is called by: in the C runtime by tensors, in Python by arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from smpatch.runs.sessions import Call
from smpatch.runtime.answers import Array, PythonSignature, TensorFact
from smpatch.signature import SignatureDef

__all__ = ["Names", "Target", "in_c", "in_python"]

Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """A signature in one of the two loaders.

    Attributes:
        key: Its key.
        inputs: Alias to the names of what is fed: the tensors of which it consists, or the
            argument.
        outputs: Alias to the names of what is fetched, likewise.
        function: A traced function that is called in its place, in Python; empty for none.
    """

    key: str
    inputs: Names
    outputs: Names
    function: str = ""

    def call(self, values: Mapping[str, tuple[Array, ...]]) -> Call:
        """Return the call with these values, each the tensors of which an input consists."""
        feeds = {
            name: array
            for alias, names in self.inputs.items()
            for name, array in zip(names, values[alias], strict=True)
        }
        return Call(self.key, feeds, self.outputs, self.function)

    def yielding(self, aliases: Iterable[str]) -> Target:
        """Return it with these of its outputs only."""
        return replace(self, outputs={alias: self.outputs[alias] for alias in aliases})


def in_c(signatures: Mapping[str, SignatureDef]) -> dict[str, Target]:
    """Return signatures as the C runtime calls them."""
    return {
        key: Target(
            key,
            {a: tuple(each.name for each in s.tensors()) for a, s in signature.inputs.items()},
            {a: tuple(each.name for each in s.tensors()) for a, s in signature.outputs.items()},
        )
        for key, signature in signatures.items()
    }


def in_python(signatures: Mapping[str, PythonSignature]) -> dict[str, Target]:
    """Return signatures as Python calls them, those of which all arguments are dense."""
    return {
        key: Target(
            key,
            {alias: (alias,) for alias in signature.inputs},
            {a: (a,) for a, fact in signature.outputs.items() if isinstance(fact, TensorFact)},
        )
        for key, signature in signatures.items()
        if all(isinstance(fact, TensorFact) for fact in signature.inputs.values())
    }
