"""Give an exported TensorFlow SavedModel the serving signatures it should have had.

    import smpatch

    model = smpatch.load("export/1")
    model.signatures["serving_default"]
    smpatch.add_predict("export/1", inputs={"x": "x:0"}, outputs={"y": "y:0"})

The way through the package:

    loader.load -> SavedModel          opened lazily, read-only, without TensorFlow
    builder.build -> Built             names resolved, rules checked, reachability proved
    writer.merge -> Plan               byte splices and facts; no disk touched
    writer.stage -> Staged             written aside, payloads linked
    validator.Judge -> Validation      reloaded by TensorFlow in a child process
    writer.commit -> Committed         one rename; before it the model is untouched

``patcher`` walks it from start to end; ``wire`` and ``text`` know the two forms of a file,
``graph`` what a graph says of itself, ``runtime`` alone loads TensorFlow, and ``errors``
holds everything that can be raised.
"""

from __future__ import annotations

from smpatch.builder import Note
from smpatch.edits import RaggedRef, SparseRef
from smpatch.errors import (
    AliasError,
    ConflictError,
    ModelUnreadableError,
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
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.patcher import Options, Receipt, add_predict
from smpatch.signature import (
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    TensorSpec,
    predict_signature_def,
)

__all__ = [
    "AliasError",
    "CompositeTensorSpec",
    "ConflictError",
    "MetaGraph",
    "ModelUnreadableError",
    "Note",
    "Options",
    "RaggedRef",
    "Receipt",
    "RefusedError",
    "SavedModel",
    "SignatureDef",
    "SignatureExistsError",
    "SmpatchError",
    "SparseRef",
    "SparseTensorSpec",
    "TagSetError",
    "TensorNotFoundError",
    "TensorSpec",
    "TensorUnservableError",
    "UnreachableOutputError",
    "UsageError",
    "ValidationError",
    "WriteError",
    "add_predict",
    "load",
    "predict_signature_def",
]
