"""A real Triton loads the printed configurations and answers requests.

The server is part of PyPI's ``nvidia-pytriton``. ``SMPATCH_PYTRITON`` names the ``site-packages``
of a separate environment with this package and the same Python. The server has only the Python
backend, so the tests replace the line with the platform, and TensorFlow loads no model.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import dtypes
from smpatch.signature import Spec
from tests.describer.models import Case, cases

PYTRITON = os.environ.get("SMPATCH_PYTRITON")
BATCH = 3
SECONDS = 120.0

PROGRAM = """
import json
import sys

sys.path.append({packages!r})
import numpy as np
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.batches, self.outputs = config["max_batch_size"] > 0, config["output"]

    def execute(self, requests):
        return [self.respond(request.inputs()[0].as_numpy()) for request in requests]

    def respond(self, first):
        made = []
        for each in self.outputs:
            sizes = each["reshape"].get("shape", []) if "reshape" in each else each["dims"]
            shape = [*first.shape[: self.batches], *(max(int(size), 1) for size in sizes)]
            kind = backend.triton_string_to_numpy(each["data_type"])
            full = np.full(shape, b"1", object) if kind == np.object_ else np.ones(shape, kind)
            made.append(backend.Tensor(each["name"], full))
        return backend.InferenceResponse(made)
"""

V2_TYPES = {"string": "BYTES", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
"""TensorFlow's types to the names of the protocol (KServe, v2); other names are in capitals."""


@dataclass(frozen=True)
class Server:
    """A running Triton.

    Attributes:
        address: Its URL.
        served: Name of a model in the server to the signature that it describes.
    """

    address: str
    served: Mapping[str, Case]

    def ask(self, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of the answer to a request; a refusal of the server fails the test."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"{self.address}/v2/{path}", data, SECONDS) as answer:  # noqa: S310 - on loopback
                return json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path}: {error.read().decode()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start Triton with one model for each kind of configuration of the fixtures."""
    if PYTRITON is None:
        pytest.skip("SMPATCH_PYTRITON does not name site-packages with nvidia-pytriton")
    place = tmp_path_factory.mktemp("triton")
    installed = Path(PYTRITON) / "pytriton" / "tritonserver"
    python = "{}.{}".format(*sys.version_info)
    backend = Path(shutil.copytree(installed / "backends", place / "backends")) / "python"
    stub = installed / "python_backend_stubs" / python / "triton_python_backend_stub"
    shutil.copy(stub, backend)
    served: dict[str, Case] = {}
    for config, case in _configurations().items():
        name = f"model_{len(served)}"
        served[name] = case
        version = place / "models" / name / "1"
        version.mkdir(parents=True)
        version.joinpath("model.py").write_text(PROGRAM.format(packages=PYTRITON))
        text = smpatch.describe(case.directory, "triton", case.key, tag_set=case.tags, name=name)
        assert text.count('platform: "tensorflow_savedmodel"') == 1, config
        text = text.replace('platform: "tensorflow_savedmodel"', 'backend: "python"')
        text += "instance_group [ { kind: KIND_CPU } ]\n"
        version.with_name("config.pbtxt").write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = {
        "model-repository": place / "models",
        "backend-directory": backend.parent,
        "cache-directory": installed / "caches",
        "http-address": "127.0.0.1",
        "http-port": port,
        "allow-grpc": "false",
        "allow-metrics": "false",
        "pinned-memory-pool-byte-size": 0,
    }
    log = place / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                installed / "bin" / "tritonserver",
                "--disable-auto-complete-config",
                *(f"--{name}={value}" for name, value in arguments.items()),
            ],
            # Without PATH: Triton's Python would import packages of the environment on PATH, and
            # it reads wrong shapes with a NumPy other than 1.
            env={"LD_LIBRARY_PATH": str(Path(PYTRITON) / "nvidia_pytriton.libs")},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, f"{address}/v2/health/ready", log)
        yield Server(address, served)
    finally:
        process.terminate()
        process.wait(60)


def _configurations() -> dict[str, Case]:
    """Return one signature for each kind of configuration; the kind ignores names and comments."""
    found: dict[str, Case] = {}
    for case in cases():
        with contextlib.suppress(smpatch.RefusedError):  # Triton cannot serve it
            text = smpatch.describe(case.directory, "triton", case.key, tag_set=case.tags)
            found.setdefault(re.sub(r'#.*\n|name: "[^"]*"', "", text), case)
    return found


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - on loopback
            return
        time.sleep(0.2)
    pytest.fail(f"Triton did not start: {log.read_text()[-3000:]}")


def _described(spec: Spec, *, batches: bool) -> tuple[str, list[int]]:
    """Return the type and shape that the protocol gives for a tensor of a signature."""
    assert isinstance(spec, smpatch.TensorSpec)
    dtype = dtypes.base(spec.dtype)
    shape = [-1] if spec.shape is None else [-1 if size is None else size for size in spec.shape]
    # A batch of scalars: Triton does not have rank 0, so it shows a dimension of 1 and reshapes.
    shape += [1] * (batches and len(shape) == 1)
    return V2_TYPES.get(dtype, dtype.upper()), shape


def test_it_loads_every_kind_of_configuration(server: Server) -> None:
    assert len(server.served) > 20
    batching = set()
    for name, case in server.served.items():
        batches = server.ask(f"models/{name}/config")["max_batch_size"] > 0
        batching.add(batches)
        said = server.ask(f"models/{name}")
        for half, specs in (("inputs", case.signature.inputs), ("outputs", case.signature.outputs)):
            found = {each["name"]: (each["datatype"], each["shape"]) for each in said[half]}
            wanted = {alias: _described(spec, batches=batches) for alias, spec in specs.items()}
            assert found == wanted, case.name
    assert batching == {True, False}


def test_it_answers_a_request_to_each(server: Server) -> None:
    for name, case in server.served.items():
        batches = server.ask(f"models/{name}/config")["max_batch_size"] > 0
        inputs = []
        for each in server.ask(f"models/{name}")["inputs"]:
            shape = [max(size, 1) for size in each["shape"]]
            if batches:
                shape[0] = BATCH
            count = 1
            for size in shape:
                count *= size
            value = {"BYTES": "a", "BOOL": True}.get(each["datatype"], 1)
            inputs.append({**each, "shape": shape, "data": [value] * count})
        if not inputs:
            continue  # the Python backend refuses such a request
        answer = server.ask(f"models/{name}/infer", {"inputs": inputs})
        found = {each["name"]: each["shape"] for each in answer["outputs"]}
        assert found.keys() == case.signature.outputs.keys(), case.name
        for alias, spec in case.signature.outputs.items():
            _, shape = _described(spec, batches=batches)
            wanted = [max(size, 1) for size in shape]
            assert found[alias] == [BATCH, *wanted[1:]] if batches else wanted, case.name
