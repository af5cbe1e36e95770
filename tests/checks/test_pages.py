"""What a page and its calls are answered, and what becomes of it: the same as for any other request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.clients.browser import Browser
from probes.errors import NoBudgetError
from probes.model import Outcome, Verdict
from tests.checks.stage import Stage, outcomes, reason
from tests.clients.browser_help import Answer, Recorder, recorder, rules, start

HOME = Answer("<h1>Home</h1><script>fetch('/data')</script>")
EDGE = {"throttled_when": [{"status": 503, "content_type": "text/html"}]}
LIMITS = {"site": {"allows": "10000 per 60s", "key": "ip", "covers": ["GET /", "GET /data"]}}
JSON = "application/json"
ASKED = "the target asks us to slow down"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Recorder, Browser]]:
    with recorder() as server, start(rules(server.origin)) as browser:
        yield server, browser


@pytest.fixture
def server(running: tuple[Recorder, Browser]) -> Recorder:
    running[0].reset()
    return running[0]


@pytest.fixture
def stage(running: tuple[Recorder, Browser], server: Recorder, tmp_path: Path) -> Stage:
    return Stage(tmp_path, server.origin, browser=running[1])


def visit(stage: Stage, **parts: Any) -> Verdict:
    return stage.run({"attempts": 1, "api_calls": ["GET /data"]}, "homepage", limits=LIMITS, **parts)


@pytest.mark.parametrize(
    ("path", "answer", "outcome", "why"),
    [
        ("/", Answer(status=503), Outcome.THROTTLED, f"load (http): {ASKED}: /: 503"),
        ("/", Answer(status=503, kind="Text/HTML; charset=utf-8"), Outcome.THROTTLED, f"load (http): {ASKED}: /: 503"),
        ("/", Answer("{}", JSON, status=503), Outcome.FAILED, "load (http): the page answered 503"),
        ("/", Answer("<h1>Bad Gateway</h1>", status=502), Outcome.FAILED, "load (http): the page answered 502"),
        ("/data", Answer(status=503), Outcome.THROTTLED, f"load (http): {ASKED}: /data: 503"),
        ("/data", Answer(status=429, kind=JSON), Outcome.THROTTLED, f"load (http): {ASKED}: /data: 429"),
        (
            "/data",
            Answer(status=503, kind=JSON),
            Outcome.FAILED,
            "console (browser): errors on the console; expected 0, got 1",
        ),
    ],
)
def test_the_edges_own_refusal_is_known_by_status_and_content_type(
    server: Recorder, stage: Stage, path: str, answer: Answer, outcome: Outcome, why: str
) -> None:
    server.pages |= {"/": HOME, "/data": Answer("{}", JSON), path: answer}
    verdict = visit(stage, **EDGE)
    assert (verdict.outcome, reason(verdict)) == (outcome, why)


def test_without_a_rule_a_503_is_the_targets_failure(server: Recorder, stage: Stage) -> None:
    server.pages["/"] = Answer(status=503)
    assert visit(stage).outcome is Outcome.FAILED


@pytest.mark.parametrize("path", ["/", "/data"])
@pytest.mark.parametrize("status", [200, 403, 503])
def test_a_bot_wall_is_nobodys_failure(server: Recorder, stage: Stage, path: str, status: int) -> None:
    challenge = Answer("Just a moment", status=status, headers={"CF-Mitigated": "challenge"})
    server.pages |= {"/": HOME, path: challenge}
    verdict = visit(stage, **EDGE)
    why = f"load (http): blocked by edge: a bot challenge: {path}: {status}"
    assert (verdict.outcome, reason(verdict)) == (Outcome.ERROR, why)


def test_another_word_in_its_header_is_no_bot_wall(server: Recorder, stage: Stage) -> None:
    server.pages["/"] = Answer("<h1>Home</h1>", headers={"CF-Mitigated": "other"})
    assert visit(stage).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("status", "after", "outcome", "waits"),
    [
        (429, {"Retry-After": "50"}, Outcome.THROTTLED, True),
        (429, {}, Outcome.THROTTLED, True),
        (503, {"Retry-After": "50"}, Outcome.FAILED, True),
        (503, {}, Outcome.FAILED, False),
        (503, {"Retry-After": "soon"}, Outcome.FAILED, False),
        (500, {"Retry-After": "50"}, Outcome.FAILED, False),
    ],
)
@pytest.mark.parametrize("path", ["/", "/data"])
def test_what_answers_to_a_page_ask_for_is_heeded(
    server: Recorder, stage: Stage, path: str, status: int, after: dict[str, str], outcome: Outcome, *, waits: bool
) -> None:
    server.pages |= {"/": HOME, path: Answer(status=status, headers=after)}
    assert visit(stage).outcome is outcome
    if waits:
        with pytest.raises(NoBudgetError, match=r"slow down for [56]0 s"):
            visit(stage)
    else:
        assert visit(stage).outcome is outcome


@pytest.mark.parametrize(
    "css", ["h1[", "h1:nosuch", "h1 >> nosuch=x", "text=Home", "xpath=//h1", "//h1", 'a"b', "h1:nth-match(h1, 0)"]
)
def test_a_selector_that_cannot_be_read_is_our_own_mistake(server: Recorder, stage: Stage, css: str) -> None:
    server.pages["/"] = Answer("<h1>Home</h1>")
    elements = {"heading": {"role": "heading"}, "title": {"css": css}}
    verdict = stage.run({"attempts": 3, "elements": elements}, "homepage", limits=LIMITS)
    why = f"title (browser): the selector of the element title cannot be read: {css}"
    assert (verdict.outcome, reason(verdict), verdict.attempts) == (Outcome.ERROR, why, 1)
    assert outcomes(verdict)["heading"] == "passed"


@pytest.mark.parametrize("css", ["h1", "body > h1:visible", "h1:has-text('Home')", "body >> text=Home"])
def test_a_selector_may_say_what_the_driver_adds_to_css(server: Recorder, stage: Stage, css: str) -> None:
    server.pages["/"] = Answer("<h1>Home</h1>")
    verdict = stage.run({"elements": {"title": {"css": css}}}, "homepage", limits=LIMITS)
    assert verdict.outcome is Outcome.PASSED
