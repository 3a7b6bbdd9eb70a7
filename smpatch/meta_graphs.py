"""Edits of the library that are about a MetaGraph as a whole.

Each is short for ``patch`` with a list of one, as the verbs of ``patcher`` are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from smpatch import arguments
from smpatch.edits import RemoveMetaGraph
from smpatch.patcher import Options, Receipt, patch

__all__ = ["remove_meta_graph"]

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
        >>> smpatch.remove_meta_graph("export/1", "train").outcome  # doctest: +SKIP
        'meta-graph-removed'
    """
    return patch(model, [RemoveMetaGraph(arguments.texts(tag_set, "tag_set"))], options=options)
