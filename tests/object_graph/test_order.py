"""The order trap: tensors pair with sorted names, but values belong to their keys.

Random modules get signatures under other names, in three ways. All values are distinct, so a value
under the key of another is a wrong number.
"""

from __future__ import annotations

import keyword
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import smpatch
from smpatch import TensorSpec, load
from tests.object_graph.conftest import UNPROVED, assert_values
from tests.object_graph.subjects import Asked, differences
from tests.oracle.client import Oracle, Value

EXAMPLES = 100 if os.environ.get("SMPATCH_PROVE") else 2
"""The number of examples; each builds a model, saves it twice and converts it."""

MOST = 6

aliases = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name != "self"
)
arguments = aliases.filter(str.isidentifier)


def _unlike(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """Draw a new name for each name; if there are several, they sort in another order."""
    # TensorFlow cannot save a signature again if its inputs differ only by case, not even its own.
    size = len(names)
    others = st.lists(aliases, min_size=size, max_size=size, unique_by=str.lower)
    return others.map(lambda new: _turned(names, new))


def _turned(names: Sequence[str], new: Sequence[str]) -> list[str]:
    ranks = sorted(range(len(names)), key=lambda place: names[place])
    if ranks != sorted(range(len(new)), key=lambda place: new[place]):
        return list(new)
    turned = dict(zip(ranks, sorted(new, reverse=True), strict=True))
    return [turned[place] for place in range(len(names))]


@st.composite
def renamings(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Draw inputs and outputs with their new aliases."""
    pairs = []
    for names in (arguments, aliases):
        old = draw(st.lists(names, min_size=1, max_size=MOST, unique_by=str.lower))
        pairs.append(dict(zip(old, draw(_unlike(old)), strict=True)))
    return pairs[0], pairs[1]


@settings(
    max_examples=EXAMPLES,
    # An example takes seconds, so a failure is reported without a search for a smaller one.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(renaming=renamings())
def test_values_belong_to_their_keys(
    oracle: Oracle, renaming: tuple[dict[str, str], dict[str, str]]
) -> None:
    inputs, outputs = renaming
    with tempfile.TemporaryDirectory() as scratch:
        directory, again = Path(scratch) / "model", Path(scratch) / "again"
        told = oracle.ask("build_random", directory=directory, inputs=[*inputs], outputs=[*outputs])
        asked = _asked(directory, told, inputs, outputs)
        feeds = {key: each.feed for key, each in asked.items()}
        both = ["python", "session"]
        toured = oracle.ask("tour", directory=directory, tags=["serve"], feeds=feeds, loaders=both)
        assert_values(toured["python"], asked)
        assert_values(toured["session"], asked)
        saved = oracle.ask("save_again", directory=directory, tags=["serve"], to=again)
        assert saved == {}
        resaved = oracle.ask("tour", directory=again, tags=["serve"], feeds=feeds, loaders=both)
        assert_values(resaved["python"], asked)
        assert_values(resaved["session"], asked)
        for key, each in asked.items():
            converted = oracle.ask(
                "tflite", directory=directory, key=key, feed=each.feed, tags=["serve"]
            )
            assert differences(converted, each.results or {}) == [], key


@pytest.mark.parametrize(
    "names",
    [["0", "F", "a"], ["9", "10", "Zz"], ["_x", "b", "Z"], ["a b", "aB", "a"], ["é", "a:0", "a-"]],
    ids=str,
)
def test_python_sorts_by_the_parameters_that_it_makes_of_aliases(
    oracle: Oracle, names: list[str], tmp_path: Path
) -> None:
    """Python puts ``arg_`` before a digit at the start, and ``arg_`` sorts after ``F``."""
    directory = tmp_path / "model"
    told = oracle.ask("build_random", directory=directory, inputs=["p", "q", "r"], outputs=["y"])
    value = told["results"]["y"]
    asked = {}
    for place in range(len(names)):
        aliases = dict(zip("pqr", names[place:] + names[:place], strict=True))
        smpatch.promote_function(
            directory,
            "compute",
            inputs={alias: name for name, alias in aliases.items()},
            outputs={names[place]: "y"},
            signature=f"turned_{place}",
            options=UNPROVED,
        )
        feed = {aliases[name]: each for name, each in told["feed"].items()}
        asked[f"turned_{place}"] = Asked(feed, {names[place]: value})
    feeds = {key: each.feed for key, each in asked.items()}
    toured = oracle.ask(
        "tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["python", "session"]
    )
    assert_values(toured["session"], asked)
    assert_values(toured["python"], asked)


def _asked(
    directory: Path,
    told: Mapping[str, Any],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> dict[str, Asked]:
    """Add a signature in each way; return their feeds and expected results."""
    feed = {inputs[name]: value for name, value in told["feed"].items()}
    results = {outputs[name]: value for name, value in told["results"].items()}
    source = load(directory).signatures["serving_default"]
    smpatch.add_predict(
        directory,
        inputs={inputs[name]: _name(spec) for name, spec in source.inputs.items()},
        outputs={outputs[name]: _name(spec) for name, spec in source.outputs.items()},
        signature="main",
        options=UNPROVED,
    )
    smpatch.promote_function(
        directory,
        "compute",
        inputs={alias: name for name, alias in inputs.items()},
        outputs={alias: name for name, alias in outputs.items()},
        signature="function",
        options=UNPROVED,
    )
    inner: dict[str, str] = {}
    inner_results: dict[str, Value] = {}
    for alias, (node, value) in zip(outputs.values(), told["inner"].items(), strict=True):
        inner[alias] = node
        inner_results[alias] = value
    for key, start in (("inner", "main"), ("inner_of_function", "function")):
        smpatch.derive_signature(directory, start, outputs=inner, signature=key, options=UNPROVED)
    return {
        "main": Asked(feed, results),
        "function": Asked(feed, results),
        "inner": Asked(feed, inner_results),
        "inner_of_function": Asked(feed, inner_results),
    }


def _name(spec: object) -> str:
    assert isinstance(spec, TensorSpec)
    return spec.name
