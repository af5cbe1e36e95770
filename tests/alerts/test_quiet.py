"""When a rule is quiet: by window and mute, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.alerts.quiet import Quiet, quiet
from probes.config.maintenance import Maintenance

BERLIN = ZoneInfo("Europe/Berlin")


def window(**keys: Any) -> Maintenance:
    return Maintenance.model_validate({"windows": {"one": {"zone": "Europe/Berlin", "reason": "move", **keys}}})


def mute(**keys: Any) -> Maintenance:
    return Maintenance.model_validate({"mutes": {"one": {"zone": "Europe/Berlin", "reason": "known", **keys}}})


def asked(maintenance: Maintenance, at: str, **about: Any) -> Quiet | None:
    who: Any = {"env": "production", "rule": "slow", "checks": ("api",), **about}
    return quiet(maintenance, at=moment(at), **who)


def moment(text: str) -> float:
    """`2026-03-29 01:59 +01:00`."""
    return dt.datetime.fromisoformat(text.replace(" +", "+")).timestamp()


NIGHTLY = {"cron": "30 2 * * *", "lasts": "2h"}


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-06-10 02:29:59 +02:00", ""),
        ("2026-06-10 02:30:00 +02:00", "2026-06-10 04:30 +02:00"),
        ("2026-06-10 04:29:59 +02:00", "2026-06-10 04:30 +02:00"),
        ("2026-06-10 04:30:00 +02:00", ""),
        # 29 March: 02:00 is 03:00, so that 02:30 never comes, and its window begins when it would have
        ("2026-03-29 01:59:59 +01:00", ""),
        ("2026-03-29 03:00:00 +02:00", "2026-03-29 05:00 +02:00"),
        ("2026-03-29 04:59:59 +02:00", "2026-03-29 05:00 +02:00"),
        ("2026-03-29 05:00:00 +02:00", ""),
        # 25 October: 03:00 is 02:00 again, so that 02:30 comes twice, and its window begins with the first
        ("2026-10-25 02:29:59 +02:00", ""),
        ("2026-10-25 02:30:00 +02:00", "2026-10-25 03:30 +01:00"),
        ("2026-10-25 02:10:00 +01:00", "2026-10-25 03:30 +01:00"),
        ("2026-10-25 02:30:00 +01:00", "2026-10-25 03:30 +01:00"),
        ("2026-10-25 03:30:00 +01:00", ""),
    ],
)
def test_a_window_by_cron_whatever_the_clock_does(at: str, until: str) -> None:
    found = asked(window(**NIGHTLY), at)
    assert found == (Quiet("one", "move", moment(until)) if until else None)


@pytest.mark.parametrize(
    ("at", "quiet_then"),
    [
        ("2026-10-24 23:59:59 +02:00", False), ("2026-10-25 00:00:00 +02:00", True),
        ("2026-10-25 02:45:00 +02:00", True), ("2026-10-25 02:15:00 +01:00", True),
        ("2026-10-25 02:29:59 +01:00", True), ("2026-10-25 02:30:00 +01:00", False),
    ],
)  # fmt: skip
def test_a_window_until_a_time_that_comes_twice_ends_with_the_second(at: str, quiet_then: bool) -> None:
    once = window(**{"from": "2026-10-25 00:00", "until": "2026-10-25 02:30"})
    assert (asked(once, at) is not None) == quiet_then


@pytest.mark.parametrize(
    ("at", "quiet_then"),
    [
        ("2026-03-29 01:29:59 +01:00", False), ("2026-03-29 01:30:00 +01:00", True),
        ("2026-03-29 03:30:59 +02:00", True), ("2026-03-29 03:31:00 +02:00", False),
    ],
)  # fmt: skip
def test_times_that_never_come_make_a_window_longer_and_not_shorter(at: str, quiet_then: bool) -> None:
    once = window(**{"from": "2026-03-29 02:30", "until": "2026-03-29 02:31"})
    assert (asked(once, at) is not None) == quiet_then


def test_a_mute_has_an_end() -> None:
    known = mute(until="2026-06-10 12:00")
    assert asked(known, "2026-06-10 11:59:59 +02:00") == Quiet("one", "known", moment("2026-06-10 12:00 +02:00"))
    assert asked(known, "2026-06-10 12:00:00 +02:00") is None


@pytest.mark.parametrize(
    ("named", "about", "quiet_then"),
    [
        ({}, {}, True),
        ({"rules": ["slow"]}, {}, True),
        ({"rules": ["success"]}, {}, False),
        ({"environments": ["staging"]}, {}, False),
        ({"checks": ["api", "login"]}, {"checks": ("api",)}, True),
        ({"checks": ["api"]}, {"checks": ("api", "login")}, False),  # one more than is known: told
        ({"checks": ["api"]}, {"checks": ()}, False),  # of whole runs
        ({"rules": ["slow"], "checks": ["api"], "environments": ["production"]}, {}, True),
    ],
)
def test_what_it_is_about(named: dict[str, Any], about: dict[str, Any], quiet_then: bool) -> None:
    found = asked(mute(until="2026-06-10 12:00", **named), "2026-06-10 10:00 +02:00", **about)
    assert (found is not None) == quiet_then


def test_of_several_the_one_that_ends_last_counts() -> None:
    both = Maintenance.model_validate(
        {
            "windows": {"w": {**NIGHTLY, "zone": "UTC", "reason": "move"}},
            "mutes": {"m": {"until": "2026-06-10 04:00", "zone": "UTC", "reason": "known"}},
        }
    )
    found = asked(both, "2026-06-10 03:00 +00:00")
    assert found is not None
    assert (found.name, found.until) == ("w", moment("2026-06-10 04:30 +00:00"))


CRONS = ["30 2 * * *", "0 * * * *", "0 3 29 3 *", "15 1 * * 7", "*/20 2 * * *", "59 23 * * 1-5"]


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(CRONS),
    minutes=st.integers(1, 20),
    day=st.sampled_from(["2026-03-28", "2026-10-24", "2026-06-10"]),
    after=st.integers(0, 2 * 1440),
)
def test_a_window_holds_exactly_so_long_after_it_has_begun(cron: str, minutes: int, day: str, after: int) -> None:
    """Against a clock that is asked minute by minute; where it leaps, a time counts that it has leapt over."""
    at = dt.datetime.fromisoformat(day).replace(tzinfo=BERLIN).timestamp() + 60 * after
    found = quiet(window(cron=cron, lasts=f"{minutes}m"), env="e", rule="r", checks=(), at=at)
    begun = [at - 60 * back for back in range(minutes) if _strikes(cron, at - 60 * back)]
    assert (found.until if found else None) == (max(begun) + 60 * minutes if begun else None)


def _strikes(cron: str, at: float) -> bool:
    """Whether a cron of Debian's kind would start something in this minute, judged from the local clock alone."""
    here, before = (dt.datetime.fromtimestamp(each, BERLIN) for each in (at, at - 60))
    if cron.split()[1] == "*":  # by the hour: each hour that there is, twice what comes twice
        return _matches(cron, here)
    if here.fold:  # by the time of day: what comes twice counts once
        return False
    leapt = here.hour - before.hour == 2
    missed = (before.replace(tzinfo=None) + dt.timedelta(minutes=ahead) for ahead in range(1, 61))
    return _matches(cron, here) or (leapt and any(_matches(cron, each) for each in missed))


def _matches(cron: str, here: dt.datetime) -> bool:
    values = (here.minute, here.hour, here.day, here.month, here.isoweekday())
    return all(_fits(field, value) for field, value in zip(cron.split(), values, strict=True))


def _fits(field: str, value: int) -> bool:
    match field:
        case "*":
            return True
        case "*/20":
            return value % 20 == 0
        case "1-5":
            return 1 <= value <= 5
        case _:
            return int(field) == value
