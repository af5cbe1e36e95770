"""Faults in enhancement, login, log-out, profile and history."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from probes.standin.faults.calls import FAULTS, LEAKED
from probes.standin.process import StandIn
from tests.standin.client import Answer, call, login

Case = Callable[[StandIn], None]
TEXT = {"text": "Explain tides"}


def enhanced(check: Callable[[Answer], bool]) -> Case:
    def case(target: StandIn) -> None:
        assert check(call(target, "POST /api/v1/enhance", TEXT))

    return case


def stores(target: StandIn) -> None:
    assert call(target, "POST /api/v1/enhance", TEXT).json["id"]
    assert target.state()["anonymous_rows_stored"] == 1


def refused(status: int, *fields: str) -> Case:
    def case(target: StandIn) -> None:
        answer = login(target)
        assert answer.status == status
        assert {"error", *fields} == set(answer.json)
        assert target.state()["open_sessions"]["basic"] == 0
        assert target.state()["wrong_passwords"]["basic"] == 0

    return case


def locked(target: StandIn) -> None:
    refused(403, "locked_until")(target)
    assert datetime.fromisoformat(login(target).json["locked_until"]) > datetime.now(UTC)


def no_token(target: StandIn) -> None:
    answer = login(target)
    assert answer.status == 200
    assert "access_token" not in answer.json
    assert "refresh_token" in answer.json


def created(target: StandIn) -> None:
    assert login(target).status == 201
    assert target.state()["open_sessions"]["basic"] == 1


def late(target: StandIn) -> None:
    begun = time.monotonic()
    assert login(target).status == 200
    assert time.monotonic() - begun >= 1.0


def then_silence(target: StandIn) -> None:
    body = {"email_or_username": "smoke-test-basic", "password": target.password}
    with pytest.raises(TimeoutError):
        call(target, "POST /api/v1/auth/login", body, timeout=0.2)
    assert target.state()["open_sessions"]["basic"] == 1


def redirected_login(target: StandIn) -> None:
    answer = login(target)
    assert (answer.status, answer.header("Location")) == (307, "http://example.org/collect")


def token_of(target: StandIn) -> str:
    token: str = login(target).json["access_token"]
    return token


def redirected_profile(target: StandIn) -> None:
    answer = call(target, "GET /api/v1/auth/profile", token=token_of(target))
    assert (answer.status, answer.header("Location")) == (302, "http://example.org/collect")


def other_profile(target: StandIn) -> None:
    profile = call(target, "GET /api/v1/auth/profile", token=token_of(target)).json
    assert profile["email"] == "someone.else@example.org"


def echo(target: StandIn) -> None:
    token = token_of(target)
    answer = call(target, "GET /api/v1/auth/profile", token=token)
    assert answer.status == 500
    assert token in answer.json["request"]["Authorization"]


def broken_history(target: StandIn) -> None:
    assert call(target, "GET /api/v1/history", token=token_of(target)).status == 500


def growing_history(target: StandIn) -> None:
    token = token_of(target)
    totals = [call(target, "GET /api/v1/history", token=token).json["pagination"]["total_records"] for _ in range(3)]
    assert totals == [1, 2, 3]


def logout(target: StandIn) -> tuple[Answer, str]:
    session = login(target).json
    body = {"refresh_token": session["refresh_token"]}
    return call(target, "POST /api/v1/auth/logout", body, token=session["access_token"]), session["access_token"]


def stays_in(status: int) -> Case:
    def case(target: StandIn) -> None:
        answer, token = logout(target)
        assert answer.status == status
        assert call(target, "GET /api/v1/auth/profile", token=token).status == 200
        assert target.state()["open_sessions"]["basic"] == 1

    return case


def slow_logout(target: StandIn) -> None:
    started = time.monotonic()
    answer, token = logout(target)
    assert time.monotonic() - started >= 2
    assert answer.status == 200
    assert call(target, "GET /api/v1/auth/profile", token=token).status == 401


CASES: dict[str, Case] = {
    "enhance-stores": stores,
    "enhance-echo": enhanced(lambda a: a.json["enhanced_text"] == a.json["enhanced_prompt"] == TEXT["text"]),
    "enhance-empty": enhanced(lambda a: a.json["enhanced_text"] == ""),
    "enhance-not-flagged": enhanced(lambda a: a.json["enhanced"] is False),
    "enhance-html": enhanced(lambda a: a.status == 200 and a.body.startswith(b"<html>")),
    "enhance-500-internal": enhanced(lambda a: a.status == 500 and all(leak in a.body.decode() for leak in LEAKED)),
    "account-locked": locked,
    "account-inactive": refused(403),
    "login-401": refused(401),
    "login-500": refused(500),
    "login-201": created,
    "login-slow": late,
    "login-429": refused(429),
    "login-no-token": no_token,
    "login-then-silence": then_silence,
    "login-redirect-other-host": redirected_login,
    "profile-redirect-other-host": redirected_profile,
    "profile-other": other_profile,
    "profile-500-echo": echo,
    "history-500": broken_history,
    "history-grows": growing_history,
    "logout-fails": stays_in(500),
    "logout-does-nothing": stays_in(200),
    "logout-slow": slow_logout,
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_fault(design: StandIn, name: str) -> None:
    design.set_faults(name)
    CASES[name](design)
