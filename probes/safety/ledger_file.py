"""The ledger's file: how it is made, opened, locked and carried over a reboot, and what to say when that fails.

SQLite in a file of its own, for all processes of one machine (not for a drive that machines share: each would take
the other's boot for a reboot). Why it is set up as it is:

- A rollback journal, not WAL: WAL needs memory shared through a mapped file, which some file systems lack (FUSE, 9p,
  shared folders of virtual machines), and with some ten writes a run its speed is worth nothing here.
- `synchronous = FULL`, for every write: a reservation lost in a power cut would be a request forgotten, and the machine
  can be up again within one window. The journal is truncated instead of deleted, as only then FULL also makes sure
  that a committed transaction is not rolled back by a journal that reappears after the cut.
- A connection for each transaction that writes. One is kept for reading, which every request does: it holds no lock in
  between, and is used only where it was opened (this process, this thread) and while it is this very file.

Transactions take milliseconds. The wait for a lock that another process keeps for longer is spent asleep between short
tries, so that other greenlets go on meanwhile. It ends after `BUSY_S`; at once where the wait before it was in vain.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from probes.errors import LedgerError
from probes.files import make_private
from probes.safety.ledger_tables import TABLES, VERSION
from probes.safety.permits import boot_clock

BUSY_S = 2.0
TRY_S = 0.02
"""How long one try for a lock may block the thread, and the pause after it."""

_T = TypeVar("_T")
APPLICATION_ID = 0x534D4F4B  # "SMOK", so that another program's database is not taken for a ledger

# the boot by whose clock all times of this file are meant, and the last reading of it that was written
_META = "CREATE TABLE meta (boot TEXT NOT NULL, seen REAL NOT NULL)"

_NOT_REPLACED = (
    "It is not replaced, since that would forget what was sent: stop all probing of this machine, wait for the longest "
    "window of the target's limits, then remove the file."
)
_HINTS = {
    sqlite3.SQLITE_READONLY: "Make the state directory writable for this user, or name another one.",
    sqlite3.SQLITE_CANTOPEN: "Make the state directory writable for this user, or name another one.",
    sqlite3.SQLITE_PERM: "Make the state directory writable for this user, or name another one.",
    sqlite3.SQLITE_FULL: "Free some space on its disk.",
    sqlite3.SQLITE_IOERR: "See whether its disk is full or broken.",
    sqlite3.SQLITE_BUSY: f"Another process has held it for more than {BUSY_S:.0f} s: see which one, and end it.",
    sqlite3.SQLITE_NOTADB: _NOT_REPLACED,
    sqlite3.SQLITE_CORRUPT: _NOT_REPLACED,
}
_PRIMARY_CODE = 0xFF  # SQLite's extended result codes carry the primary one in their lowest byte


def read_boot_id() -> str:
    """What changes with each boot of the machine; containers see their host's."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


@dataclass(slots=True)
class _Reader:
    """A connection that is kept for reading, and where it may be used: process, thread and file."""

    db: sqlite3.Connection
    where: tuple[int, ...]
    busy: bool = False


