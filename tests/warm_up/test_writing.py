"""``smpatch warmup`` and the library's two functions: TensorFlow replays what they write."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch.validator import Validator
from smpatch.warmup import PLACE
from tests.cli.conftest import Run, call, content  # noqa: F401 - call is a fixture
from tests.cli.schemas import validator as schema
from tests.oracle.client import Oracle
from tests.prove import ledger
from tests.writer import faults

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


@pytest.fixture(scope="module")
def validator() -> Any:  # noqa: ANN401 - a generator
    """A validator that all tests of this module share."""
    with Validator("runtime", (), 600) as opened:
        yield opened


def copy(place: Path, name: str) -> Path:
    """Copy a fixture."""
    return Path(shutil.copytree(MODELS / name, place / name))


def ran(model: Path, oracle: Oracle) -> list[dict[str, Any]]:
    """Replay the requests; all of them must run."""
    said = oracle.ask("replay", directory=model)
    assert "refused" not in said, said["refused"]
    found: list[dict[str, Any]] = said["ran"]
    return found


PREDICTED = {
    "linear": "scale",
    "unsorted_keys": "serving_default",
    "keras_functional": "serving_default",
    "defaults": "serving_default",
    "classify_regress": "serving_default",
}


@pytest.mark.parametrize("name", PREDICTED)
def test_random_requests_are_replayed(
    tmp_path: Path, oracle: Oracle, validator: Validator, name: str
) -> None:
    model, key = copy(tmp_path, name), PREDICTED[name]
    written = smpatch.write_warmup(model, key, random=2, batches=(1, 3), validator=validator)
    assert written.records == len(written.requests) == 4
    assert smpatch.warmup_requests(model) == written.requests
    outputs = smpatch.load(model).signatures[key].outputs
    for each in ran(model, oracle):
        assert (each["kind"], each["signature"]) == ("predict", key)
        assert each["outputs"].keys() == outputs.keys()
    assert not smpatch.check(model).faults
    for request, size in zip(written.requests, (1, 3, 1, 3), strict=True):
        assert (size,) in {(tensor.shape or ())[:1] for tensor in request.inputs.values()}


def test_sizes_of_a_generator_make_a_request_each(tmp_path: Path, validator: Validator) -> None:
    model, sizes = copy(tmp_path, "linear"), (np.int64(size) for size in (1, 8))
    written = smpatch.write_warmup(
        model,
        "scale",
        random=np.int64(1),  # type: ignore[arg-type] # a number all the same
        batches=sizes,  # type: ignore[arg-type] # taken all the same
        validator=validator,
    )
    assert [dict(each.inputs)["x"].shape for each in written.requests] == [(1,), (8,)]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, validator: Validator) -> None:
    model = copy(tmp_path, "linear")
    told: Mapping[str, Any] = {"random": 2, "overwrite": True, "validator": validator}
    seen = []
    for seed in (7, 7, 8):
        smpatch.write_warmup(model, "scale", seed=seed, **told)
        seen.append((model / PLACE).read_bytes())
    assert seen[0] == seen[1] != seen[2]
    assert len(smpatch.warmup_requests(model)) == 2


def test_values_that_are_given_are_in_the_requests(
    tmp_path: Path, oracle: Oracle, validator: Validator
) -> None:
    model = copy(tmp_path, "linear")
    x = np.array([4, 6, 8], np.float32)
    np.savez(tmp_path / "feed.npz", x=x)
    feed = tmp_path / "feed.npz"
    smpatch.write_warmup(model, "scale", feed=feed, batches=(1, 2), validator=validator)
    smpatch.write_warmup(model, "scale", feed=feed, append=True, validator=validator)
    scale = oracle.ask("run_signature", directory=model, tags=["serve"], key="scale", feed={})
    assert "refused" in scale  # without a fed value there are no numbers
    logs = oracle.ask("read_requests", file=model / PLACE)["logs"]
    assert ["size: 1" in logs[0], "size: 2" in logs[1], "size: 3" in logs[2]] == [True] * 3
    sizes = [each["outputs"]["product"]["shape"] for each in ran(model, oracle)]
    assert sizes == [[1], [2], [3]]
    assert x[:2].tobytes() in (model / PLACE).read_bytes()
    with pytest.raises(smpatch.UsageError, match="it needs 4 rows, and the file has 3"):
        smpatch.write_warmup(
            model, "scale", feed=feed, batches=(4,), overwrite=True, validator=validator
        )


def _examples(place: Path, count: int) -> Path:
    """Save serialized examples with the one feature that the fixture parses."""
    made = []
    for number in range(count):
        values = b"\x0a\x04" + np.float32(number).tobytes()
        feature = b"\x12" + bytes((len(values),)) + values
        entry = b"\x0a\x01x\x12" + bytes((len(feature),)) + feature
        features = b"\x0a" + bytes((len(entry),)) + entry
        made.append(b"\x0a" + bytes((len(features),)) + features)
    array = np.empty(count, object)
    array[:] = made
    np.savez(place / "examples.npz", inputs=array)
    return place / "examples.npz"


@pytest.mark.parametrize("key", ["classify", "regress", "scores_only"])
def test_requests_of_examples_are_replayed(
    tmp_path: Path, oracle: Oracle, validator: Validator, key: str
) -> None:
    model = copy(tmp_path, "classify_regress")
    feed = _examples(tmp_path, 3)
    written = smpatch.write_warmup(model, key, feed=feed, batches=(1, 3), validator=validator)
    kind = "regress" if key == "regress" else "classify"
    assert [each["kind"] for each in ran(model, oracle)] == [kind] * 2
    assert [each.inputs["inputs"].shape for each in smpatch.warmup_requests(model)] == [(1,), (3,)]
    assert written.requests[0].kind == kind


def test_what_fails_is_not_written(tmp_path: Path, validator: Validator) -> None:
    model = copy(tmp_path, "classify_regress")
    before = content(model)
    array = np.empty(1, object)
    array[:] = [b"\x0a\x02\xff\xff"]
    np.savez(tmp_path / "bad.npz", inputs=array, examples=np.array(["no example"], object))
    for key, words in (
        ("classify", "has no row of serialized tf.train.Example messages"),
        ("serving_default", "request 1 fails: .*"),
    ):
        with pytest.raises(smpatch.RefusedError, match=words):
            smpatch.write_warmup(model, key, feed=tmp_path / "bad.npz", validator=validator)
    assert content(model) == before
    assert not (model / PLACE.parent).exists()


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("classify_regress", "classify", "which are not made up"),
        ("sparse", "twice", "TF Serving takes dense tensors only"),
        ("linear", "nothing", "no such signature"),
    ],
)
def test_refusals(tmp_path: Path, validator: Validator, name: str, key: str, words: str) -> None:
    model = copy(tmp_path, name)
    before = content(model)
    with pytest.raises(smpatch.RefusedError, match=words):
        smpatch.write_warmup(model, key, random=1, validator=validator)
    assert content(model) == before


def test_a_method_of_nobodys_is_refused(tmp_path: Path, validator: Validator) -> None:
    model = copy(tmp_path, "linear")
    edit = smpatch.EditSignature("scale", method_name="my/own")
    smpatch.edit_signature(model, edit, options=smpatch.Options(validate="none"))
    with pytest.raises(smpatch.RefusedError, match="does not run the method 'my/own'"):
        smpatch.write_warmup(model, "scale", random=1, validator=validator)


def test_no_more_than_a_thousand(tmp_path: Path, oracle: Oracle, validator: Validator) -> None:
    model = copy(tmp_path, "linear")
    with pytest.raises(smpatch.RefusedError, match="it would have 1,001 records"):
        smpatch.write_warmup(model, "scale", random=1001, validator=validator)
    smpatch.write_warmup(model, "scale", random=1000, validator=validator)
    assert len(ran(model, oracle)) == 1000
    with pytest.raises(smpatch.RefusedError, match="it would have 1,001 records"):
        smpatch.write_warmup(model, "scale", random=1, append=True, validator=validator)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"random": 1, "feed": "x.npz"},
        {"random": 0},
        {"random": 1, "seed": -1},
        {"random": 1, "batches": (0,)},
        {"random": 1, "append": True, "overwrite": True},
        {"random": 1, "time_limit": -1.0},
    ],
)
def test_usage(tmp_path: Path, told: Mapping[str, Any]) -> None:
    with pytest.raises(smpatch.UsageError):
        smpatch.write_warmup(tmp_path, "scale", **told)


def test_old_or_new_whatever_fails(tmp_path: Path, validator: Validator) -> None:
    """A call of the file system fails; the old file stays, or the new one is whole."""
    model = copy(tmp_path, "linear")
    smpatch.write_warmup(model, "scale", random=1, validator=validator)
    old = content(model)
    smpatch.write_warmup(model, "scale", random=2, overwrite=True, validator=validator)
    new = content(model)
    met = {True: 0, False: 0}
    for fault in (faults.error(5), faults.interrupt):
        for number in range(1, 400, 1 if ledger.LONG else 2):
            (model / PLACE).write_bytes(old[str(PLACE)])
            done = False
            with faults.at(number, fault) as layer:
                try:
                    smpatch.write_warmup(
                        model, "scale", random=2, overwrite=True, validator=validator
                    )
                    done = True
                except (smpatch.SmpatchError, KeyboardInterrupt):
                    pass
            if not layer.struck:
                break
            now = content(model)
            assert now in (old, new), layer.order[-1]
            assert not done or now == new
            met[now == new] += 1
    assert min(met.values()) > 1


def test_a_first_file_comes_with_its_directory_or_not_at_all(
    tmp_path: Path, validator: Validator
) -> None:
    model = copy(tmp_path, "linear")
    before = content(model)
    for number in range(1, 400):
        done = False
        with faults.at(number, faults.error(28)) as layer:
            try:
                smpatch.write_warmup(model, "scale", random=1, validator=validator)
                done = True
            except smpatch.SmpatchError:
                pass
        names = sorted(each.name for each in model.iterdir())
        if done:
            assert len(smpatch.warmup_requests(model)) == 1
            assert names == ["assets.extra", "saved_model.pb", "variables"]
            shutil.rmtree(model / PLACE.parent)
        else:
            assert content(model) == before
            assert names == ["saved_model.pb", "variables"]
        if not layer.struck:
            return
    pytest.fail("it never ends")


class TestCommand:
    def test_list_and_write(self, tmp_path: Path, call: Run, oracle: Oracle) -> None:  # noqa: F811
        model = copy(tmp_path, "linear")
        assert call("warmup", model).out == f"no warm-up requests in {model}\n"
        args = ("warmup", model, "--signature", "scale", "--random", "2", "--batch", "1,8")
        dry = call(*args, "--dry-run")
        assert dry.out.startswith(f"{model / PLACE}: 4 requests would be written, 4 in all;")
        assert not (model / PLACE).exists()
        said = call(*args)
        assert (said.code, said.err) == (0, "")
        assert len(ran(model, oracle)) == 4
        listed = call("warmup", model).out.splitlines()
        assert listed[1] == "2  predict  scale  x float32[8]"
        assert said.out.splitlines()[1:] == listed
        again = call(*args)
        assert again.code == 4
        assert again.line.endswith("(--overwrite replaces it, --append adds to it)")
        for options in ((), ("--signature", "scale", "--random", "1", "--append")):
            found = call("warmup", model, *options, "--json")
            schema("warmup").validate(found.document)
        assert found.document["warmup"]["requests"][0]["record"] == 5
        assert found.document["warmup"]["written"]["records"] == 5

    @pytest.mark.parametrize(
        "options",
        [
            ("--random", "1"),
            ("--dry-run",),
            ("--signature", "scale"),
            ("--signature", "scale", "--random", "1", "--batch", "a"),
            ("--signature", "scale", "--feed", "x.npz", "--seed", "1"),
            ("--signature", "scale", "--random", "1", "--append", "--overwrite"),
        ],
    )
    def test_usage(self, tmp_path: Path, call: Run, options: tuple[str, ...]) -> None:  # noqa: F811
        said = call("warmup", copy(tmp_path, "linear"), *options)
        assert said.code == 2
        assert said.line

    def test_a_rename_is_followed_on_the_command_line(self, tmp_path: Path, call: Run) -> None:  # noqa: F811
        model = copy(tmp_path, "assets_extra_warmup")
        quick = ("--validate", "none")
        rename = ("rename", model, "--from", "scale", "--to", "other", *quick)
        kept = call(*rename, "--keep-warmup", "--dry-run")
        assert "TF Serving will not load the model until" in kept.err
        said = call(*rename, "--backup", "--json")
        assert said.document["rename" if "rename" in said.document else "edit"]["warm_up"]
        assert "1  predict  other  x float32[2]" in call("warmup", model).out
        undone = call("undo", model)
        assert ", warm-up requests put back" in undone.out
        assert "1  predict  scale  x float32[2]" in call("warmup", model).out


def test_a_signature_that_takes_no_batch_is_made_once(
    tmp_path: Path, oracle: Oracle, validator: Validator
) -> None:
    model = copy(tmp_path, "scalar")
    key = next(iter(smpatch.load(model).signatures))
    written = smpatch.write_warmup(model, key, random=1, batches=(1, 8), validator=validator)
    assert len(written.requests) == len(ran(model, oracle)) == 1
