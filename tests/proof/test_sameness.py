"""Defects in an edited model, each of which the structural proof must refuse.

smpatch makes the edited model. A test then changes it as a defective editor would, and gives it to
the proof in place of smpatch's result.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import ProofError, ValidationError, load, schema, wire
from smpatch.edits import (
    AddPredict,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
)
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import prove, python_computation

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"
UNPROVED = smpatch.Options(validate="none")
META_GRAPH, GRAPH_DEF, SIGNATURE_DEF, OBJECT_GRAPH_DEF = 2, 2, 5, 7
DEFAULT = "serving_default"

Message = Any
"""A protobuf message; its class is made at run time."""


@dataclass
class Messages:
    """The parts of a MetaGraph that an edit changes, as messages that a test may change.

    Attributes:
        graph: The ``GraphDef``.
        objects: The ``SavedObjectGraph``.
        signatures: Key to ``SignatureDef``.
    """

    graph: Message
    objects: Message
    signatures: dict[str, Message]

    def function(self, part: str) -> Message:
        """Return the last function whose name has this part."""
        return [f for f in self.graph.library.function if part in f.signature.name][-1]

    def node(self, name: str) -> Message:
        """Return a node of the main graph."""
        return next(node for node in self.graph.node if node.name == name)

    def concrete(self, key: str) -> Message:
        """Return the concrete function from which Python takes a signature."""
        return self.objects.concrete_functions[self.bare(key).concrete_function_name]

    def bare(self, key: str) -> Message:
        """Return the object from which Python takes a signature."""
        return self.objects.nodes[self.children[key].node_id].bare_concrete_function

    @property
    def children(self) -> dict[str, Message]:
        """The references of the signature map by their keys."""
        root = self.objects.nodes[0]
        number = next(each.node_id for each in root.children if each.local_name == "signatures")
        return {each.local_name: each for each in self.objects.nodes[number].children}


def edited(
    tmp_path: Path, name: str, edit: Edit, change: Callable[[Messages], None] | None = None
) -> tuple[MetaGraph, MetaGraph]:
    """Return the MetaGraph of a fixture before and after an edit, and after a change as well."""
    before = load(MODELS / name).meta_graph()
    directory = tmp_path / name
    shutil.copytree(MODELS / name, directory)
    smpatch.patch(directory, [edit], options=UNPROVED)
    if change is not None:
        rewrite(directory / "saved_model.pb", change)
    return before, load(directory).meta_graph()


def rewrite(file: Path, change: Callable[[Messages], None]) -> None:
    """Change the parts of a MetaGraph in a file."""
    data = file.read_bytes()
    outer = list(wire.fields(data))
    (meta_graph,) = (each.bytes(data) for each in outer if each.number == META_GRAPH)
    fields = list(wire.fields(meta_graph))
    messages = Messages(schema.GraphDef(), schema.SavedObjectGraph(), {})
    rest = []
    for field in fields:
        body = field.bytes(meta_graph)
        if field.number == GRAPH_DEF:
            messages.graph.MergeFromString(body)
        elif field.number == OBJECT_GRAPH_DEF:
            messages.objects.MergeFromString(body)
        elif field.number == SIGNATURE_DEF:
            entry = schema.SignatureDefEntry.FromString(body)
            messages.signatures[entry.key] = entry.value
        else:
            rest.append(meta_graph[field.start : field.end])
    change(messages)
    entries = [
        schema.SignatureDefEntry(key=key, value=value).SerializeToString()
        for key, value in messages.signatures.items()
    ]
    new = b"".join(
        [
            *rest,
            wire.delimited(GRAPH_DEF, messages.graph.SerializeToString()),
            *(wire.delimited(SIGNATURE_DEF, each) for each in entries),
            wire.delimited(OBJECT_GRAPH_DEF, messages.objects.SerializeToString()),
        ]
    )
    version = b"".join(data[each.start : each.end] for each in outer if each.number != META_GRAPH)
    file.write_bytes(version + wire.delimited(META_GRAPH, new))


INNER = FromSignature(DEFAULT, {"encoded": "encoded:0", "score": "score"}, "inner")
FUNCTION = PromoteFunction("encode", outputs={"encoded": "output_0"}, key="encode")
RENAMED = EditSignature(DEFAULT, rename_outputs={"score": "a"}, rename_inputs={"x": "z"})
ADDED = EditSignature(DEFAULT, add_outputs={"encoded": "encoded:0"})
TRUE = [
    INNER,
    FUNCTION,
    RENAMED,
    ADDED,
    Rename(DEFAULT, "s"),
    Copy(DEFAULT, "s"),
    Remove((DEFAULT,)),
]


@pytest.mark.parametrize("edit", TRUE, ids=lambda edit: type(edit).__name__)
def test_a_true_edit_is_proved(tmp_path: Path, edit: Edit) -> None:
    before, after = edited(tmp_path, "module", edit)
    prove(before, after, edit.expected(before), edit.gone(before))


@pytest.mark.parametrize("edit", TRUE, ids=lambda edit: type(edit).__name__)
def test_a_true_edit_is_proved_whose_bytes_all_lie_elsewhere(tmp_path: Path, edit: Edit) -> None:
    before, after = edited(tmp_path, "module", edit, lambda _: None)
    prove(before, after, edit.expected(before), edit.gone(before))


@pytest.mark.parametrize(
    "edit",
    [
        FromSignature(DEFAULT, {"#0": "score", "encoded": "encoded:0"}, "new"),
        AddPredict({"#x": "serving_default_x:0"}, {"#y": "StatefulPartitionedCall:0"}, "new"),
    ],
    ids=lambda edit: type(edit).__name__,
)
def test_an_alias_that_begins_with_a_number_sign_is_no_part_of_a_tensor(
    tmp_path: Path, edit: Edit
) -> None:
    before, after = edited(tmp_path, "module", edit)
    prove(before, after, edit.expected(before), edit.gone(before))


def lose_indices(messages: Messages) -> None:
    for signature in messages.signatures.values():
        for info in (*signature.inputs.values(), *signature.outputs.values()):
            info.name = info.name.removesuffix(":0")


@pytest.mark.parametrize("edit", TRUE, ids=lambda edit: type(edit).__name__)
def test_an_edit_is_proved_where_names_of_tensors_have_no_index(tmp_path: Path, edit: Edit) -> None:
    directory = tmp_path / "module"
    shutil.copytree(MODELS / "module", directory)
    rewrite(directory / "saved_model.pb", lose_indices)
    before = load(directory).meta_graph()
    smpatch.patch(directory, [edit], options=UNPROVED)
    after = load(directory).meta_graph()
    prove(before, after, edit.expected(before), edit.gone(before))


def _exchange(fields: Message) -> None:
    first, second = fields[-2:]
    del fields[-2:]
    fields.extend([second, first])


def exchange_variables_in_python(messages: Messages) -> None:
    """Exchange the captures of the new signature's function."""
    key = next(key for key in messages.signatures if key in {"inner", "encode"})
    _exchange(messages.concrete(key).bound_inputs)


