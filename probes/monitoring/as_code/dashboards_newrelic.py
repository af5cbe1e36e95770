"""New Relic's dashboards: one page, a text above each section, as NerdGraph's `DashboardInput` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.config.dashboards import STEPS_S, Dashboard, Section, Span, Statistic, Widget
from probes.config.metrics import Unit
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.board import ROWS_SHOWN, Placed, bands, in_words, placed, reasons, rows, short_name
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.newrelic_names import EVENTS

_VISUALIZATIONS = {
    "value": "viz.billboard", "status": "viz.billboard", "series": "viz.line", "top_list": "viz.bar",
    "table": "viz.table",
}  # fmt: skip
_FUNCTIONS: Mapping[Statistic, str] = {
    "mean": "average", "min": "min", "max": "max", "sum": "sum", "samples": "count", "last": "latest",
}  # fmt: skip
_UNITS: Mapping[Unit, str] = {"millisecond": "MS", "second": "SECONDS", "percent": "PERCENTAGE"}
_SPANS: Mapping[Span, str] = {"1h": "1 hour", "4h": "4 hours", "1d": "1 day", "2d": "2 days", "1w": "1 week"}
_SEVERITIES = {"critical": "critical", "warning": "warning", "good": "success"}


def dashboards(
    described: Mapping[str, Dashboard], env: str, options: ServiceOptions, account: int
) -> tuple[Wanted, ...]:
    """One for each description; `account` is whose samples they show."""
    return tuple(_dashboard(key, described[key], env, options, account) for key in described)


def _dashboard(key: str, dashboard: Dashboard, env: str, options: ServiceOptions, account: int) -> Wanted:
    name, widgets, row = f"{dashboard.title} ({env})", [], 1
    for section in dashboard.sections:
        text = _text(section, row)
        row += text["layout"]["height"]
        widgets.append(text)
        for place in placed(section):
            query = _query(place.widget, place.widget.span or dashboard.span, env, options)
            widgets.append(_widget(place, row, {"accountIds": [account], "query": query}))
        row += rows(section)
    body = {
        "name": name,
        "description": dashboard.purpose,
        "permissions": "PUBLIC_READ_WRITE",
        "pages": [{"name": dashboard.title, "description": dashboard.purpose, "widgets": widgets}],
    }
    return Wanted("dashboard", key, name, body)


def _text(section: Section, row: int) -> dict[str, Any]:
    text = "\n".join([f"# {section.title}", "", *reasons(section)])
    return {
        "title": "",
        "layout": {"column": 1, "row": row, "width": 12, "height": 1 + len(section.widgets) // 4},
        "visualization": {"id": "viz.markdown"},
        "rawConfiguration": {"text": text},
    }


def _widget(place: Placed, row: int, query: dict[str, Any]) -> dict[str, Any]:
    widget = place.widget
    raw: dict[str, Any] = {"nrqlQueries": [query]}
    if widget.unit in _UNITS:
        raw["units"] = {"unit": _UNITS[widget.unit]}
    if widget.span:
        raw["platformOptions"] = {"ignoreTimeRange": True}
    if widget.show == "series":
        raw |= {"legend": {"enabled": True}, "yAxisLeft": {"zero": True}, "nullValues": {"nullValue": "preserve"}}
    return {
        "title": widget.title,
        "layout": {"column": place.x + 1, "row": row + place.y, "width": place.width, "height": place.height},
        "visualization": {"id": _VISUALIZATIONS[widget.show]},
        "rawConfiguration": {**raw, **_thresholds(widget)},
    }


def _thresholds(widget: Widget) -> dict[str, Any]:
    """The way in which each visualization has them; a bar has none."""
    if not widget.thresholds or widget.show == "top_list":
        return {}
    if widget.show == "series":
        words = {threshold.severity: in_words(threshold, widget.unit) for threshold in widget.thresholds}
        lines = [{**band, "name": words[band["severity"]]} for band in _bands(widget) if band["severity"] in words]
        return {"thresholds": {"isLabelVisible": True, "thresholds": lines}}
    if widget.show == "table":
        return {"thresholds": [{**band, "columnName": _column(widget, widget.metrics[0])} for band in _bands(widget)]}
    return {"thresholdsWithSeriesOverrides": {"thresholds": _bands(widget)}}


def _bands(widget: Widget) -> list[dict[str, Any]]:
    return [
        {
            "severity": _SEVERITIES[band.severity],
            **({} if band.low is None else {"from": band.low}),
            **({} if band.high is None else {"to": band.high}),
        }
        for band in bands(widget)
    ]


def _query(widget: Widget, span: Span, env: str, options: ServiceOptions) -> str:
    shown = ", ".join(_selected(widget, metric, options) for metric in widget.metrics)
    said = [_is("env", (env,)), *(_is(name, (value,)) for name, value in options.tags.items())]
    if widget.checks:
        said.append(_is("check", widget.checks))
    if len(widget.metrics) == 1:  # else names without a value of it would have rows and lines, too
        said.append(f"`{options.prefix}{widget.metrics[0]}` IS NOT NULL")
    parts = [f"SELECT {shown} FROM {EVENTS} WHERE {' AND '.join(said)}"]  # noqa: S608 - NRQL of checked names
    if widget.by:
        parts.append(f"FACET {', '.join(f'`{name}`' for name in widget.by)} LIMIT {ROWS_SHOWN}")
    parts.append(f"SINCE {_SPANS[span]} ago")
    if widget.show == "series":
        parts.append(f"TIMESERIES {STEPS_S[span] // 60} minutes")
    return " ".join(parts)


def _selected(widget: Widget, metric: str, options: ServiceOptions) -> str:
    function = f"{_FUNCTIONS[widget.statistic]}(`{options.prefix}{metric}`)"
    scaled = f"{function} * {widget.factor:g}" if widget.factor != 1.0 else function
    return f"{scaled} AS '{_column(widget, metric)}'"


def _column(widget: Widget, metric: str) -> str:
    """NRQL's texts know no quotation mark that is doubled."""
    return short_name(metric) if len(widget.metrics) > 1 else widget.title.replace("'", "’")


def _is(attribute: str, values: Sequence[str]) -> str:
    listed = "', '".join(values)
    return f"`{attribute}` = '{listed}'" if len(values) == 1 else f"`{attribute}` IN ('{listed}')"
