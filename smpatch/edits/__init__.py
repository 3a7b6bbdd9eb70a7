"""Requests as frozen values: what can be asked of a model. Each kind of edit has one module here.

A kind is one class, which says everything of itself (``editing.edit``). What is named here is
public, and imported when it is first asked for (PEP 562): an edit does not pay for the other kinds.
Nothing else imports a kind but what makes one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from smpatch.editing.edit import Edit, InPatchFiles, Making
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef, tensor_ref

if TYPE_CHECKING:
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
    "AddPredict": "add_predict",
    "PromoteFunction": "promote_function",
    "FromSignature": "from_signature",
    "AddClassify": "add_classify",
    "AddRegress": "add_regress",
    "AddSignature": "add_signature",
    "Compose": "compose",
    "Rename": "rename",
    "Copy": "copy",
    "Remove": "remove",
    "RemoveMetaGraph": "remove_meta_graph",
    "EditSignature": "edit_signature",
    "SetInitOp": "set_init_op",
    "Retag": "retag",
}
"""Kind to module, in the order in which errors list the verbs of patch files."""


def in_patch_files() -> tuple[type[InPatchFiles], ...]:
    """Return the kinds for which a patch file may ask."""
    kinds = (__getattr__(name) for name in _MODULES)
    return tuple(cast("type[InPatchFiles]", each) for each in kinds if hasattr(each, "read"))


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
