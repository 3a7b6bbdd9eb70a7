"""A signature of another SavedModel before or behind a signature: the numbers of both in turn."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import (
    ModelUnreadableError,
    Options,
    RefusedError,
    SmpatchError,
    UsageError,
    ValidationError,
    load,
    schema,
)
from smpatch.fragments import Fragment, Tracing, asked_list
from smpatch.validator import Validator
from smpatch.validator import tracing as tracing_module
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
EXPORTERS = FIXTURES.parent / "exporters"
RNG = np.random.default_rng(5)
ROWS = RNG.random((3, 2), np.float32)
LIST = RNG.random(4, np.float32)
WORDS = np.array([b"red", b"green", b"blue", b"\xffnone"], object)


@dataclass(frozen=True)
class Case:
    """Two models in turn.

    Attributes:
        base: The model that is edited, and the key of its signature.
        other: The other model, and the key in the request; empty if it names none.
        place: The place of the other model, ``before`` or ``after``.
        feed: The values of the inputs of the new signature.
        alias: The input that the other model yields; empty if the request does not name it.
        names: Output of the first to input of the second, if their names differ.
    """

    base: tuple[Path, str]
    other: tuple[Path, str]
    place: str
    feed: Mapping[str, Any]
    alias: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the name of the test."""
        (base, key), (other, there) = self.base, self.other
        return f"{base.name}-{key}-{self.place}-{other.name}-{there}"


LINEAR = FIXTURES / "linear", "scale"
MODULE = FIXTURES / "module", DEFAULT
ARCHIVE = FIXTURES / "keras_export_archive"
STRINGS = FIXTURES / "strings", "raw"
TEXT = {"text": WORDS}
DEFAULT_OF = {FIXTURES / "lookup_table": "shift"}
"""Model to the key of its only signature, if this is not the default key."""
CASES = [
    # A variable of TensorFlow 1 behind a module, and the module before it.
    Case(MODULE, LINEAR, "after", {"x": ROWS}, names={"score": "x"}),
    Case(LINEAR, MODULE, "before", {"x": ROWS}, names={"score": "x"}),
    Case((ARCHIVE, "embed"), (ARCHIVE, "score"), "after", {"x": ROWS}),
    Case((ARCHIVE, "score"), (ARCHIVE, "embed"), "before", {"x": ROWS}),
    # Variables that are references.
    Case(
        (FIXTURES / "cond", "double"),
        (FIXTURES / "variable_captured_twice", ""),
        "before",
        {"x": LIST},
        names={"output_0": "x"},
    ),
    Case(LINEAR, (EXPORTERS / "loops_in_session", "early"), "before", {"x": LIST}, "x", {"y": "x"}),
    # Tables of TensorFlow 1 and 2, from nodes and from a file.
    Case(STRINGS, (FIXTURES / "lookup_table", ""), "after", TEXT, names={"raw_bytes": "word"}),
    Case(
        STRINGS, (FIXTURES / "string_lookup_asset", ""), "after", TEXT, names={"raw_bytes": "word"}
    ),
    Case(STRINGS, (EXPORTERS / "retrieval", ""), "after", TEXT, names={"raw_bytes": "input_1"}),
    Case(
        (FIXTURES / "lookup_table", "shift"), STRINGS, "before", TEXT, names={"raw_bytes": "word"}
    ),
    # A loop with variables, for one of two inputs.
    Case(
        (FIXTURES / "keras_functional", DEFAULT),
        (FIXTURES / "keras_rnn", "serving_default"),
        "before",
        {"steps": RNG.random((3, 3, 2), np.float32), "right": ROWS},
        "left",
        {"output_0": "left"},
    ),
]


def _text(case: Case) -> str:
    model, key = case.other
    start = f"{case.alias}=" if case.alias else ""
    return f"{start}{model}" + (f":{key}" if key else "")


def _asked(case: Case, text: str) -> smpatch.edits.Compose:
    before, after = ([text], []) if case.place == "before" else ([], [text])
    put = asked_list(before, "before"), asked_list(after, "after")
    return smpatch.edits.Compose(case.base[1], "new", before=put[0], after=put[1])


