"""``decode_image(like=...)`` gives the pixels of other libraries, if they are installed."""

from __future__ import annotations

import importlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch.edits import Compose
from smpatch.fragments import asked_list
from smpatch.validator import Validator
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
HEIGHT, WIDTH = 8, 6
RNG = np.random.default_rng(29)


def _photo(height: int, width: int) -> Any:  # noqa: ANN401 - an array
    """Return pixels that change slowly, with some noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(rows / 7), np.cos(columns / 5), np.sin((rows + columns) / 9)], -1)
    noise = RNG.normal(0, 9, (height, width, 3))
    return np.clip(128 + 100 * waves + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def files() -> dict[tuple[int, int], list[bytes]]:
    """The bytes of a JPEG file and of a PNG file, by size."""
    image = pytest.importorskip("PIL.Image")
    made: dict[tuple[int, int], list[bytes]] = {}
    for size in ((HEIGHT, WIDTH), (60, 81), (5, 4)):
        for kind in ("jpeg", "png"):
            opened = io.BytesIO()
            image.fromarray(_photo(*size)).save(opened, kind)
            made.setdefault(size, []).append(opened.getvalue())
    return made


def _pillow(data: bytes) -> Any:  # noqa: ANN401 - as above
    image = importlib.import_module("PIL.Image")
    opened = image.open(io.BytesIO(data)).convert("RGB")
    return np.array(opened.resize((WIDTH, HEIGHT), image.Resampling.BILINEAR))


def _opencv(data: bytes) -> Any:  # noqa: ANN401 - as above
    cv2 = pytest.importorskip("cv2")
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return cv2.resize(read, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("like", ["pillow", "opencv"])
def test_the_pixels_are_those_of_the_library(  # noqa: PLR0913, PLR0917 - fixtures
    like: str,
    files: Mapping[tuple[int, int], list[bytes]],
    composable: Mapping[str, Path],
    oracle: Oracle,
    quick: Validator,
    tmp_path: Path,
) -> None:
    model = Path(shutil.copytree(composable["images"], tmp_path / "model"))
    before = asked_list(f"image=decode_image(like={like})", "before")
    receipt = smpatch.patch(model, Compose(DEFAULT, "new", before=before), validator=quick)
    assert receipt.numbers == {"new": ("best", "image_again", "logits")}
    library = {"pillow": _pillow, "opencv": _opencv}[like]
    for size, data in files.items():
        feed = {"image_bytes": encoded(np.array(data, object))}
        about: dict[str, Any] = {"tags": ["serve"], "feeds": {"new": feed}}
        got = oracle.ask("tour", directory=model, loaders=["session"], **about)["session"]
        pixels = decoded(got["new"]["arrays"]["image_again"]) - 1.0
        wanted = np.stack([library(each) for each in data]).astype("f4")
        most = np.abs(pixels - wanted).max()
        assert most <= (0 if size == (HEIGHT, WIDTH) else 1), (size, most)


@pytest.mark.parametrize("more", ["channels=1", "method=bicubic", "format=png"])
def test_what_is_not_compared_is_refused(
    more: str, composable: Mapping[str, Path], quick: Validator, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(composable["images"], tmp_path / "model"))
    before = asked_list(f"image=decode_image(like=pillow, {more})", "before")
    edit = Compose(DEFAULT, "new", before=before)
    with pytest.raises(smpatch.RefusedError, match="like=pillow is only for three channels"):
        smpatch.patch(model, edit, validator=quick)
