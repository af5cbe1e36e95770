"""A process of its own for the tests of the ledger: `python -m tests.safety.ledger_child MODE LEDGER [LOG]`.

LEDGER is a path or a URL.
`hammer` sends as many make-believe requests as the ledger allows and writes down when each arrived; the others try to
reserve one slot where that must fail, as another user or with no room for a file to grow, and print what happens.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from probes.errors import LedgerError, NoBudgetError, QuotaError
from probes.safety.ledger import Authority, Ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.ledger_postgres import LedgerDatabase
from probes.safety.limits import RateLimit
from probes.safety.permits import boot_clock
from tests.safety.budget import ENHANCE, TARGET, limit, permit

HAMMER_LIMITS = (limit(requests=50, window_s=0.3), limit("edge", 10, 0.1, "GET /edge"))
NOBODY = 65534


def ledger_at(place: str) -> Ledger:
    return Ledger(LedgerDatabase(place)) if place.startswith("postgresql:") else Ledger(LedgerFile(Path(place)))


def hammer(place: str, log: Path) -> None:
    authority = Authority(
        ledger_at(place), target=TARGET, share="adhoc", share_fraction=1, limits=HAMMER_LIMITS, region="here"
    )
    with log.open("ab", buffering=0) as arrivals:
        while True:
            for one_limit in HAMMER_LIMITS:
                try:
                    _send_some(authority, one_limit, arrivals.write)
                except NoBudgetError:
                    time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret


def _send_some(authority: Authority, one_limit: RateLimit, write: Callable[[bytes], object]) -> None:
    method, path = one_limit.covers[0].method, one_limit.covers[0].path
    granted = authority.grant("api", quota={one_limit.name: 2}, cleanup={}, deadline_s=1)
    meter = authority.meter(granted)
    with suppress(QuotaError):  # no time for a second one
        for _ in range(2):
            time.sleep(meter.wait_s(method, path))
            ticket = meter.admit(method, path)
            time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
            write(f"{os.getpid()} {one_limit.name} {boot_clock()}\n".encode())  # appended whole, so no lines mix
            time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
            meter.over(ticket, answered=True)
    authority.settle(granted, meter)


def try_once(place: str) -> None:
    try:
        ledger_at(place).reserve(permit(ENHANCE, quota={"enhance": 1}), share_fraction=1)
    except LedgerError as error:
        print(f"LedgerError: {error}")  # noqa: T201 - read by the test
    else:
        print("reserved")  # noqa: T201 - read by the test


def main(mode: str, place: str, *rest: str) -> None:
    if mode == "hammer":
        hammer(place, Path(rest[0]))
    elif mode == "other-user":
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try_once(place)
    elif mode == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
        try_once(place)
    else:
        raise ValueError(mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
