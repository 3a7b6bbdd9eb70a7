"""Notes on the result of a list of edits: facts that concern the list as a whole.

This module refuses nothing.

Source: ``tensorflow/python/saved_model/load.py`` (which half ``tf.saved_model.load`` reads).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.display import command_line, model_words
from smpatch.editing.sequence import Done
from smpatch.functions.compare import differences, disagreements
from smpatch.functions.restored import missing_variables, needed_at_load
from smpatch.loader import MetaGraph, SavedModel
from smpatch.rules import Note

_NOT_OF_SIGNATURES = frozenset({"retagged", "unchanged", "init-op-set", "init-op-removed"})
"""Outcomes that do not concern the object graph."""


def notes_on(model: SavedModel, done: Done, *, with_object_graph: bool) -> Iterator[Note]:
    """Yield notes on the form of the file and on the object graph.

    ``model`` is the model before the edits. ``with_object_graph`` is whether they changed the
    object graph as well.
    """
    yield from _on_text(model, done)
    if done.removes:
        yield from _on_the_only_one(done)
    else:
        yield from _on_object_graph(model, done, with_object_graph=with_object_graph)


def _on_text(model: SavedModel, done: Done) -> Iterator[Note]:
    """Report a field that older releases refuse in text form; in binary form they skip it."""
    if model.form != "text":
        return
    before = (each for graph in model.meta_graphs for each in graph.signatures.values())
    after = (each.signature for each in done.step.changes if each.signature is not None)
    if any(each.defaults for each in after) and not any(each.defaults for each in before):
        yield Note(
            "text-defaults",
            "TensorFlow 2.11 and older cannot read a saved_model.pbtxt that has defaults",
        )


def _on_object_graph(model: SavedModel, done: Done, *, with_object_graph: bool) -> Iterator[Note]:
    before = model.meta_graphs[done.place]
    if not before.has_object_graph or not before.is_only:
        return  # with several MetaGraphs, Python reads signature_def, as servers do
    touched = {
        name
        for each in done.step.changes
        for name in (each.key, each.was)
        if each.signature is not None or each.outcome not in _NOT_OF_SIGNATURES
    }
    if touched and not with_object_graph:
        keys = ", ".join(repr(key) for key in sorted(touched - {""}))
        text = (
            "the object graph is not changed: TF Serving, Triton and the C, Java, Go and Rust "
            f"loaders see what was done to {keys}; tf.saved_model.load(...).signatures, Keras "
            "and the TFLite converter do not"
        )
        yield Note("object-graph-unchanged", text)
    for each in disagreements(before):
        if each.key not in touched:
            text = f"signature {each.key!r} is {each.found} (as before the edit)"
            yield Note("halves-disagree", text)
    after = done.meta_graphs[done.place]
    both = after.signatures.keys() & after.objects.signatures.keys() & touched
    for each in disagreements(after) if with_object_graph else ():
        if each.key in both:
            text = f"signature {each.key!r} is {each.found} (as before the edit)"
            yield Note("halves-disagree", text)


def _on_the_only_one(done: Done) -> Iterator[Note]:
    """Report that Python reads the object graph of the only MetaGraph that stays."""
    staying = [each for each in done.meta_graphs if not each.is_removed]
    if len(staying) > 1 or not staying[0].has_object_graph:
        return
    text = (
        "one MetaGraph stays: tf.saved_model.load takes .signatures from its object graph now; "
        "with several it took them from signature_def"
    )
    yield Note("object-graph-read", text)
    for each in differences(staying[0]):
        yield Note("halves-disagree", f"signature {each.key!r} is {each.found}")


def notes_on_variables(
    model: SavedModel, meta_graph: MetaGraph, *, read_anyway: bool
) -> Iterator[Note]:
    """Yield notes on the variables of a model, which an edit does not change.

    Args:
        model: The model.
        meta_graph: The MetaGraph that is edited.
        read_anyway: Whether they were read although the edit does not need them.
    """
    command = command_line(["smpatch", "check", *model_words(model.directory)])
    for each in missing_variables(model.directory, meta_graph):
        text = f"{each}: requests that need variables fail; see {command}"
        yield Note("variables-missing", text)
    if read_anyway:
        why = "the model was not loaded without them"
        if needed_at_load(meta_graph):
            why = "the init op may need them"
        yield Note("variables-read", f"the variables were read: {why}")
