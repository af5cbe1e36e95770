"""The safe HTTP client: no request leaves except through guard and permit, and every hop of a redirect is a request.

One client is one session of one check: cookies and connections reach no other check.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urljoin

import requests
import urllib3

from probes.clients.answers import Refusal, is_challenge, is_throttle, number, pause_s, slow_down_s
from probes.clients.line import ConnectionFacts, Line
from probes.clients.wire import WireAdapter, transport_error
from probes.deadline import Deadline
from probes.errors import LedgerError, PausedError, RefusedError, TransportError
from probes.model import Layer, Phases, whole
from probes.safety.guard import Guard, check_headers
from probes.safety.permits import Meter

LARGEST_BODY = 1024 * 1024
MOST_HOPS = 5
LARGEST_LIMIT = 10**9
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Brakes(Protocol):
    """Who may stop us: what the target's answers ask for reaches the ledger through this."""

    def paused(self) -> PausedError | None:
        """The pause that holds now, if any."""

    def asked_to_pause(self, seconds: float) -> None:
        """The target's owner wants no probe for so long."""

    def asked_to_slow_down(self, method: str, path: str, seconds: float) -> None:
        """A call was throttled."""

    def limit_seen(self, method: str, path: str, requests_per_window: int) -> None:
        """A live rate-limit header."""


@dataclass(frozen=True, slots=True)
class Identity:
    """By what the target recognises our traffic. `edge` is a secret header (name, value) for credential hosts only."""

    run_id: str
    user_agent: str
    edge: tuple[str, str] | None = None

    def traceparent(self) -> str:
        """A W3C trace context: the trace is the run's, the span is this request's."""
        return f"00-{self.run_id}-{secrets.token_hex(8)}-01"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the target.

    `token` is sent as a bearer and `secret` marks a body with credentials: both go to credential hosts only.
    `cleanup` (a log-out and its proof) is held up by no pause. Without `follow` a redirect is an answer like any other.
    """

    method: str
    url: str
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    secret: bool = False
    cleanup: bool = False
    follow: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """An answer read to its end, or to 1 MiB. Header names are in lower case. Times are sums over all hops."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    url: str
    phases: Phases
    duration_ms: float
    ttfb_ms: float
    facts: ConnectionFacts
    throttled: bool
    challenged: bool

    @property
    def request_id(self) -> str:
        """By what the target's owner finds this request."""
        return whole(self.headers.get("x-request-id", ""))

    def json(self) -> Any:
        """The body as JSON. Raises TransportError (layer body) for all that is not plain, finite JSON."""
        try:
            return json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise TransportError("the body is not valid JSON", Layer.BODY) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


Heard = Callable[[bytes, tuple[str, ...]], None]
"""Told of an answer's body and of the cookies that it sets."""


