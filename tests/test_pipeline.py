"""From verdicts to an exit code, a report and its readers."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from probes.model import Layer, Outcome, Reason, RequestCount, RunReport, Step, Verdict
from probes.pipeline import (
    LONGEST_RULE,
    Pipeline,
    Readers,
    RunFacts,
    decode,
    encode,
    exit_code,
    presentable,
    publish,
)
from probes.reports.github import CommandStop
from probes.reports.progress import live
from probes.safety.redact import Redactor

LEFT_OUT = Verdict("homepage", Outcome.SKIPPED, configured_out=True)


def verdicts(*outcomes: Outcome) -> tuple[Verdict, ...]:
    return tuple(Verdict(f"check-{number}", outcome) for number, outcome in enumerate(outcomes))


@pytest.mark.parametrize(
    ("outcomes", "code", "code_if_degraded_is_allowed"),
    [
        ((Outcome.PASSED, Outcome.PASSED), 0, 0),
        ((Outcome.PASSED, Outcome.DEGRADED), 1, 0),
        ((Outcome.PASSED, Outcome.FAILED), 1, 1),
        ((Outcome.FAILED, Outcome.THROTTLED), 1, 1),
        ((Outcome.DEGRADED, Outcome.ERROR), 1, 3),
        ((Outcome.PASSED, Outcome.THROTTLED), 3, 3),
        ((Outcome.PASSED, Outcome.ERROR), 3, 3),
        ((Outcome.PASSED, Outcome.SKIPPED), 3, 3),
    ],
)
def test_exit_codes(outcomes: tuple[Outcome, ...], code: int, code_if_degraded_is_allowed: int) -> None:
    assert exit_code(verdicts(*outcomes), allow_degraded=False) == code
    assert exit_code(verdicts(*outcomes), allow_degraded=True) == code_if_degraded_is_allowed


def test_what_is_left_out_changes_no_code_but_a_run_of_nothing_is_no_pass() -> None:
    assert exit_code((*verdicts(Outcome.PASSED), LEFT_OUT), allow_degraded=False) == 0
    assert exit_code((LEFT_OUT,), allow_degraded=False) == 3


def test_a_verdict_survives_the_way_through_a_message() -> None:
    reason = Reason("edge", Layer.BODY, "rule", "1", "2", "id", "trace")
    step = Step("edge", Outcome.FAILED, 1.5, 1.0, 100.0, reason=reason, bytes_received=3)
    verdict = Verdict(
        "health", Outcome.FAILED, 3, reason=reason, steps=(step,), metrics={"x": 1.0}, certificate_days=3.5
    )
    assert decode(json.loads(json.dumps(encode(verdict)))) == verdict


@pytest.mark.parametrize("before", [60, 75, 100, 118, 290, 299, 4000])
def test_a_text_is_cut_after_it_was_redacted(before: int) -> None:
    secret = "planted-secret-of-forty-characters-and-on"
    redactor = Redactor()
    redactor.learn(secret)
    text = "x " * (before // 2) + secret + " and more" * 40
    reason = Reason("step", Layer.BODY, text, text, text, text)
    shown = presentable(Verdict("c", Outcome.FAILED, reason=reason, target_version=text), redactor)
    assert shown.reason is not None
    for part in (shown.reason.rule, shown.reason.expected, shown.reason.actual, shown.target_version):
        assert secret[:4] not in part
        assert len(part) <= 300
    assert len(shown.reason.request_id) <= 80


def pipeline(redactor: Redactor) -> Pipeline:
    return Pipeline(("health", "api"), redactor, live(Console(file=StringIO()), ("health", "api")))


def facts(signal: int = 0) -> RunFacts:
    return RunFacts(
        "run", "local", "local", "http://127.0.0.1:1", "2026-01-01T00:00:00Z", 1.0, (), RequestCount(), (), signal
    )


def test_nothing_unredacted_comes_out() -> None:
    redactor = Redactor()
    redactor.learn("hunter2-secret", "password")
    pipe = pipeline(redactor)
    pipe.accept(Verdict("health", Outcome.FAILED, reason=Reason("edge", Layer.BODY, "said hunter2-secret")))
    pipe.accept(Verdict("api", Outcome.PASSED))
    shown = str(pipe.report(facts(), allow_degraded=False))
    assert "hunter2" not in shown
    assert "[redacted: password]" in shown
    told = pipe.with_sinks(pipe.report(facts(), allow_degraded=False), {}, ("datadog: refused hunter2-secret",))
    assert told.notes == ("datadog: refused [redacted: password]",)


def test_the_report_has_the_order_of_the_configuration_and_knows_what_is_missing() -> None:
    pipe = pipeline(Redactor())
    assert list(pipe.missing) == ["health", "api"]
    pipe.accept(Verdict("api", Outcome.PASSED))
    assert list(pipe.missing) == ["health"]
    pipe.accept(Verdict("health", Outcome.PASSED))
    report = pipe.report(facts(), allow_degraded=False)
    assert [verdict.check for verdict in report.verdicts] == ["health", "api"]
    assert report.exit_code == 0


def test_a_signal_decides_the_exit_code() -> None:
    pipe = pipeline(Redactor())
    pipe.accept(Verdict("health", Outcome.FAILED))
    assert pipe.report(facts(signal=15), allow_degraded=False).exit_code == 143


def published(readers: Readers) -> tuple[RunReport, str]:
    pipe = pipeline(Redactor())
    pipe.accept(Verdict("health", Outcome.PASSED))
    console = Console(file=StringIO(), width=100)
    report = publish(pipe.report(facts(), allow_degraded=False), readers, console, CommandStop({}, StringIO()), {})
    assert isinstance(console.file, StringIO)
    return report, console.file.getvalue()


def test_every_reader_that_was_asked_for_gets_its_file(tmp_path: Path) -> None:
    readers = Readers(*(str(tmp_path / name) for name in ("r.json", "r.xml", "r.html")))
    report, shown = published(readers)
    assert report.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json", "r.xml"]
    assert "passed" in shown


def test_a_report_that_cannot_be_written_is_said_and_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report, shown = published(Readers(json_file=str(tmp_path / "file" / "r.json")))
    assert report.exit_code == 3
    assert "r.json" in shown


def test_a_step_of_a_worker_that_lies_is_cut_too() -> None:
    long = "x" * 10_000
    verdict = Verdict("api", Outcome.FAILED, reason=Reason(long, Layer.HTTP, "wrong"))
    shown = presentable(verdict, Redactor()).reason
    assert shown is not None
    assert len(shown.step) == LONGEST_RULE
