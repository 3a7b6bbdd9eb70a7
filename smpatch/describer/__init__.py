"""Texts about a signature, for people who deploy it or call it.

``describe`` chooses the signature (``subject``) and writes one of four texts: ``triton_config`` a
configuration for Triton, ``serving_requests`` a request to TF Serving by REST or by gRPC,
``markdown`` tables for the card of a model.

This package reads signatures alone, and does not ask TensorFlow. Names in a model may be hostile:
each text escapes them by the rules of its language.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from smpatch import arguments
from smpatch.describer.markdown import markdown_tables
from smpatch.describer.serving_requests import grpc_program, rest_request
from smpatch.describer.subject import Subject, chosen, model_name, one_of
from smpatch.describer.triton_config import triton_config
from smpatch.errors import UsageError
from smpatch.loader import SavedModel, load

Format = Literal["triton", "rest", "grpc", "markdown"]

FORMATS: tuple[Format, ...] = get_args(Format)

_WRITERS: Mapping[str, Callable[[Subject], str]] = {
    "triton": triton_config,
    "rest": rest_request,
    "grpc": grpc_program,
}


def describe(  # noqa: PLR0913 - the model, the text, and names and sizes in it, each with a default
    model: str | os.PathLike[str] | SavedModel,
    as_: Format = "triton",
    signature: str | None = None,
    *,
    tag_set: Sequence[str] | str | None = None,
    name: str | None = None,
    batch: int | None = None,
) -> str:
    """Return a text about a signature: a configuration, a request, or tables.

    Args:
        model: The model directory, or a loaded model.
        as_: ``triton`` for a ``config.pbtxt``, ``rest`` for ``curl`` lines, ``grpc`` for a
            Python program, ``markdown`` for tables.
        signature: The key. Without it ``markdown`` has all signatures, and the other texts
            are about ``serving_default`` or the only signature.
        tag_set: The tags of the MetaGraph; None for the only one.
        name: The name that the server has for the model; None for the name of its directory,
            without the version.
        batch: The size of an open first dimension in a request (1 by default), or Triton's
            ``max_batch_size`` (4 by default).

    Returns:
        The text, with a line break at its end. All but ``markdown`` are ASCII.

    Raises:
        UsageError: A value makes no sense, or there are several signatures and none is chosen.
        ModelUnreadableError: There is no readable SavedModel.
        TagSetError: No MetaGraph has the tags.
        TensorNotFoundError: The model has no signature of this key.
        RefusedError: The model has no signatures, or the text cannot express the signature.

    Example:
        >>> print(smpatch.describe("export/1", "rest").splitlines()[0])
        # The signature 'serving_default' of 'export', for the REST API of TF Serving.
    """
    if as_ not in FORMATS:
        raise UsageError(
            f"{as_!r} is not a format", where="--as", hint=f"one of {', '.join(FORMATS)}"
        )
    for where, text in (("signature", signature), ("name", name)):
        if text is not None:
            arguments.instance(text, str, where)
    if name is not None and not name:
        raise UsageError("the name of a model is not empty", where="--name")
    if batch is not None:
        try:
            batch = arguments.whole(batch, "--batch", 1)
        except UsageError:
            hint = "a number from 1 on"
            raise UsageError(f"{batch!r} is not a batch size", where="--batch", hint=hint) from None
    opened = model if isinstance(model, SavedModel) else load(model)
    meta_graph = opened.meta_graph(tag_set)
    signatures = chosen(opened, meta_graph, signature)
    called = model_name(opened.directory) if name is None else name
    called = called.encode("utf-8", "replace").decode()  # a request cannot have a lone surrogate
    if as_ == "markdown":
        return markdown_tables(called, meta_graph.tags, signatures)
    key = one_of(signatures)
    return _WRITERS[as_](Subject(opened, meta_graph, called, key, batch))
