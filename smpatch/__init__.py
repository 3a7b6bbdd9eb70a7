"""Change the serving signatures of an exported TensorFlow SavedModel.

    import smpatch

    model = smpatch.load("export/1")
    model.signatures["serving_default"]
    smpatch.add_predict("export/1", inputs={"x": "x:0"}, outputs={"y": "y:0"})

The way of an edit through the package:

    loader.load -> SavedModel          opened lazily, read-only, without TensorFlow
    builder.build -> Built             names resolved, rules checked, reachability proved
    writer.merge -> Plan               byte splices and facts; no disk touched
    writer.stage -> Staged             written to a staging directory, payloads linked
    validator.Validator -> Validation  reloaded by TensorFlow in a child process
    writer.commit -> Committed         one rename; before it the model is untouched

``transaction`` carries these steps out; each kind of edit is one class in ``edits``; ``savedmodel``
reads and writes both forms of a file, ``graph`` reads graphs, ``functions`` makes the functions
of Python's half of an export, ``runtime`` alone loads TensorFlow, and ``errors`` has all
errors. CONTRIBUTING.md has the layers.

A name is imported at its first use (PEP 562), so that a program that only reads models does
not import the modules that change them.

The library logs under ``smpatch`` with the standard ``logging``: files, child processes and
questions to them, staging directories and commits. Nothing is printed unless the program adds a
handler.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smpatch.late_names import late_names

if TYPE_CHECKING:
    from smpatch.batch import Outcome, apply
    from smpatch.checker import (
        Checked,
        CheckOptions,
        Compared,
        Feeding,
        Finding,
        Report,
        SameAs,
        check,
        check_all,
    )
    from smpatch.describer import describe
    from smpatch.differ import Difference, diff
    from smpatch.editing.edit import Edit
    from smpatch.edits import EditSignature
    from smpatch.errors import (
        AliasError,
        ConflictError,
        Fault,
        ModelUnreadableError,
        PatchFileError,
        ProofError,
        RefusedError,
        SignatureExistsError,
        SmpatchError,
        TagSetError,
        TensorNotFoundError,
        TensorUnservableError,
        UnreachableOutputError,
        UsageError,
        ValidationError,
        WriteError,
    )
    from smpatch.frozen_graph import wrap_graph
    from smpatch.loader import MetaGraph, SavedModel, load
    from smpatch.options import Options
    from smpatch.other_export import copy_signatures
    from smpatch.patcher import Change, Receipt, patch
    from smpatch.patchfile import Patch, load_patch
    from smpatch.rules import Note
    from smpatch.session import Session
    from smpatch.signature import (
        CompositeTensorSpec,
        SignatureDef,
        SparseTensorSpec,
        TensorSpec,
        classification_signature_def,
        predict_signature_def,
        regression_signature_def,
    )
    from smpatch.stores.access import set_store_options
    from smpatch.suggestions import Suggestions, suggest
    from smpatch.tensor_refs import RaggedRef, SparseRef
    from smpatch.undoing import Restored, Undone, undo
    from smpatch.verbs import (
        add_classify,
        add_predict,
        add_regress,
        compose_signature,
        copy_signature,
        derive_signature,
        edit_signature,
        promote_function,
        remove_meta_graph,
        remove_signatures,
        rename_signature,
        retag,
        set_init_op,
    )
    from smpatch.warmup_file import WarmupRequest, WrittenWarmup, warmup_requests, write_warmup

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "AliasError",
    "Change",
    "CheckOptions",
    "Checked",
    "Compared",
    "CompositeTensorSpec",
    "ConflictError",
    "Difference",
    "Edit",
    "EditSignature",
    "Fault",
    "Feeding",
    "Finding",
    "MetaGraph",
    "ModelUnreadableError",
    "Note",
    "Options",
    "Outcome",
    "Patch",
    "PatchFileError",
    "ProofError",
    "RaggedRef",
    "Receipt",
    "RefusedError",
    "Report",
    "Restored",
    "SameAs",
    "SavedModel",
    "Session",
    "SignatureDef",
    "SignatureExistsError",
    "SmpatchError",
    "SparseRef",
    "SparseTensorSpec",
    "Suggestions",
    "TagSetError",
    "TensorNotFoundError",
    "TensorSpec",
    "TensorUnservableError",
    "Undone",
    "UnreachableOutputError",
    "UsageError",
    "ValidationError",
    "WarmupRequest",
    "WriteError",
    "WrittenWarmup",
    "add_classify",
    "add_predict",
    "add_regress",
    "apply",
    "check",
    "check_all",
    "classification_signature_def",
    "compose_signature",
    "copy_signature",
    "copy_signatures",
    "derive_signature",
    "describe",
    "diff",
    "edit_signature",
    "load",
    "load_patch",
    "patch",
    "predict_signature_def",
    "promote_function",
    "regression_signature_def",
    "remove_meta_graph",
    "remove_signatures",
    "rename_signature",
    "retag",
    "set_init_op",
    "set_store_options",
    "suggest",
    "undo",
    "warmup_requests",
    "wrap_graph",
    "write_warmup",
]

_NAMES = {
    "batch": "Outcome apply",
    "checker": "CheckOptions Checked Compared Feeding Finding Report SameAs check check_all",
    "describer": "describe",
    "differ": "Difference diff",
    "editing.edit": "Edit",
    "edits": "EditSignature",
    "errors": (
        "AliasError ConflictError Fault ModelUnreadableError PatchFileError ProofError "
        "RefusedError SignatureExistsError SmpatchError TagSetError TensorNotFoundError "
        "TensorUnservableError UnreachableOutputError UsageError ValidationError WriteError"
    ),
    "frozen_graph": "wrap_graph",
    "loader": "MetaGraph SavedModel load",
    "options": "Options",
    "other_export": "copy_signatures",
    "patcher": "Change Receipt patch",
    "patchfile": "Patch load_patch",
    "rules": "Note",
    "session": "Session",
    "signature": (
        "CompositeTensorSpec SignatureDef SparseTensorSpec TensorSpec "
        "classification_signature_def predict_signature_def regression_signature_def"
    ),
    "stores.access": "set_store_options",
    "suggestions": "Suggestions suggest",
    "tensor_refs": "RaggedRef SparseRef",
    "undoing": "Restored Undone undo",
    "verbs": (
        "add_classify add_predict add_regress compose_signature copy_signature derive_signature "
        "edit_signature promote_function remove_meta_graph remove_signatures rename_signature "
        "retag set_init_op"
    ),
    "warmup_file": "WarmupRequest WrittenWarmup warmup_requests write_warmup",
}
"""Module to its public names."""

_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


__getattr__ = late_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
