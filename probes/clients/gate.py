"""The gate in the browser: no request of any page leaves Chromium unless guard and permit let it.

`Fetch.enable` on the session of the browser itself, not of a page, holds back the requests of everything in it: pages,
frames, popups, dedicated, shared and nested workers, beacons, `keepalive` and `fetchLater` requests sent while a page
goes away, forms, preloads, icons and CORS preflights; and every hop of a redirect anew (Playwright's `route` shows the
first only). What the protocol does not show is switched off by flag or script (see chromium_flags): WebSockets,
prerendering, prefetches of speculation rules, payment manifests, FedCM, WebRTC.

Where a kept-alive connection breaks before an answer, or answers 408, Chromium's network stack sends the request again
by itself, a POST too. So what a limit counts of a page's reads we send ourselves (`clients.direct`); a log-in's visit
keeps no connection alive (`Traffic.headers_for`); and HTTP/2, which has but one, is off. One way is known to remain: a
*worker* may open WebTransport (QUIC) to an allowed host at an allowed port, as no flag turns that off.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

from probes.clients.direct import NoAnswerError, get_once
from probes.clients.traffic import Asked, Traffic
from probes.errors import PausedError, QuotaError, RefusedError

LOCAL_SCHEMES = ("data:", "blob:", "about:")
LARGEST_LOGIN_ANSWER = 1 << 20
PAST_FRAMES = 200
"""Of so many frames of earlier journeys it is remembered that they are past: what a page has asked for while it was
being closed may come once the next journey is under way, and is not that one's."""

_STRIPPED = frozenset({"speculation-rules", "report-to", "reporting-endpoints", "nel"})
"""Headers that make Chromium send requests past the protocol."""


@dataclass(frozen=True, slots=True)
class _Sent:
    asked: Asked
    traffic: Traffic


