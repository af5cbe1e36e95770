"""The ledger on a real PostgreSQL: what a server can do to it, and what it never gives away."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from probes.errors import LedgerError, NoBudgetError
from probes.safety import ledger_postgres
from probes.safety.ledger import Authority, Ledger, open_ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.ledger_postgres import LedgerDatabase
from probes.safety.permits import Permit
from probes.safety.redact import Redactor
from tests.postgres import PASSWORD, PostgresServer
from tests.safety.budget import ENHANCE, TARGET, permit

ROOT = Path(__file__).parents[2]
BOUND_S = 6.0
"""No answer takes longer, whatever the server does."""


NewDatabase = Callable[..., LedgerDatabase]


@pytest.fixture
def new_database(postgres: PostgresServer) -> Iterator[NewDatabase]:
    """One more, as another process has it."""
    made: list[LedgerDatabase] = []

    def new(url: str = postgres.url) -> LedgerDatabase:
        made.append(LedgerDatabase(url))
        return made[-1]

    yield new
    for database in made:
        database.close()


@pytest.fixture
def database(new_database: NewDatabase) -> LedgerDatabase:
    return new_database()


@pytest.fixture
def ledger(database: LedgerDatabase) -> Ledger:
    return Ledger(database)


def reserve(ledger: Ledger, count: int = 1) -> Permit:
    granted = permit(ENHANCE, quota={"enhance": count})
    ledger.reserve(granted, share_fraction=1)
    return granted


def refusal(ledger: Ledger) -> str:
    """What the ledger says when it cannot be used; it never grants then."""
    begun = time.monotonic()
    with pytest.raises(LedgerError) as caught:
        reserve(ledger)
    assert time.monotonic() - begun < BOUND_S
    return str(caught.value)


def at_once(ledger: Ledger) -> str:
    begun = time.monotonic()
    said = refusal(ledger)
    assert time.monotonic() - begun < 1.0
    return said


def wait_until_granted(ledger: Ledger, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with suppress(LedgerError):
            reserve(ledger)
            return
        time.sleep(0.1)
    pytest.fail("not granted")


@pytest.mark.slow
class TestServer:
    def test_killed_means_that_nothing_is_granted_until_it_is_back(
        self, postgres: PostgresServer, ledger: Ledger
    ) -> None:
        authority = Authority(ledger, target=TARGET, share="adhoc", share_fraction=1, limits=(ENHANCE,), region="here")
        meter = authority.meter(authority.grant("api", quota={"enhance": 8}, cleanup={}, deadline_s=60))
        postgres.kill()
        try:
            for _ in range(3):
                assert "cannot be used: connection" in at_once(ledger)
            with pytest.raises(LedgerError, match="cannot be used"):
                meter.admit("POST", "/api/v1/enhance")
        finally:
            postgres.start()
        meter.admit("POST", "/api/v1/enhance")
        reserve(ledger)
        with pytest.raises(NoBudgetError, match="9 of 9 taken"):
            reserve(ledger)

    def test_restarted_between_two_requests_is_not_even_noticed(self, postgres: PostgresServer, ledger: Ledger) -> None:
        reserve(ledger)
        postgres.shut_down()
        postgres.start()
        reserve(ledger)
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 2}

    def test_keeps_a_connection_for_a_while(self, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        assert len({self.backend(database) for database in [new_database()] * 3}) == 1
        monkeypatch.setattr(ledger_postgres, "IDLE_S", 0.0)
        assert len({self.backend(database) for database in [new_database()] * 3}) == 3

    def backend(self, database: LedgerDatabase) -> int:
        with suppress(NoBudgetError), database.writing() as (db, _):
            (number,) = db.execute("SELECT pg_backend_pid()").fetchone()
            raise NoBudgetError("which is no reason to give a connection up", 0.0)
        return int(number)

    @pytest.mark.parametrize("connected", [False, True])
    def test_that_hangs_is_waited_for_once(
        self, postgres: PostgresServer, database: LedgerDatabase, connected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger_postgres, "RETRY_S", 0.5)
        ledger = Ledger(database)
        reserve(ledger)
        if not connected:
            database.close()
        with postgres.stopped():
            assert "timeout expired" in refusal(ledger)
            for _ in range(5):
                assert "timeout expired" in at_once(ledger)
        time.sleep(0.5)
        reserve(ledger)

    def test_that_somebody_holds_for_long_is_waited_for_once_and_taken_from_him(
        self, ledger: Ledger, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger_postgres, "RETRY_S", 0.5)
        holding = new_database().writing()
        with pytest.raises(LedgerError, match="terminating connection"), holding as (db, _):  # noqa: PT012 - raised at its end
            db.execute("INSERT INTO observed VALUES ('never', 'to be', 1)")
            assert "statement timeout" in refusal(ledger)
            assert "statement timeout" in at_once(ledger)
            wait_until_granted(ledger, 8)
        with new_database().reading() as (db, _):
            assert db.execute("SELECT * FROM observed").fetchall() == []

    def test_is_waited_for_while_others_go_on(
        self, postgres: PostgresServer, ledger: Ledger, database: LedgerDatabase
    ) -> None:
        """Under gevent; and one that is killed while it waits leaves nothing behind."""
        script = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sys
from pathlib import Path
from probes.errors import LedgerError
from probes.safety import ledger_postgres
from probes.safety.ledger import open_ledger
from tests.safety.budget import ENHANCE, permit
ledger_postgres.RETRY_S = 0.0
ledger, ticks, said = open_ledger(Path(), sys.argv[1]), [], []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
def ask():
    try:
        ledger.reserve(permit(ENHANCE, quota={"enhance": 9}), share_fraction=1)
        said.append("granted")
    except LedgerError as error:
        said.append("LedgerError")
print("ready", flush=True)
input()
gevent.spawn(tick)
killed, waiting = gevent.spawn(ask), gevent.spawn(ask)
gevent.sleep(0.5)
killed.kill()
waiting.join()
print(len(ticks), *said, flush=True)
input()
ask()
print(*said)
"""
        reserve(ledger, 0)
        command = [sys.executable, "-u", "-c", script, postgres.url]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
            assert child.stdin
            assert child.stdout
            try:
                assert child.stdout.readline() == "ready\n"
                with database.writing():
                    child.stdin.write("\n")
                    ticks, *said = child.stdout.readline().split()
                assert int(ticks) > 20
                assert said == ["LedgerError"]
                assert child.communicate("\n")[0].split() == ["LedgerError", "granted"]
            finally:
                child.kill()


