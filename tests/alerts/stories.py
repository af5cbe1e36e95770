"""Series in few words, and what was told of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from probes.alerts.replay import read_series, replay
from probes.alerts.seen import Seen
from tests.alerts.sample import rules

REGIONS, CHECKS = ("us", "eu", "ap"), ("front", "shop")
OUTCOMES = {".": "passed", "x": "failed", "~": "degraded", "e": "error", "t": "throttled", "n": "no data"}


def minutes(regions: Mapping[str, str], begin: int = 0, check: str = "front") -> list[str]:
    """Each region's occasions, one a minute, in one letter each: `.` passed, `x` failed, a blank nothing at all."""
    return [
        f'{{"t": {60 * (begin + minute)}, "region": "{region}", "check": "{check}", "outcome": "{OUTCOMES[letter]}"}}'
        for minute in range(max(map(len, regions.values())))
        for region, letters in regions.items()
        if (letter := letters[minute : minute + 1].strip())
    ] + [f'{{"t": {60 * (begin + max(map(len, regions.values())) - 1)}}}']


def story(folder: Path, series: Iterable[str], **by_name: dict[str, Any]) -> list[str]:
    """What is told of a series by rules: `60 firing one`; in order."""
    told = replay(rules(folder, **by_name).rules, REGIONS, CHECKS, seen(series), "here")
    return [f"{each.notice.at:g} {each.notice.change} {', '.join(each.rules)}" for each in told]


def seen(series: Iterable[str]) -> Iterator[Seen]:
    return read_series(series, "series")
