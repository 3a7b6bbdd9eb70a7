"""The library's verb for signatures that are made of another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from smpatch import arguments
from smpatch.edits import Compose
from smpatch.errors import UsageError
from smpatch.fragments import asked_list
from smpatch.patcher import Options, Receipt, patch

__all__ = ["compose_signature"]

_Function = Callable[..., object]


def compose_signature(  # noqa: PLR0913 - the parts of the request, and how it is done
    model: str | os.PathLike[str],
    source: str,
    *,
    signature: str,
    before: Sequence[str | _Function] | str | _Function = (),
    after: Sequence[str | _Function] | str | _Function = (),
    bind: Mapping[str, object] | None = None,
    from_input: Mapping[str, str] | None = None,
    dummy_input: str | None = None,
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
            the caller, in a process of its own. A callable of this process (a Python function, a
            ``tf.function`` or a concrete function) is traced in the TensorFlow that the caller
            has imported; it may capture constants and tables that do not change.
        after: What takes outputs of the source, likewise.
        bind: Input to its value: a number, a text, a truth value, nested lists of these, or an
            array. It has the input's shape or that of its last dimensions; then it is repeated
            over the first ones, which are as large as those of another input where they are open.
        from_input: Alias to a tensor between the inputs and outputs of the source, which becomes an
            input: of the main graph, or inside a function (``node:index``, with ``@call+call``
            behind it where that is ambiguous). What lies before it is not computed, and inputs
            that only that needs go. ``before`` and ``bind`` may name the alias.
        dummy_input: An input that nothing reads, ``float32 [?]``, for a server that does not
            accept a signature without inputs.
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
    if not (bind or before or after or from_input or dummy_input):
        hint = "give before, after, bind, from_input or dummy_input"
        raise UsageError("nothing is composed", hint=hint)
    overwrite = isinstance(options, Options) and options.overwrite
    constants = arguments.constants(bind or {}, "bind")
    put = asked_list(before, "before"), asked_list(after, "after")
    more = from_input or {}, dummy_input or ""
    edit = Compose(source, signature, constants, overwrite, *put, *more)
    return patch(model, edit if keep_as is None else edit.keeping(keep_as), options=options)
