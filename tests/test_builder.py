"""Every refusal and every note of the builder, compared with the result of TensorFlow."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from smpatch import loader, signature
from smpatch.builder import Built, build
from smpatch.edits import AddPredict, RaggedRef, SparseRef, TensorRef
from smpatch.errors import (
    AliasError,
    RefusedError,
    SignatureExistsError,
    TensorNotFoundError,
    TensorUnservableError,
    UnreachableOutputError,
)
from smpatch.graph.resolve import OpDefMissingError
from smpatch.signature import SparseTensorSpec, TensorSpec
from tests.tensorflow_says import OLDEST, ask

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"

SPARSE = SparseRef("ids/values:0", "ids/indices:0", "ids/shape:0")


def built(model: str, inputs: Any, outputs: Any, **options: Any) -> Built:  # noqa: ANN401 - aliases or tensors
    """Build a signature; in a set or list of names, each name is its own alias."""
    inferred, op_defs = options.pop("inferred", None), options.pop("op_defs", {})
    given = {name: name for name in inputs} if isinstance(inputs, (set, list)) else inputs
    wanted = {name: name for name in outputs} if isinstance(outputs, (set, list)) else outputs
    edit = AddPredict(given, wanted, **{"key": "new", **options})
    meta_graph = loader.load(MODELS / model).meta_graph()
    return build(meta_graph.with_op_defs(op_defs), edit.wanted, inferred)


def codes(made: Built) -> list[str]:
    return [note.code for note in made.notes if note.code != "object-graph-unchanged"]


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The results of TensorFlow for the requests that are refused or noted here."""
    said: dict[str, dict[str, str]] = ask("rules", tmp_path_factory)
    return said


@dataclass(frozen=True)
class Refused:
    """A request that is refused.

    Attributes:
        kind: The class of the error.
        says: The whole line of the error.
        inputs: The tensors of the model by alias.
        outputs: The tensors of the model by alias.
        model: The name of the fixture.
        key: The signature key.
    """

    kind: type[RefusedError]
    says: str
    inputs: dict[str, TensorRef] = field(default_factory=lambda: {"x": "x:0"})
    outputs: dict[str, TensorRef] = field(default_factory=lambda: {"y": "y:0"})
    model: str = "linear"
    key: str = "new"


