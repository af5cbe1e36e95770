"""The requests of one journey: what may leave, what was kept back, and what the answers say. It sends nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.clients.answers import is_challenge, is_throttle, pause_s, slow_down_s
from probes.clients.awaited import Awaited, Call
from probes.clients.journey import Journey
from probes.clients.page_result import Answered, Blocked, FailedRequest, RefusedNavigation, SlowDown
from probes.clients.session_tokens import tokens_in
from probes.errors import PausedError, QuotaError, RefusedError
from probes.safety.guard import Endpoint, Guard
from probes.safety.permits import Meter, Ticket

KEPT_HEADERS = ("x-request-id", "content-type")
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the browser wants to send, held back until it is judged."""

    id: str
    method: str
    url: str
    kind: str  # Chromium's resource type: Document, Script, XHR, …
    frame: str
    headers: Mapping[str, str]
    hop: int = 0  # how many redirects led here
    follows: str = ""  # the id of the request whose redirect led here

    @property
    def bare_url(self) -> str:
        """Without query and fragment: they may hold what nobody should see."""
        return self.url.partition("#")[0].partition("?")[0]

    def header(self, name: str) -> str:
        """A header's value, whatever the case of its name; empty if there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name), "")


async def _no_cookies(_url: str) -> str:
    return ""


@dataclass(slots=True)
class Document:
    """The answer to the page's own document, redirects followed."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Traffic:
    """Judges and records. `trouble` is set as soon as it is known that the page cannot come where it is to go."""

    def __init__(self, journey: Journey, guard: Guard, main_frame: str, emit: Callable[[dict[str, Any]], None]) -> None:
        self.journey = journey
        self.guard = guard
        self.main_frame = main_frame
        self.meter = Meter(journey.permit, since=journey.since)
        self.document = Document()
        self.blocked: list[Blocked] = []
        self.over_quota: list[Blocked] = []
        self.failed: list[FailedRequest] = []
        self.throttled: list[Answered] = []
        self.challenged: list[Answered] = []
        self.slow_downs: list[SlowDown] = []
        self.refused_navigation: RefusedNavigation | None = None
        self.paused_s: float | None = None
        self.by_method: Counter[str] = Counter()
        self.trouble = asyncio.Event()
        self.trouble_text = ""
        self.quiet_urls: set[str] = set()  # console errors about these are of our making, or said elsewhere
        self.awaited = Awaited(journey.calls)
        self.cookies: Callable[[str], Awaitable[str]] = _no_cookies
        self._emit = emit
        self._stopped = ""
        self._logged_in = False
        self._under_way: dict[str, Ticket] = {}

    @property
    def sent(self) -> int:
        """All requests that were let go."""
        return self.by_method.total()

    def stop(self, reason: str) -> None:
        """Let nothing go any more but a log-out."""
        self._stopped = reason
        self.meter.stop(reason)

    async def admit(self, asked: Asked) -> None:
        """Wait until the request may leave. The caller lets it go at once, before anything else happens.

        Raises RefusedError, QuotaError and PausedError.
        """
        if self.is_page(asked):
            self.document = Document()
            self.awaited.forget()
        if asked.header("service-worker") == "script":
            raise RefusedError("a service worker: it would send requests of its own")
        endpoint = self.guard.check(asked.method, asked.url)
        if self.opens_session(asked):
            if self._logged_in:
                raise RefusedError("a second log-in in one visit: its session might never be ended")
            self._logged_in = True
        if not self.is_page(asked):
            self.awaited.asked(asked.id, Call(asked.method, endpoint.path, asked.kind.lower()), asked.follows)
        cleanup = asked.method == "POST" and self._is_call(endpoint, self.journey.logout_paths)
        if not self.guard.is_target(endpoint):
            self._check_other(asked)
        else:
            while (wait_s := self.meter.wait_s(asked.method, endpoint.path, cleanup=cleanup)) > 0:  # noqa: ASYNC110 - a spacing is slept off, there is no event
                # No event: when a spaced limit is free again is a matter of the clock.
                await asyncio.sleep(wait_s)
        if self.sent >= self.journey.max_requests and not cleanup:
            raise QuotaError(f"The visit's declared maximum of {self.journey.max_requests} requests is reached.")
        if self.guard.is_target(endpoint):
            self._under_way[asked.id] = self.meter.admit(asked.method, endpoint.path, cleanup=cleanup)
        self.by_method[asked.method] += 1

    def refused(self, asked: Asked, error: RefusedError) -> None:
        """The guard forbids it."""
        self.awaited.answered(asked.follows)
        self.quiet_urls.add(asked.url)
        if self.is_page(asked):
            self.refused_navigation = RefusedNavigation(asked.bare_url, error.message, asked.hop)
            self._trouble(f"refused: {error.message}")
        elif asked.method != "OPTIONS" or not asked.header("access-control-request-method"):
            # Of a call to another origin, its preflight is answered so that the call itself is seen, and counts.
            self.blocked.append(Blocked(asked.method, asked.bare_url, error.message))
            self._trouble_of_call(asked, f"was not sent: {error.message}")

    def kept_back(self, asked: Asked, error: QuotaError | PausedError) -> None:
        """There is no quota for it, or probing is paused."""
        self.awaited.answered(asked.id)
        self.quiet_urls.add(asked.url)
        self.over_quota.append(Blocked(asked.method, asked.bare_url, error.message))
        if self.is_page(asked):
            self._trouble(f"not sent: {error.message}")
        self._trouble_of_call(asked, f"was not sent: {error.message}")

    def answered(self, asked: Asked, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer is here, so the target has counted the request."""
        self._over(asked, answered=True)
        self.awaited.answered(asked.id, leads_on=status in REDIRECTS and "location" in headers)
        endpoint = self.guard.check(asked.method, asked.url)
        if self.guard.is_target(endpoint):
            self._heed(headers)
        throttled = self._judge_edge(asked, Answered(asked.method, endpoint.path, status), headers)
        if self.is_page(asked):
            if status not in REDIRECTS:
                kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
                self.document = Document(status, kept)
        elif status >= 400:
            if not throttled:
                self._failed(asked, endpoint, status)
            self._trouble_of_call(asked, f"answered {status}")

    def no_answer(self, asked: Asked, reason: str) -> None:
        """It failed, by Chromium's reason (`Network.ErrorReason`)."""
        self.awaited.answered(asked.id)
        # Given up by us it may still arrive; otherwise the connection is closed, or never was.
        self._over(asked, answered=reason not in {"Aborted", "TimedOut"})
        if self.is_page(asked) or reason == "Aborted":
            return
        endpoint = self.guard.check(asked.method, asked.url)
        self.failed.append(FailedRequest(asked.method, endpoint.path, asked.kind.lower(), error=reason))
        self._trouble_of_call(asked, f"got no answer: {reason}")

    def never_left(self, asked: Asked) -> None:
        """The page gave it up while it was held back. It stays counted."""
        self.awaited.answered(asked.id)
        self._over(asked, answered=True)

    def finish(self) -> None:
        """Whatever got no answer by now is given up."""
        for ticket in self._under_way.values():
            self.meter.over(ticket, answered=False)
        self._under_way.clear()

    def unanswered(self, patience_s: float) -> None:
        """All that was asked for has had this time: a declared call that is still open has failed."""
        error = f"no answer within {patience_s:.1f} s"
        for call in self.awaited.declared():
            self.failed.append(FailedRequest(call.method, call.path, call.kind, error=error))

    def opens_session(self, asked: Asked) -> bool:
        """Whether an answer to this may bring a session's tokens, whatever its status says."""
        if asked.method != "POST":
            return False
        return self._is_call(self.guard.check(asked.method, asked.url), self.journey.login_paths)

    def session_opened(self, body: bytes, set_cookies: Iterable[str]) -> None:
        """Tell the parent of the session, if there is one, before the page can do anything with it."""
        if tokens := tokens_in(body, set_cookies):
            self._emit({"event": "session", "tokens": tokens})

    def headers_for(self, asked: Asked) -> dict[str, str]:
        """What to add to a request: our own marks to the target, secrets only to hosts that may have credentials."""
        added: dict[str, str] = {}
        if self.guard.is_target(self.guard.check(asked.method, asked.url)):
            added.update(self.journey.headers)
            if self.journey.login_paths:  # on a connection that was kept alive, Chromium might send a log-in again
                added["Connection"] = "close"
        if self.guard.may_carry_credentials(asked.url):
            added.update(self.journey.credential_headers)
        return added

    def is_counted_read(self, asked: Asked) -> bool:
        """Whether this is a GET of a page's that a limit counts: it is not left to Chromium, see `clients.direct`."""
        endpoint = self.guard.check(asked.method, asked.url)
        ours = asked.method == "GET" and asked.kind != "Document" and self.guard.is_target(endpoint)
        return ours and self.meter.covers(asked.method, endpoint.path)

    def is_page(self, asked: Asked) -> bool:
        """Whether this is the document of the page itself, not of a frame in it."""
        return asked.kind == "Document" and asked.frame == self.main_frame

    def _check_other(self, asked: Asked) -> None:
        """Other hosts are under none of the target's limits, but bound by the permit's time and by a pause."""
        if self._stopped:
            raise PausedError(self._stopped, None)
        if self.meter.left_s() <= 0:
            raise QuotaError(f"The permit has run out of time for {asked.method}.")

    def _heed(self, headers: Mapping[str, str]) -> None:
        if (seconds := pause_s(headers)) is not None:
            self.paused_s = max(self.paused_s or 0.0, seconds)
            self.stop(f"The target's owner asked us to pause for {self.paused_s:.0f} s.")

    def _judge_edge(self, asked: Asked, answered: Answered, headers: Mapping[str, str]) -> bool:
        """Record what speaks of the edge and not of the page; whether it is a throttle."""
        refusals = self.journey.refusals
        if (seconds := slow_down_s(answered.status, headers, refusals)) is not None:
            self.slow_downs.append(SlowDown(answered.method, answered.path, seconds))
        if is_challenge(answered.status, headers):
            self.challenged.append(answered)
        throttled = is_throttle(answered.status, headers, refusals)
        if throttled:
            self.quiet_urls.add(asked.url)
            self.throttled.append(answered)
        return throttled

    def _failed(self, asked: Asked, endpoint: Endpoint, status: int) -> None:
        if endpoint.path == "/favicon.ico" and asked.kind == "Other":
            self.quiet_urls.add(asked.url)  # the browser's own guess, which no page promised
        else:
            self.failed.append(FailedRequest(asked.method, endpoint.path, asked.kind.lower(), status=status))

    def _over(self, asked: Asked, *, answered: bool) -> None:
        ticket = self._under_way.pop(asked.id, None)
        if ticket is not None:
            self.meter.over(ticket, answered=answered)

    def _is_call(self, endpoint: Endpoint, paths: tuple[str, ...]) -> bool:
        return self.guard.is_target(endpoint) and endpoint.path in paths

    def _trouble_of_call(self, asked: Asked, what: str) -> None:
        """A form's call that did not work: no need to wait for the page that would have followed."""
        path = asked.bare_url.removeprefix(self.guard.rules.origin)
        if asked.method == "POST" and path in (*self.journey.login_paths, *self.journey.logout_paths):
            self._trouble(f"POST {path} {what}")

    def _trouble(self, text: str) -> None:
        self.trouble_text = self.trouble_text or text
        self.trouble.set()
