"""Our own network or the target: who is asked, when, how often, and what is made of the answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.lock import BoundedSemaphore

from probes.checks import control as controlling
from probes.checks.control import ASKED_EVERY_S, NetworkControl
from probes.checks.registry import load_settings
from probes.clients.http import Identity
from probes.config.load import Source
from probes.config.vantage import Control
from probes.deadline import CutOff, Deadline
from probes.model import Layer, Outcome, Reason, Step, Verdict
from probes.safety.ledger import Authority, Ledger, open_ledger
from probes.safety.limits import RateLimit
from tests.checks.stage import Stage, configuration
from tests.clients.raw_server import (
    OK,
    Handler,
    RawServer,
    Talk,
    always,
    once,
    redirect,
    refusing_port,
    silent_port,
)

TIMEOUT_S = 0.4
NO_ANSWER = Reason("edge", Layer.CONNECT, "connection refused", unanswered=True)
DOWN = Verdict("health", Outcome.FAILED, reason=NO_ANSWER, steps=(Step("edge", Outcome.FAILED, reason=NO_ANSWER),))
ANSWERED = Reason("edge", Layer.HTTP, "status code", "200", "500")


@dataclass
class Rig:
    """A control of these addresses on a ledger of its own."""

    control: NetworkControl
    ledger: Ledger

    def judged(self, verdict: Verdict = DOWN, seconds: float = 30.0) -> Verdict:
        return self.control.judged(verdict, Deadline(seconds))

    @property
    def outcome(self) -> Outcome:
        return self.judged().outcome


def rig(folder: Path, *urls: str, private: bool = True, lock: Any = None, **options: Any) -> Rig:
    control = {"addresses": list(urls), "allows": "1000 per 60s", "timeout": f"{TIMEOUT_S * 1000:.0f}ms", **options}
    target = "http://127.0.0.1:9" if private else "https://example.com"
    parts: dict[str, Any] = {"control": control} if urls else {}
    data = configuration(target, {"health": {"kind": "http", "requests": {"edge": {"path": "/"}}}}, **parts)
    data["target"]["private"] = private
    data["credentials"]["hosts"] = ["127.0.0.1:*", "example.com"]
    path = folder / "config.yaml"
    path.write_text(json.dumps(data))
    ledger = open_ledger(folder)
    identity = Identity("0" * 32, "smokeprobe/test (+https://example.com)", ("X-Probe-Key", "planted-secret"))
    return Rig(
        NetworkControl(load_settings(Source(path)), identity, folder / "ledger.sqlite3", lock or threading.Lock()),
        ledger,
    )


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(always(OK)) as running:
        yield running


@pytest.fixture
def nobody() -> Iterator[str]:
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}/"


def test_somebody_answers_so_it_is_the_target(server: RawServer, tmp_path: Path) -> None:
    assert rig(tmp_path, f"{server.url}/generate_204?x=1").judged() is DOWN
    (request,) = server.requests
    assert request.startswith(b"GET /generate_204?x=1 HTTP/1.1\r\n")
    assert b"User-Agent: smokeprobe/test" in request
    assert b"planted-secret" not in request


def test_nobody_answers_so_it_is_our_own_network(nobody: str, tmp_path: Path) -> None:
    verdict = rig(tmp_path, nobody).judged()
    assert verdict.outcome is Outcome.ERROR
    assert str(verdict.reason) == "edge (connect): our own network is down: connection refused"
    (step,) = verdict.steps
    assert (step.outcome, step.reason) == (Outcome.ERROR, verdict.reason)


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "", "")).encode()


@pytest.mark.parametrize(
    "answer",
    [
        status("204 No Content"),
        status("404 Not Found"),
        status("500 Internal Server Error"),
        status("429 Too Many Requests", "Retry-After: 5"),
        redirect("http://127.0.0.1:1/elsewhere"),
        redirect("/again", 301),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
    ],
)
def test_any_answer_of_http_is_one(answer: bytes, tmp_path: Path) -> None:
    with RawServer(once(answer)) as server:
        assert rig(tmp_path, server.url).outcome is Outcome.FAILED
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "handler",
    [lambda talk: talk.hang(), lambda talk: talk.reset(), once(b""), once(b"SSH-2.0-x\r\n"), once(b"\r\n")],
    ids=["silence", "reset", "closed", "another protocol", "nothing"],
)
def test_what_is_no_answer_of_http_is_none(handler: Handler, tmp_path: Path) -> None:
    with RawServer(handler) as server:
        assert rig(tmp_path, server.url).outcome is Outcome.ERROR


def test_an_address_that_leads_nowhere(tmp_path: Path) -> None:
    with silent_port() as port:
        begun = time.monotonic()
        assert rig(tmp_path, f"http://127.0.0.1:{port}").outcome is Outcome.ERROR
        assert TIMEOUT_S * 0.9 < time.monotonic() - begun < TIMEOUT_S + 1


def test_one_after_the_other_until_one_answers(server: RawServer, nobody: str, tmp_path: Path) -> None:
    assert rig(tmp_path, nobody, server.url).outcome is Outcome.FAILED
    assert len(server.requests) == 1


def test_where_the_first_answers_the_second_is_not_asked(server: RawServer, tmp_path: Path) -> None:
    with RawServer(always(OK)) as second:
        with_both = rig(tmp_path, server.url, second.url)
        assert with_both.outcome is Outcome.FAILED
    assert (len(server.requests), second.connections) == (1, 0)
    assert taken(with_both.ledger, server.url) == 1
    assert taken(with_both.ledger, second.url) == 0  # given back


def taken(ledger: Ledger, url: str) -> int:
    """Slots of the control's limit that the ledger holds at this host and port."""
    (peak,) = ledger.peaks(url, [limit_of(url)], 1.0).values()
    return peak


