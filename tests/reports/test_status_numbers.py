"""The numbers of a status page at their edges: borders of windows, nothing at all, only blind, regions that overlap."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.reports.status_numbers import (
    DAYS,
    Deploy,
    Sums,
    day_times,
    days,
    deploys,
    incidents,
    percentile,
    windows,
)
from probes.reports.status_page import percent, span
from probes.store.status import Failure, HourSums, SeenVersion, TimeCount
from probes.store.sums import CLASS_WIDTH, class_ms, time_class

NOW = 500_000
"""An hour since the epoch: 8 o'clock in the evening."""

VERIFIED = True


def hour(at: int, passed: int = 0, failed: int = 0, *, blind: int = 0, silent: int = 0) -> HourSums:
    return HourSums("eu", VERIFIED, "api", at, passed=passed, failed=failed, blind=blind, silent=silent)


class TestWindows:
    @pytest.mark.parametrize(("name", "length"), [("24 h", 24), ("7 days", 168), ("30 days", 720), ("90 days", 2160)])
    def test_begin_with_their_oldest_whole_hour_and_end_with_this_one(self, name: str, length: int) -> None:
        outside, first, last, later = NOW - length - 1, NOW - length, NOW, NOW + 1
        assert windows([hour(first, 1), hour(last, 2)], NOW)[name] == Sums(passed=3)
        assert windows([hour(outside, 1), hour(later, 1)], NOW)[name] == Sums()

    def test_without_anything_have_no_availability(self) -> None:
        assert {sums.availability for sums in windows([], NOW).values()} == {None}

    def test_with_only_blind_ones_have_none_either(self) -> None:
        (sums,) = {windows([hour(NOW, blind=5, silent=3)], NOW)["24 h"]}
        assert (sums.availability, sums.judged, sums.blind, sums.silent) == (None, 0, 5, 3)

    def test_count_what_was_slow_as_available_and_what_was_blind_not_at_all(self) -> None:
        sums = windows([HourSums("eu", VERIFIED, "api", NOW, 6, 2, 2, 90)], NOW)["24 h"]
        assert (sums.judged, sums.availability) == (10, 80)


class TestDays:
    def test_are_all_there_the_oldest_first(self) -> None:
        today = NOW // 24
        found = days([hour(NOW, 1), hour((today - DAYS + 1) * 24, 2), hour((today - DAYS + 1) * 24 - 1, 4)], today)
        assert [day for day, _ in found] == list(range(today - DAYS + 1, today + 1))
        assert (found[0][1].passed, found[-1][1].passed) == (2, 1)
        assert {sums.state for _, sums in found[1:-1]} == {"none"}

    @pytest.mark.parametrize(
        ("sums", "state"),
        [
            (Sums(), "none"),
            (Sums(blind=1), "blind"),
            (Sums(silent=1), "blind"),
            (Sums(passed=1, blind=9), "passed"),
            (Sums(passed=99, degraded=1), "degraded"),
            (Sums(passed=99, degraded=1, failed=1), "failed"),
        ],
    )
    def test_look_as_the_worst_of_them(self, sums: Sums, state: str) -> None:
        assert sums.state == state


