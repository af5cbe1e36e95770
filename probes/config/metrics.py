"""The metrics there are, by name: what kind each is, and its unit. The configuration chooses among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "count"]
"""A gauge is a value at a moment; a count is how many there were since the last one."""

Unit = Literal["", "second", "millisecond", "day", "percent", "fraction"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What is fixed of a metric; `text` says in a few words what it is."""

    kind: Kind
    unit: Unit
    text: str


METRICS: Mapping[str, Metric] = {
    "smoke_test.duration": Metric("gauge", "second", "Whole time of a check, or of a run (check _run)"),
    "smoke_test.success": Metric("gauge", "", "1 for passed and degraded, 0 for failed; none otherwise"),
    "smoke_test.blind": Metric("gauge", "", "1 where the target could not be judged, otherwise 0"),
    "smoke_test.homepage_load": Metric("gauge", "millisecond", "Load time of the home page in a browser"),
    "smoke_test.api_response": Metric("gauge", "millisecond", "Time of one HTTP request, as it is judged"),
    "smoke_test.db_query_time": Metric("gauge", "millisecond", "Database query time, as the target says"),
    "smoke_test.cache_hit_rate": Metric("gauge", "fraction", "Cache hits, as the target says"),
    "smoke_test.error_rate": Metric("gauge", "fraction", "Errors, as the target says"),
    "smoke_test.phase.dns": Metric("gauge", "millisecond", "Name lookup of one HTTP request"),
    "smoke_test.phase.connect": Metric("gauge", "millisecond", "TCP handshake of one HTTP request"),
    "smoke_test.phase.tls": Metric("gauge", "millisecond", "TLS handshake of one HTTP request"),
    "smoke_test.phase.ttfb": Metric("gauge", "millisecond", "Time to first byte of one HTTP request"),
    "smoke_test.phase.download": Metric("gauge", "millisecond", "Download of one HTTP request's answer"),
    "smoke_test.web_vitals.ttfb": Metric("gauge", "millisecond", "Time to first byte of a page"),
    "smoke_test.web_vitals.fcp": Metric("gauge", "millisecond", "First contentful paint"),
    "smoke_test.web_vitals.lcp": Metric("gauge", "millisecond", "Largest contentful paint"),
    "smoke_test.web_vitals.cls": Metric("gauge", "", "Cumulative layout shift"),
    "smoke_test.certificate_days": Metric("gauge", "day", "Days until the certificate ends"),
    "smoke_test.budget_used": Metric("gauge", "percent", "Worst window of any limit, in per cent of the limit"),
    "smoke_test.flaky": Metric("count", "", "Checks that passed on a later attempt only"),
    "smoke_test.throttled": Metric("count", "", "Checks that the target told to slow down"),
    "smoke_test.probe.blocked": Metric("count", "", "Requests of a run that the guard kept back"),
    "smoke_test.probe.workers": Metric("gauge", "", "Workers of a master"),
    "smoke_test.probe.turn_age": Metric("gauge", "second", "Age of a master's last turn"),
    "smoke_test.probe.unacknowledged": Metric("gauge", "", "Messages that no worker has acknowledged yet"),
    "smoke_test.test": Metric("gauge", "", "Sent by hand, to try a service"),
    "smoke_test.probe.unwritten": Metric("gauge", "", "Results that the history has not taken yet"),
}


def of_runs(name: str) -> bool:
    """Whether a metric is of whole runs or of the probe itself only, and of no check."""
    return name.startswith("smoke_test.probe.") or name in {"smoke_test.budget_used", "smoke_test.test"}
