"""Where a verdict goes: through the redactor into the run's report, and from there to every reader of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from probes.errors import SmokeprobeError
from probes.model import LimitUse, Outcome, Reason, RequestCount, RunReport, Verdict, worst
from probes.safety.redact import Redactor

if TYPE_CHECKING:
    from rich.console import Console

    from probes.reports.github import CommandStop
    from probes.reports.progress import Progress

PASSED, FAILED, INCONCLUSIVE = 0, 1, 3
"""Exit codes of a run; 2 is a usage or configuration mistake, 128 + n a signal."""

_VERDICT = TypeAdapter(Verdict)


def encode(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a Locust message can carry it."""
    return dict(_VERDICT.dump_python(verdict, mode="json"))


def encode_briefly(verdict: Verdict) -> str:
    """A verdict as JSON, in ASCII and without what is as by default; `decode` reads that too."""
    return json.dumps(_VERDICT.dump_python(verdict, mode="json", exclude_defaults=True), separators=(",", ":"))


def decode(message: Mapping[str, Any]) -> Verdict:
    """The inverse of `encode`. Raises pydantic's ValidationError for anything else."""
    return _VERDICT.validate_python(message)


def exit_code(verdicts: tuple[Verdict, ...], *, allow_degraded: bool) -> int:
    """What a run's verdicts come to: a failure counts before what could not be judged."""
    counted = [verdict.outcome for verdict in verdicts if not verdict.configured_out]
    bad = {Outcome.FAILED} if allow_degraded else {Outcome.FAILED, Outcome.DEGRADED}
    if bad & set(counted):
        return FAILED
    unjudged = {Outcome.THROTTLED, Outcome.ERROR, Outcome.SKIPPED}
    return INCONCLUSIVE if unjudged & set(counted) or not counted else PASSED


def outcome_of(verdicts: tuple[Verdict, ...]) -> Outcome:
    """The outcome of a whole run, in step with its exit code: skipped checks keep it from having passed."""
    counted = [verdict.outcome for verdict in verdicts if not verdict.configured_out]
    outcome = worst(counted)
    return Outcome.SKIPPED if outcome is Outcome.PASSED and Outcome.SKIPPED in counted else outcome


