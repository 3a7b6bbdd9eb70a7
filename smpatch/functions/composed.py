"""A signature that is to be made of another one, as an edit asks for it.

This module makes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from smpatch.arguments import Constant
from smpatch.fragments import Asked
from smpatch.functions.inner_inputs import Start

__all__ = ["Composition"]


class Composition(Protocol):
    """A signature that is to be made of another one, as ``Compose`` asks for it.

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: Input of the source to its value.
        before: The functions that yield inputs of the source, in the order in which they run.
        after: The functions that take outputs of the source, in the order in which they run.
        from_input: Alias to a tensor between the source's inputs and outputs, which is an input.
        starts: The same, once they are found.
        dummy_input: An input that nothing reads; empty for none.
        in_parts: Whether its numbers are compared with those of its parts.
    """

    @property
    def source(self) -> str: ...  # noqa: D102 - said above
    @property
    def key(self) -> str: ...  # noqa: D102 - said above
    @property
    def bind(self) -> Mapping[str, Constant]: ...  # noqa: D102 - said above
    @property
    def before(self) -> tuple[Asked, ...]: ...  # noqa: D102 - said above
    @property
    def after(self) -> tuple[Asked, ...]: ...  # noqa: D102 - said above
    @property
    def from_input(self) -> Mapping[str, str]: ...  # noqa: D102 - said above
    @property
    def starts(self) -> Mapping[str, Start]: ...  # noqa: D102 - said above
    @property
    def dummy_input(self) -> str: ...  # noqa: D102 - said above
    @property
    def in_parts(self) -> bool: ...  # noqa: D102 - said above
