"""The run in GitHub Actions: a job summary in Markdown, and annotations."""

import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from probes.errors import SmokeprobeError
from probes.model import Outcome, Reason, RunReport, Verdict
from probes.reports.wording import advice, ceiling, duration, headline, milliseconds, place, reasons, title

_ICONS: Mapping[Outcome, str] = {
    Outcome.PASSED: ":white_check_mark:",
    Outcome.DEGRADED: ":warning:",
    Outcome.FAILED: ":x:",
    Outcome.THROTTLED: ":hourglass:",
    Outcome.ERROR: ":grey_question:",
    Outcome.SKIPPED: ":heavy_minus_sign:",
}
_MEANINGFUL = frozenset("&<>\"'\\`*_{}[]()#+!|~$@:")
_MAX_SUMMARY = 1_000_000  # bytes; GitHub refuses a step's summary of more than 1 MiB as a whole


def write_summary(report: RunReport, environ: Mapping[str, str]) -> None:
    """Append the summary of `report` to the file that GITHUB_STEP_SUMMARY names; without one, do nothing.

    The file is GitHub's and may hold what earlier commands of the step wrote, so it is not replaced.

    Raises:
        SmokeprobeError: the file cannot be written.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = markdown(report).encode("utf-8", "replace")
    if len(text) > _MAX_SUMMARY:
        text = text[:_MAX_SUMMARY].decode("utf-8", "ignore").encode() + b"\n\nThe rest was too long.\n"
    try:
        with Path(path).open("ab") as file:
            file.write(text)
    except OSError as error:
        raise SmokeprobeError(f"cannot write the job summary {path}: {error.strerror or error}.") from error


def markdown(report: RunReport) -> str:
    """The report as GitHub's Markdown. Whatever the target wrote is shown as text and cannot be markup."""
    return "\n".join(_lines(report)) + "\n"


def annotations(report: RunReport) -> list[str]:
    """One workflow command for each check that is not `passed` and was not left out on purpose.

    One and not one a step, because GitHub shows ten of a kind and drops the others.
    """
    return [
        _annotation(verdict, *found[0])
        for verdict in report.verdicts
        if verdict.outcome is not Outcome.PASSED and not verdict.configured_out and (found := reasons(verdict))
    ]


class CommandStop:
    """Outside of annotations no line is a workflow command, whatever a target has us show; elsewhere it does nothing.

    By GitHub's own means: after `::stop-commands::WORD` its runner heeds nothing but `::WORD::`.
    """

    def __init__(self, environ: Mapping[str, str], stream: TextIO) -> None:
        self._on = environ.get("GITHUB_ACTIONS") == "true"
        self._word, self._stream = secrets.token_hex(16), stream
        self._stopped = False

    def stop(self) -> None:
        """Heed no commands from now on."""
        self._say(f"::stop-commands::{self._word}", stopped=True)

    def resume(self) -> None:
        """Heed them again; at the end of the process too, as other steps follow."""
        self._say(f"::{self._word}::", stopped=False)

    def annotate(self, report: RunReport) -> None:
        """Write the annotations."""
        if self._on:
            was_stopped = self._stopped
            self.resume()
            self._stream.writelines(f"{line}\n" for line in annotations(report))
            if was_stopped:
                self.stop()
            self._stream.flush()

    def _say(self, line: str, *, stopped: bool) -> None:
        if self._on and stopped != self._stopped:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            self._stopped = stopped


def _lines(report: RunReport) -> Iterator[str]:
    icon = _ICONS[Outcome.PASSED if report.exit_code == 0 else report.outcome]
    where = f": {_text(report.target)}" if report.target else ""
    yield f"### {icon} {_text(title(report))}{where}"
    yield ""
    yield _text(headline(report))
    yield ""
    if report.verdicts:
        yield "| check | outcome | slowest step | time | limit |"
        yield "|---|---|---|--:|--:|"
    for verdict in report.verdicts:
        yield _row(verdict)
    for verdict in report.verdicts:
        for outcome, reason in reasons(verdict):
            yield ""
            yield f"- **{_text(verdict.check)}** {outcome}: {_text(str(reason))}<br>{_text(advice(outcome, reason))}"
    yield ""
    if report.rate_limits:
        yield "| limit | peak | of | ceiling |"
        yield "|---|--:|--:|--:|"
        for use in report.rate_limits:
            peak = f"{use.peak} ({use.peak_percent:.1f} %)"
            yield f"| {_text(use.name)} | {peak} | {use.limit} per {use.window_s:g} s | {ceiling(use)} |"
        yield ""
    for note in report.notes:
        yield f"> {_text(note)}"
        yield ""
    where = f"{report.env}, {place(report)}, run {report.run_id}, {report.started_at}"
    yield f"<sub>{_text(where)}, took {duration(report.duration_s)}, {report.requests.sent} requests sent</sub>"
    yield ""


def _row(verdict: Verdict) -> str:
    timed = [(step.duration_ms if step.judged_ms is None else step.judged_ms, step) for step in verdict.steps]
    slowest = max(((took, step) for took, step in timed if took is not None), key=lambda pair: pair[0], default=None)
    tries = f", {verdict.attempts} attempts" if verdict.attempts > 1 else ""
    cells = [f"{_ICONS[verdict.outcome]} {_text(verdict.check)}", f"{verdict.outcome}{tries}"]
    if slowest is None:
        cells += ["", "", ""]
    else:
        cells += [_text(slowest[1].name), milliseconds(slowest[0]), milliseconds(slowest[1].limit_ms)]
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """`text` on one line, with every character that HTML or Markdown gives a meaning to as an entity."""
    return "".join(map(_character, text))


def _character(char: str) -> str:
    if char in _MEANINGFUL:
        return f"&#{ord(char)};"
    if char.isspace():
        return " "
    return "?" if unicodedata.category(char)[0] == "C" else char


def _annotation(verdict: Verdict, outcome: Outcome, reason: Reason) -> str:
    command = "error" if outcome is Outcome.FAILED else "warning"
    text = f"{reason}. {advice(outcome, reason)}".strip()
    return f"::{command} title={_property(f'{verdict.check} {outcome}')}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
