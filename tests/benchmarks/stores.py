"""Models in a store: the bytes that are moved, and the time, with a server of S3 on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.commands import SMPATCH, X_TO_Y, bytes_label, show
from tests.benchmarks.measure import Measured, run
from tests.benchmarks.results import Result, Row, Skipped
from tests.benchmarks.rounds import compared, rounds, time_row
from tests.benchmarks.workshop import Sizes, Workshop
from tests.stores.servers import COUNTING, MOTO, started

__all__ = ["in_stores"]

_DOWNLOAD = Path(__file__).with_name("rivals") / "download.py"
_BUCKET = "bench"
_MOST_VARIABLES = 2**30
_ENVELOPE = 64 * 1024
_DELAY = 0.05
_JOBS = 8
_TIMES = 3
"""The number of bytes hardly varies; the file grows with each edit, and the limit does not."""


def in_stores(shop: Workshop, sizes: Sizes) -> Iterator[Result]:
    """Models in a store, against local models, limits, and one job."""
    missing = [each for each in ("moto", "obstore") if importlib.util.find_spec(each) is None]
    if missing:
        yield Skipped("models in a store", f"not installed: {', '.join(missing)}")
        return
    with _server() as counter:
        yield from _show(shop, sizes)
        yield _moved(shop, sizes, counter)
        yield _jobs(shop, sizes, counter)


class _Counter:
    """A process that counts the bytes; it is separate because this process must stay small."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, wait: float = 0.0) -> int:
        """Delay each later request by ``wait`` seconds; return the bytes since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{wait}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def _server() -> Iterator[_Counter]:
    """Start the server behind a port that counts; the environment gives clients its address."""
    with contextlib.ExitStack() as held:
        _, port = held.enter_context(started(*MOTO, _BUCKET))
        counter, port = held.enter_context(started(*COUNTING, str(port)))
        os.environ |= {
            "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        yield _Counter(counter)


def _upload(model: Path, name: str, count: int = 1) -> str:
    """Put copies of a model into the bucket; return the URL of the directory of the copies."""
    url = f"s3://{_BUCKET}/{name}"
    run([sys.executable, "-m", "tests.benchmarks.store_upload", str(model), url, str(count)])
    return url


def _show(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    models = (("small model", shop.small()), ("constants", shop.constants(sizes.constant_bytes[1])))
    for name, model in models:
        url = f"{_upload(model, name.split()[0])}/0"
        file = f"{os.environ['AWS_ENDPOINT']}/{url.removeprefix('s3://')}/saved_model.pb"

        def ours(url: str = url) -> Measured:
            return run([*SMPATCH, "show", url])

        def theirs(model: Path = model, file: str = file) -> Measured:
            download = run([sys.executable, str(_DOWNLOAD), file], self_timed=True).seconds
            shown = show(model)
            return replace(shown, seconds=shown.seconds + download)

        mine, local = rounds((ours, theirs), sizes.short_rounds)
        size = bytes_label((model / "saved_model.pb").stat().st_size)
        contest = f"`show URL`, {name}" + (f" ({size})" if name == "constants" else "")
        yield time_row(contest, "`show` and one download", (mine, local), 1.5)


def _moved(shop: Workshop, sizes: Sizes, counter: _Counter) -> Row:
    many = min(sizes.variable_bytes, _MOST_VARIABLES)
    model = shop.variables(many)
    url = f"{_upload(model, 'variables')}/0"
    limit = 2 * (model / "saved_model.pb").stat().st_size + _ENVELOPE
    pairs = []
    for _ in range(_TIMES):
        counter.begin()
        words = ("--function", "encode", "--signature", shop.new_key())
        run([*SMPATCH, "add-predict", url, *words])
        pairs.append((counter.begin() / 1e3, limit / 1e3))
    contest = f"bytes that `add-predict URL` moves, {bytes_label(many)} of variables"
    return compared((contest, "`saved_model.pb` twice and 64 kB", "kB"), pairs, 1.0)


def _jobs(shop: Workshop, sizes: Sizes, counter: _Counter) -> Row:
    fleet = _upload(shop.small(), "fleet", sizes.batch)
    patch = shop.root / "patch.toml"

    def apply(jobs: int) -> Measured:
        inputs, outputs = X_TO_Y[1], X_TO_Y[3]
        edit = f'add-predict = "{shop.new_key()}"\ninputs = "{inputs}"\noutputs = "{outputs}"\n'
        patch.write_text(f"version = 1\n[[edit]]\n{edit}")
        words = ("apply", str(patch), f"{fleet}/*", "--jobs", str(jobs), "--validate", "none")
        return run([*SMPATCH, *words])

    counter.begin(_DELAY)
    mine, single = rounds((lambda: apply(_JOBS), lambda: apply(1)), 1)
    counter.begin()
    contest = f"`apply --jobs {_JOBS} --validate none`, {sizes.batch} models in a store 50 ms away"
    return time_row(contest, "the same with one job", (mine, single), 0.25, judged=sizes.judged)
