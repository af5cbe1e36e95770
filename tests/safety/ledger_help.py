"""What the tests of the ledger share."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.errors import NoBudgetError
from probes.safety.ledger import HANDOVER_S, Ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.limits import CLOCK_RATE, RateLimit
from probes.safety.permits import Permit
from tests.safety.budget import FakeClock, limit, permit

CALL = ("POST", "/api/v1/enhance")
OTHER = limit("other", covers="GET /other")
HOLD_S = 60 * CLOCK_RATE
PERMIT_S = 35 * CLOCK_RATE + HANDOVER_S
"""How long a permit of 35 s lasts by the ledger's clock."""

SLACK_S = 0.01
"""What spans of some seconds can be more or less by the ledger's clock than by their holder's."""


def file_ledger(path: Path, clock: FakeClock) -> Ledger:
    return Ledger(LedgerFile(path, clock, lambda: "boot-1"), clock)


class OnFile:
    """Tests of what only the file has."""

    @pytest.fixture
    def ledger(self, path: Path, clock: FakeClock) -> Ledger:
        return file_ledger(path, clock)


def reserve(ledger: Ledger, *limits: RateLimit, fraction: float = 1, **rest: object) -> Permit:
    granted = permit(*limits, **rest)  # type: ignore[arg-type]  # checked by permit
    ledger.reserve(granted, share_fraction=fraction)
    return granted


def no_room(ledger: Ledger, *limits: RateLimit, fraction: float = 1, **rest: object) -> NoBudgetError:
    with pytest.raises(NoBudgetError) as caught:
        reserve(ledger, *limits, fraction=fraction, **rest)
    return caught.value
