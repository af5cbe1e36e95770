from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.checks.stage import Stage


@pytest.fixture(scope="session")
def running_design() -> Iterator[StandIn]:
    with StandIn("design") as target:
        yield target


@pytest.fixture
def design(running_design: StandIn) -> StandIn:
    running_design.reset()
    return running_design


@pytest.fixture
def stage(design: StandIn, tmp_path: Path) -> Stage:
    """The stand-in, fresh, and a check to run on it."""
    return Stage(tmp_path, design.url, design.password)
