"""A span of the day, past midnight and in another place's time."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import TypeAdapter

from probes.config.spans import DailySpan, Span

SPAN: TypeAdapter[Span] = TypeAdapter(DailySpan)


@pytest.mark.parametrize(
    ("span", "moment", "within"),
    [
        ("08:00-09:00", "2026-03-01T07:59:59+00:00", False),
        ("08:00-09:00", "2026-03-01T08:00:00+00:00", True),
        ("08:00-09:00", "2026-03-01T09:00:00+00:00", False),
        ("22:00-06:00", "2026-03-01T23:00:00+00:00", True),
        ("22:00-06:00", "2026-03-01T05:59:59+00:00", True),
        ("22:00-06:00", "2026-03-01T12:00:00+00:00", False),
        ("08:00-09:00 Europe/Berlin", "2026-01-15T07:30:00+00:00", True),
        ("08:00-09:00 Europe/Berlin", "2026-07-15T07:30:00+00:00", False),  # summer time
        ("08:00-09:00 Europe/Berlin", "2026-07-15T06:30:00+00:00", True),
    ],
)
def test_a_moment_is_within_it_or_not(span: str, moment: str, *, within: bool) -> None:
    assert SPAN.validate_python(span).holds(dt.datetime.fromisoformat(moment).timestamp()) is within
