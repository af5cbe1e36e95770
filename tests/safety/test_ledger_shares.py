"""A share's part of a ceiling, and its part of one that the target counts by address."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.errors import NoBudgetError
from probes.safety.ledger import Authority, open_ledger
from probes.safety.limits import RateLimit
from tests.safety.budget import TARGET, limit

BY_ADDRESS = limit("mine", 100, 60, "GET /mine", key="ip")
FOR_ALL = limit("all", 100, 60, "GET /all", key="global")


def most(folder: Path, wanted: RateLimit, *, share_fraction: float, address_fraction: float | None) -> int:
    """How many permits of one request an authority gets out of a new ledger."""
    authority = Authority(
        open_ledger(folder), target=TARGET, share="mine", share_fraction=share_fraction,
        address_fraction=address_fraction, limits=(BY_ADDRESS, FOR_ALL), region="here",
    )  # fmt: skip
    for number in range(20):
        try:
            authority.grant("check", quota={wanted.name: 1}, cleanup={}, deadline_s=5)
        except NoBudgetError:
            return number
    return 20


@pytest.mark.parametrize(
    ("wanted", "address_fraction", "room"),
    [(FOR_ALL, None, 3), (FOR_ALL, 1.0, 3), (BY_ADDRESS, None, 3), (BY_ADDRESS, 1.0, 9), (BY_ADDRESS, 0.5, 4)],
)
def test_only_limits_by_address_have_a_part_of_their_own(
    tmp_path: Path, wanted: RateLimit, address_fraction: float | None, room: int
) -> None:
    assert most(tmp_path, wanted, share_fraction=0.34, address_fraction=address_fraction) == room