def exchange_variables_in_the_main_graph(messages: Messages) -> None:
    """Exchange the inputs of the new signature's call."""
    key = next(key for key in messages.signatures if key in {"inner", "encode"})
    tensor = next(iter(messages.signatures[key].outputs.values())).name
    _exchange(messages.node(tensor.rpartition(":")[0]).input)


def subtract_in_a_copy(messages: Messages) -> None:
    """Make a copied function subtract where the original adds."""
    for node in messages.function("encode").node_def:
        node.op = "Sub" if node.op == "AddV2" else node.op


def yield_another_tensor(messages: Messages) -> None:
    """Make a copied function yield the product in place of the sum."""
    function = messages.function("encode")
    name = function.signature.output_arg[-1].name
    function.ret[name] = "product:product:0"


def call_the_wrapper(messages: Messages) -> None:
    """Make Python take the new signature from the exporter's function."""
    messages.children["inner"].node_id = messages.children[DEFAULT].node_id


def name_another_output(messages: Messages) -> None:
    """Make one output of the new signature name the tensor of the other."""
    outputs = messages.signatures["inner"].outputs
    outputs["encoded"].name = outputs["score"].name


def change_the_signature_that_stays(messages: Messages) -> None:
    """Make the signature that is not edited call another function."""
    name = messages.signatures[DEFAULT].outputs["score"].name.rpartition(":")[0]
    messages.node(name).attr["f"].func.name = "__inference_encode_18"


def lose_an_output(messages: Messages) -> None:
    """Remove an output from the new signature."""
    del messages.signatures["inner"].outputs["score"]


def lose_the_signature_that_stays(messages: Messages) -> None:
    """Remove the signature that is not edited."""
    del messages.signatures[DEFAULT]


def lose_the_signature_that_stays_in_python(messages: Messages) -> None:
    """Remove the signature that is not edited from the object graph alone."""
    root = messages.objects.nodes[0]
    number = next(each.node_id for each in root.children if each.local_name == "signatures")
    children = messages.objects.nodes[number].children
    del children[[each.local_name for each in children].index(DEFAULT)]


def change_the_type_of_the_signature_that_stays(messages: Messages) -> None:
    """Change the type of an output of the signature that is not edited."""
    messages.signatures[DEFAULT].outputs["score"].dtype = 2  # a double


def lose_the_new_signature(messages: Messages) -> None:
    """Remove the signature that is made."""
    del messages.signatures["inner"]


def keep_the_old_key(messages: Messages) -> None:
    """Keep the key that the edit takes away."""
    messages.signatures[DEFAULT] = next(iter(messages.signatures.values()))


