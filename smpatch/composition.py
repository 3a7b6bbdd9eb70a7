"""The library's verb for signatures that are made of another one."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smpatch import arguments
from smpatch.edits import Compose
from smpatch.errors import UsageError
from smpatch.patcher import Options, Receipt, patch

__all__ = ["compose_signature"]


def compose_signature(
    model: str | os.PathLike[str],
    source: str,
    *,
    bind: Mapping[str, object],
    signature: str,
    options: Options | None = None,
) -> Receipt:
    """Make a signature of another one, some inputs of which become constants.

    Args:
        model: The model directory.
        source: The key of the signature to start from, which stays as it is.
        bind: Input to its value: a number, a text, a truth value, nested lists of these, or an
            array. It has the input's shape or that of its last dimensions; then it is repeated
            over the first ones, which are as large as those of another input where they are open.
        signature: The key of the new signature.
        options: How the edit is done.

    Returns:
        What was done.

    Raises:
        RefusedError: There is no such signature or input, or a value is not one of its input.
        SmpatchError: As ``add_predict``.

    Example:
        >>> compose_signature(
        ...     "export/1", "serving_default", bind={"is_training": False}, signature="serve"
        ... )  # doctest: +SKIP
    """
    if not bind:
        raise UsageError("no input is bound", where="bind", hint="name one, and its value")
    overwrite = isinstance(options, Options) and options.overwrite
    return patch(
        model,
        Compose(source, signature, arguments.constants(bind, "bind"), overwrite),
        options=options,
    )
