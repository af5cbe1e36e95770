"""The run as JUnit XML, as CI systems read it: one suite a run, one case a check."""

from __future__ import annotations

import io
import re
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from probes.files import write_atomically
from probes.model import Outcome, RunReport, Verdict
from probes.reports.wording import advice, headline, milliseconds, reasons

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, report: RunReport) -> None:
    """Write `report` to `path`.

    Raises:
        SmokeprobeError: the file cannot be written.
    """
    buffer = io.BytesIO()
    _suites(report).write(buffer, pretty=True)
    write_atomically(path, buffer.getvalue())


def _suites(report: RunReport) -> JUnitXml:
    suite = TestSuite(_xml(f"smokeprobe {report.env} {report.region}"))
    suite.timestamp = _xml(report.started_at)
    for name, value in (
        ("run_id", report.run_id),
        ("env", report.env),
        ("region", report.region),
        ("region_verified", str(report.region_verified).lower()),
        ("target", report.target),
        ("outcome", str(report.outcome)),
        ("exit_code", str(report.exit_code)),
        ("summary", headline(report)),
    ):
        suite.add_property(name, _xml(value))
    for verdict in report.verdicts:
        suite.add_testcase(_case(verdict, f"smokeprobe.{report.env}.{report.region}"))
    suites = JUnitXml("smokeprobe")
    suites.add_testsuite(suite)
    suites.update_statistics()  # type: ignore[no-untyped-call]  # junitparser is typed in part
    suites.time = suite.time = round(report.duration_s, 3)  # the checks' times do not add up to that of the run
    return suites


def _case(verdict: Verdict, classname: str) -> TestCase:
    case = TestCase(_xml(verdict.check), _xml(classname), round(verdict.duration_s, 3))
    result = _result(verdict)
    if result is not None:
        result.text = _xml(_why(verdict))
        case.result = [result]
    case.system_out = _xml(_steps(verdict))
    return case


def _result(verdict: Verdict) -> Failure | Error | Skipped | None:
    message = _xml(str(verdict.reason)) if verdict.reason else str(verdict.outcome)
    kind = str(verdict.outcome)
    match verdict.outcome:
        case Outcome.FAILED | Outcome.DEGRADED:
            return Failure(message, kind)
        case Outcome.THROTTLED | Outcome.ERROR:
            return Error(message, kind)
        case Outcome.SKIPPED:
            return Skipped(message, kind)
        case Outcome.PASSED:
            return None


def _why(verdict: Verdict) -> str:
    return "\n".join(f"{reason}\n{advice(outcome, reason)}".strip() for outcome, reason in reasons(verdict))


def _steps(verdict: Verdict) -> str:
    flaky = " (flaky)" if verdict.flaky else ""
    lines = [f"{verdict.check}: {verdict.outcome}, attempts: {verdict.attempts}{flaky}"]
    for step in verdict.steps:
        took = milliseconds(step.duration_ms if step.judged_ms is None else step.judged_ms)
        limit = f" of at most {milliseconds(step.limit_ms)}" if took and step.limit_ms is not None else ""
        lines.append(f"  {step.outcome:<9} {step.name}{f'  {took}{limit}' if took else ''}")
    return "\n".join(lines)


def _xml(text: str) -> str:
    """`text` without the characters that no XML document can hold, however escaped."""
    return _NOT_XML.sub("?", text)
