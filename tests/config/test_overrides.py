"""Overrides by region and by hour: when they hold, what they change, and how their own mistakes are told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.checks.http import HttpOptions
from probes.checks.registry import kinds_for
from probes.config.load import Source, Timetable, applies, holding_together
from probes.config.models import CheckOptions, Override, Settings
from probes.errors import ConfigError
from tests.config.sample import GOOD, read, write

NO_TIME = "is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def within(options: CheckOptions) -> float | None:
    assert isinstance(options, HttpOptions)
    return options.requests["page"].within


@pytest.mark.parametrize(
    ("between", "zone", "moment", "holds"),
    [
        ("08:00-18:00", "UTC", "2024-05-01T07:59:59", False),
        ("08:00-18:00", "UTC", "2024-05-01T08:00:00", True),
        ("08:00-18:00", "UTC", "2024-05-01T17:59:59", True),
        ("08:00-18:00", "UTC", "2024-05-01T18:00:00", False),
        ("22:00-06:00", "UTC", "2024-05-01T21:59:59", False),
        ("22:00-06:00", "UTC", "2024-05-01T22:00:00", True),
        ("22:00-06:00", "UTC", "2024-05-02T00:00:00", True),
        ("22:00-06:00", "UTC", "2024-05-02T05:59:59", True),
        ("22:00-06:00", "UTC", "2024-05-02T06:00:00", False),
        ("18:00-00:00", "UTC", "2024-05-01T23:59:59", True),
        ("18:00-00:00", "UTC", "2024-05-02T00:00:00", False),
        ("09:00-10:00", "Europe/Berlin", "2024-01-15T08:30:00", True),  # UTC+1 in winter
        ("09:00-10:00", "Europe/Berlin", "2024-01-15T07:30:00", False),
        ("09:00-10:00", "Europe/Berlin", "2024-07-15T07:30:00", True),  # UTC+2 in summer
        ("09:00-10:00", "Europe/Berlin", "2024-07-15T08:30:00", False),
        ("02:00-03:00", "Europe/Berlin", "2024-03-31T01:00:00", False),  # 02:00 to 03:00 does not happen on this day
        ("02:00-03:00", "Europe/Berlin", "2024-03-31T00:59:59", False),
        ("02:00-03:00", "Europe/Berlin", "2024-10-27T00:30:00", True),  # and happens twice on this one
        ("02:00-03:00", "Europe/Berlin", "2024-10-27T01:30:00", True),
        ("02:00-03:00", "Europe/Berlin", "2024-10-27T02:00:00", False),
        ("08:00-09:00", "Asia/Kolkata", "2024-05-01T02:30:00", True),  # half an hour is a zone too
        ("08:00-09:00", "America/Los_Angeles", "2024-05-01T15:30:00", True),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(between: str, zone: str, moment: str, *, holds: bool) -> None:
    assert applies(Override(between=between, timezone=zone), "any", utc(moment)) is holds


def test_the_moment_may_be_told_in_any_zone() -> None:
    override = Override(between="08:00-09:00")
    assert applies(override, "any", dt.datetime(2024, 5, 1, 10, 30, tzinfo=ZoneInfo("Europe/Berlin")))


@settings(deadline=None)
@given(begin=st.integers(0, 1439), length=st.integers(1, 1439), at=st.integers(0, 1439))
def test_a_span_holds_for_just_its_minutes_wherever_midnight_is(begin: int, length: int, at: int) -> None:
    end = (begin + length) % 1440
    span = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    moment = utc("2024-05-01T00:00:00") + dt.timedelta(minutes=at)
    assert applies(Override(between=span), "any", moment) == ((at - begin) % 1440 < length)


@pytest.mark.parametrize(("region", "holds"), [("eu-west-1", True), ("us-east-1", False), ("local", False)])
def test_regions(region: str, *, holds: bool) -> None:
    assert applies(Override(regions=("eu-west-1",)), region, utc("2024-05-01T12:00:00")) is holds


OVERRIDDEN = f"""\
{GOOD}overrides:
  - regions: [eu-west-1]
    checks:
      front:
        requests:
          page: {{ within: 5s }}
          other: {{ path: /other }}
    limits:
      site: {{ allows: 50 per 60s }}
  - between: 08:00-18:00
    timezone: Europe/Berlin
    checks: {{ front: {{ attempts: 5, requests: {{ page: {{ within: 8s }} }} }} }}
