"""The dead man's switch: after what a ping goes, how often, and that it never is in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from probes.heartbeat import EVERY_S, TAKES_S, Heartbeat
from probes.model import Outcome
from tests.monitoring.loopback import serving
from tests.watcher import PATH, Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with serving(Watcher()) as server:
        yield server


def heartbeat(watcher: Watcher, now: list[float]) -> Heartbeat:
    return Heartbeat(f"{watcher.url}{PATH}", "the environment variable X", lambda: now[0])


def test_it_says_only_that_something_was_judged_and_not_too_often(watcher: Watcher) -> None:
    now = [0.0]
    beat = heartbeat(watcher, now)
    for outcome in (Outcome.ERROR, Outcome.THROTTLED, Outcome.SKIPPED):
        beat.judged(outcome)
    assert (beat.turn(), watcher.pings) == ("", [])
    beat.judged(Outcome.FAILED)
    assert (beat.turn(), watcher.pings) == ("", [PATH])
    now[0] += EVERY_S
    assert (beat.turn(), watcher.pings) == ("", [PATH])  # nothing new
    beat.judged(Outcome.PASSED)
    beat.judged(Outcome.ERROR)
    beat.turn()
    now[0] += EVERY_S - 1
    beat.judged(Outcome.DEGRADED)
    beat.turn()
    assert watcher.pings == [PATH] * 2
    now[0] += 1
    beat.turn()
    assert watcher.pings == [PATH] * 3


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (404, "heartbeat: HTTP 404: is the environment variable X right?"),
        (302, "heartbeat: HTTP 302: is the environment variable X right?"),
        ("hang", "heartbeat: it does not answer in time."),
        ("drip", ""),  # it has answered
    ],
)
def test_what_is_wrong_is_said_in_time_and_without_the_url(watcher: Watcher, mode: str | int, said: str) -> None:
    watcher.mode = mode
    begun = time.monotonic()
    assert heartbeat(watcher, [0.0]).ping() == said
    assert time.monotonic() - begun < TAKES_S + 5
    assert watcher.pings == [PATH]


@pytest.mark.parametrize("url", ["http://example.com/ping", "ping", "https://"])
def test_what_others_could_read_is_not_asked(url: str) -> None:
    assert Heartbeat(url, "X").ping() == "heartbeat: X holds no https://… to ping."


def test_nobody_there() -> None:
    with serving(Watcher()) as gone:
        pass
    assert heartbeat(gone, [0.0]).ping() == "heartbeat: no connection, or it was cut off."
