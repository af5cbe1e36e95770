"""What the tests of limits, permits and ledger build their cases from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from probes.safety.ledger_postgres import LedgerDatabase
from probes.safety.ledger_tables import Connection
from probes.safety.limits import CallPattern, Key, RateLimit
from probes.safety.permits import Permit

TARGET = "http://127.0.0.1:8089"
_number = itertools.count()


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class OnFakeClock(LedgerDatabase):
    """A ledger on a server, whose time is the test's."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        super().__init__(url)
        self._clock = clock

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, float]]:
        with super().reading() as (db, _):
            yield db, self._clock()

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, float]]:
        with super().writing() as (db, _):
            yield db, self._clock()


def limit(
    name: str = "enhance",
    requests: int = 100,
    window_s: float = 60,
    covers: str = "POST /api/v1/enhance",
    excepts: str = "",
    key: Key = "ip",
) -> RateLimit:
    patterns = (CallPattern.parse(excepts),) if excepts else ()
    return RateLimit(name, requests, window_s, key, (CallPattern.parse(covers),), patterns)


ENHANCE = limit()
EVERYTHING = limit("api", 600, 60, "* /api/v1/*")
SPACED = limit("edge", 10, 1, "* /api/v1/*")


def permit(
    *limits: RateLimit,
    quota: Mapping[str, int],
    cleanup: Mapping[str, int] | None = None,
    account: str = "",
    deadline_s: float = 30.0,
    cleanup_s: float = 5.0,
    share: str = "adhoc",
    egress: str = "",
) -> Permit:
    return Permit(
        id=f"permit-{next(_number)}",
        check="api",
        region="here",
        target=TARGET,
        share=share,
        limits=limits,
        quota=quota,
        cleanup=cleanup or {},
        account=account,
        deadline_s=deadline_s,
        cleanup_s=cleanup_s,
        egress=egress,
    )
