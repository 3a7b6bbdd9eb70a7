"""The loader's own modules give the same answers about models as all of TensorFlow."""

from __future__ import annotations

import dataclasses
import logging
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from smpatch import load
from smpatch.errors import SmpatchError
from smpatch.runtime import light_child, questions
from smpatch.runtime.installation import Wheel
from smpatch.runtime.process import Child, ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.runtime.python_questions import Refusal, Traced, trace
from smpatch.runtime.questions import PythonSignatures
from smpatch.validator.python_loader import PythonLoader
from tests.checker import faults
from tests.contract.models import FIXTURES, PROVE, Case, corpus, found_in
from tests.oracle.client import Oracle
from tests.prove.ledger import Count

pytestmark = pytest.mark.proof("the loader's own modules against all of TensorFlow")

LIMIT = 120.0

EXPORTERS = FIXTURES.parent / "exporters"

MODELS = [*found_in(FIXTURES), *(found_in(EXPORTERS) if PROVE else ()), *corpus()]

PLANTED = list({each.fault.name: each for each in faults.cases()}.values())
"""One model for each fault; ``make prove`` takes all."""


@pytest.fixture(scope="module")
def light(installed: Wheel) -> Iterator[Child]:
    with Child.start(Program.LIGHT, installed) as child:
        yield child


@pytest.fixture
def compare(light: Child, python: Child, count: Count) -> Callable[[Path], None]:
    """Return a function that loads a model with both, and compares verdicts and signatures."""
    return lambda directory: _compare(directory, light, python, count)


def _compare(directory: Path, light: Child, python: Child, count: Count) -> None:
    try:
        meta_graphs: Sequence[Sequence[str] | None]
        meta_graphs = [each.tags for each in load(directory).meta_graphs]
    except SmpatchError:
        meta_graphs = [None]
    for tags in meta_graphs:
        few = questions.python_signatures(light, directory, tags, LIMIT)
        all_ = questions.python_signatures(python, directory, tags, LIMIT)
        assert few.ok == all_.ok, (few.message, all_.message)
        assert few.signatures == all_.signatures
    count.add(models=1)


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_a_model(case: Case, compare: Callable[[Path], None]) -> None:
    compare(case.directory)


@pytest.mark.parametrize("case", faults.cases() if PROVE else PLANTED, ids=str)
def test_a_planted_fault(
    case: faults.Case, tmp_path: Path, oracle: Oracle, compare: Callable[[Path], None]
) -> None:
    compare(faults.planted(case, tmp_path / "model", oracle))


def test_it_calls_nothing(light: Child) -> None:
    reply = light.ask({"do": "call", "key": "serving_default", "inputs": {}}, LIMIT)
    assert not reply["ok"]


def test_it_is_of_the_same_tensorflow(light: Child, python: Child) -> None:
    assert questions.version(light, LIMIT) == questions.version(python, LIMIT)


def test_another_layout_of_tensorflow_is_unfit(pretend: Callable[[str], Wheel]) -> None:
    with (
        Child.start(Program.LIGHT, pretend("")) as child,
        pytest.raises(ChildUnfit, match=r"^ModuleNotFoundError: No module named 'tensorflow.pyth"),
    ):
        questions.version(child, LIMIT)


def test_devices_of_others_need_all_of_tensorflow(
    pretend: Callable[[str], Wheel], tmp_path: Path
) -> None:
    wheel = pretend("")
    (tmp_path / "tensorflow-plugins").mkdir(parents=True)
    with (
        Child.start(Program.LIGHT, wheel) as child,
        pytest.raises(ChildUnfit, match=r"tensorflow-plugins is loaded with all of TensorFlow$"),
    ):
        questions.version(child, LIMIT)