@dataclass(frozen=True, slots=True)
class Readers:
    """Where the report goes; empty paths are not written."""

    json_file: str = ""
    junit_file: str = ""
    html_file: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run besides its verdicts."""

    run_id: str
    env: str
    region: str
    target: str
    started_at: str
    duration_s: float
    rate_limits: tuple[LimitUse, ...]
    requests: RequestCount
    notes: tuple[str, ...] = ()
    signal: int = 0
    region_verified: bool = False


LONGEST_RULE, LONGEST_VALUE, LONGEST_ID = 300, 120, 80
"""Characters that a report has room for."""


def presentable(verdict: Verdict, redactor: Redactor) -> Verdict:
    """A verdict without secrets, and then without what is too long: the other way round, half a secret would stay."""
    clean = redactor.deep(verdict)
    steps = tuple(replace(step, reason=_cut(step.reason)) for step in clean.steps)
    return replace(
        clean, reason=_cut(clean.reason), steps=steps, target_version=_shortened(clean.target_version, LONGEST_ID)
    )


def _cut(reason: Reason | None) -> Reason | None:
    if reason is None:
        return None
    return replace(
        reason,
        step=_shortened(reason.step, LONGEST_RULE),
        rule=_shortened(reason.rule, LONGEST_RULE),
        expected=_shortened(reason.expected, LONGEST_VALUE),
        actual=_shortened(reason.actual, LONGEST_VALUE),
        request_id=_shortened(reason.request_id, LONGEST_ID),
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class Pipeline:
    """Collects the verdicts of one run, each once, and makes the report. Nothing unredacted leaves it."""

    def __init__(self, checks: tuple[str, ...], redactor: Redactor, progress: Progress) -> None:
        self._checks, self._redactor, self._progress = checks, redactor, progress
        self._verdicts: dict[str, Verdict] = {}

    def accept(self, verdict: Verdict) -> Verdict:
        """Take in a verdict, and return it redacted; of several of one check, as in a long run, the last one counts."""
        clean = presentable(verdict, self._redactor)
        self._verdicts[verdict.check] = clean
        self._progress.finished(clean)
        return clean

    def forget(self) -> None:
        """Begin another run: no check has its verdict yet."""
        self._verdicts.clear()

    @property
    def missing(self) -> tuple[str, ...]:
        """Checks that have no verdict yet."""
        return tuple(name for name in self._checks if name not in self._verdicts)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, in the configuration's order."""
        return tuple(self._verdicts[name] for name in self._checks if name in self._verdicts)

    def report(self, facts: RunFacts, *, allow_degraded: bool) -> RunReport:
        """The report of all verdicts."""
        verdicts = self.verdicts
        code = exit_code(verdicts, allow_degraded=allow_degraded)
        report = RunReport(
            run_id=facts.run_id,
            env=facts.env,
            region=facts.region,
            target=facts.target,
            started_at=facts.started_at,
            duration_s=facts.duration_s,
            outcome=outcome_of(verdicts),
            exit_code=128 + facts.signal if facts.signal else code,
            verdicts=verdicts,
            rate_limits=facts.rate_limits,
            requests=facts.requests,
            notes=facts.notes,
            region_verified=facts.region_verified,
        )
        return self._redactor.report(report)

    def with_sinks(
        self, report: RunReport, sinks: Mapping[str, Mapping[str, int]], troubles: tuple[str, ...]
    ) -> RunReport:
        """The report with what the monitoring services have taken, and what is wrong with them."""
        return self.with_notes(replace(report, sinks=sinks), *troubles)

    def with_notes(self, report: RunReport, *said: str) -> RunReport:
        """The report with what is to be said besides."""
        return replace(report, notes=(*report.notes, *map(self._redactor.text, said)))


def publish(
    report: RunReport,
    readers: Readers,
    console: Console,
    commands: CommandStop,
    environ: Mapping[str, str] = os.environ,
) -> RunReport:
    """Show and write a report. One that cannot be written is said, and makes a passed run inconclusive."""
    from probes.reports import terminal

    troubles = _write(report, readers)
    if troubles:
        code = report.exit_code or INCONCLUSIVE
        report = replace(report, exit_code=code, notes=(*report.notes, *troubles))
    terminal.print_report(console, report)
    for trouble in _summarise(report, environ):
        console.print(trouble)
    commands.annotate(report)
    return report


def hand_over(report: RunReport, readers: Readers, environ: Mapping[str, str]) -> list[str]:
    """Write a report to its files and the job's summary, and nothing on the console; what cannot be written."""
    return [*_write(report, readers), *_summarise(report, environ)]


def _write(report: RunReport, readers: Readers) -> list[str]:
    return [trouble for write in _writers(readers) if (trouble := _try(write, report))]


def _summarise(report: RunReport, environ: Mapping[str, str]) -> list[str]:
    from probes.reports import github

    trouble = _try(lambda done: github.write_summary(done, environ), report)
    return [trouble] if trouble else []


def _writers(readers: Readers) -> list[Callable[[RunReport], None]]:
    """One writer for each file that was asked for; a format is imported only then."""
    writers: list[Callable[[RunReport], None]] = []
    if readers.json_file:
        from probes.reports.json_report import write_json

        writers.append(lambda report: write_json(Path(readers.json_file), report))
    if readers.junit_file:
        from probes.reports.junit import write_junit

        writers.append(lambda report: write_junit(Path(readers.junit_file), report))
    if readers.html_file:
        from probes.reports.html import write_html

        writers.append(lambda report: write_html(Path(readers.html_file), report))
    return writers


def _try(write: Callable[[RunReport], None], report: RunReport) -> str:
    try:
        write(report)
    except SmokeprobeError as problem:
        return str(problem)
    return ""
