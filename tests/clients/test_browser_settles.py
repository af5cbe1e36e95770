"""What a page asks for is waited for: a call that is answered late counts, and one that is not answered is told of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from probes.clients.browser import Browser
from probes.clients.journey import Expect, Goto
from probes.clients.page_result import PageResult
from probes.safety.limits import CallPattern
from tests.clients.browser_help import Answer, Recorder, journey, recorder, rules, start

LATE = CallPattern("GET", "/late")
PAGE = Answer("<h1>Home</h1><script>fetch('/late').catch(() => {})</script>")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Recorder, Browser]]:
    with recorder() as target, start(rules(target.origin)) as browser:
        yield target, browser


@pytest.fixture
def target(servers: tuple[Recorder, Browser]) -> Iterator[Recorder]:
    servers[0].reset()
    servers[0].pages["/"] = PAGE
    servers[0].holds["/late"] = threading.Event()
    yield servers[0]
    servers[0].holds["/late"].set()


def visit(servers: tuple[Recorder, Browser], patience_s: float, *calls: CallPattern) -> PageResult:
    target, browser = servers
    asked = journey(target.origin, Goto("open", "/"), Expect("heading", role="heading"))
    return browser.run(replace(asked, calls=calls, element_timeout_s=patience_s))


@pytest.mark.parametrize("redirected", [False, True])
def test_a_call_that_fails_after_the_page_is_loaded_counts(
    servers: tuple[Recorder, Browser], target: Recorder, *, redirected: bool
) -> None:
    if redirected:
        target.pages["/late"] = Answer(status=302, headers={"Location": "/there"})
        target.holds["/there"] = target.holds.pop("/late")
    bad = "/there" if redirected else "/late"
    target.pages[bad] = Answer(status=502)
    release = threading.Timer(1.0, target.holds[bad].set)  # later than all that is looked at takes
    release.start()
    result = visit(servers, 10.0, LATE, CallPattern("GET", "/there"))
    release.join()
    assert [(each.path, each.status) for each in result.failed] == [(bad, 502)]
    target.holds["/late"] = target.holds.pop(bad)


@pytest.mark.usefixtures("target")
def test_a_declared_call_that_is_never_answered_is_told_of(servers: tuple[Recorder, Browser]) -> None:
    result = visit(servers, 0.5, LATE)
    assert result.ok
    assert [(each.path, each.status, each.error) for each in result.failed] == [("/late", 0, "no answer within 0.5 s")]


def test_a_call_that_nobody_has_declared_may_stay_open(servers: tuple[Recorder, Browser], target: Recorder) -> None:
    result = visit(servers, 0.5)
    assert "/late" in target.paths()
    assert result.ok
    assert result.failed == ()


def test_what_a_page_asks_for_as_it_is_closed_is_not_the_next_journeys(
    servers: tuple[Recorder, Browser], target: Recorder
) -> None:
    """It asks all the time, so that something is on its way whenever the tab is closed."""
    target.holds["/late"].set()
    target.pages["/"] = Answer("<h1>Home</h1><script>setInterval(() => fetch('/late').catch(() => {}), 4)</script>")
    target.pages["/next"] = Answer("<link rel='icon' href='data:,'><h1>Next</h1>")
    _, browser = servers
    for _ in range(3):
        browser.run(replace(journey(target.origin, Goto("open", "/")), element_timeout_s=0.1))
        following = browser.run(journey(target.origin, Goto("open", "/next")))
        assert (following.sent, following.over_quota) == (1, ()), target.paths()[-8:]


def test_a_log_in_is_never_sent_on_a_connection_that_was_used_before(
    servers: tuple[Recorder, Browser], target: Recorder
) -> None:
    """Where such a one breaks, Chromium would send it again by itself, unseen."""
    target.pages["/"] = Answer("<h1>Home</h1><img src='/a.png'><img src='/b.png'>")
    asked = journey(target.origin, Goto("open", "/"))
    servers[1].run(asked)
    assert {arrival.headers.get("connection", "").lower() for arrival in target.arrivals} == {"close"}
    before = len(target.arrivals)
    servers[1].run(replace(asked, login_paths=()))
    assert {arrival.headers.get("connection", "").lower() for arrival in target.arrivals[before:]} == {"keep-alive"}
