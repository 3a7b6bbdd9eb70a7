"""The example in each public docstring runs, and prints what it shows.

Edits start no TensorFlow here: the sessions of the pages run the same functions with it.
"""

from __future__ import annotations

import doctest
import inspect
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import smpatch
from smpatch import patcher, session, verbs
from smpatch.validator import Validator
from tests.docs.pages import ROOT

MODELS = ROOT / "fixtures" / "models"
OTHERS = {
    "add_predict": "linear",
    "add_classify": "classify_regress",
    "add_regress": "classify_regress",
    "derive_signature": "keras_functional",
    "promote_function": "module",
    "remove_meta_graph": "several_tag_sets",
    "remove_signatures": "classify_regress",
    "retag": "several_tag_sets",
    "set_init_op": "strings",
}
"""The models of examples that do not work with the linear model and its default signature."""

FUNCTIONS = [name for name in smpatch.__all__ if inspect.isfunction(getattr(smpatch, name))]
CLASSES = ["CheckOptions", "EditSignature", "Options", "RaggedRef", "Session", "SparseRef"]
"""Classes of which a client makes objects; the library makes the objects of the others."""

pytestmark = pytest.mark.own_children  # no session keeps a validator without TensorFlow

PATCH = 'version = 1\n[[edit]]\nrename = "serving_default"\nto = "predict"\n'


class _Silent(Validator):
    """A validator that starts no TensorFlow."""

    def __init__(
        self, _: str, libraries: Sequence[Path], time_limit: float, *, one_edit: bool = False
    ) -> None:
        super().__init__("none", libraries, time_limit, one_edit=one_edit)

    def lend(self, mode: str, time_limit: float, *, calls: bool = False) -> Validator:
        del mode
        return super().lend("none", time_limit, calls=calls)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the models that the examples name."""
    for module in (patcher, session):
        monkeypatch.setattr(module, "Validator", _Silent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_an_example_prints_what_it_shows(name: str, place: Path) -> None:
    one, other = place / "export" / "1", place / "export" / "2"
    shutil.copytree(MODELS / OTHERS.get(name, "linear"), one)
    if name not in OTHERS:
        verbs.add_predict(one, inputs={"x": "x:0"}, outputs={"y": "y:0"})
        shutil.copytree(one, other)
        for each in (one, other):
            verbs.remove_signatures(each, "scale")
    if name == "copy_signatures":
        verbs.rename_signature(one, "serving_default", "predict")
    shutil.copy(ROOT / "fixtures" / "graphs" / "frozen.pb", place / "frozen.pb")
    (place / "patch.toml").write_text(PATCH)
    (test,) = doctest.DocTestFinder(recurse=False).find(
        getattr(smpatch, name), name, globs={"smpatch": smpatch}
    )
    assert test.examples, "it has no example"
    printed: list[str] = []
    result = doctest.DocTestRunner().run(test, out=printed.append)
    assert result.failed == 0, "".join(printed)
