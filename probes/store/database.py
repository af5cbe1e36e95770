"""The database of the history: a file of this machine, or the PostgreSQL that a fleet's ledger is in.

Its calls block, for some seconds at worst: whoever must not wait makes them in a thread, and one after the other.

- The file is in WAL mode, so that readers keep no writer waiting; a connection is for one transaction, so that a file
  that was taken away is made anew. What is killed in the middle of writing has written nothing.
- The connection to a server is kept for a while, as one takes several round trips to make.
- What runs have left beside the file is taken in before anything else is done with it.
- Tables of an older version are brought up to date, by whoever comes first; those of a newer one are not touched.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from probes.errors import ConfigError, StoreError
from probes.files import make_private
from probes.store.inbox import FILE, Inbox, read_letter
from probes.store.record import KEEP_S
from probes.store.tables import REVISIONS, SCHEMA, TABLES, VERSION, VERSIONS
from probes.store.writing import remove_old, write_run

BUSY_S = 2.0
"""How long another process may hold the file."""

IDLE_S = 30
"""After so many seconds a connection to a server is made anew."""

FORGET_AT_ONCE = 1000
"""More than a run writes, so that what is old goes faster than it comes."""

MIGRATION_S = 600
"""How long a step of a migration may take: of a million records it counts each."""

_LOCK = 0x534D4F4B  # the ledger's own, "SMOK": the schema that both make is one

_FIRST = {
    "sqlite": "BEGIN",
    "postgresql": """SELECT set_config('statement_timeout', '2s', true),
        set_config('idle_in_transaction_session_timeout', '5s', true)""",
}
"""The first statement of a transaction; settings hold until its end, as a pooler may stand before the server."""

_PATIENT = sa.text(
    f"""SELECT set_config('statement_timeout', '{MIGRATION_S}s', true),
        set_config('idle_in_transaction_session_timeout', '60s', true)"""
)

_WRITABLE = "Make the state directory writable for this user, or name another one."
_MOVE = "Move the file away: a new one is made."
_HINTS = {
    sqlite3.SQLITE_READONLY: _WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    sqlite3.SQLITE_PERM: _WRITABLE,
    sqlite3.SQLITE_FULL: "Free some space on its disk.",
    sqlite3.SQLITE_IOERR: "See whether its disk is full or broken.",
    sqlite3.SQLITE_BUSY: f"Another process has held it for more than {BUSY_S:.0f} s: see which one, and end it.",
    sqlite3.SQLITE_NOTADB: _MOVE,
    sqlite3.SQLITE_CORRUPT: _MOVE,
}
_PRIMARY_CODE = 0xFF  # SQLite's extended result codes carry the primary one in their lowest byte

log = logging.getLogger(__name__)


def open_database(state_dir: Path, url: str) -> Database:
    """In the PostgreSQL database at `url`, or without one in `state_dir`.

    Nothing is asked of either before the first use. Raises StoreError where the URL cannot be read.
    """
    return _in_database(url) if url else _in_file(state_dir.absolute() / FILE)


def existing_database(state_dir: Path, url: str) -> Database:
    """The same for whoever only reads, and makes no file. Raises ConfigError where there is none yet."""
    database = open_database(state_dir, url)
    if not url and not (state_dir / FILE).exists() and not Inbox(state_dir).waiting():
        raise ConfigError(
            f"There is no history in {state_dir} yet.",
            hint="Each `smokeprobe run` and every master write one; --state-dir names another folder.",
        )
    return database


def _in_file(path: Path) -> Database:
    def connect() -> sqlite3.Connection:
        uri = f"{path.as_uri()}?mode=rw"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        with contextlib.suppress(sqlite3.Error):  # what is wrong with it is wrong with the next statement too
            db.execute("PRAGMA journal_mode = WAL")
        return db

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
    return Database(engine.execution_options(schema_translate_map={SCHEMA: None}), str(path), path)


def _in_database(url: str) -> Database:
    from probes import postgres

    try:
        address = postgres.address(url)
    except ValueError as problem:
        raise StoreError("The URL of the history's database cannot be read.", str(problem)) from None

    def connect() -> postgres.PatientConnection:
        connection = postgres.connect(url)
        connection.autocommit = False
        return connection

    engine = sa.create_engine(
        "postgresql+psycopg://", creator=connect, pool_size=1, max_overflow=0, pool_recycle=IDLE_S,
        use_native_hstore=False,
    )  # fmt: skip

    @sa.event.listens_for(engine, "checkout")
    def _still_there(connection: postgres.PatientConnection, _record: object, _proxy: object) -> None:
        if not postgres.is_silent(connection):
            raise DisconnectionError  # SQLAlchemy then makes a new one

    return Database(engine, f"PostgreSQL at {address}")


class Database:
    """Where the tables are. Its methods raise StoreError where it cannot be used."""

    def __init__(self, engine: sa.Engine, place: str, path: Path | None = None) -> None:
        self.place = place
        self._engine = engine
        self._path = path
        self._inbox = Inbox(path.parent) if path is not None else None
        self._prepared = False
        sa.event.listen(engine, "begin", _begin)

    def close(self) -> None:
        """Close the connection that is kept. Nobody need: whoever asks next makes a new one."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[sa.Connection]:
        """One transaction, which is undone where an error leaves it."""
        with self._explained():
            if not self._prepared:
                self._prepare()
            if self._inbox is not None:
                self._take_in(self._inbox)
            with self._begun(writes=writes) as connection:
                yield connection

    @contextmanager
    def _begun(self, *, writes: bool) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
            yield connection

    def _take_in(self, inbox: Inbox) -> None:
        """Take in what runs have left; one that cannot be taken in is put aside, and keeps no other one out."""
        waiting = inbox.waiting()
        for path in waiting:
            try:
                if letter := read_letter(path):
                    with self._begun(writes=True) as connection:
                        write_run(connection, letter.target, letter.run, letter.records)
            except (ValueError, DataError, IntegrityError, OverflowError):
                log.warning("%s is no run that the history takes; it is put aside as .damaged.", path)
                with contextlib.suppress(FileNotFoundError):
                    path.replace(path.with_suffix(".damaged"))
            else:
                path.unlink(missing_ok=True)
        if waiting:
            with self._begun(writes=True) as connection:
                remove_old(connection, now_of(connection) - KEEP_S, FORGET_AT_ONCE)

    def _prepare(self) -> None:
        """See that the tables are there, and are those that we know."""
        if self._path is not None:
            make_private(self._path)
        with self._begun(writes=False) as connection:
            version = self._version(connection)
        if version < VERSION:
            with self._begun(writes=True) as connection:
                version = self._upgraded(connection)
        if version != VERSION:
            raise StoreError(
                f"The history in {self.place} is of version {version}, this program knows version {VERSION}.",
                "Run the version of this program that wrote it, or give this one a history of its own.",
            )
        self._prepared = True

    def _version(self, connection: sa.Connection) -> int:
        """The version of the tables; 0 where there are none."""
        if not sa.inspect(connection).has_table(VERSIONS.name, schema=self._schema):
            return 0
        return connection.execute(sa.select(VERSIONS.c.version)).scalar() or 0

    def _upgraded(self, connection: sa.Connection) -> int:
        """Bring the tables up to date, unless somebody else has just done so; returns their version."""
        if self._schema:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        version = self._version(connection)
        if version == 0:
            self._make(connection)
        elif version < VERSION:
            from probes.store.migrate import upgrade  # who finds the tables up to date does not pay for Alembic

            with self._patience(connection):
                upgrade(connection, self._schema)
        return self._version(connection)

    def _make(self, connection: sa.Connection) -> None:
        """Where there are no tables, make them as they are now: the steps would cost a first run half a second."""
        from probes.store import alert_tables  # noqa: F401 - its tables are among TABLES

        if self._schema and not sa.inspect(connection).has_schema(self._schema):
            connection.execute(sa.schema.CreateSchema(self._schema))
        TABLES.create_all(connection, checkfirst=False)
        REVISIONS.create(connection, checkfirst=False)
        connection.execute(sa.insert(VERSIONS).values(version=VERSION))
        connection.execute(sa.insert(REVISIONS).values(version_num=f"{VERSION:04}"))

    @contextmanager
    def _patience(self, connection: sa.Connection) -> Iterator[None]:
        if self._schema is None:
            yield
            return
        server: Any = connection.connection.driver_connection
        connection.execute(_PATIENT)
        usual, server.patience_s = server.patience_s, MIGRATION_S
        try:
            yield
        finally:
            server.patience_s = usual

    @property
    def _schema(self) -> str | None:
        return SCHEMA if self._path is None else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError) as error:
            raise RefusedError(self._sentence(error.orig)) from error
        except OverflowError as error:  # SQLite's, of a number that has no room in it
            raise RefusedError(self._sentence(error)) from error
        except (SQLAlchemyError, OSError, UnicodeError) as error:
            self._prepared = False  # it may be another one by the time it is there again
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(self._sentence(cause), _hint(cause)) from error

    def _sentence(self, error: BaseException | None) -> str:
        said = error.strerror if isinstance(error, OSError) else str(error)
        first = (str(said).splitlines() or [type(error).__name__])[0].rstrip(" .:")
        return f"The history in {self.place} cannot be used: {first}."


class RefusedError(StoreError):
    """Nothing is wrong with the database, but with what it was to take."""


def _begin(connection: sa.Connection) -> None:
    name = connection.dialect.name
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes and name == "sqlite" else _FIRST[name])


def now_of(connection: sa.Connection) -> float:
    """Seconds since the epoch by the clock of whoever keeps the database; of a file that is this machine."""
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))).scalar_one())


def _hint(error: Any) -> str:
    if isinstance(error, OSError):
        return _WRITABLE
    if isinstance(error, sqlite3.Error):
        return _HINTS.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE, "")
    if getattr(error, "sqlstate", None) == "42501":  # insufficient privilege
        return f"Let its user create the schema {SCHEMA}, or make that schema his."
    return "See whether it is up and can be reached from here."