"""
NIGHT, DAY = utc("2024-05-01T00:00:00"), utc("2024-05-01T12:00:00")


def test_overrides_are_laid_over_key_by_key_and_one_over_the_other(tmp_path: Path) -> None:
    def seen(region: str, now: dt.datetime) -> tuple[float | None, int | None, int, int]:
        settings = read(tmp_path, OVERRIDDEN, region=region, now=now)
        front = settings.checks["front"]
        assert isinstance(front, HttpOptions)
        assert (front.requests["page"].path, front.every) == ("/", 300.0)
        return within(front), front.attempts, len(front.requests), settings.rate_limits[0].requests

    assert seen("us-east-1", NIGHT) == (3.0, None, 1, 100)
    assert seen("eu-west-1", NIGHT) == (5.0, None, 2, 50)
    assert seen("us-east-1", DAY) == (8.0, 5, 1, 100)
    assert seen("eu-west-1", DAY) == (8.0, 5, 2, 50)


def test_all_that_can_hold_at_once_is_a_variant(tmp_path: Path) -> None:
    found = {
        name: (within(settings.checks["front"]), settings.rate_limits[0].requests)
        for name, settings in Timetable(Source(write(tmp_path, OVERRIDDEN)), kinds_for).everywhere()
    }
    assert found == {
        "": (3.0, 100),
        "overrides.0": (5.0, 50),
        "overrides.1": (8.0, 100),
        "overrides.0 and overrides.1": (8.0, 50),
    }


def test_a_timetable_follows_the_clock_in_its_region(tmp_path: Path) -> None:
    timetable = Timetable(Source(write(tmp_path, OVERRIDDEN), "eu-west-1"), kinds_for)
    assert within(timetable.at(NIGHT).checks["front"]) == 5.0
    assert within(timetable.at(DAY).checks["front"]) == 8.0
    assert timetable.at(DAY) is timetable.at(DAY + dt.timedelta(minutes=1))
    assert [name for name, _ in timetable.all_day()] == ["overrides.0", "overrides.0 and overrides.1"]
    (tmp_path / "c.yaml").unlink(missing_ok=True)  # what is edited meanwhile is for the next start
    assert timetable.at(NIGHT) is not timetable.at(DAY)


def with_overrides(*overrides: Override) -> Settings:
    return Settings.model_validate(
        {"env": "a", "target": {"url": "https://a.example"}, "checks": {"x": {}}, "overrides": overrides}
    )


def test_what_can_never_hold_at_once_is_no_variant() -> None:
    found = holding_together(
        with_overrides(
            Override(regions=("a",)),
            Override(regions=("b",)),
            Override(between="08:00-10:00"),
            Override(between="09:00-11:00", regions=("a",)),
            Override(between="23:00-01:00"),
        )
    )
    assert set(found) == {(), (0,), (1,), (2,), (4,), (0, 2), (0, 3), (0, 4), (1, 2), (1, 4), (0, 2, 3)}


def test_what_holds_at_once_only_in_summer_is_a_variant() -> None:
    spans = Override(between="08:00-09:00"), Override(between="10:00-11:00", timezone="Europe/Berlin")
    assert set(holding_together(with_overrides(*spans))) == {(), (0,), (1,), (0, 1)}


def test_no_overrides_no_variants() -> None:
    assert list(holding_together(with_overrides())) == [()]


@settings(deadline=None, max_examples=30)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 23), st.integers(1, 23), st.sampled_from(["UTC", "Asia/Tokyo"])), max_size=4
    ),
    hour=st.integers(0, 23),
)
def test_whatever_holds_at_some_hour_is_a_variant(spans: list[tuple[int, int, str]], hour: int) -> None:
    overrides = [
        Override(between=f"{begin:02}:00-{(begin + length) % 24:02}:00", timezone=zone) for begin, length, zone in spans
    ]
    moment = utc(f"2024-05-01T{hour:02}:30:00")
    holding = tuple(n for n, override in enumerate(overrides) if applies(override, "", moment))
    assert holding == () or holding in set(holding_together(with_overrides(*overrides)))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [line.replace(f"{folder}/config.yaml", "config") for line in caught.value.problems]


def test_a_mistake_in_an_override_has_its_own_line_whenever_it_holds(tmp_path: Path) -> None:
    text = f"""{GOOD}overrides:
  - regions: [eu-west-1]
    checks:
      front:
        requests:
          page: {{ within: 5 }}
        evry: 5m
    limits:
      sit: {{ allows: 50 per 60s }}
