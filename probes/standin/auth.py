"""Login, refresh, logout, profile, history and change of password."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify

from probes.standin.accounts import TOKEN_LIFE, Account, RefusedError, Session, iso
from probes.standin.target import Exchange, Target, current_exchange

PREFIX = "/api/v1/auth"
LOGIN = f"{PREFIX}/login"
REFRESH = f"{PREFIX}/refresh"
LOGOUT = f"{PREFIX}/logout"
PROFILE = f"{PREFIX}/profile"
CHANGE_PASSWORD = f"{PREFIX}/change-password"
HISTORY = "/api/v1/history"
PAGE_LENGTH = 20

Answer = Response | tuple[Response, int]


def register(app: Flask, target: Target) -> None:
    """Add these calls."""
    app.add_url_rule(LOGIN, "login", _answering(_login, target), methods=["POST"])
    app.add_url_rule(REFRESH, "refresh", _answering(_refresh, target), methods=["POST"])
    app.add_url_rule(LOGOUT, "logout", _answering(_logout, target), methods=["POST"])
    app.add_url_rule(CHANGE_PASSWORD, "change_password", _answering(_change_password, target), methods=["POST"])
    app.add_url_rule(PROFILE, "profile", _answering(_profile, target))
    app.add_url_rule(HISTORY, "history", _answering(_history, target))


def _answering(call: Callable[[Target, Exchange], Answer], target: Target) -> Callable[[], Answer]:
    """A view that gives a refusal as its answer."""

    def view() -> Answer:
        try:
            return call(target, current_exchange())
        except RefusedError as refusal:
            return jsonify(refusal.body), refusal.status

    return view


def _login(target: Target, exchange: Exchange) -> Answer:
    body = exchange.json_object()
    name, password = body.get("email_or_username"), body.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        return jsonify(error="email_or_username and password are required"), 400
    session = target.accounts.login(name, password, str(body.get("totp_code", "")), target.now())
    user = user_data(target, session.account) | {"last_login_at": _time_or_none(session)}
    answer = jsonify(
        user=user,
        access_token=session.access_token,
        refresh_token=session.refresh_token,
        expires_in=int(TOKEN_LIFE.total_seconds()),
    )
    for name, value in (("auth_token", session.access_token), ("refresh_token", session.refresh_token)):
        answer.set_cookie(name, value, httponly=True, samesite="Lax", secure=target.settings.tls)
    return answer


def _time_or_none(session: Session) -> str | None:
    return iso(session.previous_login_at) if session.previous_login_at else None


def user_data(target: Target, account: Account) -> dict[str, Any]:
    """What the target tells an account of itself; the gateway tells more."""
    last_login_at = iso(account.last_login_at) if account.last_login_at else None
    data: dict[str, Any] = {"email": account.email, "last_login_at": last_login_at}
    if target.persona == "gateway":
        names = {"id": f"user-{account.alias}", "username": account.email.partition("@")[0]}
        data |= names | {"role": "user", "plan": account.alias, "is_active": True, "is_verified": True}
    return data


def _refresh(target: Target, exchange: Exchange) -> Answer:
    token = exchange.json_object().get("refresh_token")
    session = target.accounts.refresh(str(token), target.now())
    answer = jsonify(access_token=session.access_token)
    answer.set_cookie("auth_token", session.access_token, httponly=True, samesite="Lax", secure=target.settings.tls)
    return answer


def _logout(target: Target, exchange: Exchange) -> Answer:
    session = exchange.require_session()
    token = exchange.json_object().get("refresh_token") or exchange.request.cookies.get("refresh_token", "")
    target.accounts.logout(session, str(token))
    answer = jsonify(message="logged out")
    for name in ("auth_token", "refresh_token"):
        answer.delete_cookie(name, httponly=True, samesite="Lax", secure=target.settings.tls)
    return answer


def _change_password(target: Target, exchange: Exchange) -> Answer:
    session = exchange.require_session()
    body = exchange.json_object()
    current, new, confirmed = (str(body.get(f"{kind}_password", "")) for kind in ("current", "new", "confirm"))
    target.accounts.change_password(session, current, new, confirmed)
    return jsonify(message="password changed")


def _profile(target: Target, exchange: Exchange) -> Answer:
    return jsonify(user_data(target, exchange.require_session().account))


def _history(_target: Target, exchange: Exchange) -> Answer:
    rows = exchange.require_session().account.history
    return jsonify(
        data=rows[::-1][:PAGE_LENGTH],
        pagination={"page": 1, "per_page": PAGE_LENGTH, "total_records": len(rows)},
    )
