"""One look after the other at the history: what was seen lately, what that makes of the rules, and what to tell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from probes.alerts.book import JUMP_S, Book, Quiet, decide
from probes.alerts.evaluate import AHEAD_S, Watching
from probes.alerts.group import Told, Where
from probes.alerts.notice import Notice
from probes.alerts.seen import seen_in
from probes.config.alert_rules import Rule
from probes.errors import StoreError
from probes.store.alert_state import AlertState, Look
from probes.store.record import Record

REREAD_S = 300.0
"""After so long everything is read anew: what came later than `LATE_S` is found then."""

LATE_S = 120.0
"""So late a master may write what it has heard of, and be heard at once."""

_BOOK, _NOTICE = TypeAdapter(Book), TypeAdapter(Notice)


def notice_in(text: str) -> Notice:
    """A notice from its JSON."""
    return _NOTICE.validate_json(text)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: rules by name, regions that count, checks; `break_s` as in `Book.at`, `off` as in `decide`.

    What is off is no part of the name: whoever looks while a check is off for a night counts what the others measure.
    """

    rules: Mapping[str, Rule]
    regions: Sequence[str]
    checks: Sequence[str]
    where: Where
    break_s: float
    off: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The same for whoever makes of the same history the same."""
        said = repr((sorted(self.rules.items()), sorted(self.regions), sorted(self.checks)))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def longest_s(self) -> float:
        """The longest of all windows."""
        return max((rule.window for rule in self.rules.values()), default=0.0)


class Looks:
    """Looks of one process. What it has read it remembers from one to the next."""

    def __init__(self, state: AlertState, scope: Scope, quiet: Quiet = lambda _name, _checks, _at: False) -> None:
        self._state, self._scope, self._quiet, self._name = state, scope, quiet, scope.name
        self._watching: Watching | None = None
        self._counts_from = self._read_from = self._looked_at = 0.0
        self._known: set[str] = set()
        self._ahead: set[str] = set()  # what once came from the future: nobody knows when that was
        self._verified: dict[str, bool] = {}

    def look(self) -> list[Told]:
        """Look once, and write what comes of it; what is returned is on its way. Raises StoreError."""
        watching, self._watching = self._watching, None  # after an error everything is read anew
        with self._state.looking() as look:
            before = self._book(look)
            if before.is_others(self._name, look.now):
                raise StoreError(
                    "Somebody else looks at the history with other alert rules, checks or regions: these wait.",
                    "Bring all masters up to date; a minute after the last look with other ones these count.",
                )
            book = replace(before.at(look.now, self._scope.break_s), rules=self._name)
            if watching is None or self._is_old(book, look.now):
                watching = self._begin_anew(book, look.now)
            since = max(self._looked_at - LATE_S, look.now - self._scope.longest_s, book.counts_from)
            for record in look.records(since):
                self._hear(watching, record, look)
            book, told = decide(book, self._scope.rules, watching, self._scope.where, self._quiet, off=self._scope.off)
            look.write(_BOOK.dump_json(book).decode(), [each for one in told for each in _addressed(one)])
        self._watching, self._looked_at = watching, look.now
        return told

    def _book(self, look: Look) -> Book:
        try:
            return _BOOK.validate_json(look.book) if look.book else Book()
        except ValidationError:
            raise StoreError("What is kept of the alert rules is of another version.") from None

    def _is_old(self, book: Book, now: float) -> bool:
        return book.counts_from != self._counts_from or not -JUMP_S <= now - self._read_from < REREAD_S

    def _begin_anew(self, book: Book, now: float) -> Watching:
        self._counts_from, self._read_from, self._looked_at = book.counts_from, now, 0.0
        self._known.clear()
        self._verified.clear()
        return Watching(self._scope.rules, self._scope.regions, self._scope.checks)

    def _hear(self, watching: Watching, record: Record, look: Look) -> None:
        if record.id in self._known or record.id in self._ahead:
            return
        if record.at > look.now + AHEAD_S:
            self._ahead.add(record.id)
            return
        self._known.add(record.id)
        region = record.region
        if record.is_verdict:
            self._verified[region] = record.verified
        elif region not in self._verified:
            self._verified[region] = look.was_verified(region)
        watching.hear(seen_in(record, verified=self._verified[region]), look.now)


def _addressed(told: Told) -> list[tuple[str, int, str, str]]:
    notice = told.notice
    text = _NOTICE.dump_json(notice).decode()
    return [(notice.key, notice.number, address, text) for address in told.channels]
