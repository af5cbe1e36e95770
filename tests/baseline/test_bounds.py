"""Exact bounds, against known values and their own definition."""

from __future__ import annotations

import math

import pytest

from probes.baseline.bounds import share_at_most


@pytest.mark.parametrize(
    ("events", "of", "bound"),
    [(0, 3000, 0.000998), (0, 160_000, 1.8723e-5), (3, 1000, 0.007735), (5, 5, 1.0)],
)  # of none it is 1 - 0.05 ** (1 / of)
def test_the_bound_of_a_share_is_clopper_and_pearsons(events: int, of: int, bound: float) -> None:
    assert share_at_most(events, of) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(("events", "of"), [(0, 10), (10, 100), (37, 60)])
def test_at_the_bound_so_few_events_come_once_in_twenty(events: int, of: int) -> None:
    share = share_at_most(events, of)
    few = sum(math.comb(of, number) * share**number * (1 - share) ** (of - number) for number in range(events + 1))
    assert few == pytest.approx(0.05, rel=1e-6)