def _run(oracle: Oracle, model: Path, key: str, feed: Mapping[str, Any], loader: str) -> Any:  # noqa: ANN401 - an answer of the oracle
    signature = load(model).meta_graph(["serve"]).signatures[key]
    fed = {alias: feed[alias] for alias in signature.inputs}
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds={key: fed}, loaders=[loader])
    assert "arrays" in told[loader][key], told[loader][key]
    return told[loader][key]["arrays"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_numbers_are_those_of_the_two_models_in_turn(
    case: Case, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(case.base[0], tmp_path / "model"))
    receipt = smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    made = load(model).signatures["new"]
    assert receipt.numbers == {"new": tuple(sorted(made.outputs))}
    first, second = (case.other, case.base) if case.place == "before" else (case.base, case.other)
    feed = {alias: encoded(value) for alias, value in case.feed.items()}
    given = _run(oracle, first[0], first[1] or DEFAULT_OF.get(first[0], DEFAULT), feed, "session")
    then = {**feed, **{case.names.get(alias, alias): value for alias, value in given.items()}}
    key = second[1] or DEFAULT_OF.get(second[0], DEFAULT)
    wanted = _run(oracle, second[0], key, then, "session")
    for loader in ("session", "python"):
        assert _run(oracle, model, "new", feed, loader) == wanted


def test_names_of_several_outputs_are_those_of_inputs(
    oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(EXPORTERS / "shared_function", tmp_path / "other"))
    edit = smpatch.EditSignature(
        "twice", rename_outputs={"a": "left", "z": "right"}, drop_outputs=("m",)
    )
    smpatch.edit_signature(other, edit, options=Options(validate="none"))
    base = FIXTURES / "keras_functional", DEFAULT
    case = Case(base, (other, "twice"), "before", {"x": ROWS})
    test_the_numbers_are_those_of_the_two_models_in_turn(case, oracle, quick, tmp_path)


def test_an_input_with_the_name_of_the_output_keeps_its_name(
    oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(MODULE[0], tmp_path / "other"))
    base = Path(shutil.copytree(LINEAR[0], tmp_path / "base"))
    unproved = Options(validate="none")
    edit = smpatch.EditSignature(DEFAULT, rename_outputs={"score": "x"})
    smpatch.edit_signature(other, edit, options=unproved)
    smpatch.edit_signature(
        base, smpatch.EditSignature("scale", rename_inputs={"x": "values"}), options=unproved
    )
    case = Case((base, "scale"), (other, DEFAULT), "before", {"x": ROWS}, names={"x": "values"})
    test_the_numbers_are_those_of_the_two_models_in_turn(case, oracle, quick, tmp_path)
    assert set(load(tmp_path / "model").signatures["new"].inputs) == {"x"}


def test_variables_that_become_constants_are_noted(quick: Validator, tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODULE[0], tmp_path / "model"))
    case = Case(MODULE, LINEAR, "after", {})
    receipt = smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    notes = [each.text for each in receipt.notes if each.code == "frozen-variables"]
    assert notes == [f"{_text(case)}: its variables became constants, 4 bytes"]
    assert "became constants" not in " ".join(
        each.text
        for each in smpatch.patch(
            Path(shutil.copytree(STRINGS[0], tmp_path / "strings")),
            _asked(CASES[6], _text(CASES[6])),
            validator=quick,
        ).notes
    )


def test_a_composition_with_a_model_is_taken_back_byte_for_byte(
    quick: Validator, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(MODULE[0], tmp_path / "model"))
    data = (model / "saved_model.pb").read_bytes()
    case = Case(MODULE, LINEAR, "after", {})
    smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    smpatch.remove_signatures(model, "new", options=Options(validate="none"))
    assert (model / "saved_model.pb").read_bytes() == data


def test_a_patch_file_names_models_relative_to_itself(tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODULE[0], tmp_path / "model"))
    (tmp_path / "patches").mkdir()
    shutil.copytree(LINEAR[0], tmp_path / "patches" / "other" / "1")
    patch = tmp_path / "patches" / "patch.toml"
    patch.write_text(
        """
version = 1

[[edit]]
compose = "new"
from-signature = "serving_default"
after = "other/1:scale"
"""
    )
    (first,) = smpatch.apply([model], smpatch.load_patch(patch).edits)
    made = (model / "saved_model.pb").read_bytes()
    assert first.receipt is not None
    assert first.receipt.numbers == {"new": ("product",)}
    (again,) = smpatch.apply([model], smpatch.load_patch(patch).edits)
    assert again.receipt is not None
    assert again.receipt.outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == made


