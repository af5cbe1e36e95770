"""All that the stand-in remembers, and the one request that is being answered."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Request, g
from gevent.event import Event

from probes.standin.accounts import DEFAULT_PASSWORD, Accounts, RefusedError, Session
from probes.standin.ledger import Ledger
from probes.standin.limiter import ENHANCE_PATH, Persona, Tally, limits_covering, limits_of
from probes.standin.wire import Wire

SKEW = timedelta(minutes=10)
CLOCK_SKEW = "clock-skew"
RATELIMIT_LOWERED = "ratelimit-lowered"
LOWERED_LIMIT = 50

BEACON_PATH = "/analytics/collect"
WEBSOCKET_PATH = "/ws"
_AUTH_CALLS = {"/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Settings:
    """What a stand-in is started with. An empty secret asks for none."""

    persona: Persona = "design"
    password: str = DEFAULT_PASSWORD
    totp_secret: str = ""
    edge_secret: str = ""
    tls: bool = False


class Target:
    """The state of one stand-in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.persona = settings.persona
        self.faults: tuple[str, ...] = ()
        self.seen: set[str] = set()
        """Calls already met by a fault that only concerns the first of each kind."""
        self.released = Event()
        """Set when the faults change: whatever a fault holds up then ends."""
        self.forget()

    def forget(self) -> None:
        """Go back to the state of a fresh start, without faults."""
        self.accounts = Accounts(self.persona, self.settings.password, self.settings.totp_secret)
        self.limits = limits_of(self.persona)
        self.ledger = Ledger()
        self.counts: Counter[str] = Counter()
        self.set_faults(())

    def set_faults(self, names: tuple[str, ...]) -> None:
        """Replace the active faults, forget what they counted, and let go of what they held up."""
        self.released.set()
        self.released = Event()
        self.seen = set()
        self.faults = names

    def now(self) -> datetime:
        """The target's own time in UTC; not the machine's while its clock is set wrong by a fault."""
        return datetime.now(UTC) + self.skew

    @property
    def skew(self) -> timedelta:
        """How far the target's clock is ahead."""
        return SKEW if CLOCK_SKEW in self.faults else timedelta()

    def count(self, exchange: "Exchange") -> list[Tally]:
        """Count a request against the limits that cover it, until one refuses."""
        request = exchange.request
        tallies: list[Tally] = []
        now = time.time()
        for name in limits_covering(self.persona, request.method, request.path):
            key = exchange.limit_key if name == "enhance" else exchange.client
            lowered = LOWERED_LIMIT if RATELIMIT_LOWERED in self.faults and name != "api" else None
            tally = self.limits[name].count(key, now, limit=lowered)
            tallies.append(tally)
            if tally.refused:
                break
        return tallies

    def note_write(self, exchange: "Exchange") -> None:
        """Count a request that may change something, whatever its answer will be."""
        request = exchange.request
        if request.path == BEACON_PATH and request.method == "POST":
            self.counts["analytics_beacons"] += 1
        if request.path == WEBSOCKET_PATH:
            self.counts["websockets"] += 1
        elif request.method in _SAFE_METHODS or self._leaves_nothing(exchange):
            return
        self.counts["writes"] += 1

    @staticmethod
    def _leaves_nothing(exchange: "Exchange") -> bool:
        """The calls that cannot be GET and store nothing: login, refresh, log-out and anonymous enhancement."""
        request = exchange.request
        if request.method != "POST":
            return False
        return request.path in _AUTH_CALLS or (request.path == ENHANCE_PATH and exchange.session is None)

    def state(self) -> dict[str, Any]:
        """What has happened to the target, ready for JSON."""
        accounts = self.accounts.by_alias
        now = self.now()
        return {
            "open_sessions": self.accounts.open_sessions(),
            "logins": {alias: self.accounts.logins[alias] for alias in accounts},
            "logouts": self.accounts.logouts,
            "wrong_passwords": {alias: self.accounts.wrong_passwords[alias] for alias in accounts},
            "locked": {alias: a.locked_until is not None and now < a.locked_until for alias, a in accounts.items()},
            "history_rows": {alias: len(a.history) for alias, a in accounts.items()},
            "anonymous_rows_stored": self.counts["anonymous_rows"],
            "analytics_beacons": self.counts["analytics_beacons"],
            "websockets": self.counts["websockets"],
            "writes": self.counts["writes"],
            "faults": list(self.faults),
        }


@dataclass
class Exchange:
    """One request on its way to an answer."""

    target: Target
    request: Request
    wire: Wire
    tallies: list[Tally] = field(default_factory=list)
    answered_early: bool = False
    """True when a limit, the edge or a fault answered in place of the target."""

    @property
    def client(self) -> str:
        """The client's address."""
        return self.request.remote_addr or ""

    @property
    def bearer(self) -> str:
        """The access token of the request: of its Authorization header, else of its cookie."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme:
            return token.strip() if scheme.lower() == "bearer" else ""
        return self.request.cookies.get("auth_token", "")

    @property
    def session(self) -> Session | None:
        """The session of the request, if it has one."""
        try:
            return self.require_session()
        except RefusedError:
            return None

    def require_session(self) -> Session:
        """The session of the request. Raises RefusedError with 401."""
        return self.target.accounts.session_of(self.bearer, self.target.now())

    @property
    def limit_key(self) -> str:
        """Whom a limit by user counts: the account, else the client's address."""
        session = self.session
        return session.account.email if session else self.client

    def json_object(self) -> dict[str, Any]:
        """The request's body; empty when it is no JSON object."""
        body = self.request.get_json(force=True, silent=True)
        return body if isinstance(body, dict) else {}


def current_exchange() -> Exchange:
    """The request that this greenlet is answering."""
    exchange: Exchange = g.exchange
    return exchange
