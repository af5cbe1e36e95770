"""The judges see what they are there to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fleet.judges import Granted, granted_twice, over_ceiling, without_permit


def entries(count: int, client: str, limit: str, every_s: float = 0.1) -> list[dict[str, Any]]:
    return [{"t": number * every_s, "client": client, "limits": [limit]} for number in range(count)]


@pytest.mark.parametrize(("count", "found"), [(9, {}), (10, {("test", "10.77.1.1"): 10})])
def test_a_limit_by_address_is_judged_for_each(count: int, found: dict[tuple[str, str], int]) -> None:
    ledger = entries(count, "10.77.1.1", "test") + entries(9, "10.77.2.1", "test")
    assert over_ceiling(ledger) == found


def test_a_limit_by_account_is_judged_over_all() -> None:
    ledger = entries(5, "10.77.1.1", "enhance") + entries(5, "10.77.2.1", "enhance")
    assert over_ceiling(ledger) == {("enhance", "all"): 10}


def permits(*granted: tuple[str, str, float]) -> list[Granted]:
    return [Granted(f"us/health/{tick}", permit, t, 2.0) for tick, permit, t in granted]


ONE_EACH = permits(("1", "a", 0.0), ("2", "b", 3.0), ("2", "b", 4.0), ("3", "c", 6.0))


@pytest.mark.parametrize(
    ("arrivals", "left_over"),
    [
        ([0.1, 3.1, 6.1], []),
        ([0.1, 0.2, 3.1], [0.2]),  # it ran again at once
        ([0.1, 3.1, 5.0], [5.0]),  # or later
        ([0.1, 2.9, 3.1], [2.9]),
        ([3.1, 9.0], [9.0]),  # a permit that is over lets nothing run
    ],
)
def test_whatever_runs_once_more_than_it_may_is_found(arrivals: list[float], left_over: list[float]) -> None:
    assert without_permit(arrivals, ONE_EACH) == left_over


def test_a_tick_with_two_permits_is_found() -> None:
    assert granted_twice(ONE_EACH) == {}
    assert granted_twice([*ONE_EACH, *permits(("3", "d", 6.5))]) == {"us/health/3": 2}