"""
    assert problems(tmp_path, text) == [
        f"config:18: checks.front.requests.page.within: 5 {NO_TIME} (with overrides.0)",
        "config:19: checks.front.evry: unknown key; did you mean every? (with overrides.0)",
        "config:21: limits.sit.key: is missing (with overrides.0)",
        "config:21: limits.sit.covers: is missing (with overrides.0)",
    ]


def test_mistakes_of_the_file_and_of_an_override_are_told_together_and_once(tmp_path: Path) -> None:
    text = GOOD.replace("every: 5m", "every: 5") + (
        "overrides:\n  - regions: [eu-west-1]\n    checks: { front: { attempts: 0 } }\n"
    )
    assert problems(tmp_path, text) == [
        f"config:10: checks.front.every: 5 {NO_TIME}",
        "config:15: checks.front.attempts: must be greater than or equal to 1 (with overrides.0)",
    ]


def test_overrides_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    text = """\
env: here
target: { url: https://example.com }
checks:
  front: { kind: homepage, elements: { menu: { role: navigation } } }
overrides:
  - { regions: [a], checks: { front: { elements: { menu: { role: '', css: nav } } } } }
  - { regions: [a], checks: { front: { elements: { menu: { test_id: menu, role: '' } } } } }
"""
    with pytest.raises(ConfigError, match=r"exactly one of role.*\(with overrides\.0 and overrides\.1\)"):
        read(tmp_path, text, region="a")
    assert read(tmp_path, text, region="b").env == "here"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "{ regions: [eu-west-2] }",
            "14: overrides.0.regions.0: 'eu-west-2' is not among regions; did you mean eu-west-1?",
        ),
        (
            "{ between: 08:00-18:00, timezone: Mars }",
            "14: overrides.0.timezone: 'Mars' is not a time zone: write Europe/Berlin or UTC",
        ),
        (
            "{ between: 08:00-18:00, timezone: ../../etc/passwd }",
            "14: overrides.0.timezone: '../../etc/passwd' is not a time zone: write Europe/Berlin or UTC",
        ),
        ("{ between: 8-18 }", "14: overrides.0: between: '8-18' is not a span of the day: write 08:00-18:00"),
        (
            "{ between: 24:00-25:00 }",
            "14: overrides.0: between: '24:00-25:00' is not a span of the day: write 08:00-18:00",
        ),
        (
            "{ between: 08:00-08:00 }",
            "14: overrides.0: between: 08:00-08:00 is no time at all: leave it out for the whole day",
        ),
        ("{ checks: {} }", "14: overrides.0: an override says for which regions or between which hours it holds"),
        ("{ region: eu }", "14: overrides.0.region: unknown key; did you mean regions?"),
    ],
)
def test_mistakes_in_when_an_override_holds(tmp_path: Path, override: str, problem: str) -> None:
    found = problems(tmp_path, f"{GOOD}overrides:\n  - {override}\n")
    assert found == [f"config:{problem}"]
