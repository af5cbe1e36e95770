"""How each action of a journey is done, and what is said when it fails: names of elements, and nothing of a page."""

from __future__ import annotations

import asyncio
import re
from time import perf_counter
from typing import Literal
from urllib.parse import urlsplit

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from probes.clients.journey import Action, Click, Expect, Fill, Goto, WaitForPath
from probes.clients.page_result import ActionResult
from probes.clients.traffic import Traffic
from probes.safety.permits import boot_clock

_NET_ERROR = re.compile(r"net::(ERR_[A-Z0-9_]+)")
_NO_SELECTOR = re.compile(r"while parsing |is not a valid selector|engine expects")
"""How Playwright's parser, Chromium's, and Playwright's own pseudo-classes refuse a selector."""


class StepError(Exception):
    """An action failed; the text is for the report. `ours`: it could not have been done on any page."""

    def __init__(self, text: str, net_error: str = "", *, ours: bool = False) -> None:
        super().__init__(text)
        self.net_error = net_error
        self.ours = ours


class Steps:
    """Does actions on one page, none beyond `deadline` (by `boot_clock`)."""

    def __init__(self, page: Page, traffic: Traffic, deadline: float) -> None:
        self._page = page
        self._traffic = traffic
        self._deadline = deadline
        self._patience_s = traffic.journey.element_timeout_s
        self._out_of_patience = False

    async def do(self, action: Action) -> ActionResult:
        """Do it, and say how it went. Never raises for what a page can do."""
        started = perf_counter()
        error, net_error, ours = "", "", False
        try:
            async with asyncio.timeout(self.left_s()):  # also where the page's own scripts hang
                await self._do(action)
        except StepError as failure:
            error, net_error, ours = str(failure), failure.net_error, failure.ours
        except TimeoutError:
            error = "the time for the whole visit is over"
        except PlaywrightError as failure:
            # Playwright's own text may quote the page or what was typed into it.
            error = "the page crashed" if "crashed" in failure.message else "the page went away"
        return ActionResult(action.name, not error, (perf_counter() - started) * 1000.0, error, net_error, ours)

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._deadline - boot_clock())

    async def _do(self, action: Action) -> None:
        match action:
            case Goto():
                await self._goto(action)
            case Expect():
                await self._expect(action)
            case Fill():
                await self._fill(action)
            case Click():
                await self._click(action)
            case WaitForPath():
                await self._wait_for_path(action)

    async def _goto(self, action: Goto) -> None:
        left_s = self.left_s()
        try:
            await self._page.goto(
                self._traffic.guard.rules.origin + action.path, wait_until="load", timeout=left_s * 1000
            )
        except PlaywrightTimeoutError:
            raise StepError(f"not loaded within {left_s:.1f} s") from None
        except PlaywrightError as error:
            if self._traffic.trouble_text:
                raise StepError(self._traffic.trouble_text) from None
            if "Download is starting" in error.message:
                raise StepError("the answer is no page but a download") from None
            found = _NET_ERROR.search(error.message)
            if found is None:
                raise
            raise StepError(f"not loaded: {found[1]}", found[1]) from None
        self._check_document()

    async def _expect(self, action: Expect) -> None:
        try:
            await self._look(action)
        except PlaywrightError as error:
            if action.css and _NO_SELECTOR.search(error.message):
                what = f"the selector of the element {action.name} cannot be read: {action.css}"
                raise StepError(what, ours=True) from None
            raise

    async def _look(self, action: Expect) -> None:
        visible = self._locate(action).filter(visible=True)
        if self._out_of_patience:  # something else has had its whole time, and so has this
            if bool(await visible.count()) == action.visible:
                return
        else:
            try:
                state: Literal["visible", "detached"] = "visible" if action.visible else "detached"
                await visible.first.wait_for(state=state, timeout=self._patience_ms())
            except PlaywrightTimeoutError:
                self._out_of_patience = True
            else:
                return
        what = "no visible element" if action.visible else "there still is a visible element"
        raise StepError(f"{what} with {_named(action)} after {self._patience_s:.1f} s")

    async def _fill(self, action: Fill) -> None:
        if action.secret and not self._traffic.guard.may_carry_credentials(self._page.url):
            raise StepError("a secret is not typed into a page of a host that is not listed for credentials")
        try:
            await self._page.get_by_test_id(action.test_id).first.fill(action.value, timeout=self._patience_ms())
        except PlaywrightTimeoutError:
            raise StepError(f"no field with test id {action.test_id} to type into") from None

    async def _click(self, action: Click) -> None:
        try:
            # What follows is waited for by an action of its own.
            await self._page.get_by_test_id(action.test_id).first.click(timeout=self._patience_ms(), no_wait_after=True)
        except PlaywrightTimeoutError:
            raise StepError(f"no element with test id {action.test_id} that can be pressed") from None

    async def _wait_for_path(self, action: WaitForPath) -> None:
        arrival = asyncio.ensure_future(
            self._page.wait_for_url(lambda url: urlsplit(url).path == action.path, timeout=self._patience_ms())
        )
        trouble = asyncio.ensure_future(self._traffic.trouble.wait())
        try:
            await asyncio.wait({arrival, trouble}, return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                raise StepError(self._traffic.trouble_text)
            await arrival
        except PlaywrightTimeoutError:
            where = urlsplit(self._page.url).path
            raise StepError(f"still at {where} after {self._patience_s:.1f} s") from None
        finally:
            for task in (arrival, trouble):
                task.cancel()
            await asyncio.gather(arrival, trouble, return_exceptions=True)
        self._check_document()

    def _check_document(self) -> None:
        status = self._traffic.document.status
        if status is not None and not 200 <= status < 300:
            raise StepError(f"the page answered {status}")

    def _locate(self, action: Expect) -> Locator:
        page = self._page
        if action.role:
            return page.locator(f"role={action.role}")
        if action.test_id:
            return page.get_by_test_id(action.test_id)
        return page.locator(f"css={action.css}") if action.css else page.get_by_text(action.text)

    def _patience_ms(self) -> float:
        return max(1.0, min(self._patience_s, self.left_s()) * 1000.0)


def _named(action: Expect) -> str:
    names = {"role": action.role, "test id": action.test_id, "selector": action.css, "text": action.text}
    return next(f"{kind} {name}" for kind, name in names.items() if name)