class Gate:
    """Open for one journey at a time; while none is open, nothing leaves."""

    def __init__(self, session: CDPSession, user_agent: str, unreachable: Mapping[str, str]) -> None:
        self._session = session
        self._user_agent = user_agent
        self._unreachable = unreachable
        self._traffic: Traffic | None = None
        self._sent: dict[str, _Sent] = {}
        self._hops: dict[str, int] = {}
        self._frames: set[str] = set()
        self._past_frames: deque[str] = deque(maxlen=PAST_FRAMES)
        self._tasks: set[asyncio.Task[None]] = set()

    async def enable(self) -> None:
        """Hold back every request from now on; call it before the first page is made."""
        self._session.on("Fetch.requestPaused", self._on_paused)
        await self._session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})

    def open(self, traffic: Traffic) -> None:
        """Let a journey's requests go, as far as they may."""
        self._traffic = traffic
        self._frames = {traffic.main_frame}

    def shut(self) -> None:
        """Let nothing go any more."""
        if self._traffic is not None:
            self._traffic.finish()
        self._traffic = None
        self._past_frames.extend(self._frames)
        for task in self._tasks:
            task.cancel()
        self._sent.clear()
        self._hops.clear()

    def _on_paused(self, event: dict[str, Any]) -> None:
        answered = "responseStatusCode" in event or "responseErrorReason" in event
        task = asyncio.ensure_future(self._answered(event) if answered else self._asked(event))
        self._tasks.add(task)  # asyncio itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    async def _asked(self, event: dict[str, Any]) -> None:
        asked = self._read(event)
        traffic = self._traffic
        if asked.url.startswith(LOCAL_SCHEMES):
            await self._send("Fetch.continueRequest", asked.id)
            return
        if traffic is None or asked.frame in self._past_frames:
            await self._send("Fetch.failRequest", asked.id, errorReason="Aborted")
            return
        if asked.frame:  # a worker's request has none
            self._frames.add(asked.frame)
        try:
            self._check_reachable(asked, traffic)
            await traffic.admit(asked)
        except RefusedError as error:
            traffic.refused(asked, error)
            await self._keep_back(asked, traffic)
        except (QuotaError, PausedError) as error:
            traffic.kept_back(asked, error)
            await self._keep_back(asked, traffic)
        else:
            self._sent[asked.id] = _Sent(asked, traffic)
            headers = self._with_headers(asked, traffic)
            if traffic.is_counted_read(asked):
                await self._send_ourselves(asked, traffic, headers)
            elif not await self._send("Fetch.continueRequest", asked.id, headers=headers, interceptResponse=True):
                traffic.never_left(asked)

    async def _answered(self, event: dict[str, Any]) -> None:
        sent = self._sent.pop(event["requestId"], None)
        if sent is None:  # of a journey that is over
            await self._send("Fetch.failRequest", event["requestId"], errorReason="Aborted")
            return
        asked, traffic = sent.asked, sent.traffic
        if "responseErrorReason" in event:
            traffic.no_answer(asked, event["responseErrorReason"])
            await self._send("Fetch.continueRequest", asked.id)
            return
        status: int = event["responseStatusCode"]
        entries: list[dict[str, str]] = event.get("responseHeaders", [])
        headers = {entry["name"].lower(): entry["value"] for entry in entries}
        traffic.answered(asked, status, headers)
        if traffic.opens_session(asked):
            traffic.session_opened(await self._body(asked, headers), _set_cookies(entries))
        kept = [entry for entry in entries if entry["name"].lower() not in _STRIPPED]
        if len(kept) < len(entries):
            await self._send("Fetch.continueResponse", asked.id, responseCode=status, responseHeaders=kept)
        else:
            await self._send("Fetch.continueRequest", asked.id)

    async def _send_ourselves(self, asked: Asked, traffic: Traffic, headers: list[dict[str, str]]) -> None:
        plain = {entry["name"]: entry["value"] for entry in headers}
        try:
            if cookies := await traffic.cookies(asked.url):
                plain["Cookie"] = cookies
            check, left_s = traffic.guard.check_address, traffic.meter.left_s()
            answer = await asyncio.to_thread(get_once, check, asked.url, plain, left_s)
        except (NoAnswerError, RefusedError, PlaywrightError) as problem:
            reason = problem.reason if isinstance(problem, NoAnswerError) else "Failed"
            traffic.no_answer(asked, reason)
            await self._send("Fetch.failRequest", asked.id, errorReason=reason)
            return
        traffic.answered(asked, answer.status, {name.lower(): value for name, value in answer.headers})
        kept = [{"name": name, "value": value} for name, value in answer.headers if name.lower() not in _STRIPPED]
        body = base64.b64encode(answer.body).decode()
        await self._send("Fetch.fulfillRequest", asked.id, responseCode=answer.status, responseHeaders=kept, body=body)

    def _read(self, event: dict[str, Any]) -> Asked:
        request = event["request"]
        before = event.get("redirectedRequestId")
        hop = 0 if before is None else self._hops.get(before, 0) + 1
        self._hops[event["requestId"]] = hop
        return Asked(
            id=event["requestId"],
            method=request["method"],
            url=request["url"],
            kind=event["resourceType"],
            frame=event.get("frameId", ""),
            headers=request["headers"],
            hop=hop,
            follows=before or "",
        )

    def _check_reachable(self, asked: Asked, traffic: Traffic) -> None:
        """Raise the guard's own reason where a host's address was refused when names were resolved."""
        rule = self._unreachable.get(traffic.guard.check(asked.method, asked.url).host)
        if rule:
            raise RefusedError(rule)

    def _with_headers(self, asked: Asked, traffic: Traffic) -> list[dict[str, str]]:
        added = {"User-Agent": self._user_agent, **traffic.headers_for(asked)}
        replaced = {name.lower() for name in added}
        kept = {name: value for name, value in asked.headers.items() if name.lower() not in replaced}
        return [{"name": name, "value": value} for name, value in {**kept, **added}.items()]

    async def _keep_back(self, asked: Asked, traffic: Traffic) -> None:
        """Stop the page itself; answer anything else with an empty 204, which lets the page go on."""
        if traffic.is_page(asked):
            await self._send("Fetch.failRequest", asked.id, errorReason="BlockedByClient")
            return
        allowed = {
            "Access-Control-Allow-Origin": asked.header("origin") or "*",
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": asked.header("access-control-request-method") or "*",
            "Access-Control-Allow-Headers": asked.header("access-control-request-headers") or "*",
        }
        headers = [{"name": name, "value": value} for name, value in allowed.items()]
        await self._send("Fetch.fulfillRequest", asked.id, responseCode=204, responseHeaders=headers)

    async def _body(self, asked: Asked, headers: Mapping[str, str]) -> bytes:
        """The body of a log-in's answer; empty where it cannot be had, as then the cookies have to do."""
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_LOGIN_ANSWER:
            return b""
        try:
            answer = await self._session.send("Fetch.getResponseBody", {"requestId": asked.id})
            return base64.b64decode(answer["body"]) if answer["base64Encoded"] else answer["body"].encode()
        except (PlaywrightError, binascii.Error):
            return b""

    async def _send(self, command: str, request_id: str, **parameters: Any) -> bool:
        """Whether Chromium still knew the request: a page that goes away takes its requests along."""
        try:
            await self._session.send(command, {"requestId": request_id, **parameters})
        except PlaywrightError:
            return False
        return True


def _set_cookies(entries: list[dict[str, str]]) -> list[str]:
    values = (entry["value"] for entry in entries if entry["name"].lower() == "set-cookie")
    return [line for value in values for line in value.splitlines()]