def limit_of(url: str) -> RateLimit:
    return Control.model_validate({"addresses": [url], "allows": "1000 per 60s"}).limit(url)


@pytest.mark.parametrize("up", [True, False])
def test_an_answer_holds_for_a_while(up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(always(OK) if up else once(b"")) as server:
        control = rig(tmp_path, server.url)
        first = [control.outcome for _ in range(5)]
        assert set(first) == {Outcome.FAILED if up else Outcome.ERROR}
        assert server.connections == 1
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + ASKED_EVERY_S)
        monkeypatch.setattr(controlling, "time", later)
        assert control.outcome is first[0]
        assert server.connections == 2


def test_checks_that_fail_at_the_same_time_share_one_asking(tmp_path: Path) -> None:
    begun = threading.Barrier(6)

    def slowly(talk: Talk) -> None:
        talk.request()
        time.sleep(0.2)

    with RawServer(slowly) as server:
        control = rig(tmp_path, server.url)
        found: list[Outcome] = []

        def check() -> None:
            begun.wait()
            found.append(control.outcome)

        threads = [threading.Thread(target=check) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [Outcome.ERROR] * 6
    assert server.connections == 1


def use_up(control: Rig, url: str) -> None:
    """Take all slots of the address's limit, as another process would."""
    limit = limit_of(url)
    authority = Authority(
        control.ledger, target=url, share="control", share_fraction=1.0, limits=(limit,), region="local"
    )
    authority.grant("control", quota={limit.name: limit.slots}, cleanup={}, deadline_s=60)


def test_without_budget_nothing_is_asked_and_the_target_has_failed(server: RawServer, tmp_path: Path) -> None:
    control = rig(tmp_path, server.url)
    use_up(control, server.url)
    assert control.judged() is DOWN
    assert server.connections == 0


def test_where_one_address_has_no_budget_the_others_are_not_asked_either(
    server: RawServer, nobody: str, tmp_path: Path
) -> None:
    control = rig(tmp_path, server.url, nobody)
    use_up(control, nobody)
    assert control.judged() is DOWN
    assert server.connections == 0
    assert taken(control.ledger, server.url) == 0


def test_the_ledger_never_holds_more_than_the_ceiling(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlling, "ASKED_EVERY_S", 0.0)
    control = rig(tmp_path, server.url, allows="60 per 60s")
    assert {control.outcome for _ in range(9)} == {Outcome.FAILED}
    assert len(server.requests) == 5


def test_a_pause_of_everything_is_one_of_the_control_too(nobody: str, tmp_path: Path) -> None:
    control = rig(tmp_path, nobody)
    control.ledger.pause(None, None, "a migration", "hand")
    assert control.judged() is DOWN


def test_where_the_time_is_too_short_for_all_addresses_none_is_asked(
    server: RawServer, nobody: str, tmp_path: Path
) -> None:
    control = rig(tmp_path, nobody, server.url)
    assert control.judged(seconds=2 * TIMEOUT_S - 0.01) is DOWN
    assert server.connections == 0
    assert control.judged().outcome is Outcome.FAILED  # that was no answer that would hold
    assert server.connections == 1


@pytest.mark.parametrize(("later_s", "outcome"), [(0, Outcome.ERROR), (20, Outcome.ERROR), (31, Outcome.FAILED)])
def test_what_was_found_out_in_this_run_holds_where_there_is_no_time_left(
    later_s: float, outcome: Outcome, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = rig(tmp_path, nobody)
    assert control.outcome is Outcome.ERROR
    monkeypatch.setattr(controlling, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later_s))
    assert control.judged(seconds=0.0).outcome is outcome


def test_the_end_of_the_run_interrupts_it_and_the_target_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = rig(tmp_path, "http://127.0.0.1:9", lock=BoundedSemaphore(1))
    monkeypatch.setattr(controlling, "_answers", lambda *_: gevent.sleep(60))
    asking, waiting = (gevent.spawn(control.judged) for _ in range(2))
    gevent.sleep(0.05)
    for greenlet in (asking, waiting):
        greenlet.kill(CutOff("over"), block=False)
    gevent.joinall([asking, waiting], timeout=5)
    assert (asking.value, waiting.value) == (DOWN, DOWN)


def test_a_public_target_has_no_control_on_a_private_network(server: RawServer, tmp_path: Path) -> None:
    assert rig(tmp_path, server.url, private=False).judged() is DOWN
    assert server.connections == 0


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAILED])
def test_only_a_failure_is_looked_into(outcome: Outcome, nobody: str, tmp_path: Path) -> None:
    verdict = Verdict("health", outcome, reason=NO_ANSWER, steps=(Step("edge", outcome, reason=NO_ANSWER),))
    assert rig(tmp_path, nobody).judged(verdict) is verdict


