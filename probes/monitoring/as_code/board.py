"""What all services' dashboards share: where a widget stands, what colour a value has, how a threshold reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from probes.config.dashboards import Section, Show, Threshold, Widget
from probes.config.metrics import Unit

COLUMNS = 12
SIZES: Mapping[Show, tuple[int, int]] = {
    "value": (3, 2), "series": (6, 3), "top_list": (6, 3), "table": (6, 3), "status": (6, 3),
}  # fmt: skip
"""Width in twelfths of a row and height in rows; services scale both."""

ROWS_SHOWN = 50
"""Of a list no more than these, the worst."""

WORST_FIRST: Mapping[bool, Literal["asc", "desc"]] = {True: "desc", False: "asc"}
"""How a list is sorted whose thresholds are above or below."""

_SHORT: Mapping[Unit, str] = {"millisecond": " ms", "second": " s", "day": " days", "percent": " %"}


@dataclass(frozen=True, slots=True)
class Placed:
    """A widget with its place within its section, in twelfths and rows from its top left."""

    widget: Widget
    x: int
    y: int
    width: int
    height: int


def placed(section: Section) -> list[Placed]:
    """The widgets of a section, from left to right, row after row."""
    found: list[Placed] = []
    x = y = row = 0
    for widget in section.widgets:
        width, height = SIZES[widget.show]
        if x + width > COLUMNS:
            x, y, row = 0, y + row, 0
        found.append(Placed(widget, x, y, width, height))
        x, row = x + width, max(row, height)
    return found


def rows(section: Section) -> int:
    """How high a section is."""
    return max(place.y + place.height for place in placed(section))


@dataclass(frozen=True, slots=True)
class Band:
    """Values from `low` to `high`, which are None where there is no end, and how bad they are."""

    severity: Literal["good", "warning", "critical"]
    low: float | None
    high: float | None


def bands(widget: Widget) -> list[Band]:
    """What a widget's thresholds make of all values, the worst first; nothing where it has none."""
    edge: float | None = None
    found: list[Band] = []
    for threshold in widget.thresholds:
        if threshold.above:
            found.append(Band(threshold.severity, threshold.value, edge))
        else:
            found.append(Band(threshold.severity, edge, threshold.value))
        edge = threshold.value
    if found:
        above = widget.thresholds[0].above
        found.append(Band("good", None, edge) if above else Band("good", edge, None))
    return found


def worst_first(widget: Widget) -> Literal["asc", "desc"]:
    """How its rows are sorted."""
    return WORST_FIRST[all(threshold.above for threshold in widget.thresholds)]


def in_words(threshold: Threshold, unit: Unit) -> str:
    """Such as `above 200 ms`."""
    return f"{'above' if threshold.above else 'below'} {threshold.value:g}{_SHORT.get(unit, '')}"


def short_name(metric: str) -> str:
    """What tells a metric apart from others of its widget."""
    return metric.rpartition(".")[2]


def reasons(section: Section) -> Iterator[str]:
    """What each widget is for, a line each, in Markdown."""
    return (f"- **{widget.title}**: {widget.why}" for widget in section.widgets)
