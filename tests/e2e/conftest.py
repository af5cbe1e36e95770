from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import Runner, write_config


@pytest.fixture(scope="session")
def running_target() -> Iterator[StandIn]:
    with StandIn("design") as target:
        yield target


@pytest.fixture
def target(running_target: StandIn) -> StandIn:
    running_target.reset()
    return running_target


@pytest.fixture(scope="session")
def quick_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config") / "quick.yaml")


@pytest.fixture
def runner(target: StandIn, tmp_path: Path, quick_config: Path) -> Runner:
    return Runner(target, tmp_path, quick_config)