class LedgerFile:
    """Transactions on the ledger's file. All methods raise LedgerError where it cannot be used."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = boot_clock, boot_id: Callable[[], str] = read_boot_id
    ) -> None:
        self._path = path.absolute()
        self.place = str(self._path)
        self._clock = clock
        self._boot_id = boot_id
        self._waited_in_vain = False
        self._reader: _Reader | None = None

    @contextmanager
    def reading(self) -> Iterator[tuple[sqlite3.Connection, float]]:
        """One consistent view of the file, and the boot clock."""
        with self._explained():
            reader = self._reader
            if reader is not None and reader.busy:  # by another greenlet, or by whoever called us
                with closing(self._patiently(lambda: self._begin("BEGIN"))) as db:
                    yield db, self._clock()
                return
            reader = self._reader = self._patiently(self._begin_reading)
            reader.busy = True
            try:
                yield reader.db, self._clock()
            finally:
                reader.busy = False
                reader.db.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, float]]:
        """One transaction that nobody else interleaves with, and the boot clock read within it.

        It is on the disk when the block ends; whatever is raised within the block undoes it.
        """
        with self._explained(), closing(self._patiently(lambda: self._begin("BEGIN IMMEDIATE"))) as db:
            now = self._clock()
            yield db, now
            db.execute("UPDATE meta SET seen = ?", (now,))
            self._patiently(lambda: db.execute("COMMIT"))  # without this, closing the connection rolls back

    def _patiently(self, step: Callable[[], _T]) -> _T:
        ends = time.monotonic() + (0.0 if self._waited_in_vain else BUSY_S)
        while True:
            try:
                done = step()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() >= ends:
                    self._waited_in_vain = True
                    raise
                time.sleep(TRY_S)
            else:
                self._waited_in_vain = False
                return done

    def _begin_reading(self) -> _Reader:
        """The kept connection within a transaction that has its lock already; a new one where it is of no use."""
        reader, here = self._reader, self._here()
        if reader is not None and here and reader.where == here:
            reader.db.execute("BEGIN")
            try:
                if _marks(reader.db) == (APPLICATION_ID, VERSION):  # which has its lock by now
                    return reader
            except BaseException:
                reader.db.execute("ROLLBACK")
                raise
        if reader is not None and reader.where[:1] == (os.getpid(),):  # one from before a fork is not even closed
            reader.db.close()
            self._reader = None
        db = self._begin("BEGIN")
        weakref.finalize(self, _close, db, os.getpid()).atexit = False
        return _Reader(db, self._here())

    def _here(self) -> tuple[int, ...]:
        """This process, this thread and this file; nothing where there is no file."""
        try:
            file = self._path.stat()
        except FileNotFoundError:
            return ()
        return os.getpid(), threading.get_native_id(), file.st_dev, file.st_ino

    def _begin(self, begin: str) -> sqlite3.Connection:
        """A connection within a transaction that has its lock already."""
        db = self._connect()
        try:
            _lock(db, begin)
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self) -> sqlite3.Connection:
        make_private(self._path)
        db = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw", uri=True, timeout=TRY_S, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
            self._see_to_tables(db)
            self._see_to_boot(db)
        except BaseException:
            db.close()
            raise
        return db

    def _see_to_tables(self, db: sqlite3.Connection) -> None:
        if _marks(db) == (APPLICATION_ID, VERSION):
            return
        db.execute("BEGIN IMMEDIATE")  # wait for whoever may be making the tables just now
        application, version = _marks(db)
        if (application, version) == (0, 0) and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for table in (_META, *TABLES):
                db.execute(table)
            db.execute("INSERT INTO meta VALUES (?, ?)", (self._boot_id(), self._clock()))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise LedgerError(f"{self._path} is not a ledger, but another program's database.", "Name another file.")
        elif version == 2:  # its holds are of no known egress, so they count for all
            db.execute("ALTER TABLE holds ADD COLUMN egress TEXT NOT NULL DEFAULT ''")
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise LedgerError(
                f"The ledger {self._path} is of version {version}, this program knows version {VERSION}.",
                "Run the newer version of this program that wrote it." if version > VERSION else _NOT_REPLACED,
            )
        db.execute("COMMIT")

    def _see_to_boot(self, db: sqlite3.Connection) -> None:
        """After a reboot, take over what still counted, by the new boot's clock.

        The processes of the older boot are dead, so their permits have ended; but how long the reboot took is not
        known, so what counted when the file was last written counts for its whole hold again from now on. What was
        past by then keeps its age, as a limit lowered later may have a longer hold. Pauses are as holds: when in
        doubt, nothing is sent.
        """
        boot = self._boot_id()
        if db.execute("SELECT boot FROM meta").fetchone() == (boot,):
            return
        db.execute("BEGIN IMMEDIATE")
        known, seen = db.execute("SELECT boot, seen FROM meta").fetchone()
        if known != boot:
            now = self._clock()
            shift = now - seen
            db.execute(
                """UPDATE holds SET started = CASE WHEN over + hold_s > :seen THEN :now ELSE started + :shift END,
                over = CASE WHEN over + hold_s > :seen THEN :now ELSE over + :shift END""",
                {"now": now, "seen": seen, "shift": shift},
            )
            db.execute("UPDATE permits SET settled = 1, ends = ?", (now,))
            for table in ("pauses", "back_offs"):
                db.execute(f"DELETE FROM {table} WHERE until <= ?", (seen,))  # noqa: S608 - a constant name
                db.execute(f"UPDATE {table} SET until = ? + length_s", (now,))  # noqa: S608 - a constant name
            db.execute("UPDATE meta SET boot = ?, seen = ?", (boot, now))
        db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = _HINTS.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE, "")
            raise LedgerError(f"The ledger {self._path} cannot be used: {error}.", hint) from error
        except OSError as error:
            hint = _HINTS[sqlite3.SQLITE_CANTOPEN]
            raise LedgerError(f"The ledger {self._path} cannot be used: {error.strerror or error}.", hint) from error


def _close(db: sqlite3.Connection, owner: int) -> None:
    if owner == os.getpid():
        db.close()


def _lock(db: sqlite3.Connection, begin: str) -> None:
    """Begin a transaction and have its lock at once, or none of it."""
    db.execute(begin)
    try:
        db.execute("SELECT 1 FROM meta").fetchone()
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _marks(db: sqlite3.Connection) -> tuple[int, int]:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(application), int(version)