REFUSED = {
    "key that is taken": Refused(
        SignatureExistsError,
        "signature 'scale': the key is taken "
        "(choose another --signature, or replace it with --overwrite)",
        key="scale",
    ),
    "reserved key": Refused(
        AliasError,
        "signature '__saved_model_init_op': the key is reserved: TensorFlow runs what it names "
        "at load time (choose another --signature)",
        key="__saved_model_init_op",
    ),
    "empty key": Refused(
        AliasError, "signature '': not a usable signature key (use letters and _)", key=""
    ),
    "key with a line break": Refused(
        AliasError, "signature 'a\\n': not a usable signature key (use letters and _)", key="a\n"
    ),
    "empty alias": Refused(
        AliasError, "input '': not a usable alias (use letters and _)", inputs={"": "x:0"}
    ),
    "empty output alias": Refused(
        AliasError, "output '': not a usable alias (use letters and _)", outputs={"": "y:0"}
    ),
    "keyword": Refused(
        AliasError,
        "input 'class': Python cannot pass an argument of that name "
        "(choose another alias: --inputs class_=x:0)",
        inputs={"class": "x:0"},
    ),
    "self": Refused(
        AliasError,
        "input 'self': Python cannot pass an argument of that name "
        "(choose another alias: --inputs self_=x:0)",
        inputs={"self": "x:0"},
    ),
    "aliases that Python writes alike": Refused(
        AliasError,
        "input 'a_b': Python writes it like the input 'a-b', as 'a_b' "
        "(choose another alias: letters, digits and _ stay as they are)",
        inputs={"a-b": "x:0", "a_b": "y:0"},
        outputs={"y": "product:0"},
    ),
    "aliases that begin alike": Refused(
        AliasError,
        "input 'arg_1': Python writes it like the input '1', as 'arg_1' "
        "(choose another alias: letters, digits and _ stay as they are)",
        inputs={"1": "x:0", "arg_1": "y:0"},
        outputs={"y": "product:0"},
    ),
    "keyword for parts": Refused(
        AliasError,
        "input 'if': Python cannot pass an argument of that name",
        inputs={"if": SPARSE},
        model="sparse",
    ),
    "one tensor twice": Refused(
        AliasError,
        "input 'b': x:0 is already the input 'a' (a tensor can be fed once)",
        inputs={"a": "x:0", "b": "x"},
    ),
    "input as output": Refused(
        AliasError,
        "output 'y': x:0 is the input 'x' too (sessions refuse to fetch what they are fed)",
        outputs={"y": "x:0"},
    ),
    "fetched handle": Refused(
        TensorUnservableError,
        "output 'y': a:0 is a resource handle, which cannot be fetched",
        outputs={"y": "a:0"},
    ),
    "fed handle": Refused(
        TensorUnservableError,
        "input 'a': a:0 is a resource handle, which cannot be fed",
        inputs={"x": "x:0", "a": "a:0"},
    ),
    "misspelt": Refused(
        TensorNotFoundError,
        "Y:0: no such node in the graph (did you mean y?)",
        outputs={"y": "Y:0"},
    ),
    "output in a loop": Refused(
        TensorUnservableError,
        "output 'y': loop/grown:0 lies inside the while loop that 'loop/Enter' enters "
        "(name a tensor before or after the loop, such as its Exit)",
        outputs={"y": "loop/grown:0"},
        model="while_loop",
    ),
    "input in a loop": Refused(
        TensorUnservableError,
        "input 'g': loop/grown:0 lies inside the while loop that 'loop/Enter' enters "
        "(name a tensor before or after the loop, such as its Exit)",
        inputs={"g": "loop/grown:0"},
        model="while_loop",
    ),
    "unfed placeholder": Refused(
        UnreachableOutputError,
        "output 'y': needs the placeholder 'scale', which no input feeds (add --inputs scale:0)",
        model="unfed_placeholder",
    ),
    "unfed placeholders": Refused(
        UnreachableOutputError,
        "output 'y': needs the placeholders 'flag', 'x', which no input feeds "
        "(add --inputs flag:0,x:0)",
        inputs={"four": "doubled/y:0"},
        model="cond",
    ),
    "sparse indices of another type": Refused(
        RefusedError,
        "input ids: ids/values:0 is float32, where int64 is needed",
        inputs={"ids": SparseRef("ids/values:0", "ids/values:0", "ids/shape:0")},
        outputs={"t": "total:0"},
        model="sparse",
    ),
    "sparse parts crossed": Refused(
        RefusedError,
        "input ids: ids/shape:0 has rank 1, where rank 2 is needed",
        inputs={"ids": SparseRef("ids/values:0", "ids/shape:0", "ids/indices:0")},
        outputs={"t": "total:0"},
        model="sparse",
    ),
    "ragged splits of another type": Refused(
        RefusedError,
        "input ids: v:0 is float32, where int32 or int64 is needed",
        inputs={"ids": RaggedRef("row_splits:0", ("v:0",))},
        outputs={"s": "row_sum:0"},
        model="ragged",
    ),
    "ragged splits of two types": Refused(
        RefusedError,
        "input ids: its row_splits have different types (use one of int32 and int64 for all)",
        inputs={"ids": RaggedRef("v:0", ("row_splits:0", "RaggedReduceSum/Shape:0"))},
        outputs={"s": "row_sum:0"},
        model="ragged",
    ),
    "ragged scalar": Refused(
        RefusedError,
        "input ids: RaggedReduceSum/sub:0 is a scalar, and ragged values have a dimension",
        inputs={"ids": RaggedRef("RaggedReduceSum/sub:0", ("row_splits:0",))},
        outputs={"s": "row_sum:0"},
        model="ragged",
    ),
    "spec of another type": Refused(
        RefusedError,
        "input x: the spec has the type float64, and the graph has float32",
        inputs={"x": TensorSpec("x:0", "float64", (None,))},
    ),
    "spec of a narrower shape": Refused(
        RefusedError,
        "input x: the spec's shape [3] is narrower than the graph's [?] "
        "(a signature may relax a shape, not narrow it)",
        inputs={"x": TensorSpec("x:0", "float32", (3,))},
    ),
    "spec of another rank": Refused(
        RefusedError,
        "input x: the spec's shape [?, ?] has rank 2, and the graph's [?] has rank 1 "
        "(the rank is the graph's; a signature may leave it out)",
        inputs={"x": TensorSpec("x:0", "float32", (None, None))},
    ),
    "spec where the rank is unknown": Refused(
        RefusedError,
        "input x: the spec's shape [] is narrower than the graph's <unknown rank> "
        "(a signature may relax a shape, not narrow it)",
        inputs={"x": TensorSpec("x:0", "float32", ())},
        model="unknown_rank",
    ),
    "sparse spec of a narrower shape": Refused(
        RefusedError,
        "input ids: the spec's shape [2, 2] is narrower than the graph's [?, ?] "
        "(a signature may relax a shape, not narrow it)",
        inputs={
            "ids": SparseTensorSpec(
                "ids/values:0", "ids/indices:0", "ids/shape:0", "float32", (2, 2)
            )
        },
        outputs={"t": "total:0"},
        model="sparse",
    ),
    "component of another type": Refused(
        RefusedError,
        "input ids: the spec has the type int64, and the graph has float32",
        inputs={
            "ids": signature.ragged(
                TensorSpec("v:0", "int64", (None,)), (TensorSpec("row_splits:0", "int64", None),)
            )
        },
        outputs={"s": "row_sum:0"},
        model="ragged",
    ),
    "operation that nothing defines": Refused(
        OpDefMissingError,
        "y:0: the model does not define the outputs of the operation 'AddV2' "
        "(validate with TensorFlow, which may infer it)",
        model="no_op_list",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    wrong = REFUSED[case]
    with pytest.raises(RefusedError) as caught:
        built(wrong.model, wrong.inputs, wrong.outputs, key=wrong.key)
    assert str(caught.value) == wrong.says
    # Callers get NodeNotFoundError as its base class, TensorNotFoundError.
    assert wrong.kind in {type(caught.value), type(caught.value).__base__}
    assert caught.value.exit_code == 4


COLLISION = "call: ValueError: Name collision after sanitization"


@pytest.mark.parametrize(
    ("case", "says", "oldest_says"),
    [
        ("empty alias", "load: ", "call: IndexError: "),
        ("keyword", "load: ValueError: 'class' is not a valid parameter name", ""),
        ("self", "call: TypeError: ConcreteFunction.__call__() got multiple values", None),
        ("aliases that Python writes alike", "load: ValueError: duplicate parameter", COLLISION),
        ("aliases that begin alike", "load: ValueError: duplicate parameter name", COLLISION),
        ("one tensor twice", "load: InvalidArgumentError: TF_Output x:0 appears more than", None),
        ("unfed placeholder", "load: UnliftableError: ", None),
    ],
)
def test_the_python_loader_dies_of_what_is_refused(
    case: str, says: str, oldest_says: str | None, theirs: dict[str, dict[str, str]]
) -> None:
    """The oldest TensorFlow fails at the call of some; it and Python 3.10 accept a keyword.

    Source for the keyword: ``inspect.Parameter``, which refuses keywords since Python 3.11.
    """
    older = OLDEST or (case == "keyword" and sys.version_info < (3, 11))
    expected = oldest_says if older and oldest_says is not None else says
    told = theirs["loaded"][case]
    assert theirs["loaded"]["good"] == ""
    assert told.startswith(expected)
    assert bool(told) == bool(expected)
    assert case in REFUSED


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("fed and fetched", "x:0 is both fed and fetched"),
        ("unfed placeholder", "You must feed a value for placeholder tensor 'z'"),
        ("unfed placeholder that waits", "You must feed a value for placeholder tensor 'waiting'"),
        ("fed handle", "Expects arg[0] to be resource but float is provided"),
        ("in a loop", "Retval[0] has already been set"),
        ("branch not taken", "Retval[0] does not have value"),
    ],
)
def test_a_session_dies_of_what_is_refused_or_noted(
    case: str, says: str, theirs: dict[str, dict[str, str]]
) -> None:
    assert theirs["ran"]["good"] == theirs["ran"]["branch taken"] == ""
    assert says in theirs["ran"][case]


