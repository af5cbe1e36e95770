"""The charts of a status page: pygal's SVG without its script and style, whose place the page's own takes.

pygal is small, draws SVG without a browser or a network, and names what it draws for a page's style. Others draw a
fixed picture (matplotlib), or need megabytes of JavaScript (plotly, altair).
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.style import Style

from probes.reports.status_numbers import DAYS, DayTimes
from probes.reports.wording import milliseconds

Line = Sequence[float | None]

# For its plug-ins, which we have none of, pygal puts a finder before all imports that newer Pythons warn of.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

_NAMESPACE = "http://www.w3.org/2000/svg"
_LEFT_OUT = {"script", "style", "title", "desc"}


def times_chart(times: Sequence[DayTimes], today: int) -> str:
    """Median and 95th percentile of each day, with the limit; a day without times is a gap."""
    known = {each.day: each for each in times}
    span = _span(times[0].day if times else today, today)
    lines: dict[str, Line] = {
        "median": [known[day].median_ms if day in known else None for day in span],
        "p95": [known[day].p95_ms if day in known else None for day in span],
        "limit": [known[day].limit_low_ms if day in known else None for day in span],
    }
    if any(each.limit_low_ms != each.limit_high_ms for each in times):
        lines["highest"] = [known[day].limit_high_ms if day in known else None for day in span]
    return _chart(lines, span, lambda value: milliseconds(value) if value else "0")


def budget_chart(used: Mapping[int, float], ceiling: float, today: int) -> str:
    """The most of a limit that a run has used, day by day, in per cent, below what the probe never reaches."""
    span = _span(min(used, default=today), today)
    lines: dict[str, Line] = {"used": [used.get(day) for day in span], "limit": [ceiling for _ in span]}
    return _chart(lines, span, lambda value: f"{value:g} %")


def _span(first: int, today: int) -> range:
    """The days that are drawn: from the first one that has anything, a week at least."""
    return range(min(max(first, today - DAYS + 1), today - 6), today + 1)


def _chart(lines: Mapping[str, Line], span: range, formatter: Any) -> str:
    dates = [dt.date.fromordinal(_EPOCH + day) for day in span]
    most = 1.1 * max((value for line in lines.values() for value in line if value is not None), default=1.0)
    # the size of the labels is for their room: the page's style says how large they are
    chart: Any = pygal.Line(
        js=(), style=Style(label_font_size=19, major_label_font_size=19), width=640, height=230, margin=6,
        margin_right=26, spacing=6, show_legend=False, allow_interruptions=True,
        x_labels=[f"{date:%d %b}" for date in dates], show_minor_x_labels=False, truncate_label=-1,
        x_labels_major_every=max(1, len(span) // 6), value_formatter=formatter, range=(0, most), y_labels=_ticks(most),
        disable_xml_declaration=True,
    )  # fmt: skip
    for name, line in lines.items():
        chart.add(name, list(line), show_dots=_has_lonely(line), dots_size=3)
    return _inline(chart.render_tree(), list(lines))


_EPOCH = dt.date(1970, 1, 1).toordinal()


def _ticks(most: float) -> list[float]:
    """Two to five round numbers from nothing to the most."""
    ten = 10.0 ** math.floor(math.log10(most))
    step = next(part * ten for part in (0.2, 0.25, 0.5, 1.0, 2.0) if most / (part * ten) < 5 + 1e-9)
    return [step * number for number in range(int(most / step) + 1)]


def _has_lonely(line: Line) -> bool:
    """Whether a day stands between two without any: a line has no length there, and would not be seen."""
    padded = [None, *line, None]
    return any(
        value is not None and before is None and after is None
        for before, value, after in zip(padded, padded[1:], padded[2:], strict=False)
    )


def _inline(root: Any, names: Sequence[str]) -> str:
    """As markup for a page, whose style names its lines: without pygal's style, script and names for the pointer."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in _LEFT_OUT:
                parent.remove(child)
        kind, _, number = parent.get("class", "").partition(" serie-")
        if kind == "series":
            parent.set("class", f"series {names[int(number.split()[0])]}")
    root.attrib.pop("id", None)
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    ElementTree.register_namespace("", _NAMESPACE)
    return str(ElementTree.tostring(root, encoding="unicode"))
