"""`dashboards/*.yaml`: what a dashboard shows and what for, said once; each service's own format is made of it.

Thresholds are written in the metric's unit, such as `above 200ms`, `below 90%` or `below 21d`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from probes.config.document import read_document
from probes.config.metrics import METRICS, Unit
from probes.config.mistakes import did_you_mean, raise_if_any, read_as
from probes.config.models import NAME, Strict
from probes.config.units import parse_duration, parse_fraction, shown

FOLDER = "dashboards"
"""Where they stand, beside the environments' files."""

Show = Literal["value", "series", "top_list", "table", "status"]
"""A status is the last word of each series in a colour; a top list and a table have a row for each series."""

Statistic = Literal["mean", "min", "max", "sum", "samples", "last"]
"""Over all samples of a span or a step of it; `samples` is how many there are."""

Span = Literal["1h", "4h", "1d", "2d", "1w"]
SPANS_S: Mapping[Span, int] = {"1h": 3600, "4h": 14_400, "1d": 86_400, "2d": 172_800, "1w": 604_800}

STEPS_S: Mapping[Span, int] = {"1h": 300, "4h": 900, "1d": 1800, "2d": 3600, "1w": 10_800}
"""One step of a line: not finer than what runs every half an hour can fill, where a day is shown."""

By = Literal["check", "region"]
Severity = Literal["warning", "critical"]

_PER_UNIT: Mapping[Unit, float] = {"millisecond": 1000.0, "second": 1.0, "day": 1 / 86400.0}
_SAID = re.compile(r"(above|below) (.+)")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_CHECK = re.compile(rf"_run|{NAME.pattern}")


def _metric(value: str) -> str:
    if value not in METRICS:
        raise ValueError(f"{shown(value)} is no metric of ours{did_you_mean(value, METRICS)}")
    return value


def _check(value: str) -> str:
    if not _CHECK.fullmatch(value):
        raise ValueError(f"{shown(value)} is no check's name; _run is the whole run")
    return value


def _threshold(value: str) -> str:
    if not _SAID.fullmatch(value):
        raise ValueError(f"{shown(value)} is no threshold: write above 200ms or below 90%")
    return value


Text = Annotated[str, Field(min_length=1, max_length=80)]
Reason = Annotated[str, Field(min_length=10, max_length=300)]
MetricName = Annotated[str, AfterValidator(_metric)]
ThresholdText = Annotated[str, AfterValidator(_threshold)]


@dataclass(frozen=True, slots=True)
class Threshold:
    """From where on a value is of a colour, in the unit that its widget shows."""

    severity: Severity
    above: bool
    value: float


class Widget(Strict):
    """One thing to look at. `why` says what it is for; `as_percent` shows a fraction of one as per cent."""

    title: Text
    why: Reason
    show: Show
    metrics: tuple[MetricName, ...] = Field(min_length=1, max_length=6)
    statistic: Statistic = "mean"
    by: tuple[By, ...] = ()
    checks: tuple[Annotated[str, AfterValidator(_check)], ...] = ()
    as_percent: bool = False
    warning: ThresholdText | None = None
    critical: ThresholdText | None = None
    span: Span | None = None

    @model_validator(mode="after")
    def _fits(self) -> Widget:
        units = {METRICS[name].unit for name in self.metrics}
        if len(units) > 1:
            raise ValueError(f"its metrics have different units: {', '.join(sorted(unit or 'none' for unit in units))}")
        if len(set(self.by)) < len(self.by):
            raise ValueError("by: names the same tag twice")
        if len(self.metrics) > 1 and (self.by or self.show not in {"series", "table"}):
            raise ValueError("several metrics are for a series or a table, and without by")
        if self.show in {"top_list", "table", "status"} and not self.by and len(self.metrics) == 1:
            raise ValueError(f"a {self.show} has a row for each series: say by: [check] or by: [check, region]")
        if self.show == "value" and self.by:
            raise ValueError("a value is one number: without by")
        if self.as_percent and (units - {"", "fraction"} or self.statistic == "samples"):
            raise ValueError("as_percent: is for fractions of one only")
        if self.show == "series" and self.statistic == "last":
            raise ValueError("a series has no last: say mean, min, max, sum or samples")
        self._check_thresholds()
        return self

    def _check_thresholds(self) -> None:
        found = self.thresholds
        if len(found) == 2:
            critical, warning = found
            further = critical.value > warning.value if warning.above else critical.value < warning.value
            if critical.above != warning.above or not further:
                raise ValueError("critical lies on the same side as warning, and further out")

    @property
    def unit(self) -> Unit:
        """What its numbers are."""
        if self.statistic == "samples":
            return ""
        return "percent" if self.as_percent else METRICS[self.metrics[0]].unit

    @property
    def factor(self) -> float:
        """By what a metric's value is multiplied to be shown."""
        return 100.0 if self.as_percent else 1.0

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The critical one first. Raises ValueError where one is not of the widget's unit."""
        said: tuple[tuple[Severity, str | None], ...] = (("critical", self.critical), ("warning", self.warning))
        return tuple(self._threshold(severity, text) for severity, text in said if text)

    def _threshold(self, severity: Severity, text: str) -> Threshold:
        side, _, amount = text.partition(" ")
        try:
            value = _amount(amount, self.unit, as_percent=self.as_percent)
        except ValueError as problem:
            raise ValueError(f"{severity}: {problem}") from None
        return Threshold(severity, side == "above", value)


def _amount(text: str, unit: Unit, *, as_percent: bool) -> float:
    if unit in _PER_UNIT:
        return round(parse_duration(text) * _PER_UNIT[unit], 6)
    if as_percent or unit == "percent":
        if "%" not in text:
            raise ValueError(f"{shown(text)} is not per cent: write 90%")
        return round(parse_fraction(text) * 100.0, 6)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a number, which this metric is")
    return float(text)


class Section(Strict):
    """Widgets that belong together."""

    title: Text
    widgets: tuple[Widget, ...] = Field(min_length=1)


class Dashboard(Strict):
    """One dashboard. `span` is how far it looks back, where a widget says nothing else."""

    title: Text
    purpose: Reason
    span: Span = "1d"
    sections: tuple[Section, ...] = Field(min_length=1)


def load_dashboards(folder: Path) -> dict[str, Dashboard]:
    """The dashboards of a folder, by their files' names. Raises ConfigError with every mistake of every file."""
    found: dict[str, Dashboard] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        if not NAME.fullmatch(path.stem):
            problems.append(f"{path}: its name is no key: small letters, digits, - and _, at most 40")
            continue
        dashboard, mistakes = read_as(read_document(path), Dashboard)
        if dashboard is not None:
            found[path.stem] = dashboard
        problems += mistakes
    raise_if_any(f"The dashboards in {folder} have", problems)
    return found
