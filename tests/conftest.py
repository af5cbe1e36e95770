from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def running_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(running_server: PostgresServer) -> PostgresServer:
    """A server on which no ledger has ever been."""
    running_server.forget()
    return running_server
