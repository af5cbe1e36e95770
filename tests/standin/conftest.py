from collections.abc import Iterator

import pytest

from probes.standin.process import StandIn


@pytest.fixture(scope="session")
def running_design() -> Iterator[StandIn]:
    with StandIn("design") as target:
        yield target


@pytest.fixture(scope="session")
def running_gateway() -> Iterator[StandIn]:
    with StandIn("gateway") as target:
        yield target


@pytest.fixture
def design(running_design: StandIn) -> StandIn:
    running_design.reset()
    return running_design


@pytest.fixture
def gateway(running_gateway: StandIn) -> StandIn:
    running_gateway.reset()
    return running_gateway
