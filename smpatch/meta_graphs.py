"""Edits of the library that are about a MetaGraph as a whole.

Each is short for ``patch`` with a list of one, as the verbs of ``patcher`` are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from smpatch import arguments
from smpatch.edits import RemoveMetaGraph, SetInitOp
from smpatch.errors import UsageError
from smpatch.patcher import Options, Receipt, patch

__all__ = ["remove_meta_graph", "set_init_op"]

_Model = str | os.PathLike[str]


def remove_meta_graph(
    model: _Model, tag_set: Sequence[str] | str, *, options: Options | None = None
) -> Receipt:
    """Take a whole MetaGraph away; the bytes of the others stay as they are.

    Variables and assets stay on disk, because other MetaGraphs may share them.

    Args:
        model: The model directory.
        tag_set: The tags that the MetaGraph has.
        options: How the edit is done; its ``tag_set`` is not given here.

    Raises:
        TagSetError: No MetaGraph has the tags, several have them, or it is the only one.
        SmpatchError: As ``patch``.

    Example:
        >>> smpatch.remove_meta_graph("export/1", "train").outcome
        'meta-graph-removed'
    """
    return patch(model, [RemoveMetaGraph(arguments.texts(tag_set, "tag_set"))], options=options)


def set_init_op(
    model: _Model, operations: Sequence[str] | str | None, *, options: Options | None = None
) -> Receipt:
    """Set the init op: what servers run when they load the model, such as to fill tables.

    Args:
        model: The model directory.
        operations: Names of operations of the main graph, which need no input; of several all
            are run. None takes the init op away.
        options: How the edit is done.

    Raises:
        UsageError: No operation is named.
        RefusedError: There is no such operation, it cannot run when a model is loaded, it may
            assign variables that the checkpoint restores, or tables that signatures need would
            not be filled.
        SmpatchError: As ``patch``.

    Example:
        >>> smpatch.set_init_op("export/1", "init").outcome
        'init-op-set'
    """
    names = () if operations is None else arguments.texts(operations, "operations")
    if operations is not None and not names:
        raise UsageError(
            "no operation is named", where="operations", hint="None removes the init op"
        )
    return patch(model, [SetInitOp(names)], options=options)
