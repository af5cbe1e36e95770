"""What a ledger is kept in, a file or a server: the tables that both have, and the transactions that both give on them.

The ledger's SQL is what SQLite and PostgreSQL both understand, with parameters written as `:name`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

VERSION = 3

TABLES = (
    """CREATE TABLE permits (
        id TEXT PRIMARY KEY, target TEXT NOT NULL, share TEXT NOT NULL, account TEXT NOT NULL,
        ends DOUBLE PRECISION NOT NULL, settled INTEGER NOT NULL DEFAULT 0)""",
    # the limits of a configuration, whose names the holds made under it are by; few, so they are kept for good
    "CREATE TABLE configurations (id INTEGER PRIMARY KEY, limits TEXT NOT NULL)",
    # a slot counts from `started` until `hold_s` after `over`; it was sent from `egress`, '' if that is not known
    """CREATE TABLE holds (
        permit TEXT NOT NULL, target TEXT NOT NULL, configuration INTEGER NOT NULL, name TEXT NOT NULL,
        share TEXT NOT NULL, slots INTEGER NOT NULL, started DOUBLE PRECISION NOT NULL,
        over DOUBLE PRECISION NOT NULL, hold_s DOUBLE PRECISION NOT NULL, egress TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX holds_of_target ON holds (target)",
    "CREATE INDEX holds_of_permit ON holds (permit)",
    # target '' is all targets; no length is until somebody resumes
    """CREATE TABLE pauses (
        target TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, length_s DOUBLE PRECISION, until DOUBLE PRECISION,
        PRIMARY KEY (target, by))""",
    """CREATE TABLE back_offs (
        target TEXT NOT NULL, limit_json TEXT NOT NULL, why TEXT NOT NULL, length_s DOUBLE PRECISION NOT NULL,
        until DOUBLE PRECISION NOT NULL, PRIMARY KEY (target, limit_json))""",
    """CREATE TABLE observed (
        target TEXT NOT NULL, counted_as TEXT NOT NULL, requests BIGINT NOT NULL, PRIMARY KEY (target, counted_as))""",
)


class Rows(Protocol):
    """What a statement has found."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A transaction that is under way."""

    def execute(self, sql: str, values: Mapping[str, Any] = ..., /) -> Rows:
        """Run one statement, with a value for each `:name` in it."""


class Backing(Protocol):
    """Transactions on what a ledger is kept in. All methods raise LedgerError where it cannot be used."""

    @property
    def place(self) -> str:
        """Where that is, in words that hold no secret."""

    def reading(self) -> AbstractContextManager[tuple[Connection, float]]:
        """One consistent view, and the ledger's clock."""

    def writing(self) -> AbstractContextManager[tuple[Connection, float]]:
        """One transaction that nobody else interleaves with, and the ledger's clock read within it.

        It is on the disk when the block ends; whatever is raised within the block undoes it.
        """
