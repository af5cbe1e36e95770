"""Who may use the web UI: whoever knows its one password; where it has none, everybody on this machine."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
import ssl
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.errors import ConfigError
from probes.swarm.fleet import is_loopback
from probes.swarm.web_tls import tls_context

if TYPE_CHECKING:
    from flask import Flask

PASSWORD_VARIABLE = "SMOKEPROBE_UI_PASSWORD"  # noqa: S105 - a variable's name
USER_VARIABLE = "SMOKEPROBE_UI_USER"
SHORTEST_PASSWORD = 12

TRIES, PER_S = 5, 60.0
"""So many failed tries within so many seconds, from one address; the right password has to wait then, too."""

KEPT = 1024
"""So many addresses with failed tries, and sessions, are remembered: the newest."""

STAYS_IN = dt.timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Door:
    """The user name and the password that open the UI, and its TLS; an empty password leaves it open."""

    user: str
    password: str
    tls: ssl.SSLContext | None = None

    @property
    def locked(self) -> bool:
        """Whether one has to log in."""
        return bool(self.password)

    def opens(self, user: str, password: str) -> bool:
        """Whether these are right; it takes as long whatever is wrong with them."""
        right_user = hmac.compare_digest(user.encode(), self.user.encode())
        right_password = hmac.compare_digest(password.encode(), self.password.encode())
        return self.locked and right_user and right_password


def door_of(parsed: Namespace, environ: Mapping[str, str]) -> Door | None:
    """The door of the web UI that Locust is about to open with these options; None where it opens none.

    Raises:
        ConfigError: it would be open beyond the loopback, its password is too short or no text, or its TLS cannot
            be served.
    """
    if parsed.headless or parsed.worker:
        return None
    password, user = environ.get(PASSWORD_VARIABLE, ""), environ.get(USER_VARIABLE, "")
    for variable, value in ((PASSWORD_VARIABLE, password), (USER_VARIABLE, user)):
        if not _is_utf8(value):  # a browser sends nothing else
            raise ConfigError(f"{variable} is no text in UTF-8.")
    if password and len(password) < SHORTEST_PASSWORD:
        raise ConfigError(f"{PASSWORD_VARIABLE} is too short: {SHORTEST_PASSWORD} characters at least.")
    if not password and parsed.web_login:
        raise ConfigError("--web-login: there is no password.", hint=f"Set {PASSWORD_VARIABLE}.")
    if not password and parsed.web_host and not is_loopback(parsed.web_host):
        raise ConfigError(
            f"{parsed.web_host}: without a password the web UI stays on the loopback.",
            hint=f"Set {PASSWORD_VARIABLE} ({SHORTEST_PASSWORD} characters at least).",
        )
    tls = tls_context(parsed.tls_cert, parsed.tls_key)
    return Door(user or "smokeprobe", password, tls)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def seal(app: Flask, port: int, *, tls: bool) -> None:
    """Sign the sessions of this start, so that none outlives it, and let no script and no other site have them."""
    app.secret_key = secrets.token_bytes(32)
    app.config.update(
        SESSION_COOKIE_NAME=f"smokeprobe_{port}",  # cookies do not keep the ports of one host apart
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=tls,
        PERMANENT_SESSION_LIFETIME=STAYS_IN,
        MAX_CONTENT_LENGTH=1 << 16,
    )
    app.debug = False  # Locust turns it on


class Tries:
    """Counts failed tries, by the address that they come from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before it may try; 0 if it may."""
        failed = self._failed.get(address)
        return max(0.0, failed[0] + PER_S - self._clock()) if failed and len(failed) == TRIES else 0.0

    def failed(self, address: str) -> None:
        """It was wrong."""
        self._failed.setdefault(address, deque(maxlen=TRIES)).append(self._clock())
        while len(self._failed) > KEPT:
            del self._failed[next(iter(self._failed))]


class Inside:
    """Who is logged in. It is known here: an answer under way could bring back the cookie of a session that ended.

    Sessions are Flask's: signed, and kept by the browser.
    """

    def __init__(self) -> None:
        self._ids: deque[str] = deque(maxlen=KEPT)

    def has(self, session: Any) -> bool:
        """Whether this session is one of somebody logged in."""
        return session.get("id") in self._ids

    def let_in(self, session: Any) -> None:
        """Begin a session anew: nothing of what it was before the login is left."""
        session.clear()
        session.permanent = True
        session["id"] = secrets.token_urlsafe(16)
        self._ids.append(session["id"])
        csrf_token(session)

    def let_out(self, session: Any) -> None:
        """End a session, for good."""
        if self.has(session):
            self._ids.remove(session["id"])
        session.clear()


def csrf_token(session: Any) -> str:
    """The token of this session that our own forms carry."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def has_token(session: Any, form: Mapping[str, str]) -> bool:
    """Whether a form was made for this session."""
    return hmac.compare_digest(csrf_token(session).encode(), form.get("csrf", "").encode())
