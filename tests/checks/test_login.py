"""A session, from log-in to the proof that it is over; and that it is over whatever happens on the way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes.accounts.sessions import OpenSessions
from probes.clients.http import Heard, HttpClient, Request, Response
from probes.deadline import CutOff
from probes.model import Layer, Outcome, Verdict
from probes.safety.redact import Redactor
from probes.standin.faults import FAULTS
from probes.standin.process import StandIn
from tests.checks.stage import EMAIL, LOGIN, LOGOUT, REFRESH, Stage, outcomes, reason
from tests.clients.raw_server import RawServer, Talk

PROFILE, HISTORY = "/api/v1/auth/profile", "/api/v1/history"
CALLS = [
    f"POST {LOGIN}", f"GET {HISTORY}", f"GET {PROFILE}", f"GET {HISTORY}", f"POST {LOGOUT}", f"GET {PROFILE}",
]  # fmt: skip


def calls(target: StandIn) -> list[str]:
    return [f"{entry['method']} {entry['path']}" for entry in target.ledger()]


def open_sessions(target: StandIn) -> int:
    return sum(target.state()["open_sessions"].values())


def kept(stage: Stage) -> Sequence[Mapping[str, str]]:
    return stage.sessions().left_open("basic")


def test_a_session_leaves_nothing_behind(stage: Stage, design: StandIn) -> None:
    verdict = stage.run({}, "login")
    assert set(outcomes(verdict)) == {
        "log-in",
        "history-before",
        "profile",
        "history-after",
        "log-out",
        "log-out-proof",
    }
    assert (verdict.outcome, verdict.attempts, calls(design)) == (Outcome.PASSED, 1, CALLS)
    state = design.state()
    assert (state["logins"]["basic"], state["writes"], open_sessions(design)) == (1, 0, 0)
    assert kept(stage) == []


@pytest.mark.parametrize(
    ("fault", "logins"),
    [
        ("login-401", 1),
        ("account-locked", 1),
        ("account-inactive", 1),
        ("login-429", 1),
        ("login-redirect-other-host", 2),
        ("login-500", 2),
        ("login-201", 1),
        # a session was opened, so another try of the whole would be another login
        ("login-no-token", 1),
        ("profile-other", 1),
        ("history-500", 1),
        ("history-grows", 1),
        ("profile-redirect-other-host", 1),  # nor can the log-out be proved
        ("logout-fails", 1),
        ("logout-does-nothing", 1),
    ],
)
def test_faults_and_how_often_a_login_is_tried(stage: Stage, design: StandIn, fault: str, logins: int) -> None:
    (expected,) = FAULTS[fault].expected
    design.set_faults(fault)
    verdict = stage.run({"attempts": 2}, "login")
    assert verdict.outcome == expected.outcome
    assert verdict.reason is not None
    assert verdict.reason.layer == (expected.layer or Layer.HTTP)
    assert calls(design).count(f"POST {LOGIN}") == logins
    assert bool(kept(stage)) == (fault in {"logout-fails", "logout-does-nothing", "profile-redirect-other-host"})
    assert open_sessions(design) == (1 if fault.startswith("logout") else 0)


def test_a_wrong_password_is_tried_once(stage: Stage, design: StandIn) -> None:
    stage.password = "not the password"
    verdict = stage.run({"attempts": 3}, "login")
    assert reason(verdict).startswith("log-in (http): the account basic is refused: wrong password")
    assert design.state()["wrong_passwords"]["basic"] == 1


def test_a_locked_account_is_the_probes_trouble_and_says_until_when(stage: Stage, design: StandIn) -> None:
    design.lock("basic", 600)
    verdict = stage.run({"attempts": 3}, "login")
    assert (verdict.outcome, verdict.attempts) == (Outcome.ERROR, 1)
    assert reason(verdict).startswith("log-in (account): account locked until 2")
    assert calls(design) == [f"POST {LOGIN}"]


def test_after_a_log_out_that_is_not_proved_the_next_run_ends_the_session_first(stage: Stage, design: StandIn) -> None:
    design.set_faults("logout-fails")
    assert stage.run({}, "login").outcome is Outcome.FAILED
    assert set(kept(stage)[0]) == {"access_token", "refresh_token"}
    assert open_sessions(design) == 1
    design.set_faults()
    before = len(calls(design))
    verdict = stage.run({}, "login")
    assert verdict.outcome is Outcome.PASSED
    assert calls(design)[before:] == [f"POST {LOGOUT}", f"GET {PROFILE}", *CALLS]
    assert open_sessions(design) == 0
    assert kept(stage) == []


def test_while_a_left_open_session_cannot_be_ended_there_is_no_login(stage: Stage, design: StandIn) -> None:
    design.set_faults("logout-fails")
    stage.run({}, "login")
    before = len(calls(design))
    verdict = stage.run({"attempts": 3}, "login")
    assert verdict.outcome is Outcome.FAILED
    assert f"POST {LOGIN}" not in calls(design)[before:]


def test_kept_tokens_are_for_our_eyes_only(stage: Stage, design: StandIn) -> None:
    design.set_faults("logout-fails")
    stage.run({}, "login")
    (file,) = (stage.folder / "sessions").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (stage.folder / "sessions").stat().st_mode & 0o777 == 0o700
    assert "betterprompts.com" not in file.name + file.read_text()


def test_a_profile_may_have_more_that_must_be_right(stage: Stage) -> None:
    verdict = stage.run({"attempts": 1, "profile": {"plan": "basic"}}, "login")
    assert reason(verdict) == "profile (body): the profile's plan is not as configured; expected basic"


def test_the_account_is_called_by_its_alias(stage: Stage, design: StandIn) -> None:
    for fault in ("login-401", "profile-other", "account-inactive", "profile-500-echo"):
        design.set_faults(fault)
        text = repr(stage.run({"attempts": 1}, "login"))
        assert EMAIL not in text
        assert stage.password not in text
        assert "someone.else@example.org" not in text


def test_without_a_browser_the_pages_are_left_out(stage: Stage) -> None:
    verdict = stage.run({"web": {}}, "login")
    assert (verdict.outcome, outcomes(verdict)["web"]) == (Outcome.PASSED, Outcome.SKIPPED)


def test_a_refresh_token_may_prove_it(tmp_path: Path) -> None:
    with StandIn("gateway") as gateway:
        stage = Stage(tmp_path, gateway.url, gateway.password)
        verdict = stage.run({"logout_proof": "refresh_token_refused"}, "login")
        assert (verdict.outcome, calls(gateway)[-2:]) == (Outcome.PASSED, [f"POST {LOGOUT}", f"POST {REFRESH}"])
        assert stage.run({"logout_proof": "access_token_refused"}, "login").outcome is Outcome.FAILED


# --- cut off ---


@dataclass
class Scissors:
    """Cuts a check off at the n-th of its requests (from 1): before it leaves, or when its answer is there."""

    at: int
    after: bool
    seen: int = 0
    clients: list[HttpClient] = field(default_factory=list)

    def client(self, *args: Any, **kwargs: Any) -> HttpClient:
        return CutClient(self, *args, **kwargs)


class CutClient(HttpClient):
    """As a run that is over does: throws into whatever the check is at, once."""

    def __init__(self, scissors: Scissors, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scissors = scissors

    def send(self, request: Request, timeout_s: float, heard: Heard | None = None) -> Response:
        scissors = self.scissors
        scissors.seen += 1
        now = scissors.seen == scissors.at
        if now and not scissors.after:
            raise CutOff("not finished within the run's 30 s")
        response = super().send(request, timeout_s, heard)
        if now:
            raise CutOff("not finished within the run's 30 s")
        return response


def cut(stage: Stage, at: int, *, after: bool) -> Verdict:
    stage.make_client = Scissors(at, after).client
    verdict = stage.run({"attempts": 2}, "login")
    stage.make_client = HttpClient
    return verdict


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_cut_off_while_it_looks_around_a_session_is_ended_all_the_same(
    stage: Stage, design: StandIn, at: int, *, after: bool
) -> None:
    verdict = cut(stage, at, after=after)
    assert (verdict.outcome, verdict.attempts) == (Outcome.FAILED, 1)
    assert reason(verdict) == "check (http): not finished within the run's 30 s"
    assert calls(design)[-2:] == CALLS[-2:]
    assert calls(design).count(f"POST {LOGIN}") == 1
    assert open_sessions(design) == 0
    assert kept(stage) == []


def test_cut_off_before_the_login_there_is_nothing_to_end(stage: Stage, design: StandIn) -> None:
    assert cut(stage, 1, after=False).outcome is Outcome.FAILED
    assert calls(design) == []


@pytest.mark.parametrize(("at", "after"), [(5, False), (5, True), (6, False), (6, True)])
def test_cut_off_in_the_log_out_itself_the_session_is_ended_all_the_same(
    stage: Stage, design: StandIn, at: int, *, after: bool
) -> None:
    assert cut(stage, at, after=after).outcome is Outcome.FAILED
    assert open_sessions(design) == 0
    assert stage.run({}, "login").outcome is Outcome.PASSED
    assert (open_sessions(design), kept(stage)) == (0, [])


def test_an_interruption_is_nobodys_failure(stage: Stage, design: StandIn) -> None:
    class Interrupted(HttpClient):
        def send(self, request: Request, timeout_s: float, heard: Heard | None = None) -> Response:
            if request.url.endswith(PROFILE) and not request.cleanup:
                raise CutOff("interrupted by SIGTERM", interrupted=True)
            return super().send(request, timeout_s, heard)

    stage.make_client = Interrupted
    verdict = stage.run({"attempts": 2}, "login")
    assert (verdict.outcome, reason(verdict)) == (Outcome.ERROR, "check (http): interrupted by SIGTERM")
    assert open_sessions(design) == 0


# --- answers that no honest target gives ---


def lying(answers: Mapping[str, tuple[int, Any]]) -> Callable[[Talk], None]:
    """A target that answers so by `METHOD /path`; what is not named goes well."""
    good: dict[str, tuple[int, Any]] = {
        f"POST {LOGIN}": (200, {"access_token": "access-1", "refresh_token": "refresh-1"}),
        f"GET {HISTORY}": (200, {"pagination": {"total_records": 3}}),
        f"GET {PROFILE}": (200, {"email": EMAIL}),
        f"POST {LOGOUT}": (200, {}),
    }

    def handle(talk: Talk) -> None:
        while request := talk.request():
            call = " ".join(request.decode().split(" ")[:2])
            status, body = {**good, **answers}[call]
            if call == f"GET {PROFILE}" and any(b"logout" in seen.split(b" ")[1] for seen in talk.server.requests):
                status = 401
            raw = json.dumps(body).encode()
            talk.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(raw)) + raw)

    return handle


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "passed"),
        ({f"POST {LOGIN}": (200, {"refresh_token": "r"})}, "log-in (body): access_token is missing"),
        ({f"POST {LOGIN}": (200, {"access_token": 5})}, "log-in (body): access_token is missing"),
        ({f"POST {LOGIN}": (200, ["access_token"])}, "log-in (body): the body is an array, not a JSON object"),
        ({f"POST {LOGIN}": (201, {})}, "log-in (http): wrong status; expected 200, got 201"),
        (
            {f"POST {LOGIN}": (403, {"error": {"locked_until": "2026-01-27T10:30:00+00:00"}})},
            "log-in (account): account locked until 2026-01-27T10:30:00+00:00; expected 200, got 403",
        ),
        (
            {f"GET {HISTORY}": (200, {"pagination": {"total_records": "3"}})},
            "history-before (body): pagination.total_records is missing or not a number",
        ),
        ({f"GET {HISTORY}": (200, [])}, "history-before (body): the body is an array, not a JSON object"),
        ({f"GET {PROFILE}": (200, {"email": EMAIL.upper()})}, "passed"),
        (
            {f"GET {PROFILE}": (200, {"email": None})},
            "profile (body): the profile is not the account's; expected basic, got another account",
        ),
        ({f"POST {LOGOUT}": (204, {})}, "passed"),
        ({f"POST {LOGOUT}": (401, {})}, "passed"),  # over already, as after a try whose answer was lost
        ({f"POST {LOGOUT}": (302, {})}, "log-out (http): the log-out failed; expected 200, got 302"),
    ],
)
def test_sessions_with_odd_answers(tmp_path: Path, answers: dict[str, tuple[int, Any]], said: str) -> None:
    with RawServer(lying(answers)) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 1}, "login")
        assert (reason(verdict) if verdict.reason else verdict.outcome) == said
    logged_out = any(request.startswith(f"POST {LOGOUT} ".encode()) for request in server.requests)
    _, body = answers.get(f"POST {LOGIN}", (200, {"access_token": "access-1"}))
    assert logged_out == (isinstance(body, dict) and any(isinstance(token, str) for token in body.values()))


@pytest.mark.parametrize("status", [200, 201, 302, 429, 500])
def test_tokens_are_ended_whatever_answer_brings_them(tmp_path: Path, status: int) -> None:
    with RawServer(lying({f"POST {LOGIN}": (status, {"access_token": "access-1"})})) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 3}, "login")
    sent = [b" ".join(request.split(b" ")[:2]).decode() for request in server.requests]
    assert sent.count(f"POST {LOGIN}") == 1
    assert sent[-2:] == [f"POST {LOGOUT}", f"GET {PROFILE}"]
    assert (verdict.outcome is Outcome.PASSED) == (status == 200)
    assert outcomes(verdict)["log-out-proof"] is Outcome.PASSED
    assert kept(stage) == []


def test_without_a_token_no_log_out_is_proved(tmp_path: Path) -> None:
    """That a request without any token is refused proves nothing."""
    with RawServer(lying({f"POST {LOGIN}": (200, {"refresh_token": "refresh-1"})})) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 3}, "login")
    assert outcomes(verdict)["log-out-proof"] is Outcome.FAILED
    assert kept(stage) == [{"refresh_token": "refresh-1"}]
    assert sum(request.startswith(f"POST {LOGIN} ".encode()) for request in server.requests) == 1


def test_one_try_has_log_outs_enough(stage: Stage, design: StandIn) -> None:
    """What an earlier run left open is ended on the same permit, and each log-out may need a second try."""
    design.set_faults("logout-fails")
    stage.run({"attempts": 1}, "login")
    design.set_faults("first-503")
    verdict = stage.run({"attempts": 1}, "login")
    assert outcomes(verdict)["end-left-open-proof"] is Outcome.PASSED
    assert open_sessions(design) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"access_token": 5}', b"\xff", b"{}", b"[{}]", b"[" * 100_000])
def test_a_damaged_session_file_is_said_once_and_loses_nothing(stage: Stage, design: StandIn, content: bytes) -> None:
    design.set_faults("logout-fails")
    stage.run({"attempts": 1}, "login")
    (file,) = (stage.folder / "sessions").iterdir()
    file.write_bytes(content)
    design.set_faults()
    before = len(calls(design))

    first, second = (stage.run({"attempts": 3}, "login") for _ in range(2))

    assert (first.outcome, first.attempts) == (Outcome.ERROR, 1)
    assert "damaged" in reason(first)
    assert second.outcome is Outcome.PASSED
    assert len(calls(design)) == before + len(CALLS)
    assert file.with_suffix(".damaged").read_bytes() == content


def test_a_session_file_that_cannot_be_read_stays(stage: Stage, design: StandIn) -> None:
    file = stage.folder / "sessions" / "x"
    stage.sessions().opened("basic", {"access_token": "access-1"})
    (file,) = (stage.folder / "sessions").iterdir()
    file.unlink()
    file.mkdir()  # root may read everything else
    verdicts = [stage.run({"attempts": 2}, "login") for _ in range(2)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.ERROR, Outcome.ERROR]
    assert calls(design) == []


def test_a_log_out_is_sent_whatever_pauses_or_throttles(tmp_path: Path) -> None:
    def handle(talk: Talk) -> None:
        while request := talk.request():
            extra = b"X-Smokeprobe-Pause: 600\r\n" if LOGIN.encode() in request else b""
            body = b'{"access_token": "access-1", "refresh_token": "refresh-1"}'
            status = b"401" if PROFILE.encode() in request else b"200"
            talk.send(b"HTTP/1.1 %s X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, extra, len(body), body))

    with RawServer(handle) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 3}, "login")
        sent = [b" ".join(request.split(b" ")[:2]).decode() for request in server.requests]
    assert sent == [f"POST {LOGIN}", f"POST {LOGOUT}", f"GET {PROFILE}"]
    assert outcomes(verdict)["history-before"] is Outcome.SKIPPED
    assert outcomes(verdict)["log-out-proof"] is Outcome.PASSED


def test_a_log_out_whose_answer_is_lost_is_sent_again(tmp_path: Path) -> None:
    good = lying({})

    tokens, history = {"access_token": "access-1", "refresh_token": "refresh-1"}, {"pagination": {"total_records": 3}}

    def handle(talk: Talk) -> None:
        if talk.number:
            good(talk)
            return
        for answer in (tokens, history, {"email": EMAIL}, history):
            talk.request()
            body = json.dumps(answer).encode()
            talk.send(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        talk.request()
        talk.reset()

    with RawServer(handle) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 2}, "login")
    assert (verdict.outcome, verdict.flaky) == (Outcome.PASSED, True)
    assert sum(request.startswith(f"POST {LOGOUT} ".encode()) for request in server.requests) == 2
    assert kept(stage) == []


def test_a_log_in_whose_body_breaks_off_is_ended_by_its_cookies(tmp_path: Path) -> None:
    good = lying({})

    def handle(talk: Talk) -> None:
        if talk.number:
            good(talk)
            return
        talk.request()
        cookies = b"Set-Cookie: auth_token=access-1; HttpOnly\r\nSet-Cookie: refresh_token=refresh-1; HttpOnly\r\n"
        talk.send(b"HTTP/1.1 200 X\r\n" + cookies + b"Content-Length: 500\r\n\r\n{")

    with RawServer(handle) as server:
        stage = Stage(tmp_path, server.url, "a password")
        verdict = stage.run({"attempts": 3}, "login")
    sent = [b" ".join(request.split(b" ")[:2]).decode() for request in server.requests]
    assert sent == [f"POST {LOGIN}", f"POST {LOGOUT}", f"GET {PROFILE}"]
    assert (verdict.outcome, outcomes(verdict)["log-out-proof"]) == (Outcome.FAILED, Outcome.PASSED)
    assert kept(stage) == []


def test_sessions_are_the_same_by_whichever_name_the_target_goes(tmp_path: Path) -> None:
    redactor = Redactor()
    OpenSessions(tmp_path, "http://127.0.0.1:8089", redactor).opened("basic", {"access_token": "access-1"})
    other = OpenSessions(tmp_path, "http://localhost:8089", redactor)
    assert other.left_open("basic") == [{"access_token": "access-1"}]
    assert OpenSessions(tmp_path, "http://localhost:8090", redactor).left_open("basic") == []


def test_each_of_several_sessions_is_kept_until_it_is_ended(tmp_path: Path) -> None:
    sessions = OpenSessions(tmp_path, "http://127.0.0.1:8089", Redactor())
    first, second = {"access_token": "access-1"}, {"access_token": "access-2", "refresh_token": "refresh-2"}
    sessions.opened("basic", first)
    sessions.opened("basic", second)
    sessions.closed("basic", first)
    assert OpenSessions(tmp_path, "http://127.0.0.1:8089", Redactor()).left_open("basic") == [second]
    sessions.closed("basic", second)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_what_was_half_written_as_a_run_was_killed_is_removed(tmp_path: Path) -> None:
    sessions = OpenSessions(tmp_path, "http://127.0.0.1:8089", Redactor())
    sessions.opened("basic", {"access_token": "access-1"})
    (file,) = (tmp_path / "sessions").iterdir()
    old, new = (file.with_name(f".{file.name}.{name}") for name in ("old", "new"))
    for half in (old, new):
        half.write_text("[{")
    os.utime(old, (0, 0))
    sessions.left_open("basic")
    assert (old.exists(), new.exists(), file.exists()) == (False, True, True)


@pytest.mark.parametrize("token", ["+" * 60_000, "/" * 20_000, "a" * 900_000, "health"])
def test_a_monstrous_token_takes_no_time(tmp_path: Path, token: str) -> None:
    with RawServer(lying({f"POST {LOGIN}": (200, {"access_token": token})})) as server:
        stage = Stage(tmp_path, server.url, "a password")
        begun = time.monotonic()
        verdict = stage.run({"attempts": 1, "timeout": "20s"}, "login")
    assert time.monotonic() - begun < 10
    assert outcomes(verdict)["log-in"] is Outcome.PASSED
    assert any(request.startswith(f"POST {LOGOUT} ".encode()) for request in server.requests) or len(token) > 100_000
