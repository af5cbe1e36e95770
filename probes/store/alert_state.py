"""The rules' states and the notices on their way, in the database of the history; all times are by its clock.

- A look is one transaction: it locks the environment's row, reads what was seen, and writes the new states together
  with what is to be told of them. Who is second waits, and then finds it done.
- A notice is leased before it is sent, by one sender at a time, and of an incident and an address only the first that
  is not done with. A reminder after which there is something newer to tell is not sent any more. Whoever is killed in
  the middle of sending loses the lease, and another one sends it again, under the same key and number.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from probes.store.alert_tables import BOOKS, NOTICES
from probes.store.database import Database, now_of
from probes.store.insert import insert_into
from probes.store.record import NO_DATA, Record
from probes.store.tables import HISTORY

LEASE_S = 30.0
"""How long a sender may take; a channel has ten seconds."""

LONGEST_WAIT_S = 3600.0
"""A notice is tried again after so long at most, whatever a channel asks for."""

REFUSED_SHOWN_S = 86400.0
"""For so long people see that a notice was refused."""

_KEY = (NOTICES.c.key, NOTICES.c.number, NOTICES.c.address)

_RECORD = [HISTORY.c[field.name] for field in fields(Record)]


@dataclass(frozen=True, slots=True)
class Due:
    """A notice for an address, leased for sending; `notice` is its JSON, `tries` how often it was tried before."""

    key: str
    number: int
    address: str
    notice: str
    tries: int
    lease: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a notice: taken, refused for good, or to be tried again after so many seconds."""

    due: Due
    problem: str = ""
    again_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Untold:
    """What waits to be told, and why the oldest of it does, if it was tried; and what was refused within a day."""

    count: int
    problem: str
    refused: int = 0
    refusal: str = ""  # of the newest of them

    def said(self, until: str) -> str:
        """What is wrong, in words; empty where nothing is. `until` says when what waits is told: `to be told`."""
        waits = f"Notices that wait {until}: {self.count}, as {self.problem}." if self.problem else ""
        never = (
            f"Notices that were refused and will not be told: {self.refused}, as {self.refusal}."
            if self.refused
            else ""
        )
        return " ".join(filter(None, (waits, never)))


class Look:
    """One look, within its transaction. `book` is what the last one has written, empty before the first."""

    def __init__(self, connection: sa.Connection, target: str, env: str) -> None:
        self._connection, self._target, self._env = connection, target, env
        first = insert_into(connection, BOOKS).values(target=target, env=env, book="")
        connection.execute(first.on_conflict_do_nothing())
        mine = sa.select(BOOKS.c.book).where(BOOKS.c.target == target, BOOKS.c.env == env)
        self.book: str = connection.execute(mine.with_for_update()).scalar_one()
        self.now = now_of(connection)  # once nobody else looks any more

    def records(self, since: float) -> list[Record]:
        """What became of each occasion since a time, oldest first; also what is later than now."""
        wanted = sa.select(*_RECORD).where(HISTORY.c.target == self._target, HISTORY.c.at > since)
        return [Record(*row) for row in self._connection.execute(wanted.order_by(HISTORY.c.at))]

    def was_verified(self, region: str) -> bool:
        """Whether anything bore a region out at its newest verdict."""
        newest = (
            sa.select(HISTORY.c.verified)
            .where(HISTORY.c.target == self._target, HISTORY.c.region == region, HISTORY.c.outcome != NO_DATA)
            .order_by(HISTORY.c.at.desc())
            .limit(1)
        )
        return bool(self._connection.execute(newest).scalar())

    def write(self, book: str, notices: Sequence[tuple[str, int, str, str]]) -> None:
        """Keep the states, and what is to be told: each a key, a number, an address and the notice's JSON."""
        mine = sa.update(BOOKS).where(BOOKS.c.target == self._target, BOOKS.c.env == self._env)
        self._connection.execute(mine.values(book=book))
        if notices:
            usual = {
                "target": self._target, "env": self._env, "at": self.now, "outcome": "due", "due_at": self.now,
                "tries": 0, "lease": "", "leased_until": 0.0, "problem": "",
            }  # fmt: skip
            rows = [
                {"key": key, "number": number, "address": address, "notice": notice, **usual}
                for key, number, address, notice in notices
            ]
            self._connection.execute(sa.insert(NOTICES), rows)


