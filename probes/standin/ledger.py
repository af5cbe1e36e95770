"""What the target saw: one entry for every request that it received."""

import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

KEPT_ENTRIES = 100_000


@dataclass(slots=True)
class Entry:
    """One request; status stays None while no answer was given."""

    n: int
    method: str
    path: str
    query: str
    user_agent: str
    run: str
    traceparent: str
    authorization: bool
    cookie: bool
    body_bytes: int
    request_id: str
    client: str
    """The address that it came from, by which limits count it."""
    t: float = field(default_factory=time.monotonic)
    """Seconds of CLOCK_MONOTONIC at arrival, when the limits count it."""
    limits: list[str] = field(default_factory=list)
    status: int | None = None


class Ledger:
    """Every request in order of arrival; the oldest are forgotten beyond KEPT_ENTRIES."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._received = 0

    def next_number(self) -> int:
        """The number of the request that has just come in, from 1."""
        self._received += 1
        return self._received

    def add(self, entry: Entry) -> None:
        """Keep an entry; its limits and status may be filled in later."""
        self._entries.append(entry)

    def as_data(self) -> list[dict[str, Any]]:
        """All entries, ready for JSON."""
        names = [each.name for each in fields(Entry)]
        return [{name: getattr(entry, name) for name in names} for entry in self._entries]
