"""The kinds of edits, each a class of frozen values that says everything of itself.

``editing.edit`` describes the methods. Only what makes edits imports a kind.
"""

from __future__ import annotations

from smpatch.editing.edit import Edit, InPatchFiles, Making
from smpatch.edits.adding import AddClassify, AddPredict, AddRegress, AddSignature
from smpatch.edits.compose import Compose
from smpatch.edits.edit_signature import EditSignature
from smpatch.edits.from_signature import FromSignature
from smpatch.edits.keys import Copy, Remove, Rename
from smpatch.edits.meta_graphs import RemoveMetaGraph, Retag
from smpatch.edits.promote_function import PromoteFunction
from smpatch.edits.set_init_op import SetInitOp
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef, tensor_ref

__all__ = [
    "IN_PATCH_FILES",
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
    "tensor_ref",
]

IN_PATCH_FILES: tuple[type[InPatchFiles], ...] = (
    AddPredict,
    PromoteFunction,
    FromSignature,
    AddClassify,
    AddRegress,
    Compose,
    Rename,
    Copy,
    Remove,
    RemoveMetaGraph,
    EditSignature,
    SetInitOp,
    Retag,
)
"""The kinds for which a patch file may ask, in the order in which errors list their verbs."""
