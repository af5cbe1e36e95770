"""`cron-schedule.yaml`: what runs where on its own, and how often. All that a platform is told is rendered from it.

An entry is one run again and again: from a region, on a platform, by a cron expression, on a share of the ceiling that
is its own. Two runs of one entry never overlap, whatever the platform.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from probes.config.document import Document, read_document
from probes.config.maintenance import Cron, Zone
from probes.config.mistakes import Mistakes, raise_if_any, read_as
from probes.config.models import Name, Strict
from probes.config.units import PositiveDuration, shown

FILE = "cron-schedule.yaml"

Platform = Literal["github", "kubernetes"]

DAY_S = 86400.0
WEEK_S = 7 * DAY_S

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,200}(@sha256:[0-9a-f]{64})?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MONDAY = dt.datetime(2026, 1, 5)  # noqa: DTZ001 - whatever the zone, and not a week in which its clock leaps


def _variable(value: str) -> str:
    # never repeated in a message: somebody may have written the secret itself here
    if not _VARIABLE.fullmatch(value):
        raise ValueError("names an environment variable, in capital letters; the secret itself stands there")
    return value


def _label(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a label: letters, digits, -, _ and .")
    return value


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError(f"{shown(value)} is not an image: write registry/name:tag or registry/name@sha256:…")
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a namespace: small letters, digits and -")
    return value


Variable = Annotated[str, AfterValidator(_variable)]
Label = Annotated[str, AfterValidator(_label)]
Image = Annotated[str, AfterValidator(_image)]
Namespace = Annotated[str, AfterValidator(_namespace)]


class Entry(Strict):
    """One run again and again. `timeout` bounds the whole job, its installing too; a run has its own `run.timeout`.

    `secrets` are all the variables that it is given; without `checks` it runs all of its environment. `account`
    is the one that they log in to.
    """

    platform: Platform
    env: Name
    region: Name
    cron: Cron
    share: Name
    timeout: PositiveDuration
    secrets: tuple[Variable, ...] = ()
    checks: tuple[Name, ...] = ()
    account: Name | None = None


class GitHub(Strict):
    """GitHub Actions: the labels of its runners, to which the region's name is added."""

    runner: tuple[Label, ...] = Field(min_length=1)


class Fleet(Strict):
    """A region's master and its workers: how many of these, and the variables with the secrets of each."""

    workers: Annotated[int, Field(ge=1, le=30)]
    master: tuple[Variable, ...]
    worker: tuple[Variable, ...]


class Kubernetes(Strict):
    """A cluster in each region: where in it, what image, and how late a run may begin before it is left out.

    With a `fleet`, each has the master of its region too.
    """

    namespace: Namespace
    image: Image
    late: PositiveDuration
    fleet: Fleet | None = None


class Schedule(Strict):
    """The whole file."""

    zone: Zone = ZoneInfo("UTC")
    github: GitHub | None = None
    kubernetes: Kubernetes | None = None
    entries: dict[Name, Entry] = Field(default={})

    def on(self, platform: Platform) -> dict[str, Entry]:
        """The entries of a platform, in their order."""
        return {name: entry for name, entry in self.entries.items() if entry.platform == platform}

    def late(self, entry: Entry) -> float:
        """How many seconds after its time it may begin; GitHub's own delays have no bound, and count as none."""
        return self.kubernetes.late if self.kubernetes and entry.platform == "kubernetes" else 0.0

    def starts(self, entry: Entry) -> tuple[float, ...]:
        """When it begins in a week, in seconds since Monday began; no day of it has 23 or 25 hours."""
        from cronsim import CronSim

        begin = _MONDAY - dt.timedelta(seconds=1)
        seconds = ((moment - begin).total_seconds() - 1.0 for moment in CronSim(entry.cron, begin))
        return tuple(takewhile(lambda at: at < WEEK_S, seconds))


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """What stands there, and on which lines."""

    schedule: Schedule
    document: Document | None = None

    @property
    def mistakes(self) -> Mistakes | None:
        """A new list of what is found wrong, with the lines of the file; None where there is no file."""
        return Mistakes(self.document) if self.document else None


def load_schedule(path: Path) -> ScheduleFile:
    """Read the file; without one nothing runs on its own. Raises ConfigError with every mistake."""
    if not path.exists():
        return ScheduleFile(Schedule())
    document = read_document(path)
    found, problems = read_as(document, Schedule)
    if found:
        problems = [*problems, *_platform_problems(found, document)]
    raise_if_any(f"{path} has", problems)
    return ScheduleFile(found or Schedule(), document)


def _platform_problems(schedule: Schedule, document: Document) -> list[str]:
    """What a platform cannot do, or is not told how to."""
    mistakes = Mistakes(document)
    for name, entry in schedule.entries.items():
        where = ("entries", name)
        if getattr(schedule, entry.platform) is None:
            mistakes.say((*where, "platform"), f"there is no {entry.platform}: beside entries to say where that is")
        if entry.platform == "github" and schedule.zone.key != "UTC":
            mistakes.say(("zone",), f"{schedule.zone.key}, but GitHub's cron knows UTC only")
        for other, another in schedule.entries.items():
            if other == name:
                break
            if (another.platform, another.env, another.region) == (entry.platform, entry.env, entry.region):
                mistakes.say((*where, "region"), f"{other} runs {entry.env} from there on {entry.platform} already")
    pods = schedule.on("kubernetes")
    for name, entry in pods.items():
        first, its = next(iter(pods.items()))
        if (entry.env, entry.secrets) != (its.env, its.secrets):
            mistakes.say(("entries", name), f"has not the env and the secrets of {first}: all clusters have one base")
    return mistakes.lines()