def test_the_kernels_in_libraries_of_their_own_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow 2.16 has such a library; later releases have no directory for them."""
    loaded: list[str] = []
    stand_in = types.SimpleNamespace(load_library=loaded.append)
    monkeypatch.setitem(sys.modules, "tensorflow.python.framework.load_library", stand_in)
    light_child.load_kernels(str(tmp_path / "absent"))
    assert loaded == []
    light_child.load_kernels(str(tmp_path))
    assert loaded == [str(tmp_path)]


def _asks_for_ones(package: light_child.Package) -> None:
    with pytest.raises(AttributeError, match=r"'tensorflow' has no attribute 'ones'"):
        _ = package.ones


def _imports_keras(package: light_child.Package) -> None:
    package.find_spec("tensorflow.keras")


@pytest.mark.parametrize("ask", [_asks_for_ones, _imports_keras])
def test_what_the_empty_package_was_asked_for_makes_no_answer(
    ask: Callable[[light_child.Package], None],
) -> None:
    package = light_child.Package("/nowhere")
    model = types.SimpleNamespace(signatures={})
    loader = types.SimpleNamespace(load=lambda *_, **__: model)
    child = light_child.LightLoader(types.SimpleNamespace(saved_model=loader), package)
    request = {"do": "load", "dir": "/model", "tags": None}
    assert child.answer(request) == {"ok": True, "signatures": {}}
    package.find_spec("tensorflow.python.no_such_module")
    package.find_spec("nothing")
    assert child.answer(request)["ok"]
    ask(package)
    refused = child.answer(request)
    assert not refused["ok"]
    assert refused["message"] in {"ones is not imported", "tensorflow.keras is not imported"}


OK = PythonSignatures()
NO = PythonSignatures(ok=False, kind="KeyError", message="'w'")


class _Asked:
    """A validator whose children give fixed answers."""

    def __init__(self, light: object, python: object) -> None:
        self.says = {Program.LIGHT: light, Program.PYTHON: python}
        self.asked: list[Program] = []

    def __call__(self, program: Program, question: Any) -> Any:  # noqa: ANN401, ARG002 - as a validator's
        self.asked.append(program)
        said = self.says[program]
        if isinstance(said, ChildError):
            raise said
        return said


@pytest.mark.parametrize(
    ("light", "why"),
    [
        (NO, "KeyError: 'w'"),
        (dataclasses.replace(NO, kind="", message="ones is not imported"), "ones is not imported"),
        (ChildDied("killed by SIGSEGV", "words"), "killed by SIGSEGV: words"),
        (ChildUnfit("ImportError: load"), "ImportError: load"),
    ],
)
@pytest.mark.parametrize("python", [OK, NO])
def test_what_it_refuses_all_of_tensorflow_decides(
    light: PythonSignatures | ChildError,
    python: PythonSignatures,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="smpatch")
    ask = _Asked(light, python)
    loader = PythonLoader(ask, light=True)
    assert loader.load(Path("model"), ["serve"]) is python
    assert ask.asked == [Program.LIGHT, Program.PYTHON]
    assert caplog.messages == [
        f"the modules of tf.saved_model.load alone: {why}; all of TensorFlow decides"
    ]
    loader.load(Path("model"), ["serve"])
    unfit = isinstance(light, ChildUnfit)
    assert ask.asked[2:] == ([] if unfit else [Program.LIGHT]) + [Program.PYTHON]


def test_what_it_loads_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="smpatch")
    ask = _Asked(OK, NO)
    assert PythonLoader(ask, light=True).load(Path("model"), ["serve"]) is OK
    assert ask.asked == [Program.LIGHT]
    assert caplog.messages == ["the modules of tf.saved_model.load alone decide: it loads model"]


@pytest.mark.parametrize(
    "error", [ChildHung(3.0), ChildDied("killed by SIGKILL, as the kernel does", "")]
)
def test_want_of_time_or_memory_is_not_met_with_more_of_both(error: ChildError) -> None:
    ask = _Asked(error, OK)
    with pytest.raises(type(error)):
        PythonLoader(ask, light=True).load(Path("model"), ["serve"])
    assert ask.asked == [Program.LIGHT]


def test_where_signatures_are_called_all_of_tensorflow_is_asked_at_once() -> None:
    ask = _Asked(NO, OK)
    assert PythonLoader(ask, light=False).load(Path("model"), ["serve"]) is OK
    assert ask.asked == [Program.PYTHON]


def _question(child: Child, limit: float) -> Traced:
    return trace(child, limit, {})


@pytest.mark.parametrize(
    "light", [Traced(Refusal("no")), ChildDied("killed by SIGSEGV", ""), ChildUnfit("no")]
)
def test_a_recipe_that_it_does_not_trace_is_traced_by_all_of_tensorflow(
    light: Traced | ChildError,
) -> None:
    python = Traced()
    ask = _Asked(light, python)
    assert PythonLoader(ask, light=True).trace(_question) is python
    assert ask.asked == [Program.LIGHT, Program.PYTHON]
    assert PythonLoader(_Asked(python, light), light=True).trace(_question) is python


def test_a_name_that_is_not_imported_makes_the_answer_a_refusal() -> None:
    package = light_child.Package("/tensorflow")
    names = object.__new__(light_child.Names)
    exports = types.SimpleNamespace(get_symbol_from_name={"io.known": 1}.get)
    vars(names).update(
        _package=package, _prefix="", _exports=exports, _dtypes=types.SimpleNamespace(int8=2)
    )
    assert names.int8 == 2
    with pytest.raises(AttributeError):
        _ = names.unknown
    assert package.asked == ["unknown"]
