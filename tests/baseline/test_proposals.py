"""What measured times suggest as limits: no outage moves them, false alarms are told, hours need many samples."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.baseline.proposals import (
    DEVIATIONS,
    FEWEST,
    FEWEST_OF_AN_HOUR,
    Measured,
    Proposal,
    proposals,
    rounded_up,
)


def measured(times: list[float], region: str = "eu", at: float = 0.0, every_s: float = 60.0) -> list[Measured]:
    return [Measured("api", "request", region, at + every_s * number, time, 200.0) for number, time in enumerate(times)]


def log_normal(count: int, median_ms: float = 80.0, sigma: float = 0.2, seed: int = 1) -> list[float]:
    dice = random.Random(seed)  # noqa: S311 - noise, and no secret
    return [median_ms * math.exp(dice.gauss(0.0, sigma)) for _ in range(count)]


def only(found: list[Proposal]) -> Proposal:
    (proposal,) = found
    return proposal


def test_a_limit_is_some_deviations_above_the_median() -> None:
    proposal = only(proposals(measured(log_normal(5000), every_s=1.0)))
    assert proposal.samples == 5000
    assert proposal.median_ms == pytest.approx(80.0, rel=0.02)
    assert proposal.limit_ms == pytest.approx(80.0 * math.exp(DEVIATIONS * 0.2), rel=0.06)
    assert proposal.false_share <= 0.001
    assert (proposal.limit_now_ms, proposal.begin, proposal.end) == (200.0, 0, 0)
    assert proposal.false_now == 0.0


def test_an_outage_changes_nothing_and_is_said() -> None:
    quiet, spoilt = log_normal(2000), log_normal(1800) + [6000.0] * 200
    healthy, troubled = only(proposals(measured(quiet))), only(proposals(measured(spoilt)))
    assert troubled.limit_ms <= 1.3 * healthy.limit_ms
    assert (healthy.spells, troubled.spells) == (False, True)
    assert troubled.false_share == pytest.approx(0.1, abs=0.01)


def test_a_tail_is_let_in_so_that_999_of_1000_pass() -> None:
    dice = random.Random(2)  # noqa: S311 - noise, and no secret
    times = [80.0 * math.exp(dice.gauss(0, 0.1)) * (2.0 if dice.random() < 0.01 else 1.0) for _ in range(5000)]
    proposal = only(proposals(measured(times)))
    assert not proposal.spells
    assert proposal.false_share <= 0.001
    assert proposal.limit_ms > 150.0


def test_nothing_is_proposed_from_too_few() -> None:
    assert proposals(measured(log_normal(FEWEST - 1))) == []
    assert len(proposals(measured(log_normal(FEWEST)))) == 1


def test_each_region_and_step_has_its_own() -> None:
    far = [Measured("health", "edge", "eu", float(n), 20.0) for n in range(200)]
    found = proposals([*measured([300.0] * 200, "us"), *measured([80.0] * 200, "eu"), *far])
    assert [(each.check, each.region, each.limit_ms) for each in found] == [
        ("api", "eu", 98.0),
        ("api", "us", 370.0),
        ("health", "eu", 25.0),
    ]
    assert found[2].limit_now_ms is found[2].false_now is None


def by_the_hour(busy: set[int], each_hour: int) -> list[Measured]:
    return [
        Measured("api", "request", "eu", 3600.0 * hour + second, 240.0 if hour in busy else 80.0, 200.0)
        for hour in range(24)
        for second in range(each_hour)
    ]


@pytest.mark.parametrize(
    ("busy", "spans"),
    [({9, 10, 11}, [(9, 12)]), ({23, 0, 1}, [(23, 2)]), ({3, 20}, [(3, 4), (20, 21)]), (set(), [])],
)
def test_busy_hours_are_told_apart_where_there_are_enough_samples(busy: set[int], spans: list[tuple[int, int]]) -> None:
    found = proposals(by_the_hour(busy, FEWEST_OF_AN_HOUR))
    assert [(each.begin, each.end) for each in found[1:]] == spans
    assert all(each.limit_ms > 240.0 for each in found[1:])


def test_and_not_where_there_are_fewer() -> None:
    assert len(proposals(by_the_hour({9}, FEWEST_OF_AN_HOUR - 1))) == 1


@pytest.mark.parametrize(
    ("ms", "rounded"), [(137.2, 140.0), (100.0, 100.0), (99.1, 100.0), (5.01, 5.1), (0.2, 1.0), (2345.0, 2400.0)]
)
def test_limits_are_rounded_up_to_two_digits(ms: float, rounded: float) -> None:
    assert rounded_up(ms) == rounded


@given(st.lists(st.floats(0.0, 30_000.0), min_size=FEWEST, max_size=300))
def test_whatever_was_measured_there_is_an_honest_limit(times: list[float]) -> None:
    proposal = only(proposals(measured(times)))
    assert proposal.limit_ms >= 1.0
    assert proposal.false_share == sum(time > proposal.limit_ms for time in times) / len(times)
    assert proposal.false_share <= proposal.false_bound <= 1.0
    assert proposal.spells or proposal.false_share <= 0.001
