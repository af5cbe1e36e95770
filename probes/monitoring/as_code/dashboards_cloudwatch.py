"""CloudWatch's dashboards, as resources of a CloudFormation template. Series are searched for, and not enumerated.

A search gives each series by itself and has no group-by. Where a widget groups by check or region alone, and the
configuration names them, there is one expression for each name, which sums over all series of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.config.dashboards import STEPS_S, Dashboard, Span, Statistic, Widget
from probes.config.metrics import Unit
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.board import Placed, in_words, placed, reasons, rows, short_name
from probes.monitoring.as_code.wanted import Wanted

DIMENSIONS = ("env", "region", "check", "mode")
"""What our series are told apart by, the file's own tags besides."""

SCALE = 2
"""Its grid has 24 columns."""

HEADER = 3
"""Rows of what stands above all sections."""

_VIEWS = {"value": "singleValue", "status": "singleValue", "series": "timeSeries", "top_list": "bar", "table": "table"}
_STARTS: Mapping[Span, str] = {"1h": "-PT1H", "4h": "-PT4H", "1d": "-P1D", "2d": "-P2D", "1w": "-P1W"}
_COLOURS = {"critical": "#d62728", "warning": "#ff7f0e"}
_LABELS: Mapping[Unit, str] = {"millisecond": "ms", "second": "s", "day": "days", "percent": "%"}

_OF_SERIES: Mapping[Statistic, str] = {
    "mean": "Average", "min": "Minimum", "max": "Maximum", "sum": "Sum", "samples": "SampleCount", "last": "Average",
}  # fmt: skip
_OVER_SERIES: Mapping[Statistic, str] = {
    "mean": "SUM({Sum}) / SUM({SampleCount})",
    "min": "MIN({Minimum})",
    "max": "MAX({Maximum})",
    "sum": "SUM({Sum})",
    "samples": "SUM({SampleCount})",
    "last": "AVG({Average})",
}
"""A mean is a sum over a count, so that each sample weighs the same."""


@dataclass(frozen=True, slots=True)
class Searched:
    """Where our series are, and what the configuration names, by the tag it is a value of."""

    env: str
    namespace: str
    options: ServiceOptions
    names: Mapping[str, Sequence[str]]

    def search(self, metric: str, statistic: str, **tags: Sequence[str]) -> str:
        """All series of a metric that have one of these values of each of these tags."""
        schema = ",".join([_quoted(self.namespace), *DIMENSIONS, *map(_quoted, self.options.tags)])
        fixed = {"MetricName": self.options.prefix + metric, "env": self.env, **self.options.tags}
        terms = {**{name: (value,) for name, value in fixed.items()}, **tags}
        words = " ".join(f"{name}={_one_of(values)}" for name, values in terms.items() if values)
        return f"SEARCH('{{{schema}}} {words}', '{statistic}')"

    def names_of(self, widget: Widget, by: str) -> Sequence[str]:
        """What a widget groups by, as far as the configuration knows."""
        return widget.checks if by == "check" and widget.checks else self.names.get(by, ())

    def as_found(self, widget: Widget) -> bool:
        """Whether a widget shows each series by itself, as the search finds it: named by its tags, and not scaled."""
        return len(widget.by) > 1 or any(not self.names_of(widget, by) for by in widget.by)


def _quoted(name: str) -> str:
    return name if name.isalnum() else f'"{name}"'


def _one_of(values: Sequence[str]) -> str:
    quoted = " OR ".join(f'"{value}"' for value in values)
    return f"({quoted})" if len(values) > 1 else quoted


def dashboards(described: Mapping[str, Dashboard], searched: Searched) -> tuple[Wanted, ...]:
    """One resource for each description."""
    return tuple(_dashboard(key, described[key], searched) for key in described)


