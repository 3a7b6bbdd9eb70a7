"""The structural proof and the comparison of numbers each find a constant with a wrong value."""

from __future__ import annotations

from typing import Any

import pytest

import smpatch
from smpatch import Options, ValidationError
from smpatch.functions import binding
from smpatch.runs import pairs as pairs_module
from smpatch.validator import by_numbers
from tests.compose.conftest import Copied

DEFAULT = "serving_default"
RUNTIME = Options(validate="runtime")


def _another_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a fault: the edit writes the opposite of the boolean constant in the request."""
    made = binding.Constants._constant  # noqa: SLF001 - the fault is planted where it would be made

    def wrong(self: Any, name: str, proto: bytes) -> str:  # noqa: ANN401 - of a private class
        tensor = made(self, name, proto)
        node = self.nodes[-1]
        if node.attr["value"].tensor.bool_val:
            node.attr["value"].tensor.bool_val[:] = [not node.attr["value"].tensor.bool_val[0]]
        return tensor

    monkeypatch.setattr(binding.Constants, "_constant", wrong)


@pytest.mark.parametrize("kind", ["module", "session"])
def test_the_structural_proof_finds_another_constant(
    kind: str, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copied(kind)
    _another_value(monkeypatch)
    with pytest.raises(ValidationError, match="would not have the requested computation"):
        smpatch.compose_signature(
            model, DEFAULT, bind={"training": True}, signature="new", options=RUNTIME
        )


@pytest.mark.parametrize("kind", ["module", "session"])
def test_the_numbers_find_another_constant_without_the_structural_proof(
    kind: str, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copied(kind)
    data = (model / "saved_model.pb").read_bytes()
    _another_value(monkeypatch)
    monkeypatch.setattr("smpatch.editing.sequence.prove", lambda *_, **__: None)
    with pytest.raises(ValidationError, match="it is not what it was before the edit"):
        smpatch.compose_signature(
            model, DEFAULT, bind={"training": True}, signature="new", options=RUNTIME
        )
    assert (model / "saved_model.pb").read_bytes() == data


def test_nothing_else_runs_where_a_run_is_not_asked_for(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    compared = pairs_module.compare_pairs

    def noted(pairs: Any, *rest: Any) -> Any:  # noqa: ANN401 - any arguments
        keys.extend(pair.key for pair in pairs)
        return compared(pairs, *rest)

    monkeypatch.setattr(by_numbers, "compare_pairs", noted)
    smpatch.compose_signature(
        copied("module"), DEFAULT, bind={"training": True}, signature="new", options=RUNTIME
    )
    assert {*keys} == {"new"}