class AlertState:
    """What is kept of the alerts of one target in one environment. Raises StoreError where it cannot be used."""

    def __init__(self, database: Database, target: str, env: str) -> None:
        self._database, self._target, self._env = database, target, env

    @contextmanager
    def looking(self) -> Iterator[Look]:
        """One look; nobody else has one meanwhile, on whatever machine. An error undoes it."""
        with self._database.transaction(writes=True) as connection:
            yield Look(connection, self._target, self._env)

    def has_open(self) -> bool:
        """Whether people were told of something that they have not been told the end of."""
        mine = sa.select(BOOKS.c.book).where(BOOKS.c.target == self._target, BOOKS.c.env == self._env)
        with self._database.transaction(writes=False) as connection:
            book = connection.execute(mine).scalar()
        return bool(book and json.loads(book)["incidents"])

    def lease(self, most: int) -> list[Due]:
        """At most so many notices that are due, to be sent at once, and told `sent` of."""
        lease = uuid.uuid4().hex
        with self._database.transaction(writes=True) as connection:
            now = now_of(connection)
            for outdated in connection.execute(self._outdated(now).with_for_update(skip_locked=True)):
                mine = sa.and_(*(column == value for column, value in zip(_KEY, outdated, strict=True)))
                connection.execute(sa.update(NOTICES).where(mine).values(outcome="outdated", lease=""))
            wanted = self._due(now).order_by(NOTICES.c.at, NOTICES.c.number).limit(most)
            found = [
                Due(row.key, row.number, row.address, row.notice, row.tries, lease)
                for row in connection.execute(wanted.with_for_update(skip_locked=True))
            ]
            for due in found:
                connection.execute(_of(due).values(lease=lease, leased_until=now + LEASE_S))
        return found

    def sent(self, results: Sequence[Sent]) -> None:
        """Note what became of notices. Of one whose lease is over nothing is noted: somebody else sends it."""
        with self._database.transaction(writes=True) as connection:
            now = now_of(connection)
            for result in results:
                values: dict[str, Any] = {
                    "outcome": "refused" if result.problem else "taken",
                    "problem": result.problem,
                    "lease": "",
                }
                if result.again_after_s is not None:
                    wait_s = min(result.again_after_s, LONGEST_WAIT_S)
                    values |= {
                        "outcome": "due",
                        "due_at": now + wait_s,
                        "leased_until": 0.0,
                        "tries": NOTICES.c.tries + 1,
                    }
                connection.execute(_of(result.due).where(NOTICES.c.lease == result.due.lease).values(values))

    def untold(self) -> Untold:
        """What waits to be told, and what never will be."""
        waiting = sa.select(NOTICES.c.problem).where(self._mine, NOTICES.c.outcome == "due")
        refused = sa.select(NOTICES.c.problem).where(self._mine, NOTICES.c.outcome == "refused")
        with self._database.transaction(writes=False) as connection:
            lately = NOTICES.c.at > now_of(connection) - REFUSED_SHOWN_S
            problems = connection.execute(waiting.order_by(NOTICES.c.at)).scalars().all()
            refusals = connection.execute(refused.where(lately).order_by(NOTICES.c.at.desc())).scalars().all()
        return Untold(len(problems), next(filter(None, problems), ""), len(refusals), next(iter(refusals), ""))

    def forget(self, keep_s: float, most: int) -> None:
        """Remove at most so many notices that are older than so many seconds, of whatever target."""
        with self._database.transaction(writes=True) as connection:
            old = sa.select(*_KEY).where(NOTICES.c.at < now_of(connection) - keep_s).limit(most)
            connection.execute(sa.delete(NOTICES).where(sa.tuple_(*_KEY).in_(old)))

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(NOTICES.c.target == self._target, NOTICES.c.env == self._env)

    def _outdated(self, now: float) -> sa.Select[tuple[str, int, str]]:
        """Reminders that nobody sends now, and after which there is something newer to tell the same address."""
        later = NOTICES.alias("later")
        newer = sa.exists().where(
            later.c.key == NOTICES.c.key, later.c.address == NOTICES.c.address, later.c.number > NOTICES.c.number
        )
        reminds = NOTICES.c.notice.contains('"change":"reminder"')  # no text within JSON has a bare " in it
        free = _is_past(NOTICES.c.leased_until, now, LEASE_S)
        return sa.select(*_KEY).where(self._mine, NOTICES.c.outcome == "due", reminds, free, newer)

    def _due(self, now: float) -> sa.Select[tuple[str, int, str, str, int]]:
        """What nobody sends now."""
        earlier = NOTICES.alias("earlier")
        first = ~sa.exists().where(
            earlier.c.key == NOTICES.c.key,
            earlier.c.address == NOTICES.c.address,
            earlier.c.number < NOTICES.c.number,
            earlier.c.outcome == "due",
        )
        return sa.select(NOTICES.c.key, NOTICES.c.number, NOTICES.c.address, NOTICES.c.notice, NOTICES.c.tries).where(
            self._mine,
            NOTICES.c.outcome == "due",
            _is_past(NOTICES.c.due_at, now, LONGEST_WAIT_S),
            _is_past(NOTICES.c.leased_until, now, LEASE_S),
            first,
        )


def _is_past(time_: sa.Column[float], now: float, longest_s: float) -> sa.ColumnElement[bool]:
    """What is further ahead than it can be is of before the clock was put back."""
    return sa.or_(time_ <= now, time_ > now + longest_s + 1.0)


def _of(due: Due) -> sa.Update:
    return sa.update(NOTICES).where(
        NOTICES.c.key == due.key, NOTICES.c.number == due.number, NOTICES.c.address == due.address
    )
