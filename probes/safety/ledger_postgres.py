"""The ledger of a fleet: the schema `smokeprobe` in PostgreSQL, for all machines that are given its URL.

Why it is used as it is:

- The clock is the server's, so no two machines' clocks are compared. PostgreSQL has none but the time of day: when that
  is set back, the ledger's time stands still until it is reached again, and less is sent. Set forward, holds would end
  early: the server's machine must keep its time by slewing, as NTP services do, and not in steps.
- A writing transaction takes an advisory lock, then reads what has been committed until then: so all are one after the
  other. The lock goes with the transaction, and the server ends one whose holder has fallen silent.
- No wait is for longer than some 2 s: the server watches over that, and so do we, as a server that hangs does not.
  After a wait in vain nobody waits again for `RETRY_S`: whoever asks is told at once.
- All settings are made within the transaction and nothing is prepared, so that a pooler may stand in between.
- A connection takes several round trips to make, so it is kept for the next transaction: by the process that made it,
  while the server keeps silent on it, and not so long that something on the way forgets it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.errors import InsufficientPrivilege, UndefinedTable
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from probes.errors import LedgerError, SmokeprobeError
from probes.postgres import PatientConnection, address, connect, first_line, is_silent
from probes.safety.ledger_tables import TABLES, VERSION, Connection, Rows

SLOW_S = 1.0
"""What fails sooner may be tried again at once."""

RETRY_S = 5.0
IDLE_S = 30.0
_LOCK = 0x534D4F4B  # "SMOK"

_BEGIN = """
    SET LOCAL search_path = smokeprobe;
    SET LOCAL statement_timeout = '2s';
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SET LOCAL synchronous_commit = on;
"""
_CLOCK = "greatest(seen, extract(epoch FROM clock_timestamp())::float8)"
_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_BEGIN} SELECT {_CLOCK}, version FROM meta"  # noqa: S608 - constants only
# what is read after the lock must be what others have committed before they gave it back: not REPEATABLE READ
_LOCKED = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {_BEGIN} SELECT pg_advisory_xact_lock({_LOCK});"
_WRITE = f"{_LOCKED} UPDATE meta SET seen = {_CLOCK} RETURNING seen, version"  # noqa: S608 - constants only
_META = "CREATE TABLE meta (version INTEGER NOT NULL, seen DOUBLE PRECISION NOT NULL)"

_NAMED = re.compile(r":(\w+)")
_NO_VALUES: Mapping[str, Any] = MappingProxyType({})


class _Transaction:
    """As `ledger_tables.Connection`."""

    def __init__(self, connection: PatientConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Mapping[str, Any] = _NO_VALUES, /) -> Rows:
        return self._connection.execute(_NAMED.sub(r"%(\1)s", sql), values)


class LedgerDatabase:
    """Transactions on the ledger in a PostgreSQL database. All methods raise LedgerError where it cannot be used.

    What the URL does not say is taken from the environment (PGPASSWORD and the like), as by all of PostgreSQL's tools.
    """

    def __init__(self, url: str) -> None:
        try:
            self.place = f"PostgreSQL at {address(url)}"
        except ValueError as problem:
            raise LedgerError("The URL of the ledger's database cannot be read.", str(problem)) from None
        self._url = url
        self._idle: dict[int, list[tuple[float, PatientConnection]]] = {}
        self._retry_at = 0.0
        self._in_vain = ""

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, float]]:
        """One consistent view, and the server's clock."""
        with self._transaction(_READ) as under_way:
            yield under_way

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, float]]:
        """One transaction that nobody else interleaves with, and the server's clock read within it."""
        with self._transaction(_WRITE) as under_way:
            yield under_way

    def close(self) -> None:
        """Close the connections that are kept. Nobody need: whoever asks next makes a new one."""
        for _, connection in self._idle.pop(os.getpid(), []):
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[tuple[Connection, float]]:
        with self._explained(), self._connection() as connection:
            now = self._begin(connection, begin)
            try:
                yield _Transaction(connection), now
            except SmokeprobeError:  # no room, or a pause: nothing is wrong with the connection
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[PatientConnection]:
        """One for this transaction alone; closed, and so undone, where the transaction has not ended in good order."""
        connection = self._kept() or connect(self._url)
        try:
            yield connection
        finally:
            if connection.info.transaction_status == TransactionStatus.IDLE:
                self._idle.setdefault(os.getpid(), []).append((time.monotonic(), connection))
            else:
                connection.close()

    def _kept(self) -> PatientConnection | None:
        idle = self._idle.get(os.getpid(), [])
        while idle:
            since, connection = idle.pop()
            if time.monotonic() - since < IDLE_S and is_silent(connection):
                return connection
            connection.close()
        return None

    def _begin(self, connection: PatientConnection, begin: str) -> float:
        try:
            row = _last_row(connection, begin)
        except UndefinedTable:
            connection.execute("ROLLBACK")
            _make_tables(connection)
            row = _last_row(connection, begin)
        now, version = row
        if version != VERSION:
            raise LedgerError(
                f"The ledger, {self.place}, is of version {version}, this program knows version {VERSION}.",
                "Run the same version of this program on all machines.",
            )
        return float(now)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        begun = time.monotonic()
        if begun < self._retry_at:
            raise LedgerError(self._in_vain, "Nobody waits for it again within seconds of having waited in vain.")
        try:
            yield
        except (psycopg.Error, UnicodeError) as error:  # the latter of a host's name
            what = f"The ledger, {self.place}, cannot be used: {first_line(error)}."
            if time.monotonic() - begun > SLOW_S:
                self._in_vain, self._retry_at = what, time.monotonic() + RETRY_S
            raise LedgerError(what, _hint(error)) from error


def _last_row(connection: PatientConnection, statements: str) -> TupleRow:
    cursor = connection.execute(statements)
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    if row is None:
        raise LedgerError("The ledger's table meta in PostgreSQL is empty.", "Drop the schema smokeprobe.")
    return row


def _make_tables(connection: PatientConnection) -> None:
    connection.execute(_LOCKED)
    if connection.execute("SELECT to_regclass('smokeprobe.meta')").fetchone() == (None,):
        if connection.execute("SELECT to_regnamespace('smokeprobe')").fetchone() == (None,):
            connection.execute("CREATE SCHEMA smokeprobe")  # IF NOT EXISTS wants the right to create it all the same
        for table in (_META, *TABLES):
            connection.execute(table)
        connection.execute("INSERT INTO meta VALUES (%s, 0)", (VERSION,))
    connection.execute("COMMIT")


def _hint(error: Exception) -> str:
    if isinstance(error, InsufficientPrivilege):
        return "Let its user create the schema smokeprobe, or make that schema his."
    if getattr(error, "sqlstate", None) is None:  # not an answer of the server's
        return "See whether it is up and can be reached from here; until then nothing is sent."
    return ""
