"""Tensors that become inputs: if a request feeds their values, the outputs stay the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import ModelUnreadableError, Options, RefusedError, ValidationError, load
from smpatch.arguments import constants
from smpatch.edits import Compose
from smpatch.functions import inner_inputs, opening
from smpatch.patchfile import parse_patch
from smpatch.validator import Validator
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, Value, decoded, encoded
from tests.proof.test_sameness import Messages, rewrite

DEFAULT = "serving_default"
LOADERS = ["session", "python"]
ABOUT: dict[str, Any] = {"tags": ["serve"], "loaders": LOADERS}

PARSER = "ParseExample/ParseExampleV2"


@dataclass(frozen=True)
class Opening:
    """A model, with values for its signature.

    Attributes:
        directory: The directory of the model.
        feed: The values of the inputs.
    """

    directory: Path
    feed: Mapping[str, Value]


@dataclass(frozen=True)
class Case:
    """Tensors that become inputs.

    Attributes:
        kind: The kind of the model.
        tensors: Alias of a new input to its tensor.
        inputs: The aliases of all inputs of the new signature.
    """

    kind: str
    tensors: Mapping[str, str]
    inputs: frozenset[str]

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.kind}-{'+'.join(self.tensors)}"


def _case(kind: str, tensors: Mapping[str, str], *left: str) -> Case:
    return Case(kind, tensors, frozenset({*tensors, *left}))


CASES = [
    _case(
        "parsed", {"fare": f"{PARSER}:0", "kind": f"{PARSER}:1", "miles": f"{PARSER}:2"}, "scale"
    ),
    _case("parsed", {"fare": f"{PARSER}:0"}, "examples", "scale"),
    _case("parsed", {"kind": "looked_up/LookupTableFindV2:0"}, "examples", "scale"),
    _case("parsed", {"both": "both:0", "kind": f"{PARSER}:1", "fare": f"{PARSER}:0"}, "scale"),
    _case("parsed", {"score": "score:0"}, "examples", "scale"),
    _case("session_parsed", {"fare": "parser/parser:0"}, "examples", "scale"),
    _case("session_parsed", {"both": "both:0"}, "examples", "scale"),
    _case(
        "session_parsed",
        {
            "fare": "parser/parser:0",
            "kind": "parser/parser:1",
            "miles": "parser/parser:2",
        },
        "scale",
    ),
    _case("decoded", {"image_bytes": "pixels:0"}),  # the alias of the removed input
]


@pytest.fixture(scope="module")
def openings(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opening]:
    """The models, by kind."""
    place = tmp_path_factory.mktemp("openings")
    return {
        kind: Opening(
            place / kind, oracle.ask("build_opening", directory=place / kind, kind=kind)["feed"]
        )
        for kind in ("parsed", "session_parsed", "decoded")
    }


@pytest.fixture
def parsed(openings: Mapping[str, Opening], tmp_path: Path) -> Path:
    """A copy of the TensorFlow 2 export that parses examples."""
    return Path(shutil.copytree(openings["parsed"].directory, tmp_path / "model"))


def _given(oracle: Oracle, opening: Opening, tensors: Mapping[str, str]) -> dict[str, Value]:
    """Return the values of tensors; TensorFlow imports the functions around them into a session."""
    meta_graph = load(opening.directory).meta_graphs[0]
    found = inner_inputs.starts(meta_graph, DEFAULT, tensors)
    signature = meta_graph.signatures[DEFAULT]
    feed = {spec.tensors()[0].name: opening.feed[a] for a, spec in signature.inputs.items()}
    ways = [
        ([], each.spec.name) if each.inner is None else (each.inner.calls, each.inner.spec.name)
        for each in found.values()
    ]
    asked = {"directory": opening.directory, "tags": ["serve"], "feed": feed}
    arrays = oracle.ask("inner_values", tensors=ways, **asked)["arrays"]
    return dict(zip(found, arrays, strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fed_what_the_tensors_give_the_outputs_are_those_of_the_whole_signature(
    case: Case, openings: Mapping[str, Opening], oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    opening = openings[case.kind]
    model = Path(shutil.copytree(opening.directory, tmp_path / "model"))
    edit = Compose(DEFAULT, "opened", from_input=case.tensors)
    receipt = smpatch.patch(model, edit, validator=quick)
    made = load(model).signatures
    assert made["opened"].inputs.keys() == case.inputs
    assert receipt.numbers == {"opened": tuple(sorted(made[DEFAULT].outputs))}
    whole = oracle.ask("tour", directory=opening.directory, feeds={DEFAULT: opening.feed}, **ABOUT)
    values = {**opening.feed, **_given(oracle, opening, case.tensors)}
    feed = {alias: values[alias] for alias in case.inputs}
    feeds = {"opened": feed, DEFAULT: opening.feed}
    got = oracle.ask("tour", directory=model, feeds=feeds, **ABOUT)
    for loader in LOADERS:
        assert "arrays" in whole[loader][DEFAULT]
        assert got[loader]["opened"] == whole[loader][DEFAULT]
        assert got[loader][DEFAULT] == whole[loader][DEFAULT]
    again = tmp_path / "again"
    if case.kind != "session_parsed":
        assert oracle.ask("save_again", directory=model, tags=["serve"], to=again) == {}
        saved = oracle.ask("tour", directory=again, feeds=feeds, **ABOUT)
        for loader in LOADERS:
            assert saved[loader]["opened"] == whole[loader][DEFAULT]


def test_what_lies_before_is_not_computed(
    openings: Mapping[str, Opening], parsed: Path, quick: Validator
) -> None:
    tensors = CASES[0].tensors
    smpatch.patch(parsed, Compose(DEFAULT, "opened", from_input=tensors), validator=quick)
    before = load(openings["parsed"].directory).meta_graphs[0]
    after = load(parsed).meta_graphs[0]
    new = [after.functions[name] for name in after.functions if name not in before.functions]
    ops = [node.op for function in new for node in function.node_def]
    assert "ParseExampleV2" not in ops
    assert ops.count("AssignAddVariableOp") == 1  # the one behind the tensors
    assert "LookupTableFindV2" in ops


def test_functions_before_and_behind_and_constants_work_with_tensors_that_become_inputs(
    openings: Mapping[str, Opening], oracle: Oracle, tmp_path: Path
) -> None:
    for kind, parser in (("parsed", PARSER), ("session_parsed", "parser/parser")):
        opening = openings[kind]
        model = Path(shutil.copytree(opening.directory, tmp_path / kind))
        tensors = {"fare": f"{parser}:0", "kind": f"{parser}:1", "miles": f"{parser}:2"}
        receipt = smpatch.compose_signature(
            model,
            DEFAULT,
            signature="opened",
            from_input=tensors,
            before="fare=cast(float64)",
            after="tip=sigmoid(tip)",
            bind={"scale": 0.75, "kind": "b"},
            options=Options(validate="runtime"),
        )
        assert receipt.numbers == {"opened": ("half", "tip")}
        assert receipt.signature.inputs.keys() == {"fare", "miles"}
        given = _given(oracle, opening, tensors)
        fare, miles = decoded(given["fare"]), decoded(given["miles"])
        feed = {"fare": encoded(fare.astype(np.float64)), "miles": given["miles"]}
        got = oracle.ask("tour", directory=model, feeds={"opened": feed}, **ABOUT)
        score = fare * 2 + miles * 3
        if kind == "parsed":
            score = (fare * 2 + 1) * 2 + (miles * 2 + 1) * 3
        tip = 1 / (1 + np.exp(-(score * 0.75 + 2.5)))
        for loader in LOADERS:
            arrays = got[loader]["opened"]["arrays"]
            assert (decoded(arrays["half"]) == fare / 2).all()
            assert np.allclose(decoded(arrays["tip"]), tip)


def test_a_patch_file_is_applied_once_and_taken_back(parsed: Path) -> None:
    data = (parsed / "saved_model.pb").read_bytes()
    text = f"""
    version = 1
    [[edit]]
    compose = "opened"
    from-signature = "{DEFAULT}"
    from-input = {{ both = "both:0", kind = "{PARSER}:1", fare = "{PARSER}:0" }}
    bind = {{ scale = 2 }}
    [[edit]]
    compose = "constant"
    from-signature = "nothing"
    dummy-input = "unused"
    """
    edits = parse_patch(text).edits
    options = Options(validate="runtime")
    (done,) = smpatch.apply([parsed], edits, options=options)
    assert done.receipt is not None, done.error
    assert done.receipt.numbers == {"constant": ("weights",), "opened": ("half", "tip")}
    written = (parsed / "saved_model.pb").read_bytes()
    (again,) = smpatch.apply([parsed], edits, options=options)
    assert (again.error, again.receipt and again.receipt.outcome) == (None, "unchanged")
    assert (parsed / "saved_model.pb").read_bytes() == written
    smpatch.remove_signatures(parsed, ["opened", "constant"], options=options)
    assert (parsed / "saved_model.pb").read_bytes() == data


def test_a_signature_without_inputs_gets_one_that_nothing_reads(
    openings: Mapping[str, Opening], oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    for kind in ("parsed", "session_parsed"):
        model = Path(shutil.copytree(openings[kind].directory, tmp_path / kind))
        edit = Compose("nothing", "served", dummy_input="unused")
        receipt = smpatch.patch(model, edit, validator=quick)
        assert receipt.numbers == {"served": ("weights",)}
        assert not [each for each in receipt.notes if each.code == "unused-input"]
        (spec,) = load(model).signatures["served"].inputs["unused"].tensors()
        assert (spec.dtype, spec.shape) == ("float32", (None,))
        for size in (0, 1, 3):
            feeds = {"served": {"unused": encoded(np.zeros(size, np.float32))}}
            got = oracle.ask("tour", directory=model, feeds=feeds, **ABOUT)
            for loader in LOADERS:
                weights = decoded(got[loader]["served"]["arrays"]["weights"])
                assert weights.tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"from_input": {"x": "nope:0"}}, "computes no such tensor"),
        ({"from_input": {"x": "doubled:0"}}, "use doubled:0@"),
        ({"from_input": {"scale": "both:0"}}, "an input of that name, which is still needed"),
        ({"from_input": {"x": "both:0", "y": "both:0"}}, "it is the tensor of the input 'x'"),
        ({"from_input": {"x": "both:0", "fare": f"{PARSER}:2"}}, "no output depends on"),
        ({"from_input": {"x": "looked_up/LookupTableFindV2:1"}}, "computes no such tensor"),
        ({"dummy_input": "x"}, "the signature has inputs: examples, scale"),
        ({"from_input": {"x": "both:0"}, "bind": {"y": 1}}, "no input is called 'y'"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_written(
    given: Mapping[str, Any], said: str, parsed: Path, quick: Validator
) -> None:
    data = (parsed / "saved_model.pb").read_bytes()
    made = {**given, "bind": constants(given.get("bind", {}), "bind")}
    with pytest.raises(RefusedError, match=said):
        smpatch.patch(parsed, Compose(DEFAULT, "opened", **made), validator=quick)
    assert (parsed / "saved_model.pb").read_bytes() == data


@pytest.mark.parametrize(
    ("kind", "tensor", "said"),
    [
        ("cond", "choose/mul:0", "lies inside the branch of the conditional"),
        ("cond", "choose/sub:0", "lies inside the branch of the conditional"),
        ("cond", "choose/mul/Switch:1", "lies inside the branch of the conditional"),
        ("while_loop", "loop/Switch_1:1", "lies inside the while loop"),
        ("while_loop", "loop/mul:0", "lies inside the while loop"),
    ],
)
def test_a_tensor_in_a_branch_or_a_loop_of_tensorflow_1_took_the_place_of_the_other_branch(
    kind: str, tensor: str, said: str, tmp_path: Path
) -> None:
    """The outputs were computed from the fed tensor even if the other branch was taken."""
    model = Path(shutil.copytree(FIXTURES / kind, tmp_path / kind))
    options = Options(validate="none")
    fed = {"x": "x:0"} | ({"flag": "flag:0"} if kind == "cond" else {})
    smpatch.add_predict(model, inputs=fed, outputs={"y": "y:0"}, options=options)
    with pytest.raises(RefusedError, match=said):
        smpatch.patch(model, Compose(DEFAULT, "new", from_input={"q": tensor}), options=options)


def _another_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a fault: copied functions exchange their first and their last new argument."""
    copied = opening.Opening._copied  # noqa: SLF001 - the fault is planted where it would be made

    def wrong(self: Any, site: Any) -> Any:  # noqa: ANN401 - of private classes
        if len(site.fed) > 1:
            first, *_, last = site.fed
            site.fed[first], site.fed[last] = site.fed[last], site.fed[first]
        return copied(self, site)

    monkeypatch.setattr(opening.Opening, "_copied", wrong)


