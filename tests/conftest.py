"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.judge.client import Judge


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """TensorFlow, in one process for all tests of a worker."""
    with Judge() as opened:
        yield opened