def _dashboard(key: str, dashboard: Dashboard, searched: Searched) -> Wanted:
    name = f"{dashboard.title} ({searched.env})"
    widgets = [_text(f"# {name}\n\n{dashboard.purpose}", 0, HEADER)]  # of a title it knows nothing
    y = HEADER
    for section in dashboard.sections:
        text = _text("\n".join([f"## {section.title}", "", *reasons(section)]), y, 2 + len(section.widgets) // 2)
        y += text["height"]
        widgets += [text, *(_widget(place, y, dashboard.span, searched) for place in placed(section))]
        y += SCALE * rows(section)
    body = {"start": _STARTS[dashboard.span], "periodOverride": "inherit", "widgets": widgets}
    properties = {
        "DashboardName": f"smokeprobe-{searched.env}-{key}",
        "DashboardBody": {"Fn::Sub": json.dumps(body, separators=(",", ":"), ensure_ascii=False)},
    }
    resource = {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}
    return Wanted("dashboard", key, name, resource)


def _text(text: str, y: int, height: int) -> dict[str, Any]:
    return {"type": "text", "x": 0, "y": y, "width": 24, "height": height, "properties": {"markdown": text}}


def _widget(place: Placed, y: int, span: Span, searched: Searched) -> dict[str, Any]:
    widget = place.widget
    properties: dict[str, Any] = {
        "title": widget.title,
        "view": _VIEWS[widget.show],
        "region": "${AWS::Region}",
        "period": STEPS_S[widget.span or span],
        "metrics": _metrics(widget, searched),
    }
    if widget.span:
        properties["start"] = _STARTS[widget.span]
        properties["end"] = "PT0H"
    if widget.show != "series" and widget.statistic != "last":
        properties["setPeriodToTimeRange"] = True
    if widget.show == "value":
        properties["sparkline"] = True
    if widget.show == "series":
        label = "" if searched.as_found(widget) and widget.as_percent else _LABELS.get(widget.unit, "")
        properties |= {"stacked": False, "yAxis": {"left": {"min": 0, "label": label, "showUnits": False}}}
    if widget.show == "series" and widget.thresholds:
        properties["annotations"] = {"horizontal": _annotations(widget, searched)}
    at = {"x": SCALE * place.x, "y": y + SCALE * place.y}
    size = {"width": SCALE * place.width, "height": SCALE * place.height}
    return {"type": "metric", **at, **size, "properties": properties}


def _annotations(widget: Widget, searched: Searched) -> list[dict[str, Any]]:
    scale = 1.0 if searched.as_found(widget) else widget.factor
    return [
        {
            "label": in_words(threshold, widget.unit),
            "value": threshold.value * scale / widget.factor,
            "color": _COLOURS[threshold.severity],
        }
        for threshold in widget.thresholds
    ]


def _metrics(widget: Widget, searched: Searched) -> list[list[dict[str, Any]]]:
    """Each with an id of its own, by which others could refer to it."""
    return [[{**metric, "id": f"e{number}"}] for number, metric in enumerate(_expressions(widget, searched), start=1)]


def _expressions(widget: Widget, searched: Searched) -> Iterator[dict[str, Any]]:
    if searched.as_found(widget):
        search = searched.search(widget.metrics[0], _OF_SERIES[widget.statistic], check=widget.checks)
        yield {"label": " ".join(f"${{!PROP('Dim.{name}')}}" for name in widget.by), "expression": search}
    elif widget.by:
        (by,) = widget.by
        for name in searched.names_of(widget, by):
            tags: dict[str, Sequence[str]] = {"check": widget.checks, by: (name,)}
            yield {"label": name, "expression": _over_series(widget, widget.metrics[0], searched, tags)}
    else:
        for metric in widget.metrics:
            label = short_name(metric) if len(widget.metrics) > 1 else widget.title
            yield {"label": label, "expression": _over_series(widget, metric, searched, {"check": widget.checks})}


def _over_series(widget: Widget, metric: str, searched: Searched, tags: Mapping[str, Sequence[str]]) -> str:
    statistics = ("Sum", "SampleCount", "Minimum", "Maximum", "Average")
    searches = {statistic: searched.search(metric, statistic, **tags) for statistic in statistics}
    expression = _OVER_SERIES[widget.statistic].format(**searches)
    return f"{widget.factor:g} * {expression}" if widget.factor != 1.0 else expression