class TestNotes:
    def test_an_input_that_nothing_needs(self, theirs: dict[str, dict[str, str]]) -> None:
        made = built("unfed_placeholder", ["x:0", "scale:0"], {"y": "scaled:0"})
        assert codes(made) == []
        made = built("linear", {"x": "x:0", "more": "a/Read/ReadVariableOp:0"}, {"y": "y:0"})
        (note,) = made.notes
        assert note.code == "unused-input"
        assert note.text == ("no output depends on the input 'more' (a/Read/ReadVariableOp:0)")
        assert theirs["loaded"]["unused input"] == theirs["ran"]["unused input"] == ""

    def test_a_branch(self, theirs: dict[str, dict[str, str]]) -> None:
        made = built("cond", ["x:0", "flag:0"], ["choose/add:0", "y:0"])
        (note,) = made.notes
        assert note.code == "conditional-output"
        assert note.text.startswith("choose/add:0 is yielded only when the conditional at 'choose/")
        assert "does not have value" in theirs["ran"]["branch not taken"]

    def test_a_reference(self, theirs: dict[str, dict[str, str]]) -> None:
        made = built("ref_variables", ["x:0"], ["layer_1/w:0", "y:0"])
        (note,) = made.notes
        assert note.code == "reference-tensor"
        assert note.text.startswith("layer_1/w:0 is a reference to a TF1 variable; sessions serve")
        assert made.signature.outputs["layer_1/w:0"] == TensorSpec(
            "layer_1/w:0", "float32_ref", (2, 3)
        )
        assert theirs["ran"]["reference"] == ""
        assert "has a reference type" in theirs["loaded"]["reference"]

    @pytest.mark.parametrize("alias", ["_x", "a b", "a:0", "a/b"])
    def test_an_input_that_a_tf2_export_cannot_save_again(self, alias: str) -> None:
        made = built("module", {alias: "serving_default_x:0"}, ["StatefulPartitionedCall:0"])
        assert codes(made) == ["alias-not-resavable"]
        assert repr(alias) in made.notes[-1].text
        assert codes(built("linear", {alias: "x:0"}, ["y:0"])) == []

    def test_inputs_that_are_the_same_in_lower_case_cannot_be_saved_again(self) -> None:
        """TensorFlow saves names of arguments in lower case; random renames found the failure."""
        inputs = {"m": "serving_default_left:0", "M": "serving_default_right:0"}
        made = built("keras_functional", inputs, ["StatefulPartitionedCall_1:0"])
        assert codes(made) == ["alias-not-resavable"] * 2
        assert "'m' beside one that is the same in lower case" in made.notes[0].text

    @pytest.mark.parametrize("alias", ["x", "x_1", "1x", "Class"])
    def test_a_plain_alias_is_none(self, alias: str) -> None:
        made = built("module", {alias: "serving_default_x:0"}, ["StatefulPartitionedCall:0"])
        assert codes(made) == []

    def test_an_output_may_be_called_like_a_keyword(
        self, theirs: dict[str, dict[str, str]]
    ) -> None:
        assert list(built("linear", ["x:0"], {"class": "y:0"}).signature.outputs) == ["class"]
        assert theirs["loaded"]["keyword as output"] == ""
