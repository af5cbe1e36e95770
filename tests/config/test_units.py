from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.config.units import (
    LONGEST_S,
    parse_duration,
    parse_fraction,
    parse_positive_duration,
    parse_rate,
    parse_size,
    show_duration,
    shown,
)

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
UNITS = st.sampled_from(sorted(SECONDS))
NOT_TEXT = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers()), st.dictionaries(st.text(), st.none())
)


@settings(deadline=None)
@given(number=st.integers(0, 3600), tenths=st.integers(0, 9), unit=UNITS, gap=st.sampled_from(["", " "]))
def test_durations_are_a_number_and_a_unit(number: int, tenths: int, unit: str, gap: str) -> None:
    wanted = (Decimal(number) + Decimal(tenths) / 10) * SECONDS[unit]
    assert parse_duration(f"{number}.{tenths}{gap}{unit}") == pytest.approx(float(wanted))


@settings(deadline=None)
@given(NOT_TEXT)
def test_no_unit_is_never_guessed(value: Any) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        with pytest.raises(ValueError, match="write"):
            parse(value)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused_and_what_is_read_is_finite(text: str) -> None:
    for parse in (parse_duration, parse_fraction, parse_size):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert value >= 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 ",
        " 5s",
        "5s ",
        "5  s",
        "-5s",
        "+5s",
        "5S",
        "5sec",
        "5min",
        "5 m s",
        "1e3s",
        ".5s",
        "5.s",
        "inf s",
        "nan",
        "5,5s",
        "٣s",
        "1_000s",
        "0x5s",
        "5s\n",
        "1" * 400 + "s",
        "3661d",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time with its unit|longer than ten years"):
        parse_duration(text)


def test_a_positive_duration_is_not_zero() -> None:
    assert parse_positive_duration("1ms") == pytest.approx(0.001)
    for zero in ("0s", "0.0ms", "0d"):
        with pytest.raises(ValueError, match="no time at all"):
            parse_positive_duration(zero)


@pytest.mark.parametrize(("text", "wanted"), [("10%", 0.1), ("10 %", 0.1), ("0%", 0), ("100%", 1), ("12.5%", 0.125)])
def test_percentages(text: str, wanted: float) -> None:
    assert parse_fraction(text) == pytest.approx(wanted)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_fractions_may_be_numbers(value: float) -> None:
    assert parse_fraction(value) == value


@pytest.mark.parametrize(
    "value", ["", "10", "0.1", "101%", "-1%", "1e1%", "٣%", 1.01, -0.1, 2, math.nan, math.inf, True, False, None, [0.1]]
)
def test_what_is_no_fraction(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a share: write 10%"):
        parse_fraction(value)


@pytest.mark.parametrize(
    ("text", "wanted"), [("0B", 0), ("1KiB", 1024), ("3 MiB", 3 * 2**20), ("2GiB", 2**31), ("999999999B", 999_999_999)]
)
def test_sizes(text: str, wanted: int) -> None:
    assert parse_size(text) == wanted


@pytest.mark.parametrize(
    "value", ["1", "1KB", "1kib", "1.5MiB", "-1B", "1TiB", "B", 1024, True, "٣B", "9" * 5000 + "B"]
)
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a size with its unit"):
        parse_size(value)


@settings(deadline=None)
@given(requests=st.integers(1, 10**9 - 1), seconds=st.integers(1, 3600))
def test_rates(requests: int, seconds: int) -> None:
    assert parse_rate(f"{requests} per {seconds}s") == (requests, float(seconds))


@pytest.mark.parametrize(
    "value",
    [
        "0 per 60s",
        "-1 per 60s",
        "1.5 per 60s",
        "100/60s",
        "100 per",
        "per 60s",
        "100 per 60",
        "100 per 0s",
        "100per 60s",
        "9" * 5000 + " per 1s",
        (100, 60.0),
        [100, 60],
        100,
        "100 per minute",
    ],
)
def test_what_is_no_rate(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a|no time at all"):
        parse_rate(value)


@pytest.mark.parametrize("value", ["x" * 100_000, list(range(1000)), {"a" * 90: 1}])
def test_a_wrong_value_is_shown_short(value: Any) -> None:
    assert len(shown(value)) == 60
    with pytest.raises(ValueError, match="write") as caught:
        parse_rate(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.085, "85 ms"),
        (1, "1 s"),
        (2.14, "2.14 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (LONGEST_S, "8.78e+04 h"),
    ],
)
def test_durations_are_shown_as_people_read_them(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text
