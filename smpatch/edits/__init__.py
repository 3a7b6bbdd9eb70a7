"""Requests as frozen values: what can be asked of a model. Each kind of edit has one module here.

A kind is one class, which says everything of itself (``editing.edit``). What is imported here is
public; nothing else imports a kind but what makes one.
"""

from __future__ import annotations

from smpatch.editing import Edit, InPatchFiles, Making
from smpatch.edits.add_classify import AddClassify
from smpatch.edits.add_predict import AddPredict
from smpatch.edits.add_regress import AddRegress
from smpatch.edits.add_signature import AddSignature
from smpatch.edits.compose import Compose
from smpatch.edits.copy import Copy
from smpatch.edits.edit_signature import EditSignature
from smpatch.edits.from_signature import FromSignature
from smpatch.edits.promote_function import PromoteFunction
from smpatch.edits.remove import Remove
from smpatch.edits.remove_meta_graph import RemoveMetaGraph
from smpatch.edits.rename import Rename
from smpatch.edits.retag import Retag
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