def test_the_structural_proof_finds_exchanged_tensors(
    parsed: Path, monkeypatch: pytest.MonkeyPatch, quick: Validator
) -> None:
    _another_argument(monkeypatch)
    edit = Compose(DEFAULT, "opened", from_input={"a": f"{PARSER}:0", "b": f"{PARSER}:2"})
    with pytest.raises(ValidationError, match="would not have the requested computation"):
        smpatch.patch(parsed, edit, validator=quick)


def test_the_numbers_find_exchanged_tensors_without_the_structural_proof(
    parsed: Path, monkeypatch: pytest.MonkeyPatch, quick: Validator
) -> None:
    data = (parsed / "saved_model.pb").read_bytes()
    _another_argument(monkeypatch)
    monkeypatch.setattr("smpatch.editing.sequence.prove", lambda *_, **__: None)
    edit = Compose(DEFAULT, "opened", from_input={"a": f"{PARSER}:0", "b": f"{PARSER}:2"})
    with pytest.raises(ValidationError, match="it differs from the whole signature"):
        smpatch.patch(parsed, edit, validator=quick)
    assert (parsed / "saved_model.pb").read_bytes() == data


@pytest.mark.parametrize(
    ("name", "key", "op"),
    [("estimator", "predict", "LookupTableFindV2"), ("keras_examples", DEFAULT, "AddV2")],
)
def test_a_path_of_suggest_is_one_that_compose_takes(
    name: str, key: str, op: str, tmp_path: Path
) -> None:
    """The path of a tensor of the main graph ended with the sign for calls; compose refused it."""
    model = Path(shutil.copytree(FIXTURES.parent / "exporters" / name, tmp_path / "model"))
    (first, *_) = (each for each in smpatch.suggest(model, key).inner if each.op == op)
    receipt = smpatch.compose_signature(
        model, key, signature="new", from_input={"inner": first.path}, options=Options(dry_run=True)
    )
    assert "inner" in receipt.signature.inputs


