"""When checks are due: at their intervals, spread out, never twice and never made up for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from probes.swarm.schedule import Schedule, offset

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
EVERY = {"health": 60.0, "login": 1800.0}


def planned(regions: Iterable[str], every: Mapping[str, float], now: float) -> Schedule:
    schedule = Schedule()
    for region in regions:
        schedule.add_region(region, every, now)
    return schedule


def starts(schedule: Schedule, begin: float, seconds: int, step: float = 1.0) -> list[tuple[str, str, int, float]]:
    found = []
    for number in range(int(seconds / step)):
        now = begin + number * step
        found += [(each.region, each.check, each.number, now) for each in schedule.due(now)]
    return found


def test_each_check_is_due_at_its_interval_in_each_region() -> None:
    found = starts(planned(REGIONS, EVERY, 1000.0), 1000.0, 3600)
    for region in REGIONS:
        health = [when for where, check, _, when in found if (where, check) == (region, "health")]
        assert len(health) == 60
        assert {round(b - a) for a, b in itertools.pairwise(health)} == {60}
        assert sum((where, check) == (region, "login") for where, check, _, _ in found) == 2


def test_regions_do_not_start_together() -> None:
    offsets = {offset(region, "health", EVERY) for region in REGIONS}
    assert len(offsets) == len(REGIONS)
    assert all(0 <= each < 1 for each in offsets)


@given(st.sampled_from(REGIONS), st.sets(st.sampled_from("abcdefgh"), min_size=2), st.floats(0.0, 1e6))
def test_a_short_gap_meets_one_check_of_a_region_and_not_several(region: str, checks: set[str], boot: float) -> None:
    every = {"rare": 1800.0, **dict.fromkeys(checks, 60.0)}
    begun = sorted(
        number / 1000
        for _, check, number, _ in starts(planned([region], every, boot), boot, 130, 0.5)
        if check != "rare"
    )
    assert min(b - a for a, b in itertools.pairwise(begun)) > 60.0 / len(checks) - 0.01


def test_a_restarted_master_goes_on_with_the_same_grid() -> None:
    whole = starts(planned(REGIONS, EVERY, 1000.0), 1000.0, 600)
    first = starts(planned(REGIONS, EVERY, 1000.0), 1000.0, 300)
    second = starts(planned(REGIONS, EVERY, 1300.0 - 1e-9), 1300.0, 300)
    assert first + second == whole


def test_what_was_missed_is_left_out() -> None:
    schedule = planned(["a"], {"health": 10.0}, 0.0)
    assert len(schedule.due(1000.0)) == 1
    assert schedule.due(1000.0) == []
    assert 0 < schedule.next_in_s(1000.0) <= 10.0


def test_a_region_that_is_planned_anew_keeps_the_grids_that_stay() -> None:
    schedule = planned(["a"], {"health": 10.0, "login": 10.0, "api": 10.0}, 100.0)
    schedule.add_region("a", {"health": 10.0, "login": 20.0, "new": 5.0}, 105.0)
    found = Counter(check for _, check, _, _ in starts(schedule, 105.0, 101))
    assert found["health"] in {10, 11}  # what was due since 100 s is not forgotten
    assert found == {"health": found["health"], "login": 5, "new": 20}


@given(
    st.floats(1.0, 5000.0),
    st.lists(st.floats(0.0, 200.0), max_size=40),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(0.5, 3600.0), min_size=1),
)
def test_no_occasion_is_ever_given_twice(begin: float, steps: list[float], every: dict[str, float]) -> None:
    schedule = planned(["here", "there"], every, begin)
    seen: list[tuple[str, str, int]] = []
    now = begin
    for step in steps:
        now += step
        for each in schedule.due(now):
            assert now - 1e-6 <= each.ends <= now + every[each.check] * (1 + 1e-9)
            seen.append((each.region, each.check, each.number))
    assert len(set(seen)) == len(seen)


def test_no_number_comes_twice_when_an_interval_changes_and_changes_back() -> None:
    """Ticks are named by it, and a verdict may come much later."""
    schedule = planned(["a"], {"health": 60.0}, 1000.0)
    numbers = []
    for hour in range(6):
        schedule.add_region("a", {"health": (60.0, 59.0, 300.0)[hour % 3]}, 1000.0 + 3600 * hour)
        numbers += [number for _, _, number, _ in starts(schedule, 1000.0 + 3600 * hour, 3600)]
    assert len(numbers) > 200
    assert numbers == sorted(set(numbers))