def keep_the_old_key_in_python(messages: Messages) -> None:
    """Keep it in the object graph."""
    nodes = messages.objects.nodes
    number = next(each.node_id for each in nodes[0].children if each.local_name == "signatures")
    function = next(at for at, each in enumerate(nodes) if each.HasField("bare_concrete_function"))
    nodes[number].children.add(local_name=DEFAULT, node_id=function)


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (Rename(DEFAULT, "s"), keep_the_old_key),
        (Rename(DEFAULT, "s"), keep_the_old_key_in_python),
        (Remove((DEFAULT,)), keep_the_old_key_in_python),
        (INNER, exchange_variables_in_python),
        (INNER, exchange_variables_in_the_main_graph),
        (INNER, subtract_in_a_copy),
        (INNER, yield_another_tensor),
        (INNER, call_the_wrapper),
        (INNER, name_another_output),
        (INNER, change_the_signature_that_stays),
        (INNER, lose_an_output),
        (INNER, lose_the_signature_that_stays),
        (INNER, lose_the_signature_that_stays_in_python),
        (INNER, change_the_type_of_the_signature_that_stays),
        (INNER, lose_the_new_signature),
        (FUNCTION, exchange_variables_in_python),
        (FUNCTION, exchange_variables_in_the_main_graph),
        (FUNCTION, change_the_signature_that_stays),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_a_defect_is_refused(
    tmp_path: Path, edit: Edit, change: Callable[[Messages], None]
) -> None:
    before, after = edited(tmp_path, "module", edit, change)
    with pytest.raises(ValidationError):
        prove(before, after, edit.expected(before), edit.gone(before))


def test_names_that_are_exchanged_in_one_half_are_refused(tmp_path: Path) -> None:
    edit = EditSignature("pair", rename_outputs={"a": "z"})
    build = AddPredict({"x": "serving_default_x:0"}, {"a": "StatefulPartitionedCall:0"}, "pair")
    start = tmp_path / "start"
    shutil.copytree(MODELS / "module", start)
    both = {"a": "encoded:0", "b": "product:0"}
    smpatch.patch(start, [build], options=UNPROVED)
    smpatch.derive_signature(
        start,
        DEFAULT,
        outputs=both,
        signature="pair",
        options=smpatch.Options(validate="none", overwrite=True),
    )
    before = load(start).meta_graph()
    after = tmp_path / "after"
    shutil.copytree(start, after)
    smpatch.patch(after, [edit], options=UNPROVED)
    prove(before, load(after).meta_graph(), edit.expected(before), edit.gone(before))

    def exchange(messages: Messages) -> None:
        function = messages.graph.library.function
        name = messages.bare("pair").concrete_function_name
        ret = next(each for each in function if each.signature.name == name).ret
        ret["identity"], ret["identity_1"] = ret["identity_1"], ret["identity"]

    rewrite(after / "saved_model.pb", exchange)
    with pytest.raises(ValidationError, match=r"in tf\.saved_model\.load"):
        prove(before, load(after).meta_graph(), edit.expected(before), edit.gone(before))


def test_a_function_that_a_signature_needs_is_missed(tmp_path: Path) -> None:
    def prune_too_much(messages: Messages) -> None:
        library = messages.graph.library.function
        place = [each.signature.name for each in library].index("__inference_encode_18")
        del library[place]

    edit = Copy(DEFAULT, "second")
    before, after = edited(tmp_path, "module", edit, prune_too_much)
    with pytest.raises(ValidationError, match="the edit would remove the function"):
        prove(before, after, edit.expected(before), edit.gone(before))


def test_a_signature_that_was_broken_before_stops_no_other_edit(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODELS / "wrong_tensor_info", model)
    key = min(load(model).signatures)
    smpatch.copy_signature(model, key, "again", options=smpatch.Options(validate="runtime"))
    assert "again" in load(model).signatures


def test_an_edit_that_is_not_proved_needs_another_way_of_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpatch.graph.fingerprint._MOST_WORK", 3)
    model = tmp_path / "model"
    shutil.copytree(MODELS / "module", model)
    old = (model / "saved_model.pb").read_bytes()
    with pytest.raises(ProofError, match="validate full, run or none") as caught:
        smpatch.patch(model, [INNER], options=smpatch.Options(validate="auto"))
    assert caught.value.exit_code == 5
    assert (model / "saved_model.pb").read_bytes() == old
    receipt = smpatch.patch(model, [INNER], options=smpatch.Options(validate="full"))
    assert "not-proved" in {note.code for note in receipt.notes}


def test_an_input_that_takes_the_alias_of_a_dropped_one_is_not_taken_for_it() -> None:
    """Both once had one label, so that the function of one counted as the function of the other."""
    start = load(MODELS / "keras_functional").meta_graph()
    key = "serving_default"
    first, second = sorted(start.signatures[key].inputs)
    labels = {second: first}
    found = python_computation(start, key, by_tensor=False, labels=labels)
    merged = python_computation(start, key, by_tensor=False, labels={second: first, first: first})
    assert found.outputs != merged.outputs
