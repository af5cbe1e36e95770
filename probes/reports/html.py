"""The run as one HTML file that needs nothing else: no network, no script. For people, on a screen or a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from probes.files import write_atomically
from probes.model import LimitUse, Outcome, Phases, RunReport, Step, Verdict
from probes.reports.pages import templates
from probes.reports.wording import advice, ceiling, duration, milliseconds, place, reasons, summary, times, title

_PHASES = {
    "dns_ms": "DNS",
    "connect_ms": "connect",
    "tls_ms": "TLS",
    "ttfb_ms": "first byte",
    "download_ms": "download",
}
_LIMIT_MARK = 80.0  # where on its bar a step's limit stands, in per cent: there is room to see that it was passed


@dataclass(frozen=True, slots=True)
class _Bar:
    """A time beside its limit; widths in per cent of the whole bar."""

    text: str
    limit: str
    width: float
    mark: float
    over: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    """One phase of a request: `css` is its class, `width` its share of the phases in per cent."""

    css: str
    name: str
    text: str
    width: float


def write_html(path: Path, report: RunReport) -> None:
    """Write `report` to `path`.

    Raises:
        SmokeprobeError: the file cannot be written.
    """
    write_atomically(path, to_html(report))


def to_html(report: RunReport) -> str:
    """`report` as an HTML document. Everything in it is escaped, so that nothing a target wrote becomes markup."""
    environment = templates()
    environment.filters.update(duration=duration)
    return environment.get_template("report.html.j2").render(
        report=report,
        title=title(report),
        summary=summary(report),
        state=str(Outcome.PASSED if report.exit_code == 0 else report.outcome),
        place=place(report),
        phases={_css(name): label for name, label in _PHASES.items()},
        counts=_counts(report),
        advice=advice,
        ceiling=ceiling,
        reasons=reasons,
        bar=_bar,
        slices=_slices,
        certificate=_certificate,
        meter=_meter,
    )


def _counts(report: RunReport) -> list[tuple[str, int]]:
    outcomes = [verdict.outcome for verdict in report.verdicts]
    return [(str(outcome), outcomes.count(outcome)) for outcome in Outcome if outcome in outcomes]


def _bar(step: Step) -> _Bar | None:
    """A limit stands at the same place on every bar, unless the time went far beyond it."""
    took = step.duration_ms if step.judged_ms is None else step.judged_ms
    if took is None:
        return None
    if not step.limit_ms:
        return _Bar(milliseconds(took), "", 0.0, 0.0, over=False)
    whole = max(step.limit_ms * 100 / _LIMIT_MARK, took)
    return _Bar(
        milliseconds(took),
        milliseconds(step.limit_ms),
        width=100 * took / whole,
        mark=100 * step.limit_ms / whole,
        over=took > step.limit_ms,
    )


def _slices(phases: Phases) -> list[_Slice]:
    return list(_each_slice(phases))


def _each_slice(phases: Phases) -> Iterator[_Slice]:
    known = {field.name: value for field in fields(phases) if (value := getattr(phases, field.name)) is not None}
    whole = sum(known.values())
    for name, value in known.items():
        yield _Slice(_css(name), _PHASES[name], milliseconds(value), 100 * value / whole if whole else 0.0)


def _css(phase: str) -> str:
    return phase.removesuffix("_ms")


def _certificate(verdict: Verdict) -> str:
    days = verdict.certificate_days
    if days is None:
        return ""
    return f"certificate: {times(int(days), 'day')} left" if days >= 0 else "certificate: expired"


def _meter(use: LimitUse) -> float:
    """How much of the ceiling the peak took, in per cent; a spacing (a ceiling below 1) is full with one request."""
    return min(100.0, 100 * use.peak / max(use.ceiling, 1.0))
