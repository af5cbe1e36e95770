"""Login, refresh, log-out, lockout and what is stored of them."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from probes.standin.accounts import LOCK_TIME, TOKEN_LIFE, Accounts, RefusedError, totp
from probes.standin.process import StandIn
from tests.standin.client import EMAILS, call, login

NOW = datetime(2026, 1, 27, 10, tzinfo=UTC)


def test_login_opens_a_session(design: StandIn) -> None:
    answer = login(design)
    body = answer.json
    assert answer.status == 200
    assert body["user"] == {"email": EMAILS["basic"], "last_login_at": None}
    assert body["expires_in"] == TOKEN_LIFE.total_seconds()
    cookies = [value for name, value in answer.headers if name == "Set-Cookie"]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["auth_token", "refresh_token"]
    assert all("HttpOnly" in cookie for cookie in cookies)
    assert design.state()["open_sessions"] == {"basic": 1, "premium": 0}
    assert design.state()["writes"] == 0


def test_the_user_name_is_as_good_as_the_e_mail(design: StandIn) -> None:
    body = {"email_or_username": "smoke-test-premium", "password": design.password}
    answer = call(design, "POST /api/v1/auth/login", body)
    assert answer.json["user"]["email"] == EMAILS["premium"]


def test_login_tells_the_previous_login(design: StandIn) -> None:
    first = login(design).json
    profile = call(design, "GET /api/v1/auth/profile", token=first["access_token"]).json
    second = login(design).json
    assert second["user"]["last_login_at"] == profile["last_login_at"]
    age = datetime.now(UTC) - datetime.fromisoformat(profile["last_login_at"])
    assert timedelta() <= age < timedelta(seconds=5)
    assert login(design, "premium").json["user"]["last_login_at"] is None


def test_logout_ends_the_session(design: StandIn) -> None:
    session, other = login(design).json, login(design).json
    logout = {"refresh_token": session["refresh_token"]}
    answer = call(design, "POST /api/v1/auth/logout", logout, token=session["access_token"])
    assert answer.status == 200
    assert answer.json["message"]
    cleared = [value for name, value in answer.headers if name == "Set-Cookie"]
    assert len(cleared) == 2
    assert all("Max-Age=0" in cookie for cookie in cleared)
    for path in ("auth/profile", "history"):
        assert call(design, f"GET /api/v1/{path}", token=session["access_token"]).status == 401
    assert call(design, "POST /api/v1/auth/refresh", logout).status == 401
    assert call(design, "POST /api/v1/auth/logout", logout, token=session["access_token"]).status == 401
    assert call(design, "GET /api/v1/auth/profile", token=other["access_token"]).status == 200
    assert design.state()["logouts"] == 1
    assert design.state()["open_sessions"]["basic"] == 1


def test_refresh_gives_a_new_access_token(design: StandIn) -> None:
    session = login(design).json
    answer = call(design, "POST /api/v1/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert list(answer.json) == ["access_token"]
    assert answer.json["access_token"] != session["access_token"]
    assert call(design, "GET /api/v1/auth/profile", token=answer.json["access_token"]).status == 200
    assert design.state()["open_sessions"]["basic"] == 1


def test_cookies_are_as_good_as_a_token_but_a_bad_token_is_worse(design: StandIn) -> None:
    session = login(design).json
    cookie = {"Cookie": f"auth_token={session['access_token']}; refresh_token={session['refresh_token']}"}
    assert call(design, "GET /api/v1/auth/profile", headers=cookie).status == 200
    assert call(design, "GET /api/v1/auth/profile", headers=cookie, token="forged").status == 401
    assert call(design, "POST /api/v1/auth/logout", headers=cookie).status == 200
    assert design.state()["open_sessions"]["basic"] == 0


@pytest.mark.parametrize("path", ["auth/profile", "history"])
def test_no_token_is_refused(design: StandIn, path: str) -> None:
    assert call(design, f"GET /api/v1/{path}").status == 401


@pytest.mark.parametrize("body", [None, [], {"password": "x"}, {"email_or_username": 1, "password": "x"}])
def test_login_without_its_fields(design: StandIn, body: object) -> None:
    assert call(design, "POST /api/v1/auth/login", body).status == 400


def test_five_wrong_passwords_lock(design: StandIn) -> None:
    assert [login(design, password="wrong").status for _ in range(5)] == [401] * 5
    answer = login(design)
    assert answer.status == 403
    until = datetime.fromisoformat(answer.json["locked_until"])
    assert timedelta(minutes=29) < until - datetime.now(UTC) <= timedelta(minutes=30)
    assert login(design, "premium").status == 200
    state = design.state()
    assert state["locked"] == {"basic": True, "premium": False}
    assert state["wrong_passwords"] == {"basic": 5, "premium": 0}


def test_a_lock_that_ran_out_locks_again_at_one_wrong_password(design: StandIn) -> None:
    design.lock("basic", 0)
    assert login(design, password="wrong").status == 401
    assert login(design).status == 403


def test_a_right_password_forgives_the_wrong_ones(design: StandIn) -> None:
    design.lock("basic", 0)
    assert login(design).status == 200
    assert login(design, password="wrong").status == 401
    assert login(design).status == 200


def test_a_lock_lasts_thirty_minutes() -> None:
    accounts = Accounts("design", "right")
    for _ in range(5):
        with pytest.raises(RefusedError, match="invalid credentials"):
            accounts.login(EMAILS["basic"], "wrong", "", NOW)
    with pytest.raises(RefusedError, match="locked"):
        accounts.login(EMAILS["basic"], "right", "", NOW + LOCK_TIME - timedelta(seconds=1))
    assert accounts.login(EMAILS["basic"], "right", "", NOW + LOCK_TIME).open


def test_access_tokens_run_out_and_refresh_tokens_do_not() -> None:
    accounts = Accounts("design", "right")
    session = accounts.login(EMAILS["basic"], "right", "", NOW)
    with pytest.raises(RefusedError, match="expired"):
        accounts.session_of(session.access_token, NOW + TOKEN_LIFE)
    renewed = accounts.refresh(session.refresh_token, NOW + TOKEN_LIFE)
    assert accounts.session_of(renewed.access_token, NOW + TOKEN_LIFE) is session


def test_change_of_password(design: StandIn) -> None:
    token = login(design).json["access_token"]
    body = {"current_password": design.password, "new_password": "a new one", "confirm_password": "a new one"}
    for wrong in ("current_password", "confirm_password"):
        assert call(design, "POST /api/v1/auth/change-password", body | {wrong: "other"}, token=token).status == 400
    assert call(design, "POST /api/v1/auth/change-password", body, token=token).status == 200
    assert login(design).status == 401
    assert login(design, password="a new one").status == 200
    design.reset()
    assert login(design).status == 200


def test_one_time_code_of_the_rfc() -> None:
    # RFC 6238, appendix B: at 59 s the last six digits of 94287082, for the secret 12345678901234567890
    assert totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 59 // 30) == "287082"


def test_one_time_code_and_edge_secret_where_asked_for() -> None:
    secret = "GEZDGNBVGY3TQOJQ"
    env = {
        "STANDIN_TOTP_SECRET": secret,
        "STANDIN_EDGE_SECRET": "sesame",
        "SMOKE_TEST_PASSWORD": "from the environment",
    }
    with StandIn(env=env) as target:
        assert target.password == "from the environment"
        assert call(target, "GET /health").status == 403
        sesame = {"X-Edge-Secret": "sesame"}
        assert call(target, "GET /health", headers=sesame).status == 200
        body = {"email_or_username": EMAILS["basic"], "password": target.password}
        assert call(target, "POST /api/v1/auth/login", body, sesame).status == 401
        right = totp(secret, int(time.time()) // 30)
        assert call(target, "POST /api/v1/auth/login", body | {"totp_code": right}, sesame).status == 200
        assert call(target, "GET /login", headers=sesame).body.count(b"login-totp") == 1
