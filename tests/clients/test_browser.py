"""Journeys through the stand-in's pages, healthy and faulty, in a real Chromium; the stand-in's ledger is the judge."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.clients.answers import Refusal
from probes.clients.browser import GRACE_S, Browser
from probes.clients.journey import Action, Click, Fill, Goto, Journey, WaitForPath
from probes.clients.page_result import Answered, PageResult, SlowDown
from probes.safety.limits import CallPattern, RateLimit
from probes.standin.process import StandIn
from tests.clients.browser_help import AGENT, HOME, LOGIN, chromium_processes, journey, permit, rules, start
from tests.waiting import until

EMAIL = "smoke-test-basic@betterprompts.com"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[StandIn, Browser]]:
    before = set(chromium_processes())
    with StandIn() as target, start(rules(target.url)) as browser:
        yield target, browser
    assert set(chromium_processes()) <= before


@pytest.fixture
def target(running: tuple[StandIn, Browser]) -> StandIn:
    running[0].reset()
    return running[0]


@pytest.fixture
def browser(running: tuple[StandIn, Browser]) -> Browser:
    return running[1]


def login(password: str) -> tuple[Action, ...]:
    return (
        Goto("open", "/login"),
        Fill("e-mail", "login-email", EMAIL),
        Fill("password", "login-password", password, secret=True),
        Click("submit", "login-submit"),
        WaitForPath("dashboard", "/dashboard"),
        Click("log out", "logout-button"),
        WaitForPath("home", "/"),
    )


def visit_home(target: StandIn, browser: Browser, *faults: str, patience_s: float = 10.0) -> PageResult:
    target.set_faults(*faults)
    return browser.run(replace(journey(target.url, *HOME), element_timeout_s=patience_s))


def since_home(target: StandIn) -> list[dict[str, Any]]:
    """What arrived from the opening of the home page on: before it, a call of the page before may still come in."""
    arrived = target.ledger()
    begun = next(number for number, entry in enumerate(arrived) if entry["path"] == "/")
    return arrived[begun:]


def failed_names(result: PageResult) -> list[str]:
    return [action.name for action in result.actions if not action.ok]


def test_the_home_page_passes_and_is_measured(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser)
    assert result.ok
    assert len(result.actions) == len(HOME)
    assert (result.document_status, result.final_path) == (200, "/")
    assert (result.console_errors, result.page_errors, result.failed) == ((), (), ())
    timing = result.timing
    assert timing.load_ms is not None
    assert timing.ttfb_ms is not None
    assert timing.fcp_ms is not None
    assert timing.lcp_ms is not None
    assert timing.cls is not None
    assert 0 < timing.ttfb_ms < timing.load_ms < result.actions[0].duration_ms
    assert timing.ttfb_ms < timing.fcp_ms <= timing.lcp_ms


def test_every_request_is_counted_marked_and_read_only(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser)
    arrived = since_home(target)
    assert {entry["method"] for entry in arrived} == {"GET"}
    assert result.sent == result.usage.sent == result.by_method["GET"] == len(arrived)
    assert all(entry["run"] == "run-1" and entry["user_agent"].endswith(AGENT) for entry in arrived)
    assert [(each.method, each.url) for each in result.blocked] == [("POST", f"{target.url}/analytics/collect")]


def test_log_in_and_out(target: StandIn, browser: Browser) -> None:
    sessions: list[Mapping[str, str]] = []
    dashboard_asked: list[bool] = []

    def opened(tokens: Mapping[str, str]) -> None:
        sessions.append(tokens)
        dashboard_asked.append(any(entry["path"] == "/dashboard" for entry in target.ledger()))

    result = browser.run(journey(target.url, *login(target.password)), opened)
    assert result.ok, result.actions
    assert len(result.actions) == 7
    assert len(sessions) == 1
    assert set(sessions[0]) == {"access_token", "refresh_token"}
    assert result.final_path == "/"
    assert result.cookies == {}
    assert result.by_method["POST"] == 2
    written = json.dumps(result.to_json()) + repr(result)
    assert not any(secret in written for secret in (target.password, *sessions[0].values()))


def test_a_session_that_stays_open_can_be_closed_by_the_parent(target: StandIn, browser: Browser) -> None:
    result = browser.run(journey(target.url, *login(target.password)[:5]))
    assert result.ok
    assert set(result.cookies) == {"auth_token", "refresh_token"}
    assert result.cookies["auth_token"] not in repr(result)


def test_a_wrong_password_is_said_at_once(target: StandIn, browser: Browser) -> None:
    asked = replace(journey(target.url, *login("wrong"), timeout_s=30.0), element_timeout_s=25.0)
    result = browser.run(asked)
    assert failed_names(result) == ["dashboard"]
    assert result.actions[-1].error == f"POST {LOGIN} answered 401"
    assert result.actions[-1].duration_ms < 20_000
    assert sum(entry["path"] == LOGIN for entry in target.ledger()) == 1


@pytest.mark.parametrize("fault", ["page-redirect-chain", "page-dialog", "page-service-worker", "page-writes"])
def test_faults_that_do_no_harm(target: StandIn, browser: Browser, fault: str) -> None:
    result = visit_home(target, browser, fault)
    assert result.ok, result.actions
    assert (result.console_errors, result.page_errors, result.failed) == ((), (), ())
    assert until(lambda: len(since_home(target)) >= result.sent, 20.0)  # the last one may still be on its way
    arrived = since_home(target)
    assert {entry["method"] for entry in arrived} == {"GET"}
    assert result.sent == len(arrived)


def test_a_page_that_writes_is_told_of(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser, "page-writes")
    methods = [each.method for each in result.blocked if each.url.endswith("/api/v1/prompts")]
    assert {"POST", "PUT", "DELETE"} <= set(methods)
    assert any(each.url.startswith("ws://") for each in result.blocked)


@pytest.mark.parametrize(
    ("fault", "named", "status"),
    [
        ("page-missing-element", ["prompt"], 200),
        ("page-missing-role", ["navigation"], 200),
        ("page-hidden-element", ["button"], 200),
        ("page-500", ["open"], 500),
        ("page-429", ["open"], 429),
    ],
)
def test_what_is_missing_is_named(target: StandIn, browser: Browser, fault: str, named: list[str], status: int) -> None:
    result = visit_home(target, browser, fault, patience_s=2.0)
    assert failed_names(result) == named
    assert result.document_status == status
    if status != 200:
        assert [action.error for action in result.actions] == [f"the page answered {status}"]


def test_console_errors_and_exceptions_count(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser, "page-console-error", "page-exception", "page-rejection")
    assert len(result.console_errors) == 1
    assert {"uncaught by design", "rejected by design"} <= set(result.page_errors)
    assert failed_names(result) == []


def test_a_missing_subresource_counts(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser, "page-subresource-404")
    assert [(each.path, each.status, each.kind) for each in result.failed] == [("/static/missing.png", 404, "image")]
    assert len(result.console_errors) == 1


def test_a_throttled_subresource_is_no_error_of_the_page(target: StandIn, browser: Browser) -> None:
    result = visit_home(target, browser, "page-subresource-429")
    assert result.throttled == (Answered("GET", "/static/faults/throttled.png", 429),)
    assert result.slow_downs == (SlowDown("GET", "/static/faults/throttled.png", 60.0),)
    assert (result.console_errors, result.failed) == ((), ())


@pytest.mark.parametrize("fault", ["page-busy", "page-never-loads"])
def test_a_page_that_hangs_ends_in_time(target: StandIn, browser: Browser, fault: str) -> None:
    assert visit_home(target, browser).ok  # so that its start is not timed
    target.set_faults(fault)
    started = time.monotonic()
    result = browser.run(journey(target.url, *HOME, timeout_s=4.0))
    assert time.monotonic() - started < 4.0 + GRACE_S
    assert failed_names(result) == ["open"]
    assert visit_home(target, browser).ok


def test_nothing_is_sent_beyond_the_declared_maximum(target: StandIn, browser: Browser) -> None:
    result = browser.run(journey(target.url, *HOME, max_requests=3))
    assert result.sent == len(target.ledger()) == 3
    assert result.over_quota
    assert "maximum of 3" in result.over_quota[0].rule


def test_a_call_that_a_limit_covers_draws_from_the_permit(target: StandIn, browser: Browser) -> None:
    limit = RateLimit("api", 600, 60.0, "ip", (CallPattern("*", "/api/v1/*"),))

    def visit(quota: int) -> PageResult:
        leave = permit(target.url, (limit,), {"api": quota})
        return browser.run(replace(journey(target.url, *HOME), permit=leave))

    refused = visit(0)
    assert [each.url for each in refused.over_quota] == [f"{target.url}/api/v1/techniques"]
    assert not any(entry["path"].startswith("/api/") for entry in target.ledger())
    (span,) = visit(1).usage.spans["api"]
    assert span.over_ago_s is not None


def test_there_is_no_picture_of_an_error_page_nor_of_success(target: StandIn, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "shot.png"
    asked = replace(journey(target.url, *HOME), screenshot_path=str(path))
    assert not browser.run(asked).screenshot
    target.set_faults("page-500")
    assert not browser.run(asked).screenshot
    assert not path.exists()


def test_a_journey_survives_its_way_to_the_sidecar(target: StandIn) -> None:
    asked = replace(journey(target.url, *HOME, *login("s3cret")), since=12.5, credential_headers={"X-Edge": "k"})
    asked = replace(asked, refusals=(Refusal(503, "text/html"),))
    assert Journey.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert "s3cret" not in repr(asked)
    assert "X-Edge" not in repr(asked)
