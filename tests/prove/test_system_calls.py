"""Edits that meet an error, an interruption or a kill at every one of their real system calls.

In each case the model file is the old one or the new one to the byte. Exit 0 means the new one, and
an error means the old one. At most one hidden directory is left, and the next edit removes it. Then
the files that the edit had to keep are there. Warm-up requests belong to the model file that is
there, or a note reports that they stay as they are.

``make test`` takes the calls around the commit, ``make prove`` takes all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from smpatch.warmup import PLACE
from tests.oracle.client import Oracle as TensorFlow
from tests.prove import ledger, tracing
from tests.prove.ledger import Count
from tests.prove.server import REQUESTS_KEPT
from tests.prove.tracing import CannotTraceError, Request, Server, Survey, Tracer
from tests.prove.ways import KEY, WAYS, without_tensorflow
from tests.writer import models

HIDDEN = ".smpatch-"

FAULTS = {
    "ENOSPC": "error=ENOSPC:when={}",
    "EIO": "error=EIO:when={}",
    "EACCES": "error=EACCES:when={}",
    "EIO from then on": "error=EIO:when={}+",
    "SIGKILL": "signal=SIGKILL:when={}",
    "SIGINT": "signal=SIGINT:when={}",
}
_BEFORE = [({"serve"}, {"scale"})]
_AFTER = [({"serve"}, {"scale", KEY})]
_OLDER = [({"serve"}, {"scale", "older"})]
_OTHERS = [({"serve"}, {"serving_default"}), ({"serve", "gpu"}, set())]
_INIT = "__saved_model_init_op"

SIGNATURES: Mapping[str, object] = {
    "in place": (_BEFORE, _AFTER),
    "in place, backup": (_OLDER, [({"serve"}, {"scale", "older", KEY})]),
    "undo": (_OLDER, _BEFORE),
    "through a link": (_BEFORE, _AFTER),
    "requests": (_BEFORE, [({"serve"}, {KEY})]),
    "requests, backup": ([({"serve"}, {"older"})], [({"serve"}, {KEY})]),
    "requests, undo": ([({"serve"}, {"older"})], _BEFORE),
    "requests, save to": (_BEFORE, [({"serve"}, {KEY})]),
    "both halves": (
        [({"serve"}, {"serving_default", _INIT})],
        [({"serve"}, {"first", "encode", _INIT})],
    ),
    "text form": (_BEFORE, [({"serve"}, {"s"})]),
    "other tags": (
        [*_OTHERS, ({"train"}, {"train"})],
        [*_OTHERS, ({"training"}, {"train"})],
    ),
    "from another model": ([({"serve"}, set())], _BEFORE),
    "save to": (_BEFORE, _AFTER),
    "wrap": ([({"serve"}, set())], [({"serve"}, {"serving_default"})]),
}
"""Tags and keys, before and after each way."""

COMMIT = ("rename", "fsync", "link", "mkdir")
"""The calls that ``make test`` takes."""

STEP = 1 if ledger.LONG else 3
"""Each fault takes one of this many ways; the next fault starts with the way after it."""


class Proof:
    """The ways, the result of each, and the system calls that it makes."""

    def __init__(self, top: Path, server: Server) -> None:
        """Prepare the models, do each edit twice, and count its calls."""
        self.top = top
        self.server = server
        self.work = top / "work"
        self.before: dict[str, models.Tree] = {}
        self.after: dict[str, models.Tree] = {}
        for way, how in WAYS.items():
            self.original(way).mkdir(parents=True)
            how.prepare(self.original(way))
            self.before[way] = models.tree(self.original(way))
        self.survey: Survey = tracing.survey(
            server, top / "survey.log", [(self.request(way), self.original(way)) for way in WAYS]
        )
        for way in WAYS:
            tracing.renew(self.work, self.original(way))
            assert server.run(self.request(way))[1] == 0
            self.after[way] = models.tree(self.work)

    def original(self, way: str) -> Path:
        """Return the directory with which every run of a way starts."""
        return self.top / "originals" / way

    def request(self, way: str, padding: dict[str, int] | None = None) -> Request:
        """Return the request for the edit of a way."""
        return Request(way, str(self.work), padding=padding or {})

    def files(self, way: str) -> tuple[bytes | None, bytes | None]:
        """Return the old model file and the new one."""
        how = WAYS[way]
        old, new = f"model/{how.file}", f"{how.result}/{how.file}"
        return self.before[way][old], self.after[way][new]


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """The prepared ways, into whose calls the tests put faults."""
    top = tmp_path_factory.mktemp("proof")
    with without_tensorflow(), Server(top) as server:
        try:
            prepared = Proof(top, server)
        except CannotTraceError as reason:
            pytest.skip(str(reason))
        yield prepared


def _split(tree: models.Tree) -> tuple[models.Tree, set[str], models.Tree]:
    """Return the visible files, the names of hidden directories, and these with their contents."""
    seen = {name: data for name, data in tree.items() if HIDDEN not in name}
    inside = {name: data for name, data in tree.items() if HIDDEN in name}
    tops = {name for name in inside if Path(name).name.startswith(HIDDEN) and inside[name] is None}
    return seen, {name for name in tops if HIDDEN not in str(Path(name).parent)}, inside


def _lasting(tree: models.Tree) -> models.Tree:
    """Return the files that do not depend on whether a commit has been finished."""
    passing = ("fingerprint.pb", ".backup", ".undone", PLACE.name)
    return {name: data for name, data in tree.items() if not name.endswith(passing)}


def _check(proof: Proof, way: str, fault: str, status: int) -> bool:
    """Check the files after a run; return whether a hidden directory must be removed."""
    old, new = proof.files(way)
    after = _after(proof, way, status)
    seen, hidden, inside = _split(models.tree(proof.work))
    assert len(hidden) <= 1, hidden
    model = seen[f"model/{WAYS[way].file}"]
    if WAYS[way].makes_new:
        assert model == old
        done = any(name.startswith("out") for name in seen)
        assert {**proof.before[way]}.items() <= seen.items()
        if done:
            # The whole result; only a fingerprint that could not be made may be missing.
            gone = after.keys() - seen.keys()
            assert gone <= {"out/fingerprint.pb"}
            assert seen == {name: after[name] for name in seen}
    else:
        assert model in {old, new}
        done = model == new
        if done:  # the companions and the backups may not be written yet
            assert _lasting(seen) == _lasting(after)
        if not hidden:
            _check_requests(proof, way, seen, status)
    if status in {0, REQUESTS_KEPT}:
        assert done
    elif fault not in {"SIGKILL", "SIGINT"}:
        assert not done
    if not done:
        assert seen == proof.before[way]
    elif WAYS[way].keeps:
        kept = [seen.get(f"model/{WAYS[way].file}.backup"), *inside.values()]
        assert old in kept
    return bool(hidden)


def _after(proof: Proof, way: str, status: int) -> models.Tree:
    """Return the files after an edit; if a note reports it, the old warm-up requests are there."""
    after = proof.after[way]
    if status != REQUESTS_KEPT or f"model/{PLACE}" not in proof.before[way]:
        return after
    kept = {f"{WAYS[way].result}/{PLACE}": proof.before[way][f"model/{PLACE}"]}
    return {**after, **kept}


def _check_requests(proof: Proof, way: str, seen: models.Tree, status: int) -> None:
    """Check that the warm-up requests belong to the model file that is there."""
    name, file = f"model/{PLACE}", f"model/{WAYS[way].file}"
    if name in proof.before[way] and not WAYS[way].makes_new:
        done = seen[file] == proof.files(way)[1]
        assert seen[name] == (_after(proof, way, status) if done else proof.before[way])[name]


def _check_next(proof: Proof, way: str, status: int) -> None:
    """Do another edit, which repairs and removes, even if it is refused."""
    request = Request(way, str(proof.work), next=True)
    assert proof.server.run(request)[1] == (0 if WAYS[way].makes_new else 4)
    seen, hidden, _ = _split(models.tree(proof.work))
    assert not hidden
    if WAYS[way].keeps:
        file = f"model/{WAYS[way].file}"
        assert proof.files(way)[0] in {seen[file], seen[f"{file}.backup"]}
        prints = {"model/fingerprint.pb", "model/fingerprint.pb.backup"}
        assert prints <= seen.keys()
    _check_requests(proof, way, seen, status)


def _strike(proof: Proof, log: Path, fault: str, call: str, told: Count) -> Counter[str]:
    """Put a fault into every call of one kind, of each way; return the number of each result."""
    met: Counter[str] = Counter()
    at = proof.survey.at(call)
    inject = f"inject={call}:" + FAULTS[fault].format(at)
    with Tracer(proof.server, log, "-e", f"trace={call}", "-e", inject):
        ways = [*zip(WAYS, proof.survey.edits, strict=True)]
        for way, edit in ways[[*FAULTS].index(fault) % STEP :: STEP]:
            for count in range(1, edit[call] + 1):
                tracing.renew(proof.work, proof.original(way))
                with told.case(f"{way}, {call} {count}"):
                    _, status = proof.server.run(proof.request(way, {call: at - count}))
                    met["new" if status in {0, REQUESTS_KEPT} else "old"] += 1
                    if fault == "SIGKILL":
                        assert status == -9
                    to_remove = _check(proof, way, fault, status)
                    if to_remove or status == -9:
                        _check_next(proof, way, status)
    if fault != "SIGKILL":  # its status has shown it
        words = "--- SIGINT" if fault == "SIGINT" else "(INJECTED)"
        assert log.read_text(errors="replace").count(words) >= met["old"] + met["new"]
    return met


@pytest.mark.proof("system calls")
@pytest.mark.parametrize("fault", FAULTS)
def test_old_or_new_at_every_system_call(
    proof: Proof, tmp_path: Path, fault: str, count: Count
) -> None:
    calls = sorted({name for edit in proof.survey.edits for name in edit})
    met: Counter[str] = Counter()
    column = {"SIGKILL": "kills", "SIGINT": "interruptions"}.get(fault, "faults")
    for call in calls if ledger.LONG else COMMIT:
        struck = _strike(proof, tmp_path / f"{call}.log", fault, call, count)
        count.add(**{column: struck.total()})
        met += struck
    count.settle()
    # Both sides of the commit were hit.
    assert met["old"]
    assert met["new"] or fault == "SIGKILL"


@pytest.mark.parametrize("way", WAYS)
def test_tensorflow_takes_old_and_new_for_what_they_are(
    proof: Proof, tmp_path: Path, oracle: TensorFlow, way: str
) -> None:
    found = []
    for name, data in zip(("old", "new"), proof.files(way), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / WAYS[way].file).write_bytes(data or b"")
        told = oracle.ask("parse", directory=tmp_path / name)["meta_graphs"]
        found.append([(set(each["tags"]), set(each["signatures"])) for each in told])
    assert tuple(found) == SIGNATURES[way]


def test_every_call_that_changes_something_is_struck(proof: Proof) -> None:
    made = {name for edit in proof.survey.edits for name in edit}
    assert made >= {*COMMIT, "write", "openat", "close", "flock", "symlink", "unlink", "rmdir"}
