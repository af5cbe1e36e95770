"""One journey in the browser: a fresh profile, the actions one after the other, and what was seen on the way."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page
from playwright.async_api import Error as PlaywrightError

from probes.clients.chromium_flags import INIT_SCRIPT
from probes.clients.journey import Expect
from probes.clients.page_result import ActionResult, Blocked, PageResult, Timing
from probes.clients.session_tokens import SESSION_COOKIES
from probes.clients.steps import Steps
from probes.clients.traffic import Traffic
from probes.clients.vitals import measure
from probes.errors import RefusedError, SmokeprobeError
from probes.files import write_atomically
from probes.safety.permits import boot_clock

LOCALE = "en-US"
WIDTH, HEIGHT = 1280, 720
MOST_TEXTS = 20
LONGEST_TEXT = 300
QUIET_S = 1.0
"""How long what nobody has declared is waited for: a page may hold a request open for as long as it likes."""

MASKED = "input, textarea, select, [contenteditable]"
AFTERWARDS_S = 0.5
"""Kept of a visit's time for what comes after its actions: a picture, the cookies, and the answer itself."""

_SOCKET_FAILED = re.compile(r"WebSocket connection to '(wss?://[^']+)' failed")


@dataclass(frozen=True, slots=True)
class Tab:
    """A page in a profile of its own. `frame` is what the protocol calls its main frame."""

    context: BrowserContext
    page: Page
    frame: str
    crashed: asyncio.Event


async def open_tab(browser: Browser, user_agent: str) -> Tab:
    """A new profile: no cookie, cache or storage of any other reaches it. Nothing is sent by this."""
    context = await browser.new_context(
        user_agent=user_agent,
        locale=LOCALE,
        viewport={"width": WIDTH, "height": HEIGHT},
        service_workers="block",
        accept_downloads=False,
    )
    await context.add_init_script(INIT_SCRIPT)
    page = await context.new_page()
    crashed = asyncio.Event()
    page.on("crash", lambda _: crashed.set())
    session = await context.new_cdp_session(page)
    target = await session.send("Target.getTargetInfo")  # a page's target has the id of its main frame
    await session.detach()
    return Tab(context, page, target["targetInfo"]["targetId"], crashed)


