"""The ledgers that the tests are about: one in a file, one in PostgreSQL, on the test's own clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.safety.ledger import Ledger
from tests.postgres import PostgresServer
from tests.safety.budget import FakeClock, OnFakeClock
from tests.safety.ledger_help import file_ledger


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    return new_ledger()


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_ledger(request: pytest.FixtureRequest, path: Path, clock: FakeClock) -> Iterator[Callable[[], Ledger]]:
    """One more ledger on the same file or database, as another process has it; whose time is the test's."""
    if request.param == "file":
        yield lambda: file_ledger(path, clock)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    backings: list[OnFakeClock] = []

    def on_server() -> Ledger:
        backings.append(OnFakeClock(server.url, clock))
        return Ledger(backings[-1], clock)

    yield on_server
    for backing in backings:
        backing.close()
