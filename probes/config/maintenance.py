"""`maintenance.yaml`: when nobody is to be told, and why. What is quiet is still probed, measured and kept.

A window is planned: again and again by a cron expression, or once. A mute is somebody's decision about a rule that
tells of what is known: it has a reason, and an end.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from probes.config.alert_rules import OURS, RuleFile
from probes.config.document import Document, read_document
from probes.config.mistakes import Mistakes, did_you_mean, raise_if_any, read_as
from probes.config.models import Name, Settings, Strict
from probes.config.units import PositiveDuration, show_duration, shown

FILE = "maintenance.yaml"

LONGEST_WINDOW_S = 7 * 86400.0

LOOKED_AT = 50
"""So many times of a cron expression are looked at."""

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2})?")


def zone_of(name: Any) -> ZoneInfo:
    """A time zone by its name. Raises ValueError."""
    try:
        return ZoneInfo(name if isinstance(name, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{shown(name)} is not a time zone: write Europe/Berlin or UTC") from None


def _moment(value: Any) -> dt.datetime:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError(f"{shown(value)} is no moment: write 2026-03-29 22:00; the zone stands by itself")
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is in no calendar") from None


def _cron(value: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        comes = len(value.split()) == 5 and next(CronSim(value, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), None)
    except CronSimError:
        comes = None
    if not comes:
        raise ValueError(f'{shown(value)} is no cron expression that ever comes: write five fields: "0 2 * * 7"')
    return value


def _shortest_gap(cron: str) -> float:
    """Seconds between two of its times, as far as some of them show."""
    from cronsim import CronSim

    times = list(islice(CronSim(cron, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), LOOKED_AT))
    return min(((later - earlier).total_seconds() for earlier, later in pairwise(times)), default=float("inf"))


def _length(value: float) -> float:
    if value > LONGEST_WINDOW_S:
        raise ValueError(f"{show_duration(value)} is too long for a window: 7d at most")
    return value


def _reason(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty: say why, for those who wonder")
    return value


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[ZoneInfo, BeforeValidator(zone_of)]
Moment = Annotated[dt.datetime, BeforeValidator(_moment)]
Reason = Annotated[str, Field(max_length=200), AfterValidator(_reason)]


class Quieting(Strict):
    """What is quiet: the rules, checks and environments that are named; where none are, all."""

    rules: tuple[Name, ...] = ()
    checks: tuple[Name, ...] = ()
    environments: tuple[Name, ...] = ()
    reason: Reason
    zone: Zone


class Window(Quieting):
    """By `cron` and `lasts`, or `from` and `until`, in the time of its `zone`."""

    cron: Cron | None = None
    lasts: Annotated[PositiveDuration, AfterValidator(_length)] | None = None
    begin: Moment | None = Field(default=None, alias="from")
    until: Moment | None = None

    @model_validator(mode="after")
    def _either(self) -> Window:
        by_cron, once = (self.cron, self.lasts), (self.begin, self.until)
        if not (all(by_cron) and not any(once)) and not (all(once) and not any(by_cron)):
            raise ValueError("a window has either cron and lasts, or from and until")
        if self.cron and self.lasts and self.lasts > _shortest_gap(self.cron):
            raise ValueError("begins again before it has ended")
        if self.begin and self.until:
            begin, end = moments(self.begin, self.zone), moments(self.until, self.zone)
            if end[1] <= begin[0]:
                raise ValueError("until is not after from")
            if end[1] - begin[0] > LONGEST_WINDOW_S:
                raise ValueError("is too long for a window: 7d at most")
        return self


class Mute(Quieting):
    """Until a moment in the time of its `zone`."""

    until: Moment


def moments(local: dt.datetime, zone: ZoneInfo) -> tuple[float, float]:
    """The two moments that a place's clock may mean, in seconds since the epoch, the earlier one first.

    They differ where the clock goes back and shows a time twice; and where it goes forward and never shows it, in
    which case they lie on both sides of the leap.
    """
    both = sorted(local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    return both[0], both[1]


class Maintenance(Strict):
    """The whole file."""

    windows: dict[Name, Window] = Field(default={})
    mutes: dict[Name, Mute] = Field(default={})

    def over(self, now: float) -> list[str]:
        """What has had its time, and makes nothing quiet any more: mutes, and windows of one occasion."""
        ends = [(name, window.until, window.zone) for name, window in self.windows.items()]
        ends += [(name, mute.until, mute.zone) for name, mute in self.mutes.items()]
        return [name for name, until, zone in ends if until and moments(until, zone)[1] <= now]


@dataclass(frozen=True, slots=True)
class MaintenanceFile:
    """What stands there, and on which lines."""

    maintenance: Maintenance
    document: Document | None = None

    def problems_in(self, settings: Settings, rules: RuleFile) -> list[str]:
        """What names a rule or check that is not there, in one environment, one line for each place."""
        if self.document is None:
            return []
        mistakes = Mistakes(self.document)
        ours = rules.of(settings.env, OURS)
        for key, all_of_it in (("windows", self.maintenance.windows), ("mutes", self.maintenance.mutes)):
            for name, one in all_of_it.items():
                if one.environments and settings.env not in one.environments:
                    continue
                for rule in one.rules:
                    if rule not in rules.rules:
                        near = did_you_mean(rule, rules.rules)
                        mistakes.say((key, name, "rules"), f"{shown(rule)} is no rule{near}")
                    elif rule not in ours and settings.env in rules.rules[rule].environments:
                        who = rules.rules[rule].evaluator
                        mistakes.say((key, name, "rules"), f"{who} tells of {shown(rule)}: it is made quiet there")
                for check in one.checks:
                    if check not in settings.checks:
                        near = did_you_mean(check, settings.checks)
                        mistakes.say((key, name, "checks"), f"{shown(check)} is no check of {settings.env}{near}")
        return mistakes.lines()


def load_maintenance(path: Path) -> MaintenanceFile:
    """Read the file; without one nothing ever is quiet. Raises ConfigError with every mistake."""
    if not path.exists():
        return MaintenanceFile(Maintenance())
    document = read_document(path)
    found, problems = read_as(document, Maintenance)
    raise_if_any(f"{path} has", problems)
    return MaintenanceFile(found or Maintenance(), document)
