"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.judge.client import Judge

# A busy machine is no defect of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """TensorFlow, in one process for all tests of a worker."""
    with Judge() as opened:
        yield opened
