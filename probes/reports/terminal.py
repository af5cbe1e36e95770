"""The run on a terminal: the result as a table with sentences. It needs no colour, no UTF-8, and 80 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from probes.model import LimitUse, Outcome, Reason, RunReport, Step, Verdict
from probes.reports.wording import advice, ceiling, duration, headline, milliseconds, place, reasons, times

STYLES: Mapping[Outcome, str] = {
    Outcome.PASSED: "green",
    Outcome.DEGRADED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.THROTTLED: "magenta",
    Outcome.ERROR: "magenta",
    Outcome.SKIPPED: "dim",
}
_SYMBOLS = dict(zip(Outcome, "✓▲✗◷?–", strict=True))
_ASCII_SYMBOLS = dict(zip(Outcome, "+!x~?-", strict=True))


LEFT_OUT = "left out "
"""How the rule of a reason begins where nothing is wrong: the configuration or a flag says so."""


def symbol(outcome: Outcome, *, ascii_only: bool) -> str:
    """One character for an outcome, for the eye; the word always stands beside it."""
    return (_ASCII_SYMBOLS if ascii_only else _SYMBOLS)[outcome]


def clean(text: str, encoding: str) -> str:
    """`text` on one line, without what moves the cursor, turns the direction of writing or cannot be encoded."""
    shown = "".join(" " if char.isspace() else char if unicodedata.category(char)[0] != "C" else "?" for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def print_report(console: Console, report: RunReport) -> None:
    """Print `report` to `console`."""
    console.print(render(report))


def render(report: RunReport) -> RenderableType:
    """`report` as something that Rich can print."""
    return _View(report)


@dataclass(frozen=True, slots=True)
class _View:
    report: RunReport

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _Painter(self.report, console.encoding, ascii_only=options.ascii_only).parts()


@dataclass(frozen=True, slots=True)
class _Painter:
    report: RunReport
    encoding: str
    ascii_only: bool

    def parts(self) -> Iterator[RenderableType]:
        report = self.report
        yield ""
        yield self._text(f"smokeprobe {report.target} ({report.env}, {place(report)})", "bold")
        yield self._text(f"run {report.run_id}, {report.started_at}, took {duration(report.duration_s)}", "dim")
        yield ""
        if self._asked:
            yield self._table()
        for verdict in self._asked:
            advised: set[str] = set()
            for outcome, reason in reasons(verdict):
                if not reason.rule.startswith(LEFT_OUT):  # which is said below
                    told = advice(outcome, reason)
                    yield from self._reason(verdict, outcome, reason, "" if told in advised else told)
                    advised.add(told)
        yield ""
        yield self._facts()
        yield ""
        style = STYLES[Outcome.PASSED if report.exit_code == 0 else report.outcome]
        yield self._text(headline(report), f"bold {style}")

    @property
    def _asked(self) -> list[Verdict]:
        return [verdict for verdict in self.report.verdicts if not verdict.configured_out]

    def _text(self, text: str, style: str = "") -> Text:
        return Text(clean(text, self.encoding), style, overflow="fold")

    def _mark(self, outcome: Outcome) -> str:
        return symbol(outcome, ascii_only=self.ascii_only)

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False, show_edge=False)
        table.add_column("check, its steps", overflow="fold", min_width=24)
        table.add_column("outcome", overflow="fold", max_width=26)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("limit", justify="right", no_wrap=True)
        for verdict in self._asked:
            style = STYLES[verdict.outcome]
            table.add_row(
                self._text(f"{self._mark(verdict.outcome)} {verdict.check}", f"bold {style}"),
                self._text(_outcome_words(verdict), style),
                self._text(duration(verdict.duration_s) if verdict.steps else ""),
                "",
            )
            for step in verdict.steps:
                self._add_step(table, step)
        return table

    def _add_step(self, table: Table, step: Step) -> None:
        style = "" if step.outcome is Outcome.PASSED else STYLES[step.outcome]
        judged = step.duration_ms if step.judged_ms is None else step.judged_ms
        over = judged is not None and step.limit_ms is not None and judged > step.limit_ms
        name = self._text(step.name, style)
        table.add_row(
            Padding(name, (0, 0, 0, 4)),
            self._text("" if step.outcome is Outcome.PASSED else str(step.outcome), style),
            self._text(milliseconds(judged), style if over else ""),
            self._text(milliseconds(step.limit_ms), style if over else "dim"),
        )

    def _reason(self, verdict: Verdict, outcome: Outcome, reason: Reason, told: str) -> Iterator[RenderableType]:
        yield ""
        yield self._text(
            f"{self._mark(outcome)} {verdict.check} {outcome}: {reason.step} ({reason.layer}): {reason.rule}",
            STYLES[outcome],
        )
        lines = []
        if reason.expected or reason.actual:
            pairs = (("expected", reason.expected), ("got", reason.actual))
            lines.append(", ".join(f"{word} {value}" for word, value in pairs if value))
        ids = (("request", reason.request_id), ("trace", reason.trace_id))
        lines += [f"{word} {value}" for word, value in ids if value]
        if verdict.screenshot and reason == verdict.reason:
            lines.append(f"screenshot {verdict.screenshot}")
        lines.append(told)
        for line in filter(None, lines):
            yield Padding(self._text(line), (0, 0, 0, 4), expand=False)

    def _facts(self) -> Table:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        for name, fact in self._each_fact():
            facts.add_row(name, self._text(fact))
        return facts

    def _left_out(self) -> dict[str, list[str]]:
        """The checks, and steps of them, that the configuration or a flag leaves out, by why."""
        found: dict[str, list[str]] = {}
        for verdict in self.report.verdicts:
            if verdict.configured_out:
                why = verdict.reason.rule.removeprefix(LEFT_OUT) if verdict.reason else "skipped"
                found.setdefault(why, []).append(verdict.check)
            for step in verdict.steps:
                if step.reason is not None and step.reason.rule.startswith(LEFT_OUT):
                    why = step.reason.rule.removeprefix(LEFT_OUT)
                    found.setdefault(why, []).append(f"{verdict.check}'s {step.name}")
        return found

    def _each_fact(self) -> Iterator[tuple[str, str]]:
        report = self.report
        for why, names in self._left_out().items():
            yield "left out", f"{', '.join(names)} ({why})"
        versions = sorted({verdict.target_version for verdict in report.verdicts if verdict.target_version})
        if versions:
            yield "version", ", ".join(versions)
        days = [verdict.certificate_days for verdict in report.verdicts if verdict.certificate_days is not None]
        if days:
            yield "certificate", f"{times(int(min(days)), 'day')} left" if min(days) >= 0 else "expired"
        for use in report.rate_limits:
            yield "budget", _budget(use)
        requests = report.requests
        methods = ", ".join(f"{method} {count}" for method, count in requests.by_method.items())
        blocked = f", {requests.blocked} kept back by the guard" if requests.blocked else ""
        yield "requests", f"{requests.sent} sent{f' ({methods})' if methods else ''}{blocked}"
        for name, counts in report.sinks.items():
            yield "sink", f"{name}: {', '.join(f'{what} {count}' for what, count in counts.items())}"
        for note in report.notes:
            yield "note", note


def _outcome_words(verdict: Verdict) -> str:
    if verdict.attempts > 1:
        flaky = " (flaky)" if verdict.flaky else ""
        return f"{verdict.outcome}{flaky}, {times(verdict.attempts, 'attempt')}"
    return str(verdict.outcome)


def _budget(use: LimitUse) -> str:
    share = f"{use.peak_percent:.1f} % of {use.limit} per {use.window_s:g} s"
    return f"{use.name}: peak {use.peak}, {share} (ceiling {ceiling(use)})"
