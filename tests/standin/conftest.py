from collections.abc import Iterator

import pytest

from probes.standin.process import StandIn


@pytest.fixture(scope="session")
def running_gateway() -> Iterator[StandIn]:
    with StandIn("gateway") as target:
        yield target


@pytest.fixture
def gateway(running_gateway: StandIn) -> StandIn:
    running_gateway.reset()
    return running_gateway