def test_the_function_is_held_against_the_model_with_its_variables(
    oracle: Oracle, quick: Validator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant that differs from the variable gives other numbers than the model."""
    one = encoded(np.ones([1], "f4"))
    told = _run(oracle, LINEAR[0], LINEAR[1], {"x": one}, "session")
    scale = float(decoded(told["product"])[0])
    was, other = (struct.pack("<f", each) for each in (scale, scale + 1))
    traced = tracing_module.Tracer.trace

    def planted(self: tracing_module.Tracer, tracing: Tracing) -> Fragment:
        fragment = traced(self, tracing)
        assert any(was in each for each in fragment.functions)
        return replace(
            fragment, functions=tuple(each.replace(was, other) for each in fragment.functions)
        )

    monkeypatch.setattr(tracing_module.Tracer, "trace", planted)
    model = Path(shutil.copytree(MODULE[0], tmp_path / "model"))
    data = (model / "saved_model.pb").read_bytes()
    case = Case(MODULE, LINEAR, "after", {})
    with pytest.raises(ValidationError, match="differs from the result of its parts, run in order"):
        smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    assert (model / "saved_model.pb").read_bytes() == data


KERAS = FIXTURES / "keras_functional", DEFAULT
REFUSED = [
    (KERAS, f"before {LINEAR[0]}:scal", "no such signature"),
    (KERAS, f"before {LINEAR[0]}", "it yields 'product', and the signature has no input"),
    (KERAS, f"before left={KERAS[0]}", "it has 2 outputs, and 'left' is one input"),
    (KERAS, f"before {ARCHIVE}:embed", "it yields 'embedding', and the signature has no input"),
    (KERAS, f"after {LINEAR[0]}", "it takes 'x', and the signature has no output of that name"),
    (KERAS, f"before left={LINEAR[0]}", r"it yields float32 \[\?\], the signature's input"),
    (MODULE, f"after {EXPORTERS / 'mutable_table'}:look", r"a state \(MutableHashTableV2"),
    (MODULE, f"after {EXPORTERS / 'changing_variables'}:move", r"writes variables \(Assign"),
    (MODULE, f"after {EXPORTERS / 'random_numbers'}:generated", r"writes variables \(RngReadAndS"),
    (MODULE, f"after {EXPORTERS / 'changing_variables'}:look", "it needs an input and an output"),
    (MODULE, f"after {EXPORTERS / 'loops_in_session'}", "a loop of TensorFlow 1"),
    (MODULE, f"after {EXPORTERS / 'python_inside'}:called", "calls back into Python"),
    (MODULE, f"after {FIXTURES / 'sparse'}:twice", "its input 'ids' is a sparse or composite"),
    (MODULE, f"after {FIXTURES / 'wrong_tensor_info'}:missing", "'product' is not a tensor of its"),
    (MODULE, f"after {ARCHIVE}:nothing", "no such signature"),
    (MODULE, f"after {EXPORTERS / 'policy'}", "the model has 4 signatures"),
]


@pytest.mark.parametrize(("base", "asked", "found"), REFUSED, ids=lambda each: str(each)[-40:])
def test_what_cannot_be_chained_is_refused(
    base: tuple[Path, str], asked: str, found: str, quick: Validator, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(base[0], tmp_path / "model"))
    data = (model / "saved_model.pb").read_bytes()
    place, _, text = asked.partition(" ")
    case = Case(base, LINEAR, place, {})
    with pytest.raises(SmpatchError, match=found):
        smpatch.patch(model, _asked(case, text), validator=quick)
    assert (model / "saved_model.pb").read_bytes() == data


def test_an_input_of_the_signature_is_not_fed_to_the_model_behind(
    quick: Validator, tmp_path: Path
) -> None:
    """Both take ``x``; the model behind takes the output of the signature."""
    model = Path(shutil.copytree(FIXTURES / "cond", tmp_path / "model"))
    case = Case((model, "double"), LINEAR, "after", {})
    receipt = smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    assert receipt.numbers == {"new": ("product",)}
    (call,) = (
        schema.NodeDef.FromString(load(model).meta_graph().graph.raw(name))
        for name in load(model).meta_graph().graph
        if name.startswith("new_after/")
    )
    assert call.input == ["doubled"]


def test_variables_that_are_too_large_are_refused(
    quick: Validator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(MODULE[0], tmp_path / "model"))
    monkeypatch.setattr(tracing_module, "_MOST_BYTES", 3)
    case = Case(MODULE, LINEAR, "after", {})
    with pytest.raises(RefusedError, match="its variables have 4 bytes") as refused:
        smpatch.patch(model, _asked(case, _text(case)), validator=quick)
    assert refused.value.hint == "those of a function become constants, up to 3 bytes"


@pytest.mark.parametrize(
    "text", [f"{'x' * 300}.py:f", f"{'x' * 300}:key", f"x=lookup(vocabulary={'x' * 300})", "a\0b:c"]
)
def test_a_name_that_no_file_can_have_is_an_error_of_use(text: str) -> None:
    """Python raises OSError when it searches for such a file."""
    with pytest.raises(UsageError, match=r"there is no such|neither a function"):
        asked_list([text], "before")


def test_no_such_directory() -> None:
    with pytest.raises(UsageError, match="neither a function nor a recipe, and there is no such"):
        asked_list(["nowhere/1:serve"], "after")
    with pytest.raises(ModelUnreadableError):
        smpatch.compose_signature(
            MODULE[0],
            DEFAULT,
            signature="new",
            after=[str(FIXTURES)],
            options=Options(dry_run=True),
        )