class Visit:
    """Does the actions of one journey in one tab, and gathers what is seen."""

    def __init__(self, tab: Tab, traffic: Traffic, deadline: float) -> None:
        self._tab = tab
        self._traffic = traffic
        traffic.cookies = self._cookie_header
        self._journey = traffic.journey
        self._steps = Steps(tab.page, traffic, deadline - min(AFTERWARDS_S, self._journey.timeout_s / 4))
        self._console: list[ConsoleMessage] = []
        self._page_errors: list[str] = []
        # Playwright keeps a note of its own on each handler, which a method of a list has no room for.
        tab.page.on("console", lambda message: self._console.append(message))  # noqa: PLW0108 - see above
        tab.page.on("pageerror", lambda error: self._page_errors.append(_short(error.message)))
        tab.context.on("page", _close)

    async def run(self) -> PageResult:
        """Do all of it. Raises nothing for what a page can do, and PlaywrightError where the browser itself is gone."""
        actions, timing = await self._actions()
        failed = any(not action.ok for action in actions)
        traffic = self._traffic
        if not failed:
            await self._settle()
        return PageResult(
            actions=tuple(actions),
            screenshot=failed and await self._screenshot(),
            cookies=await self._session_cookies(),
            timing=timing,
            console_errors=self._console_errors(),
            page_errors=tuple(self._page_errors[:MOST_TEXTS]),
            failed=tuple(traffic.failed),
            throttled=tuple(traffic.throttled),
            challenged=tuple(traffic.challenged),
            slow_downs=tuple(traffic.slow_downs),
            blocked=(*traffic.blocked, *self._refused_sockets()),
            over_quota=tuple(traffic.over_quota),
            refused_navigation=traffic.refused_navigation,
            document_status=traffic.document.status,
            document_headers=traffic.document.headers,
            paused_s=traffic.paused_s,
            final_path=urlsplit(self._tab.page.url).path,
            crashed=self._tab.crashed.is_set(),
            # Whatever is still under way when the answer is put together is counted as it stands then.
            usage=traffic.meter.usage(),
            sent=traffic.sent,
            by_method=dict(traffic.by_method),
        )

    async def _actions(self) -> tuple[list[ActionResult], Timing]:
        results: list[ActionResult] = []
        timing: Timing | None = None
        for action in self._journey.actions:
            is_look = isinstance(action, Expect)
            if not is_look and not all(result.ok for result in results):
                break  # a row of expectations is looked at whole, nothing is done after a failure
            if not is_look and results and timing is None:
                timing = await self._measure(results)  # the first page, before anything is done to it
            results.append(await self._steps.do(action))
            if not is_look and not results[-1].ok:
                break
        return results, timing or await self._measure(results)

    async def _settle(self) -> None:
        """Wait for the answers to what the page has asked for: until then nobody can say that it is whole."""
        awaited = self._traffic.awaited
        begun, patience_s = boot_clock(), min(self._journey.element_timeout_s, self._steps.left_s())
        while awaited and (waited_s := boot_clock() - begun) < patience_s:
            if waited_s > QUIET_S and not awaited.declared():
                break
            await asyncio.sleep(0.01)
        self._traffic.unanswered(patience_s)

    async def _measure(self, results: list[ActionResult]) -> Timing:
        if not self._journey.measured or not results or not results[0].ok:
            return Timing()
        return await measure(self._tab.page, self._steps.left_s())

    async def _screenshot(self) -> bool:
        """A picture of a failure, with all that can be typed into masked; none of a page that is itself an error."""
        path, status = self._journey.screenshot_path, self._traffic.document.status
        if not path or status is None or not 200 <= status < 300 or self._tab.crashed.is_set():
            return False
        masks = [frame.locator(MASKED) for frame in self._tab.page.frames]
        try:
            async with asyncio.timeout(max(AFTERWARDS_S, self._steps.left_s())):
                picture = await self._tab.page.screenshot(mask=masks, animations="disabled", timeout=0)
        except (PlaywrightError, TimeoutError):
            return False  # it is a help, not a finding: a page that hangs has none
        try:
            write_atomically(Path(path), picture, mode=0o600)
        except SmokeprobeError:
            return False  # a full disk must not cost the finding itself
        return True

    async def _cookie_header(self, url: str) -> str:
        cookies = await self._tab.context.cookies(url)
        return "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies)

    async def _session_cookies(self) -> dict[str, str]:
        cookies = await self._tab.context.cookies(self._traffic.guard.rules.origin)
        return {cookie["name"]: cookie["value"] for cookie in cookies if cookie["name"] in SESSION_COOKIES}

    def _console_errors(self) -> tuple[str, ...]:
        errors = [message for message in self._console if message.type == "error"]
        return tuple(_short(message.text) for message in errors if not self._follows_from_us(message))[:MOST_TEXTS]

    def _follows_from_us(self, message: ConsoleMessage) -> bool:
        """Whether it tells of a request that was kept back, or that is reported in a place of its own."""
        quiet = self._traffic.quiet_urls
        told_of = message.location["url"] in quiet or any(url in message.text for url in quiet)
        return told_of or self._refused_socket(message) is not None

    def _refused_sockets(self) -> tuple[Blocked, ...]:
        """WebSockets are refused below the gate, and only the console tells of them."""
        return tuple(found for message in self._console if (found := self._refused_socket(message)) is not None)

    def _refused_socket(self, message: ConsoleMessage) -> Blocked | None:
        match = _SOCKET_FAILED.match(message.text)
        if match is None:
            return None
        try:
            self._traffic.guard.check("GET", match[1])
        except RefusedError as error:
            return Blocked("GET", match[1].partition("?")[0], error.message)
        return None  # allowed, so its failure is the target's


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _close(page: Page) -> None:
    """Close a page that a page has opened."""
    task = asyncio.ensure_future(page.close())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # gone already is as good
