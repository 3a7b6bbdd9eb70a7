"""With a signature, smpatch removes its parts, except those to which anything else refers.

The tests plant references in a copy of a fixture after they have added a signature to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import load, schema, wire
from smpatch.edits import Remove
from smpatch.graph.index import CALLS
from smpatch.wire import Splice
from tests.contract.models import FIXTURES
from tests.object_graph.conftest import UNPROVED

META_GRAPH, GRAPH, COLLECTIONS, OBJECTS = 2, 2, 4, 7
LIBRARY = 2


@dataclass(frozen=True)
class Added:
    """The parts that a new signature has appended.

    Attributes:
        number: The number of the last object.
        wrapper: The wrapper function of that object.
        copy: The copied function that the main graph calls.
        call: The node that calls the copy.
    """

    number: int
    wrapper: str
    copy: str
    call: str


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    shutil.copytree(FIXTURES / "module", directory)
    return directory


def add(model: Path) -> Added:
    """Make an inner tensor a signature, which appends copies of functions and a call."""
    smpatch.derive_signature(
        model, "serving_default", outputs={"y": "product:0"}, signature="new", options=UNPROVED
    )
    (after,) = load(model).meta_graphs
    call = after.parts.appended_nodes[-1]
    function = after.graph.node(call).attr("f")
    assert after.graph.wiring(call).op in CALLS
    assert function is not None
    return Added(
        len(after.objects) - 1,
        after.objects.signatures["new"].concrete_function_name,
        function.func.name,
        call,
    )


def rewrite(model: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    """Write a part of the only MetaGraph again, changed."""
    file = model / "saved_model.pb"
    data = file.read_bytes()
    (outer,) = (each for each in wire.fields(data) if each.number == META_GRAPH)
    inside = [each for each in wire.fields(data, outer.value, outer.end) if each.number == number]
    if inside:
        (part,) = inside
        enclosing: tuple[wire.Field, ...] = (outer, part)
        splice = Splice(part.value, part.end, change(part.bytes(data)))
    else:
        new = wire.delimited(number, change(b""))
        splice, enclosing = Splice(outer.end, outer.end, new), (outer,)
    file.write_bytes(wire.apply(data, wire.enclose(data, [(splice, enclosing)])))


def in_objects(change: Callable[[Any, Added], object]) -> Callable[[Path, Added], None]:
    def plant(model: Path, added: Added) -> None:
        def changed(data: bytes) -> bytes:
            objects = schema.SavedObjectGraph.FromString(data)
            change(objects, added)
            return bytes(objects.SerializeToString(deterministic=True))

        rewrite(model, OBJECTS, changed)

    return plant


def in_graph(change: Callable[[Any, Added], object]) -> Callable[[Path, Added], None]:
    """Append to the bytes of the graph; protobuf merges a message field that occurs twice."""

    def plant(model: Path, added: Added) -> None:
        graph = schema.GraphDef()
        change(graph, added)
        more = bytes(graph.SerializeToString())
        rewrite(model, GRAPH, lambda data: data + more)

    return plant


def _node(graph: Any) -> Any:  # noqa: ANN401 - messages are made at run time
    return graph.node.add(name="planted", op="NoOp").attr["planted"]


def _function(graph: Any) -> Any:  # noqa: ANN401 - as above
    function = graph.library.function.add()
    function.signature.name = "planted"
    return function


def _first_function(objects: Any) -> Any:  # noqa: ANN401 - as above
    return next(each.function for each in objects.nodes if each.function.concrete_functions)


def _first_concrete(objects: Any) -> Any:  # noqa: ANN401 - as above
    return objects.concrete_functions[min(objects.concrete_functions)]


def _collected(model: Path, added: Added) -> None:
    node_list = wire.delimited(1, wire.delimited(1, f"{added.call}:0".encode()))
    entry = wire.delimited(1, b"planted") + wire.delimited(2, node_list)
    rewrite(model, COLLECTIONS, lambda data: data + entry)


PLANTED: dict[str, tuple[str, Callable[[Path, Added], None]]] = {
    "a child": (
        "number",
        in_objects(lambda o, a: o.nodes[0].children.add(node_id=a.number, local_name="p")),
    ),
    "a dependency": (
        "number",
        in_objects(lambda o, a: o.nodes[0].dependencies.add(node_id=a.number, local_name="p")),
    ),
    "a slot variable": (
        "number",
        in_objects(lambda o, a: o.nodes[0].slot_variables.add(slot_variable_node_id=a.number)),
    ),
    "the variable of a slot": (
        "number",
        in_objects(lambda o, a: o.nodes[0].slot_variables.add(original_variable_node_id=a.number)),
    ),
    "a function that saves": (
        "number",
        in_objects(
            lambda o, a: setattr(o.nodes[0].saveable_objects["p"], "save_function", a.number)
        ),
    ),
    "a function that restores": (
        "number",
        in_objects(
            lambda o, a: setattr(o.nodes[0].saveable_objects["p"], "restore_function", a.number)
        ),
    ),
    "a captured object": (
        "number",
        in_objects(lambda o, a: _first_concrete(o).bound_inputs.append(a.number)),
    ),
    "a trace": (
        "wrapper",
        in_objects(lambda o, a: _first_function(o).concrete_functions.append(a.wrapper)),
    ),
    "a captured tensor": (
        "wrapper",
        in_objects(
            lambda o, a: setattr(o.nodes[0].captured_tensor, "concrete_function", a.wrapper)
        ),
    ),
    "a field that is not known": (
        "number",
        in_objects(lambda o, _: o.nodes[0].MergeFromString(wire.delimited(99, b"planted"))),
    ),
    "an attribute": ("copy", in_graph(lambda g, a: setattr(_node(g).func, "name", a.copy))),
    "a list of functions": ("copy", in_graph(lambda g, a: _node(g).list.func.add(name=a.copy))),
    "a name in an attribute": (
        "copy",
        in_graph(lambda g, a: setattr(_node(g), "s", a.copy.encode())),
    ),
    "an operation": ("copy", in_graph(lambda g, a: g.node.add(name="planted", op=a.copy))),
    "a gradient of it": (
        "copy",
        in_graph(lambda g, a: g.library.gradient.add(function_name=a.copy, gradient_func="other")),
    ),
    "a gradient that it is": (
        "copy",
        in_graph(lambda g, a: g.library.gradient.add(function_name="other", gradient_func=a.copy)),
    ),
    "a registered gradient": (
        "copy",
        in_graph(lambda g, a: g.library.registered_gradients.add(gradient_func=a.copy)),
    ),
    "an attribute of a function": (
        "copy",
        in_graph(
            lambda g, a: setattr(_function(g).attr["forward_function_name"], "s", a.copy.encode())
        ),
    ),
    "an attribute of a node in a function": (
        "wrapper",
        in_graph(
            lambda g, a: setattr(_function(g).node_def.add().attr["p"], "s", a.wrapper.encode())
        ),
    ),
    "an input": (
        "call",
        in_graph(lambda g, a: g.node.add(name="p", op="NoOp", input=[f"^{a.call}"])),
    ),
    "a colocation": (
        "call",
        in_graph(lambda g, a: _node(g).list.s.append(f"loc:@{a.call}".encode())),
    ),
    "a collection": ("call", _collected),
}
"""The part of the signature to which a reference refers, and the function that plants it."""


def test_without_references_all_that_was_added_goes(model: Path) -> None:
    before = (model / "saved_model.pb").read_bytes()
    add(model)
    smpatch.patch(model, [Remove(("new",))], options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_referred_to_stays(planted: str, model: Path) -> None:
    added = add(model)
    kind, plant = PLANTED[planted]
    plant(model, added)
    smpatch.patch(model, [Remove(("new",))], options=UNPROVED)
    after = load(model).meta_graph()
    assert "new" not in after.signatures
    assert "new" not in after.objects.signatures
    stays = {
        "number": added.number < len(after.objects),
        "wrapper": added.wrapper in after.functions,
        "copy": added.copy in after.functions,
        "call": added.call in after.graph,
    }
    assert stays[kind]
    if kind == "number":
        assert stays["wrapper"]
        named = after.objects.node(added.number).bare_concrete_function.concrete_function_name
        assert named in after.objects.concrete_functions
    if kind == "call":
        assert stays["copy"]


def test_a_reference_of_every_kind_is_planted() -> None:
    """A new field of TensorFlow's that holds numbers or names fails this test until it is added."""
    found: set[str] = set()
    waiting, met = [schema.SavedObject.DESCRIPTOR, schema.SavedConcreteFunction.DESCRIPTOR], set()
    while waiting:
        message = waiting.pop()
        if message.full_name in met or message.name in {"StructuredValue", "VersionDef"}:
            continue
        met.add(message.full_name)
        for field in message.fields:
            if field.message_type:
                waiting.append(field.message_type)
            elif field.type in {field.TYPE_INT32, field.TYPE_STRING}:
                found.add(f"{message.name}.{field.name}")
    refers = {
        "CapturedTensor.concrete_function",
        "ObjectReference.node_id",
        "SaveableObject.restore_function",
        "SaveableObject.save_function",
        "SavedBareConcreteFunction.concrete_function_name",
        "SavedConcreteFunction.bound_inputs",
        "SavedFunction.concrete_functions",
        "SlotVariableReference.original_variable_node_id",
        "SlotVariableReference.slot_variable_node_id",
    }
    names_nodes = {"CapturedTensor.name", "SavedConstant.operation"}
    neither = {
        "Any.type_url",
        "ObjectReference.local_name",
        "SaveableObjectsEntry.key",
        "SavedAsset.asset_file_def_index",
        "SavedBareConcreteFunction.argument_keywords",
        "SavedObject.registered_name",
        "SavedObject.registered_saver",
        "SavedResource.device",
        "SavedUserObject.identifier",
        "SavedUserObject.metadata",
        "SavedVariable.device",
        "SavedVariable.name",
        "SlotVariableReference.slot_name",
    }
    assert found - {f for f in found if f.startswith("Dim.")} == refers | names_nodes | neither
