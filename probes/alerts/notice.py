"""What people are told of a change, and what a channel must be able to do with it. Frozen, and redacted already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Change = Literal["firing", "worse", "reminder", "resolved"]
"""An incident begins, another rule joins it, it goes on, it is over. Each is told once to each channel."""

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Affected:
    """A check that a rule is about: in which regions, and why by its newest failure.

    Times are seconds since the epoch; `last_good_at` is None where nothing good is remembered.
    """

    check: str
    regions: tuple[str, ...]
    reason: str = ""  # expected and actual of its newest failure
    request_id: str = ""
    trace_id: str = ""
    last_good_at: float | None = None
    last_good: str = ""  # the value it had then, with its unit


@dataclass(frozen=True, slots=True)
class Trouble:
    """A rule that holds: what was expected and what is, in words with units."""

    rule: str
    metric: str
    expected: str  # mean of smoke_test.success at least 0.9 over 5m
    actual: str  # 0.42
    regions: tuple[str, ...]
    quorum: int
    checks: tuple[Affected, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of one incident.

    `key` is the incident's own, the same from its first notice to its last and of no other incident ever; `number`
    counts its changes from 1, so key and number name a notice for ever. `troubles` are those that hold now; of a
    `resolved` notice, those that held.
    """

    key: str
    number: int
    change: Change
    severity: Severity
    env: str
    target: str
    since: float
    at: float
    troubles: tuple[Trouble, ...]
    run_url: str = ""
    flapping: bool = False  # it comes and goes: it will be told as over only when it stays so for long
    unwatched: tuple[
        str, ...
    ] = ()  # of `troubles`, the rules that nobody looks at any more: nobody knows they are good
    test: bool = False  # sent by hand, and of nothing that has happened


class NotTakenError(Exception):
    """A channel has not taken a notice. `for_good`: trying again is of no use. The text is redacted and short.

    `after_s` is how long the channel asked us to wait, None where it did not.
    """

    def __init__(self, why: str, *, for_good: bool = False, after_s: float | None = None) -> None:
        super().__init__(why)
        self.for_good, self.after_s = for_good, after_s


class Channel(Protocol):
    """A way to one address of a rule's `notify`."""

    address: str

    def send(self, notice: Notice) -> None:
        """Hand a notice over, within ten seconds; on return it was taken. Raises NotTakenError."""