@pytest.mark.slow
class TestClock:
    def test_is_the_servers(self, ledger: Ledger, database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        reserve(ledger, 9)
        monkeypatch.setattr(time, "clock_gettime", lambda _: 1e9)
        monkeypatch.setattr(time, "time", lambda: 1e9)
        with pytest.raises(NoBudgetError):
            reserve(ledger)
        with database.reading() as (db, now):
            (theirs,) = db.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert now == pytest.approx(float(theirs), abs=1)

    def test_stands_still_where_it_was_set_back(
        self, ledger: Ledger, database: LedgerDatabase, postgres: PostgresServer
    ) -> None:
        ledger.pause(None, 60, "a while", "hand")
        postgres.execute("UPDATE smokeprobe.meta SET seen = seen + 30")
        for _ in range(3):
            assert ledger.pauses(TARGET)[0].remaining_s == pytest.approx(30, abs=0.5)
            with database.writing() as (_, written), database.reading() as (_, read):
                assert read == written


@pytest.mark.slow
class TestSchema:
    def test_is_of_one_version(self, ledger: Ledger, postgres: PostgresServer) -> None:
        reserve(ledger)
        postgres.execute("UPDATE smokeprobe.meta SET version = 99")
        assert "is of version 99, this program knows version 3" in refusal(ledger)

    def test_may_be_made_by_another_user(self, postgres: PostgresServer, new_database: NewDatabase) -> None:
        postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            guest = Ledger(new_database(postgres.url_of("guest", "guest")))
            assert "Let its user create the schema smokeprobe" in refusal(guest)
            postgres.execute("CREATE SCHEMA smokeprobe AUTHORIZATION guest")
            reserve(guest)
        finally:
            postgres.forget()
            postgres.execute("DROP ROLE guest")

    def test_is_written_safely_whatever_the_servers_defaults(
        self, database: LedgerDatabase, postgres: PostgresServer
    ) -> None:
        settings = {"synchronous_commit": "off", "default_transaction_isolation": "'repeatable read'"}
        settings["default_transaction_read_only"] = "on"
        for name, value in settings.items():
            postgres.execute(f"ALTER ROLE smokeprobe SET {name} = {value}")
        try:
            reserve(Ledger(database), 9)
            with database.writing() as (db, _):
                assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)
                assert db.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        finally:
            postgres.execute("BEGIN READ WRITE; ALTER ROLE smokeprobe RESET ALL; COMMIT")


class TestUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://me:se@cret@db.example/name",
            "postgresql://me:se/cret@db.example/name",
            "postgresql://me:12/cret@db.example/name",
            "postgresql://me:se?cret@db.example/name",
            "postgresql://me:se#cret@db.example/name",
            "postgresql://me:se[cret@db.example/name",
            "postgresql://me:se%cret@db.example/name",
            "postgresql://me:secret/name",
            "postgresql://me@db.example/name?cret=1",
            "mysql://me:secret@db.example/name",
            "host=db.example password=secret",
            "secret",
        ],
    )
    def test_that_cannot_be_read_is_not_shown(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(
            LedgerError, match=r"The URL of the ledger's database cannot be read\. Write it as"
        ) as caught:
            open_ledger(tmp_path, url)
        assert "cret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert Redactor().text(str(caught.value)) == str(caught.value)  # our own help is not taken for a secret

    @pytest.mark.parametrize(
        "hosts", ["db.example", "[::1]:5433", "one.example:1,two.example:2", "%2Frun%2Fpostgresql", ""]
    )
    def test_says_where_the_ledger_is(self, hosts: str, tmp_path: Path) -> None:
        for user in ("", "me@", "me:s%40cret@"):
            assert open_ledger(tmp_path, f"postgresql://{user}{hosts}/name").place == f"PostgreSQL at {hosts}/name"

    def test_with_no_name_of_a_host_is_an_error_like_any_other(self, tmp_path: Path) -> None:
        assert "cannot be used" in refusal(open_ledger(tmp_path, f"postgresql://{'x' * 70}/name"))

    def test_to_nowhere_is_an_error_at_once_that_shows_no_password(self, tmp_path: Path) -> None:
        ledger = open_ledger(tmp_path, f"postgresql://me:{PASSWORD}@127.0.0.1:1/name")
        for _ in range(2):
            said = at_once(ledger)
            assert "PostgreSQL at 127.0.0.1:1/name, cannot be used" in said
            assert "Connection refused" in said
            assert PASSWORD not in said

    @pytest.mark.slow
    @pytest.mark.parametrize("user", ["smokeprobe", "stranger"])
    def test_with_a_wrong_user_or_password_shows_neither(
        self, postgres: PostgresServer, new_database: NewDatabase, user: str
    ) -> None:
        said = at_once(Ledger(new_database(postgres.url_of(user, "wrong-but-secret"))))
        assert "password authentication failed" in said
        assert "wrong-but-secret" not in said

    @pytest.mark.slow
    def test_may_leave_the_password_to_the_environment(
        self, postgres: PostgresServer, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        reserve(Ledger(new_database(postgres.url.replace(f":{PASSWORD}", ""))))

    def test_means_its_database(self, tmp_path: Path) -> None:
        ledger = open_ledger(tmp_path / "never-made", "postgresql://me:secret@db.example:5433/name?sslmode=require")
        assert ledger.place == "PostgreSQL at db.example:5433/name"

    def test_that_is_empty_means_the_file(self, tmp_path: Path) -> None:
        ledger = open_ledger(tmp_path)
        reserve(ledger)
        assert ledger.place == str(tmp_path / "ledger.sqlite3")
        assert Ledger(LedgerFile(tmp_path / "ledger.sqlite3")).peaks(TARGET, [ENHANCE], 60) == {"enhance": 1}
