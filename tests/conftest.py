import signal
from collections.abc import Iterator

import pytest

from probes.standin.process import StandIn
from tests.postgres import PostgresServer, running_postgres

# Under nohup or behind a shell's & they are ignored, and so they would be by all that the tests start and send them to.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def running_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(running_server: PostgresServer) -> PostgresServer:
    """A server on which no ledger has ever been."""
    running_server.forget()
    return running_server


@pytest.fixture(scope="session")
def running_design() -> Iterator[StandIn]:
    with StandIn("design") as target:
        yield target


@pytest.fixture
def design(running_design: StandIn) -> StandIn:
    """The target that the configurations describe, as if nobody had asked it anything yet."""
    running_design.reset()
    return running_design


@pytest.fixture(scope="session")
def moto() -> Iterator[tuple[str, int]]:
    """Where moto listens, which takes a second to import: where it is needed only."""
    from tests.monitoring.cloudwatch_server import moto_server

    with moto_server() as address:
        yield address
