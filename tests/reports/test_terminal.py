"""The report on a terminal: whole at 80 columns, without colour and without UTF-8."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from probes.model import Outcome, RunReport
from probes.reports.terminal import print_report
from tests.reports import sample


def _printed(report: RunReport, width: int = 80, encoding: str = "utf-8", *, color: bool = False) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None)
    print_report(console, report)
    stream.flush()
    return raw.getvalue().decode(encoding)


def _words(text: str) -> str:
    return " ".join(text.split())


def test_a_passed_run_in_full() -> None:
    assert [line.rstrip() for line in _printed(sample.PASSED).splitlines()] == [
        "",
        "smokeprobe https://shop.example.com (production, us-east-1)",
        "run 01JHX3-7Q, 2024-01-27T10:00:00Z, took 2.1 s",
        "",
        "check, its steps               outcome                        time    limit",
        "───────────────────────────────────────────────────────────────────────────",
        "✓ health                       passed                        31 ms",
        "    GET /health                                             3.1 ms   100 ms",
        "    GET /api/v1/status                                       14 ms   100 ms",
        "✓ homepage                     passed                        1.2 s",
        "    page /                                                  612 ms   3.00 s",
        "    elements",
        "    console",
        "✓ enhancement                  passed (flaky), 2 attempts    0.4 s",
        "    POST /api/v1/enhance                                    120 ms",
        "✓ login                        passed                        0.9 s",
        "    POST /api/v1/auth/login                                  80 ms   500 ms",
        "    POST /api/v1/auth/logout                                6.0 ms   500 ms",
        "✓ api                          passed                        50 ms",
        "    GET /api/v1/test                                        8.0 ms   200 ms",
        "",
        "version      1.2.3",
        "certificate  54 days left",
        "budget       enhance: peak 1, 1.0 % of 100 per 60 s (ceiling 9 per 60 s)",
        "budget       burst: peak 1, 5.0 % of 10 per 1 s (ceiling 1 every 2 s)",
        "requests     31 sent (GET 27, POST 4), 4 kept back by the guard",
        "sink         datadog: sent 120, dropped 2",
        "note         The clock of this machine is 3 s ahead of the target's.",
        "",
        "passed: all 5 checks passed in 2.1 s",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("report", [sample.MIXED, sample.hostile(), sample.EMPTY], ids=["mixed", "hostile", "empty"])
def test_it_fits_any_width_and_encoding(report: RunReport, encoding: str, width: int) -> None:
    text = _printed(report, width, encoding)
    assert max(map(len, text.splitlines())) <= width
    assert not {"\x1b", "\r", "\x00", "\u202e"} & set(text)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_reason_is_there_in_words(encoding: str) -> None:
    text = _words(_printed(sample.MIXED, encoding=encoding))
    for part in (
        "health failed: GET /api/v1/status (http): status code expected 200, got 503 request 6ba7b810",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 Look the request up in the target's log",
        "left out homepage (by --no-browser)",
        "login error: login (account): the account basic is locked until 2024-01-27T10:30:00Z See whether",
        "got 429, retry after 60 s The target asked for fewer requests",
        "api degraded: GET /api/v1/test (http): time to first byte expected at most 200 ms, got 312 ms",
        "GET /api/v1/test degraded 312 ms 200 ms"
        if encoding == "utf-8"
        else "GET /api/v1/test | degraded | 312 ms | 200 ms",
    ):
        assert part in text, part


def test_colours_are_used_where_there_are_some_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in _printed(sample.FAILED, color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in _printed(sample.FAILED, color=True)


def test_brackets_are_no_markup() -> None:
    verdict = replace(sample.FAILED_HEALTH, reason=replace(sample.BROKEN, actual="[red]x[/red] [redacted: token]"))
    assert "got [red]x[/red] [redacted: token]" in _printed(sample.report(Outcome.FAILED, 1, verdict))


def test_a_second_reason_is_told_too() -> None:
    verdict = replace(sample.FAILED_HEALTH, steps=(replace(sample.FAILED_HEALTH.steps[0], reason=sample.SLOW),))
    text = _printed(sample.report(Outcome.FAILED, 1, verdict))
    assert "status code" in text
    assert "time to first byte" in text


def test_what_helps_against_several_reasons_of_a_check_is_said_once() -> None:
    again = replace(sample.BROKEN, step="GET /health")
    verdict = replace(sample.FAILED_HEALTH, steps=(replace(sample.FAILED_HEALTH.steps[0], reason=again),))
    text = _words(_printed(sample.report(Outcome.FAILED, 1, verdict, replace(verdict, check="other"))))
    assert (text.count("GET /health (http): status code"), text.count("Look the request up")) == (2, 2)


def test_an_expired_certificate_is_said() -> None:
    verdict = replace(sample.HEALTH, certificate_days=-2.0)
    assert "certificate  expired" in _printed(sample.report(Outcome.FAILED, 1, verdict))


def test_a_region_that_nothing_bears_out() -> None:
    assert "(production, us-east-1 (unverified))" in _printed(replace(sample.PASSED, region_verified=False))
