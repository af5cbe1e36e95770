"""Datadog's dashboards: an ordered layout with one group a section, as POST /api/v1/dashboard takes it.

A mean is a sum over a count, so that each sample weighs the same, whichever check it is of and however often that runs.
Nothing is filled in (`fill(null)`): what one series lacks would be interpolated where another has a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.config.dashboards import STEPS_S, Dashboard, Section, Span, Statistic, Widget
from probes.config.metrics import METRICS
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.board import (
    COLUMNS,
    ROWS_SHOWN,
    bands,
    in_words,
    placed,
    rows,
    short_name,
    worst_first,
)
from probes.monitoring.as_code.wanted import Wanted

_TYPES = {"value": "query_value", "series": "timeseries", "top_list": "toplist", "table": "query_table"}
_TYPES["status"] = _TYPES["table"]
_PALETTES = {"critical": "white_on_red", "warning": "white_on_yellow", "good": "white_on_green"}
_MARKERS = {"critical": "error dashed", "warning": "warning dashed"}
_SPANS: Mapping[Span, tuple[int, str]] = {
    "1h": (1, "hour"), "4h": (4, "hour"), "1d": (1, "day"), "2d": (2, "day"), "1w": (1, "week"),
}  # fmt: skip

_AGGREGATIONS: Mapping[Statistic, tuple[tuple[str, str, str], ...]] = {
    "mean": (("sum", "sum", "sum"), ("sum", "count", "sum")),
    "min": (("min", "min", "min"),),
    "max": (("max", "max", "max"),),
    "sum": (("sum", "sum", "sum"),),
    "samples": (("sum", "count", "sum"),),
    "last": (("avg", "avg", "last"),),
}
"""For each query of a statistic how it goes over series, over a step, and over the steps of a span."""


def dashboards(described: Mapping[str, Dashboard], env: str, options: ServiceOptions) -> tuple[Wanted, ...]:
    """One for each description."""
    return tuple(_dashboard(key, described[key], env, options) for key in described)


def _dashboard(key: str, dashboard: Dashboard, env: str, options: ServiceOptions) -> Wanted:
    name, groups, y = f"{dashboard.title} ({env})", [], 0
    for section in dashboard.sections:
        height = rows(section) + 1  # its title
        widgets = _widgets(section, dashboard.span, env, options)
        definition = {"type": "group", "layout_type": "ordered", "title": section.title, "widgets": widgets}
        groups.append({"definition": definition, "layout": _layout(0, y, COLUMNS, height)})
        y += height
    value, unit = _SPANS[dashboard.span]
    body = {
        "title": name,
        "description": dashboard.purpose,
        "layout_type": "ordered",
        "reflow_type": "fixed",
        "default_timeframe": {"type": "live", "value": value, "unit": unit},
        "widgets": groups,
    }
    return Wanted("dashboard", key, name, body)


def _layout(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}


def _widgets(section: Section, span: Span, env: str, options: ServiceOptions) -> list[dict[str, Any]]:
    return [
        {
            "definition": _definition(place.widget, span, env, options),
            "layout": _layout(place.x, place.y, place.width, place.height),
        }
        for place in placed(section)
    ]


def _definition(widget: Widget, span: Span, env: str, options: ServiceOptions) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": _TYPES[widget.show],
        "title": widget.title,
        "description": widget.why,
        "requests": [_request(widget, widget.span or span, env, options)],
    }
    if widget.span:
        found["time"] = {"live_span": widget.span}
    if widget.show == "value":
        found |= {"autoscale": False, "precision": 2}
    if widget.show == "series":
        found |= {"show_legend": True, "legend_layout": "auto", "yaxis": {"include_zero": True}}
        found["markers"] = [
            {
                "value": f"y = {threshold.value:g}",
                "display_type": _MARKERS[threshold.severity],
                "label": in_words(threshold, widget.unit),
            }
            for threshold in widget.thresholds
        ]
    return found


def _request(widget: Widget, span: Span, env: str, options: ServiceOptions) -> dict[str, Any]:
    queries: list[dict[str, str]] = []
    formulas: list[dict[str, Any]] = []
    for number, metric in enumerate(widget.metrics):
        names = []
        for over_series, over_step, over_span in _AGGREGATIONS[widget.statistic]:
            name = f"q{len(queries) + 1}"
            query = {"data_source": "metrics", "name": name}
            query["query"] = (
                f"{over_series}:{options.prefix}{metric}{{{_places(widget, env, options)}}}{_by(widget)}"
                f"{_as_count(widget, metric)}.rollup({over_step}, {STEPS_S[span]}).fill(null)"
            )
            if widget.show != "series":
                query["aggregator"] = over_span
            queries.append(query)
            names.append(name)
        formulas.append(_formula(widget, " / ".join(names), number))
    found: dict[str, Any] = {"queries": queries, "formulas": formulas}
    if widget.show == "series":
        return {**found, "response_format": "timeseries", "display_type": "line"}
    found["response_format"] = "scalar"
    if widget.show == "value" and (formats := _formats(widget)):
        found["conditional_formats"] = formats
    if widget.show != "value":
        order = {"type": "formula", "index": 0, "order": worst_first(widget)}
        found["sort"] = {"count": ROWS_SHOWN, "order_by": [order]}
    return found


def _formula(widget: Widget, text: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"formula": f"{text} * {widget.factor:g}" if widget.factor != 1.0 else text}
    if len(widget.metrics) > 1:
        found["alias"] = short_name(widget.metrics[number])
    elif widget.show in {"table", "status"}:
        found["alias"] = widget.title
    if widget.unit and widget.unit != "fraction":
        found["number_format"] = {"unit": {"type": "canonical_unit", "unit_name": widget.unit}}
    if widget.show in {"table", "status", "top_list"} and (formats := _formats(widget)):
        found["conditional_formats"] = formats
    return found


def _formats(widget: Widget) -> list[dict[str, Any]]:
    """The first that holds counts, so the worst comes first; what is good has all that is left."""
    found: list[dict[str, Any]] = []
    for band in bands(widget):
        above = widget.thresholds[0].above
        edge, comparator = (band.low, ">") if above else (band.high, "<")
        if band.severity == "good":
            edge, comparator = (band.high, "<=") if above else (band.low, ">=")
        found.append({"comparator": comparator, "value": edge, "palette": _PALETTES[band.severity]})
    return found


def _places(widget: Widget, env: str, options: ServiceOptions) -> str:
    said = [f"env:{env}", *(f"{name}:{value}" for name, value in options.tags.items())]
    if len(widget.checks) == 1:
        said.append(f"check:{widget.checks[0]}")
    elif widget.checks:
        said.append(f"check IN ({','.join(widget.checks)})")
    return " AND ".join(said)


def _by(widget: Widget) -> str:
    return f" by {{{','.join(widget.by)}}}" if widget.by else ""


def _as_count(widget: Widget, metric: str) -> str:
    return ".as_count()" if widget.statistic == "sum" and METRICS[metric].kind == "count" else ""
