"""The library's verb for signatures that are made of another one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from smpatch import arguments
from smpatch.edits import Compose, Rename
from smpatch.errors import UsageError
from smpatch.fragments import asked_list
from smpatch.patcher import Options, Receipt, patch

__all__ = ["compose_signature"]


def compose_signature(  # noqa: PLR0913 - the parts of the request, and how it is done
    model: str | os.PathLike[str],
    source: str,
    *,
    signature: str,
    before: Sequence[str] | str = (),
    after: Sequence[str] | str = (),
    bind: Mapping[str, object] | None = None,
    keep_as: str | None = None,
    options: Options | None = None,
) -> Receipt:
    """Make a signature of another one: with functions before and behind it, and constants.

    Args:
        model: The model directory.
        source: The key of the signature to start from, which stays as it is.
        signature: The key of the new signature.
        before: What yields inputs of the source, in the order in which it runs: functions of
            Python files (``pre.py:decode``), recipes (``image=decode_image(224, 224)``), and
            signatures of other models (``tokenizer/1:tokenize``). A file runs with the rights of
            the caller, in a process of its own.
        after: What takes outputs of the source, likewise.
        bind: Input to its value: a number, a text, a truth value, nested lists of these, or an
            array. It has the input's shape or that of its last dimensions; then it is repeated
            over the first ones, which are as large as those of another input where they are open.
        keep_as: The key that the signature gets which has ``signature`` now; it may be the source.
        options: How the edit is done.

    Returns:
        What was done.

    Raises:
        UsageError: There is no such file or recipe, or nothing is asked for.
        RefusedError: There is no such signature or input, a value is not one of its input, or a
            function cannot be traced or does not fit.
        SmpatchError: As ``add_predict``.

    Example:
        >>> compose_signature(
        ...     "export/1", "serving_default", bind={"is_training": False}, signature="serve"
        ... )  # doctest: +SKIP
    """
    if not (bind or before or after):
        raise UsageError("nothing is composed", hint="give before, after or bind")
    overwrite = isinstance(options, Options) and options.overwrite
    constants = arguments.constants(bind or {}, "bind")
    put = asked_list(before, "before"), asked_list(after, "after")
    if keep_as is None:
        return patch(model, Compose(source, signature, constants, overwrite, *put), options=options)
    moved = keep_as if source == signature else source
    kept = Rename(signature, keep_as)
    return patch(
        model, [kept, Compose(moved, signature, constants, overwrite, *put)], options=options
    )
