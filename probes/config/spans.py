"""A span of every day, in some place's time."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

from probes.config.units import shown

_SPAN = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])(?: ([A-Za-z0-9_+/-]{1,64}))?")


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` until `end`, which may be on the next day."""

    begin: dt.time
    end: dt.time
    zone: ZoneInfo

    def holds(self, at: float) -> bool:
        """Whether a moment, in seconds since the epoch, is within it."""
        time = dt.datetime.fromtimestamp(at, self.zone).time()
        if self.begin <= self.end:
            return self.begin <= time < self.end
        return time >= self.begin or time < self.end


def _span(value: Any) -> Span:
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] == match[2]:
        raise ValueError(
            f'{shown(value)} is no span of the day: write "22:00-06:00 Europe/Berlin", or UTC without a zone'
        )
    try:
        zone = ZoneInfo(match[3] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{shown(match[3])} is not a time zone: write Europe/Berlin or UTC") from None
    return Span(dt.time.fromisoformat(match[1]), dt.time.fromisoformat(match[2]), zone)


DailySpan = Annotated[Span, BeforeValidator(_span)]
"""Written as `22:00-06:00 Europe/Berlin`; without a zone it is UTC."""
