"""The reader of patch files: edits in a TOML file, which ``smpatch apply`` makes on many models.

    version = 1
    tag-set = "serve"                        # only where models have several MetaGraphs

    [[edit]]
    rename = "image_quality"
    to = "serving_default"

    [[edit]]
    add-predict = "scores"                   # the key comes with the verb
    inputs = "x:0, ids=ragged(values=v:0,row_splits=r:0)"
    outputs = { scores = "head/Softmax:0" }  # text as on the command line, or a table

    [[edit]]
    add-predict = "encode"                   # a traced function
    function = "encoder.call"
    outputs = { embedding = "output_0" }

    [[edit]]
    add-classify = "classify"                # add-regress: examples, predictions
    examples = "tf_example:0"
    classes = "ClassString:0"
    scores = "Softmax:0"

    [[edit]]
    edit = "serving_default"
    rename-input = { args_0 = "image" }      # old = new
    rename-output = { output_0 = "scores" }
    drop-input = "unused"
    drop-output = ["logits", "mask"]
    add-output = { embedding = "dense/Relu:0" }
    shape = { image = [-1, 224, 224, 3] }    # "unknown" for an unknown rank
    method = "predict"                       # or classify, regress, or a name in full
    default = { threshold = 0.5 }
    drop-default = "temperature"

    [[edit]]
    add-predict = "embedding"                # an inner tensor
    from-signature = "serving_default"
    outputs = "embedding=dense/Relu:0"

    [[edit]]
    compose = "serve"                        # functions around a signature, and constants
    from-signature = "serving_default"
    before = ["image=decode_image(224, 224)"]  # or a function: "pre.py:crop"
    after = "top_k(scores, 5)"
    bind = { is_training = false }         # an array: { file = "mask.npy" }
    keep-as = "raw"                        # another key for the signature that has this one now

    [[edit]]
    copy = "serving_default"
    to = "predict"

    [[edit]]
    remove = ["train_*", "debug"]

    [[edit]]
    init-op = "init_all_tables"              # one or several; no-init-op = true removes it

    [[edit]]
    retag = "transform"                      # tags, or a place among the MetaGraphs, from 0
    to = "serve"

The edits are done in their order, in one commit. Each edit is a table with one verb, the name of
a command; its other keys are the options of this command without their dashes. A list is an
array, or one text if it has one element. Relative paths start in the directory of the file.
``op-library`` and ``signature-def-only = true`` are at the top, as ``tag-set``. An edit that
changes a signature is before the edits that start from this signature; otherwise a second
application could not find out that the first one was made. A file with
``remove-meta-graph = "train"`` (tags) has no edits of another kind.

All faults of a document are reported at once, each with its path (``edit[2].inputs.x``, counted
from 0) and its line. This module reads no model. So there is no ``copy-signatures``, whose effect
depends on the model.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from smpatch import arguments
from smpatch.editing.edit import InPatchFiles
from smpatch.editing.sequence import conflicts
from smpatch.edits import Edit, in_patch_files
from smpatch.errors import Fault, PatchFileError, UsageError
from smpatch.op_libraries import is_package
from smpatch.patch_table import Table, dotted
from smpatch.patchfile import toml

_VERSION = 1

_LARGEST = 1 << 24
"""The most bytes of a patch file, so that a model file given by mistake is not parsed."""


@dataclass(frozen=True, slots=True)
class Patch:
    """The content of a patch file.

    Attributes:
        edits: The edits, in their order.
        tag_set: The tags of the MetaGraph to edit; None for the only one.
        signature_def_only: Whether the edits leave the object graph unchanged.
        op_libraries: Libraries of custom operations that the models need.
        lines: The line of each edit in the file, from 1.
    """

    edits: tuple[Edit, ...]
    tag_set: tuple[str, ...] | None = None
    signature_def_only: bool = False
    op_libraries: tuple[Path, ...] = ()
    lines: tuple[int, ...] = ()


_LOG = logging.getLogger(__name__)


def load_patch(file: str | os.PathLike[str]) -> Patch:
    """Read a patch file.

    Args:
        file: The path of the patch file.

    Example:
        >>> smpatch.load_patch("patch.toml").edits
        (Rename(source='serving_default', target='predict', overwrite=False),)

    Raises:
        PatchFileError: The file cannot be read, or it has a fault.
    """
    path = arguments.path(file, "file")
    where = str(path)
    try:
        with path.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
        _LOG.info("loaded %s, %d bytes", file, len(data))
        if len(data) > _LARGEST:
            raise PatchFileError([Fault("", None, "too big for a patch file")], where=where)
        text = data.decode("utf-8-sig")  # editors of Windows begin a file with a byte order mark
    except OSError as error:
        found = f"cannot be read: {(error.strerror or str(error)).lower()}"
        hint = "smpatch apply PATCH.toml MODEL..." if error.errno == errno.EISDIR else ""
        raise PatchFileError([Fault("", None, found, hint)], where=where) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PatchFileError([Fault("", line, "it is not UTF-8")], where=where) from error
    return parse_patch(text, where=where, directory=path.absolute().parent)


def parse_patch(text: str, *, where: str = "", directory: Path | None = None) -> Patch:
    """Read the text of a patch file.

    Args:
        text: The document.
        where: The name of the document in errors.
        directory: The directory in which its relative paths start; None for the working directory.

    Raises:
        PatchFileError: The document has a fault.
    """
    try:
        document = toml.read(text)
    except toml.TomlError as error:
        raise PatchFileError([Fault("", error.line, error.found)], where=where) from error
    top = Table(document.values, (), [], directory)
    version = top.take("version")
    if version != _VERSION or not isinstance(version, int) or isinstance(version, bool):
        top.fault(f"it must say version = {_VERSION}", at=("version",))
    found = _edits(top)
    patch = Patch(
        edits=tuple(edit for _, edit in found),
        tag_set=top.tags("tag-set"),
        signature_def_only=top.flag("signature-def-only"),
        op_libraries=tuple(_library(each, directory or Path()) for each in top.names("op-library")),
    )
    lines = tuple(document.line(("edit", place)) or 1 for place, _ in found)
    patch = replace(patch, lines=lines)
    top.finish("smpatch apply")
    if not top.faults:
        for each in conflicts(patch.edits, [place for place, _ in found]):
            top.fault(each.found, at=("edit", each.edit), hint=each.hint)
    if top.faults:
        faults = [
            (document.line(path), Fault(dotted(path), document.line(path), found, hint))
            for path, found, hint in top.faults
        ]
        faults.sort(key=lambda each: each[0] or 0)
        raise PatchFileError([fault for _, fault in faults], where=where)
    return patch


def _library(name: str, directory: Path) -> Path:
    """Return the path of a library of custom operations, or the name of its package."""
    path = directory / name
    return Path(name) if is_package(name) and not path.exists() else path


def _edits(top: Table) -> list[tuple[int, Edit]]:
    """Return the edits, each with the place of its table in the array."""
    given = top.take("edit")
    if given is None or given == []:
        top.fault("it asks for no edit", hint="write [[edit]] and below it, say, rename = ...")
        return []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        top.fault("edits are an array of tables", at=("edit",), hint="write [[edit]]")
        return []
    return [
        (place, edit)
        for place, each in enumerate(given)
        for edit in _edit(top.within(each, ("edit", place)))
    ]


def _edit(table: Table) -> tuple[Edit, ...]:
    verbs = [key for key in table.keys if key in _KINDS]
    if len(verbs) != 1:
        known = f"one of {', '.join(_KINDS)}"
        if verbs:
            table.fault(f"it has {len(verbs)} verbs: {', '.join(verbs)}", hint="one [[edit]] each")
        else:
            table.fault("it has no verb", hint=table.alike(_KINDS) or known)
        return ()
    (verb,) = verbs
    kinds = _KINDS[verb]
    kind = next((each for each in kinds[1:] if each.mark in table.keys), kinds[0])
    before = len(table.faults)
    edits: tuple[Edit, ...] = ()
    try:
        read = kind.read(table)
        edits = read if isinstance(read, tuple) else (read,)
    except UsageError as error:
        if len(table.faults) == before:
            table.fault(str(error))
    others = {key for each in kinds if each is not kind for key in _known(each, table)}
    table.finish(verb, kind.mark, others)
    return edits if len(table.faults) == before else ()


def _known(kind: type[InPatchFiles], table: Table) -> frozenset[str]:
    """Return the keys that a kind of edit reads from a table, which is for another kind."""
    asked = table.without_faults()
    with contextlib.suppress(UsageError):
        kind.read(asked)
    return asked.known


def _kinds() -> dict[str, list[type[InPatchFiles]]]:
    """Return each verb with the kinds of edit that it may mean."""
    kinds: dict[str, list[type[InPatchFiles]]] = {}
    for kind in in_patch_files():
        for verb in filter(None, (kind.verb, kind.other_verb)):
            kinds.setdefault(verb, []).append(kind)
    return kinds


_KINDS = _kinds()
