"""From every earlier version to the newest, on both databases: what comes out, by whom, and what a kill leaves."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from probes.store import (
    alert_tables,  # noqa: F401 - its tables are among TABLES
    migrate,
)
from probes.store.database import Database, open_database
from probes.store.store import open_store
from probes.store.tables import HISTORY, HOURS, REVISIONS, TABLES, VERSION, VERSIONS
from tests.postgres import PostgresServer
from tests.store import version_1
from tests.store.sample import TARGET, record

ROOT = Path(__file__).parents[2]
OLD = ["nothing", "version 1"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def in_file(path: Path) -> Iterator[Database]:
    opened = open_database(path.parent, "")
    yield opened
    opened.close()


@pytest.fixture
def in_server(postgres: PostgresServer) -> Iterator[Database]:
    opened = open_database(Path(), postgres.url)
    yield opened
    opened.close()


def in_step(database: Database) -> None:
    """The tables are exactly those that the program works with."""
    with database.transaction(writes=False) as connection:
        wanted = sa.MetaData()
        for table in TABLES.tables.values():
            table.to_metadata(wanted, schema=None)  # type: ignore[arg-type]  # SQLite has none, and the server's user is named as ours is
        found = MigrationContext.configure(connection, opts={"version_table": REVISIONS.name})
        assert compare_metadata(found, wanted) == []
        assert connection.execute(sa.select(VERSIONS.c.version)).scalars().all() == [VERSION]


def kept(database: Database) -> list[str]:
    with database.transaction(writes=False) as connection:
        return list(connection.execute(sa.select(HISTORY.c.id).order_by(HISTORY.c.at)).scalars())


def counted(database: Database) -> list[tuple[object, ...]]:
    with database.transaction(writes=False) as connection:
        rows = connection.execute(sa.select(HOURS).order_by(HOURS.c.hour, HOURS.c.verified))
        return [tuple(row) for row in rows]


COUNTED = [
    # target, region, verified, check, hour; passed, degraded, failed, blind, silent
    (TARGET, "eu", True, "api", 2, 1, 0, 1, 1, 0),
    (TARGET, "eu", False, "api", 3, 0, 0, 0, 0, 1),
    (TARGET, "eu", True, "api", 3, 0, 1, 0, 0, 0),
]


def race(place: str) -> None:
    command = [sys.executable, "-m", "tests.store.child", "race", place, "5"]
    racing = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(50) for process in racing] == [0, 0]


def test_the_newest_step_is_the_version_that_the_program_knows() -> None:
    steps = list(ScriptDirectory(str(migrate.FOLDER)).walk_revisions())
    assert [step.revision for step in reversed(steps)] == [f"{number:04}" for number in range(1, VERSION + 1)]


class TestInAFile:
    def test_from_nothing(self, in_file: Database) -> None:
        in_step(in_file)
        assert kept(in_file) == []

    def test_the_steps_make_the_same_out_of_nothing(self, in_file: Database, path: Path) -> None:
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            migrate.upgrade(connection, None)
        engine.dispose()
        in_step(in_file)

    def test_what_was_made_at_once_can_be_taken_further(self, in_file: Database, path: Path) -> None:
        in_step(in_file)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT version_num FROM history_revision").fetchall() == [(f"{VERSION:04}",)]

    def test_from_version_1_with_what_it_kept(self, in_file: Database, path: Path) -> None:
        version_1.in_file(path)
        in_step(in_file)
        assert kept(in_file) == ["a", "b", "c", "d", "e"]
        assert counted(in_file) == COUNTED
        store = open_store(path.parent, "", TARGET)
        store.add([record(id_="new")])
        assert [each.id for each in store.last("eu", ["api"], 9)] == ["a", "b", "c", "d", "e", "new"]

    @pytest.mark.parametrize("version", range(2, VERSION))
    def test_from_each_version_since(self, in_file: Database, path: Path, version: int) -> None:
        """Steps that were released never change, so that they make what they made."""
        version_1.in_file(path)
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            migrate.upgrade(connection, None, version)
        engine.dispose()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT version FROM history_version").fetchall() == [(version,)]
        in_step(in_file)
        assert kept(in_file) == ["a", "b", "c", "d", "e"]
        assert counted(in_file) == COUNTED

    @pytest.mark.parametrize("old", OLD)
    def test_by_two_processes_at_once(self, in_file: Database, path: Path, old: str) -> None:
        if old != "nothing":
            version_1.in_file(path)
        race(str(path.parent))
        in_step(in_file)

    def test_that_is_killed_has_changed_nothing(self, in_file: Database, path: Path) -> None:
        """At its very last moment: all steps are done, and nothing is committed."""
        version_1.in_file(path)
        answer = subprocess.run(
            [sys.executable, "-m", "tests.store.child", "migrate-and-die", str(path.parent)], cwd=ROOT, check=False
        )
        assert answer.returncode == -signal.SIGKILL
        assert kept_as_version_1(path) == 5
        in_step(in_file)
        assert counted(in_file) == COUNTED


def kept_as_version_1(path: Path) -> int:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"history", "history_version"}
        assert connection.exec_driver_sql("SELECT version FROM history_version").scalar() == 1
        rows = connection.exec_driver_sql("SELECT * FROM history").all()
    engine.dispose()
    assert {len(row) for row in rows} == {13}
    return len(rows)


@pytest.mark.slow
class TestInAServer:
    def test_from_nothing(self, in_server: Database) -> None:
        in_step(in_server)
        assert kept(in_server) == []

    def test_from_version_1_with_what_it_kept(self, in_server: Database, postgres: PostgresServer) -> None:
        version_1.in_server(postgres)
        in_step(in_server)
        assert kept(in_server) == ["a", "b", "c", "d", "e"]
        assert counted(in_server) == COUNTED

    @pytest.mark.parametrize("old", OLD)
    def test_by_two_processes_at_once(self, in_server: Database, postgres: PostgresServer, old: str) -> None:
        if old != "nothing":
            version_1.in_server(postgres)
        race(postgres.url)
        in_step(in_server)

    def test_that_is_killed_has_changed_nothing(self, in_server: Database, postgres: PostgresServer) -> None:
        version_1.in_server(postgres)
        command = [sys.executable, "-m", "tests.store.child", "migrate-and-die", postgres.url]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        postgres.execute("INSERT INTO smokeprobe.history_version VALUES (9)")  # nobody holds a lock any more
        postgres.execute("DELETE FROM smokeprobe.history_version WHERE version = 9")
        postgres.execute("INSERT INTO smokeprobe.history SELECT 'f', target, at + 3600, region, verified, \"check\", "
                         "outcome, 0, '', false, 1, '', '' FROM smokeprobe.history WHERE id = 'd'")  # fmt: skip
        in_step(in_server)
        assert kept(in_server) == ["a", "b", "c", "d", "e", "f"]