class TestTimes:
    @given(st.lists(st.floats(0.02, 1e6), min_size=1, max_size=300), st.sampled_from([50, 95, 100]))
    def test_a_percentile_is_that_of_the_times_themselves_but_for_their_classes(
        self, times: list[float], percent: int
    ) -> None:
        true = sorted(times)[-(-len(times) * percent // 100) - 1]
        found = percentile(Counter(map(time_class, times)), percent)
        assert true / found < CLASS_WIDTH**0.51
        assert found / true < CLASS_WIDTH**0.51

    def test_of_a_day_are_one_whatever_their_limits_were(self) -> None:
        counts = [
            TimeCount("eu", VERIFIED, "api", 7, limit, time_class(ms), 10) for limit, ms in ((200, 10), (400, 90))
        ]
        (day,) = day_times(counts)
        assert (day.count, day.limit_low_ms, day.limit_high_ms) == (20, 200, 400)
        assert day.median_ms == pytest.approx(10, rel=0.03)
        assert day.p95_ms == pytest.approx(90, rel=0.03)

    def test_without_a_limit_have_none(self) -> None:
        (day,) = day_times([TimeCount("eu", VERIFIED, "api", 7, 0.0, 3, 1)])
        assert (day.limit_low_ms, day.limit_high_ms, day.p95_ms) == (None, None, class_ms(3))

    def test_of_nothing_are_nothing(self) -> None:
        assert day_times([]) == []
        with pytest.raises(ValueError, match="nothing"):
            percentile({}, 50)


def failure(at: float, before: float | None, after: float | None, region: str = "eu", check: str = "api") -> Failure:
    return Failure(region, check, at, f"broken at {at:g}", before, after)


class TestIncidents:
    def test_last_from_the_first_failure_until_it_is_right_again(self) -> None:
        (one,) = incidents([failure(10, 9, 13), failure(11, 9, 13), failure(12, 9, 13)])
        assert (one.began, one.last_failed, one.ended, one.failed) == (10, 12, 13, 3)
        assert one.reason == "broken at 10"

    def test_are_two_where_it_was_right_in_between(self) -> None:
        newer, older = incidents([failure(10, 9, 11), failure(12, 11, 13)])
        assert (older.began, older.ended, newer.began, newer.ended) == (10, 11, 12, 13)

    def test_of_regions_that_overlap_are_one(self) -> None:
        (one,) = incidents([failure(10, 9, 20), failure(15, 14, 30, "us"), failure(25, 24, 26, "asia")])
        assert (one.regions, one.began, one.ended, one.failed) == (("asia", "eu", "us"), 10, 30, 3)

    def test_of_regions_that_do_not_overlap_and_of_other_checks_are_not(self) -> None:
        assert len(incidents([failure(10, 9, 11), failure(12, 9, 13, "us"), failure(10, 9, 11, check="web")])) == 3

    def test_are_not_over_while_one_region_is_not_right(self) -> None:
        (one,) = incidents([failure(10, 9, 12), failure(11, None, None, "us")])
        assert one.ended is None
        assert incidents([]) == []


class TestDeploys:
    def test_are_changes_and_not_what_was_there_at_first(self) -> None:
        seen = [
            SeenVersion("health", 1, "1", 3600),
            SeenVersion("health", 2, "1", 7200),
            SeenVersion("health", 3, "2", 9),
        ]
        assert deploys(seen) == [Deploy(9, "2", "1")]
        assert deploys(seen[:2]) == deploys([]) == []

    def test_that_roll_are_one_and_going_back_is_another(self) -> None:
        seen = [
            SeenVersion("health", 1, "1", 3600), SeenVersion("health", 2, "1", 7200),
            SeenVersion("health", 2, "2", 7300),
            SeenVersion("health", 3, "2", 10800), SeenVersion("health", 9, "1", 32400),
        ]  # fmt: skip
        assert [(each.at, each.before, each.version) for each in deploys(seen)] == [(32400, "2", "1"), (7300, "1", "2")]

    def test_that_two_checks_see_are_one_at_the_earlier_time(self) -> None:
        seen = [SeenVersion(check, hour, version, hour * 3600.0 + late) for check, late in (("a", 50), ("b", 5))
                for hour, version in ((1, "1"), (2, "2"))]  # fmt: skip
        assert deploys(seen) == [Deploy(7205, "2", "1")]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "no data"), (100.0, "100 %"), (99.9999, "99.99 %"), (99.5, "99.50 %"), (0.0, "0.00 %")],
)
def test_an_availability_is_never_rounded_up_to_all(value: float | None, said: str) -> None:
    assert percent(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (11100, "3 h 5 min"), (187200, "2 d 4 h")],
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert span(seconds) == said
