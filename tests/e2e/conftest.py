from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import Runner, write_config
from tests.e2e.ui_harness import HTTP_ONLY, PASSWORD, Ui, ui_of


@pytest.fixture
def target(design: StandIn) -> StandIn:
    return design


@pytest.fixture(scope="session")
def quick_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config") / "quick.yaml")


@pytest.fixture
def runner(target: StandIn, tmp_path: Path, quick_config: Path) -> Runner:
    return Runner(target, tmp_path, quick_config)


@pytest.fixture
def ui_config(tmp_path: Path) -> Path:
    return write_config(tmp_path / "ui.yaml", HTTP_ONLY)


@pytest.fixture
def ui(runner: Runner, ui_config: Path) -> Iterator[Ui]:
    with ui_of(runner, ui_config, "--no-browser") as started:
        yield started


@pytest.fixture
def locked_ui(runner: Runner, ui_config: Path) -> Iterator[Ui]:
    with ui_of(runner, ui_config, "--no-browser", password=PASSWORD) as started:
        yield started
