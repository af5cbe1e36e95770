"""The history on a real PostgreSQL, beside the ledger, and what a server can do to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine

from probes.errors import StoreError
from probes.safety.ledger import Ledger
from probes.safety.ledger_postgres import LedgerDatabase
from probes.store.record import KEEP_S, NO_DATA
from probes.store.store import Store, open_store
from probes.store.tables import VERSION
from tests.postgres import PASSWORD, PostgresServer
from tests.reports.sample import HOSTILE
from tests.store.sample import TARGET, record

ROOT = Path(__file__).parents[2]
BOUND_S = 7.0
"""No answer takes longer, whatever the server does."""


@pytest.fixture
def store(postgres: PostgresServer, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path, postgres.url, TARGET)
    yield opened
    opened.close()
    assert not list(tmp_path.iterdir())


def refusal(store: Store) -> str:
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.add([record()])
    assert time.monotonic() - begun < BOUND_S
    return str(caught.value)


@pytest.mark.slow
class TestServer:
    def test_keeps_what_a_file_keeps(self, store: Store) -> None:
        kept = [record("failed", 3), record(NO_DATA, 2), replace(record("passed", 1), flaky=True, attempts=2)]
        assert store.add(kept) == []
        assert store.add(kept) == []
        assert store.last("eu", ["api"], 2) == kept[1:]
        bad = replace(record(), at=None)  # type: ignore[arg-type]  # what a mistake of ours may come to
        assert store.add([replace(record("failed"), reason=HOSTILE), bad]) == [bad]
        assert store.last("eu", ["api"], 1)[0].reason.startswith("</script>")
        assert store.forget(time.time() - kept[2].at + 0.5, 1) == 1
        assert store.forget(time.time() - kept[2].at + 0.5, 9) == 1

    def test_forgets_by_its_own_clock(self, store: Store) -> None:
        store.add([record()])
        with time_machine.travel(time.time() + 365 * 86400):
            assert store.forget(KEEP_S, 9) == 0

    def test_of_two_masters_that_write_the_same_at_once_counts_it_once(self, postgres: PostgresServer) -> None:
        """They make the tables at once, too."""
        command = [sys.executable, "-m", "tests.store.child", "race", postgres.url, "100"]
        racing = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
        assert [process.wait(50) for process in racing] == [0, 0, 0]
        store = open_store(Path(), postgres.url, TARGET)
        assert len(store.last("eu", ["api"], 1000)) == 100
        store.close()

    @pytest.mark.parametrize("first", ["ledger", "history"])
    def test_has_the_ledger_in_the_same_schema(self, postgres: PostgresServer, store: Store, first: str) -> None:
        database = LedgerDatabase(postgres.url)
        if first == "history":
            store.add([record()])
        assert Ledger(database).pauses(TARGET) == []
        database.close()
        store.add([record(id_="after")])
        assert store.last("eu", ["api"], 1)[0].id == "after"

    def test_restarted_meanwhile_is_not_even_noticed(self, postgres: PostgresServer, store: Store) -> None:
        store.add([record()])
        postgres.shut_down()
        postgres.start()
        store.add([record()])

    def test_killed_is_an_error_until_it_is_back(self, postgres: PostgresServer, store: Store) -> None:
        store.add([record()])
        postgres.kill()
        try:
            for _ in range(3):
                assert "cannot be used: connection" in refusal(store)
        finally:
            postgres.start()
        store.add([record()])
        assert len(store.last("eu", ["api"], 10)) == 2

    @pytest.mark.parametrize("connected", [False, True])
    def test_that_hangs_is_not_waited_for_for_long(
        self, postgres: PostgresServer, store: Store, connected: bool
    ) -> None:
        store.add([record()])
        if not connected:
            store.close()
        with postgres.stopped():
            assert "timeout expired" in refusal(store)
        store.add([record()])
        assert len(store.last("eu", ["api"], 10)) == 2

    def test_of_another_version_is_refused(self, postgres: PostgresServer, store: Store) -> None:
        store.add([record()])
        postgres.execute("UPDATE smokeprobe.history_version SET version = version + 1")
        other = open_store(Path(), postgres.url, TARGET)
        assert f"is of version {VERSION + 1}, this program knows version {VERSION}" in refusal(other)
        other.close()

    def test_whose_user_may_make_no_schema_says_what_to_do(self, postgres: PostgresServer) -> None:
        postgres.execute("CREATE ROLE visitor LOGIN PASSWORD 'visitors-secret'")
        store = open_store(Path(), postgres.url_of("visitor", "visitors-secret"), TARGET)
        said = refusal(store)
        store.close()
        assert "Let its user create the schema smokeprobe" in said
        assert "visitors-secret" not in said


class TestUrl:
    def test_to_nowhere_is_an_error_that_shows_no_password(self) -> None:
        said = refusal(open_store(Path(), f"postgresql://me:{PASSWORD}@127.0.0.1:1/name", TARGET))
        assert "The history in PostgreSQL at 127.0.0.1:1/name cannot be used" in said
        assert "Connection refused" in said
        assert PASSWORD not in said

    def test_that_is_none_shows_nothing_of_it(self) -> None:
        with pytest.raises(StoreError, match=r"history's database cannot be read.*postgresql://<user>") as caught:
            open_store(Path(), f"postgresql://me:{PASSWORD}/@x@db", TARGET)
        assert PASSWORD not in str(caught.value)
