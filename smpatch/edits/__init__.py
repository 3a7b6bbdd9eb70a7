"""The kinds of edits, each a class of frozen values with all code of its kind.

``editing.edit`` describes the methods. Only modules that make edits import a kind. A kind is
imported at its first use (PEP 562), so that an edit does not pay for the other kinds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from smpatch.editing.edit import Edit, InPatchFiles, Making
from smpatch.late_names import late_names
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef, tensor_ref

if TYPE_CHECKING:
    from smpatch.edits.adding import AddClassify, AddPredict, AddRegress, AddSignature
    from smpatch.edits.compose import Compose
    from smpatch.edits.edit_signature import EditSignature
    from smpatch.edits.from_signature import FromSignature
    from smpatch.edits.keys import Copy, Remove, Rename
    from smpatch.edits.meta_graphs import RemoveMetaGraph, Retag
    from smpatch.edits.promote_function import PromoteFunction
    from smpatch.edits.set_init_op import SetInitOp

__all__ = [
    "AddClassify",
    "AddPredict",
    "AddRegress",
    "AddSignature",
    "Compose",
    "Copy",
    "Edit",
    "EditSignature",
    "FromSignature",
    "Making",
    "PromoteFunction",
    "RaggedRef",
    "Remove",
    "RemoveMetaGraph",
    "Rename",
    "Retag",
    "SetInitOp",
    "SparseRef",
    "TensorRef",
    "in_patch_files",
    "tensor_ref",
]

_MODULES = {
    "AddPredict": "adding",
    "PromoteFunction": "promote_function",
    "FromSignature": "from_signature",
    "AddClassify": "adding",
    "AddRegress": "adding",
    "AddSignature": "adding",
    "Compose": "compose",
    "Rename": "keys",
    "Copy": "keys",
    "Remove": "keys",
    "RemoveMetaGraph": "meta_graphs",
    "EditSignature": "edit_signature",
    "SetInitOp": "set_init_op",
    "Retag": "meta_graphs",
}
"""Kind to module, in the order in which errors list the verbs of patch files."""


__getattr__ = late_names(__name__, _MODULES)


def in_patch_files() -> tuple[type[InPatchFiles], ...]:
    """Return the kinds that patch files can have."""
    kinds = (__getattr__(name) for name in _MODULES)
    return tuple(cast("type[InPatchFiles]", each) for each in kinds if hasattr(each, "read"))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
