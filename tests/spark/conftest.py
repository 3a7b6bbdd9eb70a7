"""A master of Spark and two workers on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.beam.test_pipelines import environment
from tests.stores.servers import started

_DEPLOY = "org.apache.spark.deploy"
_HERE = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
_DRIVER = {
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
}


@dataclass(frozen=True)
class Cluster:
    """A cluster.

    Attributes:
        environment: The environment variables that connect the session of a program to the cluster.
        workers: The process numbers of the two workers.
    """

    environment: dict[str, str]
    workers: tuple[int, ...]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers with one processor each."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        pytest.skip("not installed: pyspark")
    if shutil.which("java") is None:
        pytest.skip("not installed: java")
    home, work = Path(found.origin).parent, tmp_path_factory.mktemp("spark")
    env = {
        **environment(),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(work / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    script = str(home / "bin" / "spark-class")
    with contextlib.ExitStack() as held:

        def start(name: str, said: str, *more: str) -> tuple[int, int]:
            # The server prints its port on stderr.
            line = 'exec "$0" "$@" 2>&1'
            words = (script, f"{_DEPLOY}.{name}", *_HERE, *more)
            server = started("/bin/sh", "-c", line, *words, said=said, env=env)
            process, port = held.enter_context(server)
            return process.pid, port

        _, port = start("master.Master", r"Starting Spark master at spark://127\.0\.0\.1:(\d+)")
        address = f"spark://127.0.0.1:{port}"
        place = ("--cores", "1", "--memory", "1g", "--work-dir", str(work), address)
        said = r"registered with master spark://127\.0\.0\.1:(\d+)"
        workers = tuple(start("worker.Worker", said, *place)[0] for _ in range(2))
        options = " ".join(f"--conf {name}={value}" for name, value in _DRIVER.items())
        env["PYSPARK_SUBMIT_ARGS"] = f"--master {address} {options} pyspark-shell"
        yield Cluster({**os.environ, **env}, workers)