class _Session(requests.Session):
    """Leaves redirects alone: requests would read a redirect's whole body to follow it, and we follow hop by hop."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' signature
        """There is never one."""
        return None


class HttpClient:
    """Sends requests for one check; all that may forbid or hold them is asked before each one."""

    def __init__(
        self,
        guard: Guard,
        meter: Meter,
        brakes: Brakes,
        identity: Identity,
        deadline: Deadline,
        *,
        refusals: tuple[Refusal, ...] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.guard, self.meter, self.brakes, self.identity = guard, meter, brakes, identity
        self.deadline, self.refusals, self._sleep = deadline, refusals, sleep
        self._line = Line(guard.check_address)
        self._session = _Session()
        # no proxy, no .netrc and no certificate bundle from the environment: they would bypass guard and credentials
        self._session.trust_env = False
        adapter = WireAdapter(self._line)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def send(self, request: Request, timeout_s: float, heard: Heard | None = None) -> Response:
        """Send a request and follow its redirects, each hop through guard and permit.

        `heard` is told of each answer's body and cookies before anything is made of it; of one whose body breaks off,
        of its cookies.

        Raises RefusedError, QuotaError, PausedError (nothing was sent) and TransportError (no usable answer).
        """
        method, url, hops = request.method, request.url, 0
        total_ms = ttfb_ms = 0.0
        while True:
            try:
                response = self._exchange(method, url, request, timeout_s - total_ms / 1000.0, heard)
            except RefusedError as refused:
                if hops == 0:
                    raise
                raise TransportError(f"redirected to where we must not go: {refused.message}", Layer.HTTP) from None
            total_ms += response.duration_ms
            ttfb_ms += response.ttfb_ms
            location = response.headers.get("location", "")
            if method not in {"GET", "HEAD"} or response.status not in REDIRECTS or not location or not request.follow:
                break
            hops += 1
            if hops > MOST_HOPS:
                raise TransportError(f"redirected more than {MOST_HOPS} times: a loop", Layer.HTTP)
            try:
                url = urljoin(url, location)
            except ValueError:
                raise TransportError("redirected to a URL that cannot be read", Layer.HTTP) from None
        return _with_times(response, total_ms, ttfb_ms)

    def _exchange(self, method: str, url: str, request: Request, timeout_s: float, heard: Heard | None) -> Response:
        endpoint = self.guard.check(method, url)
        check_headers(request.headers)
        if not request.cleanup and (paused := self.brakes.paused()):
            raise paused
        self._wait_for_room(method, endpoint.path, cleanup=request.cleanup)
        ticket = self.meter.admit(method, endpoint.path, cleanup=request.cleanup)
        answered = False
        try:
            # what arrives after the permit's end would not be accounted for
            timeout_s = min(timeout_s, self.meter.left_s(cleanup=request.cleanup))
            response = self._send_once(method, url, request, timeout_s, heard)
            answered = True
        except TransportError as problem:
            answered = not problem.timed_out
            raise
        finally:
            self.meter.over(ticket, answered=answered)
        try:
            self._heed(method, endpoint.path, response)
        except LedgerError:
            if not request.cleanup:  # a log-out and its proof are not lost by it
                raise
        return response

    def _wait_for_room(self, method: str, path: str, *, cleanup: bool) -> None:
        while (wait := self.meter.wait_s(method, path, cleanup=cleanup)) > 0:
            self._sleep(wait)
            self.deadline.extend(wait)

    def _send_once(self, method: str, url: str, request: Request, timeout_s: float, heard: Heard | None) -> Response:
        self._line.begin(max(0.0, timeout_s))
        begun = time.perf_counter()
        try:
            with self._session.request(
                method, url, headers=self._headers(url, request), json=request.json, stream=True,
                timeout=max(0.001, timeout_s), allow_redirects=False,
            ) as answer:  # fmt: skip
                self._line.stage = Layer.BODY
                set_cookies = tuple(answer.raw.headers.getlist("set-cookie"))
                body = b""
                try:
                    body, truncated = _read(answer.raw)
                    ended = time.perf_counter()
                finally:
                    if heard is not None:
                        heard(body, set_cookies)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                status = answer.status_code
        except RefusedError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as problem:
            raise transport_error(problem, self._line) from None
        phases = self._line.phases()
        return Response(
            status=status,
            headers=headers,
            body=body,
            truncated=truncated,
            url=url,
            phases=phases,
            duration_ms=(ended - begun) * 1000.0,
            ttfb_ms=phases.ttfb_ms or 0.0,
            facts=self._line.facts,
            throttled=is_throttle(status, headers, self.refusals),
            challenged=is_challenge(status, headers),
        )

    def _headers(self, url: str, request: Request) -> dict[str, str]:
        headers = {
            "User-Agent": self.identity.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",  # what is counted and cut off is then what was sent
            "X-Smokeprobe-Run": self.identity.run_id,
            "traceparent": self.identity.traceparent(),
            **request.headers,
        }
        if self.guard.may_carry_credentials(url):
            if request.token:
                headers["Authorization"] = f"Bearer {request.token}"
            if self.identity.edge:
                headers[self.identity.edge[0]] = self.identity.edge[1]
        elif request.token or request.secret:
            raise RefusedError("credentials to a host that is not listed under credentials.hosts")
        return headers

    def _heed(self, method: str, path: str, response: Response) -> None:
        """What an answer asks of us: to pause, to slow down, to stay under a limit."""
        if (pause := pause_s(response.headers)) is not None:
            self.brakes.asked_to_pause(pause)
        if (wait := slow_down_s(response.status, response.headers, self.refusals)) is not None:
            self.brakes.asked_to_slow_down(method, path, wait)
        limit = response.headers.get("x-ratelimit-limit") or response.headers.get("ratelimit-limit")
        if (seen := number(limit)) is not None and 1 <= seen <= LARGEST_LIMIT:
            self.brakes.limit_seen(method, path, int(seen))


def _with_times(response: Response, total_ms: float, ttfb_ms: float) -> Response:
    return replace(response, duration_ms=total_ms, ttfb_ms=ttfb_ms)


def _read(raw: urllib3.HTTPResponse) -> tuple[bytes, bool]:
    """The body up to 1 MiB; what is longer is cut off, so that nothing a target sends can fill our memory."""
    chunks: list[bytes] = []
    size = 0
    while size <= LARGEST_BODY:
        chunk = raw.read(min(65536, LARGEST_BODY + 1 - size), decode_content=True)
        if not chunk:
            return b"".join(chunks), False
        chunks.append(chunk)
        size += len(chunk)
    raw.close()
    return b"".join(chunks)[:LARGEST_BODY], True