def test_what_was_answered_wrongly_is_the_targets_own_failure(nobody: str, tmp_path: Path) -> None:
    steps = (*DOWN.steps, Step("status", Outcome.FAILED, reason=ANSWERED))
    verdict = Verdict("health", Outcome.FAILED, reason=NO_ANSWER, steps=steps)
    assert rig(tmp_path, nobody).judged(verdict) is verdict


def test_steps_that_have_passed_stay_as_they_are(nobody: str, tmp_path: Path) -> None:
    passed = Step("edge", Outcome.PASSED)
    verdict = Verdict("health", Outcome.FAILED, reason=NO_ANSWER, steps=(passed, *DOWN.steps))
    judged = rig(tmp_path, nobody).judged(verdict)
    assert judged.steps[0] is passed
    assert judged.steps[1].outcome is Outcome.ERROR


def test_without_a_control_a_failure_is_a_failure(tmp_path: Path) -> None:
    assert rig(tmp_path).judged() is DOWN


def test_without_a_ledger_nothing_is_asked(server: RawServer, tmp_path: Path) -> None:
    control = rig(tmp_path, server.url)
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database, and longer than a header of one would be" * 9)
    assert control.judged() is DOWN
    assert server.connections == 0


ONE = {"requests": {"edge": {"path": "/"}}, "attempts": 1, "timeout": "500ms"}


@pytest.mark.parametrize(
    ("handler", "unanswered"),
    [
        pytest.param(lambda talk: talk.hang(), True, id="silence until the time is over"),
        pytest.param(once(b""), False, id="closed: somebody is there"),
        pytest.param(lambda talk: (talk.request(), talk.reset()), False, id="reset: somebody is there"),
        pytest.param(always(status("500 Internal Server Error")), False, id="wrong"),
        pytest.param(lambda talk: (talk.request(), talk.send(OK[:-1]), talk.hang()), False, id="half an answer"),
        pytest.param(always(redirect("http://127.0.0.2/")), False, id="a redirect to where we must not go"),
    ],
)
def test_which_failures_are_without_any_answer(
    handler: Callable[[Talk], Any], unanswered: bool, tmp_path: Path
) -> None:
    with RawServer(handler) as server:
        verdict = Stage(tmp_path, server.url).run(ONE)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason is not None
    assert verdict.reason.unanswered is unanswered


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_connection_and_a_failed_tls_are_without_an_answer(scheme: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(refusing_port())
        if scheme == "https":
            port = stack.enter_context(RawServer(once(b"no TLS"))).port
        verdict = Stage(tmp_path, f"{scheme}://127.0.0.1:{port}").run(ONE)
    assert verdict.reason is not None
    assert (verdict.outcome, verdict.reason.unanswered) == (Outcome.FAILED, True)


def test_what_there_was_no_time_left_for_is_without_an_answer_too(nobody: str, tmp_path: Path) -> None:
    options: Mapping[str, Any] = {**ONE, "requests": {"first": {"path": "/1"}, "second": {"path": "/2"}}}
    with RawServer(lambda talk: talk.hang()) as server:
        verdict = Stage(tmp_path, server.url).run(options)
    assert [step.outcome for step in verdict.steps] == [Outcome.FAILED] * 2
    assert rig(tmp_path, nobody).judged(verdict).outcome is Outcome.ERROR