def _lose_a_node(messages: Messages) -> None:
    for function in messages.graph.library.function:
        for result in function.ret:
            function.ret[result] = "nowhere:output:0"


def _lose_an_argument(messages: Messages) -> None:
    for node in _calls(messages):
        del node.input[-1]


def _yield_one_more(messages: Messages) -> None:
    for node in _calls(messages):
        node.attr["Tout"].list.type.append(1)


def _calls(messages: Messages) -> Iterator[Any]:
    for function in messages.graph.library.function:
        yield from (node for node in function.node_def if node.op == "StatefulPartitionedCall")


@pytest.mark.parametrize(
    ("damage", "tensor"),
    [
        (_lose_a_node, "StatefulPartitionedCall:0@StatefulPartitionedCall"),
        (_lose_an_argument, "product:0"),
        (_yield_one_more, "StatefulPartitionedCall:1@StatefulPartitionedCall"),
    ],
)
def test_a_call_that_does_not_fit_its_function_is_told_as_damage(
    damage: Callable[[Messages], None], tensor: str, tmp_path: Path
) -> None:
    """It was a ``StopIteration`` or an ``IndexError``."""
    model = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    rewrite(model / "saved_model.pb", damage)
    with pytest.raises(ModelUnreadableError, match="the graph is damaged"):
        smpatch.compose_signature(
            model,
            "serving_default",
            from_input={"q": tensor},
            signature="new",
            options=Options(validate="none"),
        )
