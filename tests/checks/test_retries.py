"""How often a check asks, when it asks again, and what it says in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.deadline import CutOff
from probes.model import Layer, Outcome
from tests.checks.stage import ENHANCE, Stage, configuration, outcomes, reason, steps
from tests.clients.raw_server import OK, Handler, RawServer, Talk, always

BROKEN = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
PAGE = {"requests": {"page": {"path": "/"}}}
ENHANCED = b'{"id":"","enhanced_text":"better","enhanced":true}'
GOOD_POST = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ENHANCED) + ENHANCED


class InTurn:
    """A handler that answers with one after the other, and then with the last for ever."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def __call__(self, talk: Talk) -> None:
        while talk.request():
            talk.send(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


def slowly(seconds: float) -> Handler:
    def handle(talk: Talk) -> None:
        while talk.request():
            talk.server.over.wait(seconds)
            talk.send(OK)

    return handle


@pytest.mark.parametrize(
    ("answers", "outcome", "attempts", "flaky"),
    [
        ([OK], Outcome.PASSED, 1, False),
        ([BROKEN, OK], Outcome.PASSED, 2, True),
        ([BROKEN, BROKEN, OK], Outcome.PASSED, 3, True),
        ([BROKEN, BROKEN, BROKEN, OK], Outcome.FAILED, 3, False),
    ],
)
@pytest.mark.parametrize("kind", ["in place", "whole"])
def test_tries(
    tmp_path: Path, kind: str, answers: list[bytes], outcome: Outcome, attempts: int, *, flaky: bool
) -> None:
    good = GOOD_POST if kind == "whole" else OK
    with RawServer(InTurn(*(good if answer is OK else answer for answer in answers))) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({}, "enhancement") if kind == "whole" else stage.run(PAGE)
    assert (verdict.outcome, verdict.attempts, verdict.flaky) == (outcome, attempts, flaky)
    assert stage.attempts == list(range(1, attempts + 1))
    assert len(server.requests) == stage.usage.sent == attempts
    assert len(verdict.steps) == 1
    assert (verdict.reason is None) == (outcome is Outcome.PASSED)


@pytest.mark.parametrize("kind", ["in place", "whole"])
def test_waits_grow_and_are_jittered(tmp_path: Path, kind: str) -> None:
    with RawServer(always(BROKEN)) as server:
        stage = Stage(tmp_path, server.url)
        run = {"attempts": 7, "backoff": {"first": "100ms", "longest": "1s"}}
        stage.run(
            {"timeout": "20s", **({} if kind == "whole" else PAGE)},
            "enhancement" if kind == "whole" else "http",
            run=run,
        )
    assert len(stage.naps) == 6
    for number, nap in enumerate(stage.naps):
        assert min(1.0, 0.1 * 2**number) <= nap <= min(1.0, 0.1 * 2**number + 0.05)
    assert len(set(stage.naps)) > 1


def test_steps_are_tried_each_on_its_own(tmp_path: Path) -> None:
    def handle(talk: Talk) -> None:
        while request := talk.request():
            first = request.split(b" ")[1] not in [seen.split(b" ")[1] for seen in talk.server.requests[:-1]]
            talk.send(BROKEN if first and b"/b" in request else OK)

    with RawServer(handle) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({"requests": {name: {"path": f"/{name}"} for name in ("a", "b", "c")}})
    assert [request.split(b" ")[1] for request in server.requests] == [b"/a", b"/b", b"/b", b"/c"]
    assert stage.attempts == [1, 2]
    assert (verdict.outcome, verdict.attempts, verdict.flaky) == (Outcome.PASSED, 2, True)


def test_one_step_that_fails_does_not_keep_the_others_from_being_asked(tmp_path: Path) -> None:
    def handle(talk: Talk) -> None:
        while request := talk.request():
            talk.send(BROKEN if b"/b" in request else OK)

    with RawServer(handle) as server:
        verdict = Stage(tmp_path, server.url).run(
            {"requests": {name: {"path": f"/{name}"} for name in ("a", "b", "c")}}
        )
    assert outcomes(verdict) == {"a": "passed", "b": "failed", "c": "passed"}
    assert reason(verdict) == "b (http): wrong status; expected 200, got 500"


FINAL: dict[str, tuple[bytes, Outcome, Layer, str]] = {
    "throttled": (
        b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        Outcome.THROTTLED,
        Layer.HTTP,
        "the target asks us to slow down: 429, retry after 7 s",
    ),
    "throttled, in words of its own": (
        b"HTTP/1.1 429 X\r\nRetry-After: <b>password=hunter2\r\nContent-Length: 0\r\n\r\n",
        Outcome.THROTTLED,
        Layer.HTTP,
        "the target asks us to slow down: 429",
    ),
    "challenged": (
        b"HTTP/1.1 403 X\r\ncf-mitigated: challenge\r\nContent-Length: 0\r\n\r\n",
        Outcome.ERROR,
        Layer.HTTP,
        "blocked by edge: a bot challenge: 403",
    ),
}


@pytest.mark.parametrize("kind", ["in place", "whole"])
@pytest.mark.parametrize("name", FINAL)
def test_what_another_try_could_only_make_worse_is_not_tried_again(tmp_path: Path, kind: str, name: str) -> None:
    answer, outcome, layer, words = FINAL[name]
    with RawServer(always(answer)) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({}, "enhancement") if kind == "whole" else stage.run(PAGE)
    assert (verdict.outcome, verdict.attempts, len(server.requests)) == (outcome, 1, 1)
    assert verdict.reason is not None
    assert (verdict.reason.layer, stage.naps) == (layer, [])
    assert reason(verdict).endswith(words)


def test_a_throttle_on_a_later_try_does_not_undo_what_was_seen(tmp_path: Path) -> None:
    with RawServer(InTurn(BROKEN, FINAL["throttled"][0])) as server:
        verdict = Stage(tmp_path, server.url).run(PAGE)
    assert (verdict.outcome, len(server.requests)) == (Outcome.FAILED, 2)
    assert reason(verdict) == "page (http): wrong status; expected 200, got 500"


@pytest.mark.parametrize(("retry_on", "sent"), [([], 1), (["degraded"], 1), (["error"], 1), (["failed"], 3)])
def test_which_outcomes_are_tried_again_is_configured(tmp_path: Path, retry_on: list[str], sent: int) -> None:
    with RawServer(always(BROKEN)) as server:
        verdict = Stage(tmp_path, server.url).run({**PAGE, "retry_on": retry_on})
    assert (verdict.outcome, len(server.requests)) == (Outcome.FAILED, sent)


def test_attempts_of_a_check_come_before_those_of_the_run(tmp_path: Path) -> None:
    with RawServer(always(BROKEN)) as server:
        Stage(tmp_path, server.url).run({**PAGE, "attempts": 1}, run={"attempts": 5})
        assert len(server.requests) == 1
        Stage(tmp_path, server.url).run(PAGE, run={"attempts": 2})
        assert len(server.requests) == 3


def test_a_slow_answer_may_take_all_the_time(tmp_path: Path) -> None:
    """However many tries there might be: it is slow, and not missing."""
    with RawServer(slowly(0.4)) as server:
        stage = Stage(tmp_path, server.url, timeout_s=1.0)
        verdict = stage.run({"requests": {"page": {"path": "/", "within": "50ms"}}, "attempts": 6})
    assert verdict.outcome is Outcome.DEGRADED
    assert reason(verdict).startswith("page (http): slower than its limit; expected under 50 ms, got 4")


def test_when_its_time_is_over_a_check_is_not_tried_again(tmp_path: Path) -> None:
    with RawServer(lambda talk: talk.hang()) as server:
        verdict = Stage(tmp_path, server.url, timeout_s=0.9).run(PAGE)
    assert (verdict.outcome, verdict.attempts) == (Outcome.FAILED, 1)
    assert reason(verdict).startswith("page (http): no complete answer within 0.9 s")


class Cut(list[float]):
    """In the place of the naps: the first ends a check."""

    def __init__(self, *, interrupted: bool) -> None:
        self.interrupted = interrupted

    def append(self, _nap: float) -> None:
        raise CutOff("the run is over", interrupted=self.interrupted)


@pytest.mark.parametrize("interrupted", [True, False])
@pytest.mark.parametrize("kind", ["in place", "whole"])
def test_a_failure_that_was_seen_stays_one_where_the_run_ends_before_the_next_try(
    tmp_path: Path, kind: str, *, interrupted: bool
) -> None:
    with RawServer(always(BROKEN)) as server:
        stage = Stage(tmp_path, server.url, naps=Cut(interrupted=interrupted))
        verdict = stage.run({}, "enhancement") if kind == "whole" else stage.run(PAGE)
    assert (verdict.outcome, verdict.attempts, len(server.requests)) == (Outcome.FAILED, 1, 1)
    assert reason(verdict).endswith("(http): wrong status; expected 200, got 500")


@pytest.mark.parametrize("kind", ["in place", "whole"])
def test_a_wait_leaves_time_for_the_try(tmp_path: Path, kind: str) -> None:
    with RawServer(always(BROKEN)) as server:
        stage = Stage(tmp_path, server.url, timeout_s=2.0)
        run = {"attempts": 5, "backoff": {"first": "400ms", "longest": "10s"}}
        stage.run({} if kind == "whole" else PAGE, "enhancement" if kind == "whole" else "http", run=run)
    assert stage.naps
    assert max(stage.naps) <= 1.0


def test_what_the_guard_keeps_back_is_the_probes_trouble_and_counted(tmp_path: Path) -> None:
    with RawServer(always(OK)) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({}, "enhancement", safety={})
    assert (verdict.outcome, verdict.attempts, server.requests, stage.tally.blocked) == (Outcome.ERROR, 1, [], 1)
    assert "kept back by the guard: POST /api/v1/enhance would write" in reason(verdict)


def test_a_reason_has_the_request_and_the_trace(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 500 X\r\nX-Request-ID: abc-1\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(answer)) as server:
        verdict = Stage(tmp_path, server.url).run(PAGE)
    assert str(verdict.reason).endswith("[request abc-1, trace fedcba9876543210fedcba9876543210]")


def test_slow_is_degraded_and_says_by_how_much(tmp_path: Path) -> None:
    with RawServer(slowly(0.06)) as server:
        verdict = Stage(tmp_path, server.url).run({"requests": {"page": {"path": "/", "within": "50ms"}}})
    step = steps(verdict)["page"]
    assert (verdict.outcome, step.limit_ms) == (Outcome.DEGRADED, 50)
    assert step.judged_ms is not None
    assert step.judged_ms >= 59
    assert reason(verdict) == f"page (http): slower than its limit; expected under 50 ms, got {step.judged_ms:.0f} ms"


def test_a_round_trip_may_be_taken_off(tmp_path: Path) -> None:
    with RawServer(slowly(0.06)) as server:
        page = {"requests": {"page": {"path": "/", "within": "3s"}}}
        whole = Stage(tmp_path, server.url).run({**page, "measure": "ttfb"})
        less = Stage(tmp_path, server.url).run({**page, "measure": "ttfb_minus_rtt"})
    for verdict, taken_off in ((whole, False), (less, True)):
        step = steps(verdict)["page"]
        assert step.phases.connect_ms is not None
        assert step.phases.ttfb_ms is not None
        assert step.judged_ms == pytest.approx(step.phases.ttfb_ms - (step.phases.connect_ms if taken_off else 0))


def test_each_check_has_cookies_and_connections_of_its_own(tmp_path: Path) -> None:
    with RawServer(always(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")) as server:
        stage = Stage(tmp_path, server.url)
        stage.run(PAGE)
        stage.run(PAGE)
    assert not any(b"Cookie:" in request for request in server.requests)
    assert (len(server.requests), server.connections) == (2, 2)


def test_a_check_that_breaks_has_a_verdict_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from probes.checks.base import Check\n"
        "class Mine(Check):\n    kind = 'mine'\n"
        "    def calls(self):\n        return ()\n"
        "    def attempt(self, probe):\n        probe.get('page', '/').json()['not there']\n"
    )
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with RawServer(always(body)) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({"attempts": 1}, "mine", extensions=["mine.py"], limits={})
    assert verdict.outcome is Outcome.ERROR
    assert reason(verdict) == "check (http): the check itself broke: KeyError at mine.py:7"


def test_a_whole_check_stays_within_its_quota(tmp_path: Path) -> None:
    limits = {"tight": {"allows": "31 per 60s", "key": "ip", "covers": [f"POST {ENHANCE}"]}}
    with RawServer(always(BROKEN)) as server:
        stage = Stage(tmp_path, server.url)
        verdict = stage.run({"attempts": 3}, "enhancement", limits=limits)
        assert (verdict.outcome, len(server.requests)) == (Outcome.FAILED, 3)


def test_the_harness_loads_what_a_run_would(tmp_path: Path) -> None:
    data: dict[str, Any] = configuration("http://127.0.0.1:1", {"tested": {"kind": "http", **PAGE}})
    assert Stage(tmp_path, "http://127.0.0.1:1").settings(data).run.backoff.first == pytest.approx(0.1)
