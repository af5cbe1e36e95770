"""`health`: the target says of itself and of its services that they are healthy, and says so now (P1, P6)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

from pydantic import Field

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import HttpRequest, json_object, judged_by, number_at, text_at
from probes.checks.expect import json_finding as at_path
from probes.checks.finding import Finding, degraded, failed
from probes.checks.probe import Probe
from probes.clients.http import Response
from probes.config.models import CheckOptions, Strict
from probes.config.units import Duration, Fraction, show_duration
from probes.model import Layer

LARGEST_AGE_S = 2**31
"""More than that a cache does not count (RFC 9111, 1.2.2)."""


class Performance(Strict):
    """What the status answer tells of the inside, and how far that may go (P6)."""

    database_query: Duration = 0.5
    cache_hit_rate: Fraction = 0.5
    error_rate: Fraction = 0.05


class HealthEndpoint(HttpRequest):
    """One health address. `services` must each be `healthy_word` under `services.` of the body."""

    healthy_word: str = "healthy"
    services: tuple[str, ...] = ()
    max_age: Duration | None = None
    performance: Performance | None = None


class HealthOptions(CheckOptions):
    """Health addresses by name."""

    endpoints: Annotated[dict[str, HealthEndpoint], Field(min_length=1)]


class HealthCheck(Check[HealthOptions]):
    """Every health address says healthy, for itself and for each named service."""

    kind = "health"
    Options = HealthOptions

    def calls(self) -> tuple[PlannedCall, ...]:
        """One call for each address."""
        return tuple(PlannedCall(spec.method, spec.path) for spec in self.options.endpoints.values())

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """One for each address."""
        return {name: ("endpoints", name, "within") for name in self.options.endpoints}

    def attempt(self, probe: Probe) -> None:
        """Ask each address."""
        for name, spec in self.options.endpoints.items():
            self._ask(probe, name, spec)

    def _ask(self, probe: Probe, name: str, spec: HealthEndpoint) -> None:
        general = judged_by(spec, self.settings.target)

        def judge(response: Response) -> Iterator[Finding]:
            found = list(general(response))
            yield from found
            if not found and (spec.services or spec.max_age or spec.performance):
                body = json_object(response)
                for service in spec.services:
                    yield from at_path(body, f"services.{service}", spec.healthy_word, show=True)
                if spec.max_age is not None:
                    yield from _freshness(body, response, spec.max_age)
                if spec.performance:
                    probe.metrics.update(measured(body, response))
                    yield from _performance(probe.metrics, spec.performance)
                probe.target_version = text_at(body, "version") or probe.target_version

        probe.get(name, spec.path, judge, spec.within, status=None)


def _freshness(body: dict[str, Any], response: Response, max_age_s: float) -> Iterator[Finding]:
    """How old the answer's `timestamp` is by the target's own clock, so that ours does not matter."""
    stamp = _moment(text_at(body, "timestamp"))
    if stamp is None:
        yield failed("timestamp is missing or not a time")
        return
    age = abs((_now(response) - stamp).total_seconds())
    if age > max_age_s:
        yield failed("timestamp is not fresh", f"at most {show_duration(max_age_s)} old", show_duration(age))


def _now(response: Response) -> dt.datetime:
    """`Date`, and where the answer comes out of a cache, what it has spent there since; our own clock without it."""
    try:
        made = _aware(parsedate_to_datetime(response.headers.get("date", "")))
        return made + dt.timedelta(seconds=_age_s(response.headers.get("age", "")))
    except (ValueError, TypeError, OverflowError):
        return dt.datetime.now(dt.UTC)


def _age_s(header: str) -> int:
    """Whole seconds in a cache; of several the first counts, what is unreadable is ignored (RFC 9111, 5.1)."""
    first = header.partition(",")[0].strip()
    return min(int(first), LARGEST_AGE_S) if re.fullmatch(r"[0-9]{1,20}", first) else 0


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return _aware(moment)


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def measured(body: dict[str, Any], response: Response) -> dict[str, float]:
    """P6 as the target reports it: from the status body, and where that is silent from Server-Timing (W3C)."""
    values = {
        "db_query_time_ms": number_at(body, "metrics.database_query_ms"),
        "cache_hit_rate": number_at(body, "metrics.cache_hit_rate"),
        "error_rate": number_at(body, "metrics.error_rate"),
    }
    timing = response.headers.get("server-timing", "")
    if match := re.search(r"(?:^|,)\s*db\b[^,]*?;\s*dur=(\d+(?:\.\d+)?)", timing):
        values["db_server_timing_ms"] = float(match[1])
        if values["db_query_time_ms"] is None:
            values["db_query_time_ms"] = float(match[1])
    if match := re.search(r'(?:^|,)\s*cache\b[^,]*?;\s*desc="?(hit|miss)\b', timing):
        values["cache_hit"] = 1.0 if match[1] == "hit" else 0.0
    return {name: value for name, value in values.items() if value is not None}


def _performance(values: dict[str, float], limits: Performance) -> Iterator[Finding]:
    times = [values[name] for name in ("db_query_time_ms", "db_server_timing_ms") if name in values]
    if not times:
        yield failed("the database query time is missing (status body and Server-Timing)")
    elif max(times) > limits.database_query * 1000.0:
        wanted = f"at most {show_duration(limits.database_query)}"
        yield degraded("database query time", wanted, f"{max(times):.0f} ms", Layer.BODY)
    if (hits := values.get("cache_hit_rate")) is None:
        yield failed("metrics.cache_hit_rate is missing")
    elif hits < limits.cache_hit_rate:
        yield degraded("cache hit rate", f"at least {limits.cache_hit_rate:g}", f"{hits:g}", Layer.BODY)
    if (errors := values.get("error_rate")) is None:
        yield failed("metrics.error_rate is missing")
    elif errors > limits.error_rate:
        yield degraded("error rate", f"at most {limits.error_rate:g}", f"{errors:g}", Layer.BODY)
