"""Faults in enhancement, login, log-out, profile and history."""

import uuid
from datetime import timedelta

import gevent
from flask import Response

from probes.standin.accounts import iso
from probes.standin.api import enhance, store_row
from probes.standin.auth import HISTORY, LOGIN, LOGOUT, PROFILE
from probes.standin.faults.base import (
    Before,
    Fault,
    Layer,
    Outcome,
    Rule,
    answer,
    answer_json,
    edit,
    on,
    one,
    put,
    redirect_to,
    wait,
)
from probes.standin.faults.wire import hang
from probes.standin.limiter import ENHANCE_PATH
from probes.standin.target import Exchange

_ENHANCE = on(f"POST {ENHANCE_PATH}")
_LOGIN = on(f"POST {LOGIN}")
_LOGOUT = on(f"POST {LOGOUT}")
_PROFILE = on(f"GET {PROFILE}")
_HISTORY = on(f"GET {HISTORY}")
_SLOW_LOGOUT_S = 2.0
_SLOW_LOGIN_S = 1.0
_LOCKED_FOR = timedelta(minutes=30)

LEAKED = (
    "postgres://prompts:hunter2@10.12.0.7:5432/prompts",
    "ml.internal.svc.cluster.local:8000",
    "jane.roe@betterprompts.com",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl",
)
"""What enhance-500-internal gives away; none of it may ever be in a report."""


def _enhance(name: str, description: str, layer: Layer, rule: Rule) -> Fault:
    return Fault(name, description, one("enhancement", "failed", layer), (rule,))


def _login(
    name: str, description: str, rule: Rule, *, outcome: Outcome = "failed", layer: Layer | None = "http"
) -> Fault:
    return Fault(name, description, one("login", outcome, layer), (rule,))


def _stores(exchange: Exchange, response: Response) -> Response:
    exchange.target.counts["anonymous_rows"] += 1
    return put(id=str(uuid.uuid4()))(exchange, response)


def _locked(exchange: Exchange) -> Response | None:
    until = iso(exchange.target.now() + _LOCKED_FOR)
    return answer_json(403, error="account is locked", locked_until=until)(exchange)


def _grow_history(exchange: Exchange) -> None:
    session = exchange.session
    if session:
        text = "a prompt that nobody has sent"
        store_row(exchange.target, session, text, enhance(text))


def _echo(exchange: Exchange) -> Response | None:
    headers = exchange.request.headers
    seen = {name: headers.get(name, "") for name in ("Authorization", "Cookie", "User-Agent")}
    return answer_json(500, error="unhandled", request=seen)(exchange)


def _late(_exchange: Exchange, response: Response) -> Response:
    gevent.sleep(_SLOW_LOGIN_S)
    return response


def _created(_exchange: Exchange, response: Response) -> Response:
    response.status_code = 201
    return response


def _redirect_away(status: int) -> Before:
    return redirect_to("http://example.org/collect", status)


FAULTS = (
    _enhance(
        "enhance-stores",
        "an anonymous enhancement is stored, and its answer has the id",
        "body",
        Rule(_ENHANCE, after=_stores),
    ),
    _enhance(
        "enhance-echo",
        "the enhanced text is the prompt itself",
        "body",
        Rule(
            _ENHANCE,
            after=edit(lambda b: b | dict.fromkeys(("enhanced_text", "enhanced_prompt"), b.get("original_text"))),
        ),
    ),
    _enhance(
        "enhance-empty",
        "the enhanced text is empty",
        "body",
        Rule(_ENHANCE, after=put(enhanced_text="", enhanced_prompt="")),
    ),
    _enhance(
        "enhance-not-flagged", "the answer says enhanced: false", "body", Rule(_ENHANCE, after=put(enhanced=False))
    ),
    _enhance(
        "enhance-html",
        "the answer is 200 and an HTML page",
        "body",
        Rule(_ENHANCE, answer(200, "<html><body>Welcome!</body></html>", "text/html")),
    ),
    _enhance(
        "enhance-500-internal",
        "the answer is 500, with internal addresses, an e-mail and a token in its body",
        "http",
        Rule(
            _ENHANCE,
            answer_json(500, error=f"pq: {LEAKED[0]}: refused", upstream=LEAKED[1], user=LEAKED[2], token=LEAKED[3]),
        ),
    ),
    _login(
        "account-locked",
        "every login answers 403 with locked_until",
        Rule(_LOGIN, _locked),
        outcome="error",
        layer="account",
    ),
    _login(
        "account-inactive",
        "every login answers 403, inactive",
        Rule(_LOGIN, answer_json(403, error="account is inactive")),
        outcome="error",
        layer="account",
    ),
    _login(
        "login-401",
        "every login answers 401, as with the database down",
        Rule(_LOGIN, answer_json(401, error="invalid credentials")),
    ),
    _login(
        "login-slow",
        "logins open a session, and are answered a second later",
        Rule(_LOGIN, after=_late),
        outcome="passed",
        layer=None,
    ),
    _login("login-201", "logins open a session, and answer 201", Rule(_LOGIN, after=_created)),
    _login("login-500", "every login answers 500", Rule(_LOGIN, answer_json(500, error="internal"))),
    _login(
        "login-429",
        "every login answers 429 with Retry-After: 60",
        Rule(_LOGIN, answer(429, '{"error":"rate_limit_exceeded"}', Retry_After="60")),
        outcome="throttled",
    ),
    _login(
        "login-no-token",
        "logins answer 200 without an access token",
        Rule(_LOGIN, after=edit(lambda body: {key: body[key] for key in body if key != "access_token"})),
        layer="body",
    ),
    _login(
        "login-then-silence",
        "logins open a session, and are never answered",
        Rule(_LOGIN, after=lambda exchange, _response: hang(exchange)),
    ),
    _login(
        "login-redirect-other-host",
        "logins answer 307 to http://example.org/, password and all",
        Rule(_LOGIN, _redirect_away(307)),
    ),
    _login(
        "profile-redirect-other-host",
        "the profile redirects to http://example.org/, token and all",
        Rule(_PROFILE, _redirect_away(302)),
    ),
    _login(
        "profile-other",
        "the profile is another account's",
        Rule(_PROFILE, after=put(email="someone.else@example.org")),
        layer="body",
    ),
    _login("profile-500-echo", "the profile answers 500, with the request's token in its body", Rule(_PROFILE, _echo)),
    _login("history-500", "the history answers 500", Rule(_HISTORY, answer_json(500, error="internal"))),
    _login("history-grows", "a row appears whenever the history is read", Rule(_HISTORY, _grow_history), layer="body"),
    _login("logout-fails", "log-outs answer 500 and end nothing", Rule(_LOGOUT, answer_json(500, error="internal"))),
    _login(
        "logout-does-nothing",
        "log-outs answer 200, and the token stays valid",
        Rule(_LOGOUT, answer_json(200, message="logged out")),
    ),
    _login("logout-slow", "log-outs take 2 seconds", Rule(_LOGOUT, wait(_SLOW_LOGOUT_S)), outcome="passed", layer=None),
)
