from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.checks.stage import Stage


@pytest.fixture
def stage(design: StandIn, tmp_path: Path) -> Stage:
    """The stand-in, fresh, and a check to run on it."""
    return Stage(tmp_path, design.url, design.password)
