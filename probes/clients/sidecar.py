"""The browser's own process: `python -m probes.clients.sidecar`, started by clients.browser.

A plain interpreter, without gevent's patches, that drives Chromium with Playwright. It talks JSON lines on one socket
that is both its stdin and its stdout: first a `Hello`, once it knows, then one request after the other.

    → {"hello": {...}}                                          once
    ← {"event": "ready"}                                        Chromium is there
    → {"cmd": "prepare"}                                        a request is about to come: open its tab
    → {"id": 1, "cmd": "run", "at": boot clock, "journey": {...}}
    ← {"event": "session", "tokens": {"access_token": …, "refresh_token": …}}
    ← {"id": 1, "result": {...}}
    → {"id": 1, "cmd": "stop", "reason": "…"}                        no further request leaves, other than a log-out
    ← {"event": "gone", "reason": "…"}                          Chromium did not start, or is no more; the sidecar ends

When its stdin closes (its parent is done, or dead) it takes the whole browser along.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from probes.clients.child import MARK
from probes.clients.chromium import sandbox_available
from probes.clients.chromium_flags import UNWANTED_DEFAULTS, launch_flags
from probes.clients.gate import Gate
from probes.clients.hello import Hello
from probes.clients.journey import Journey
from probes.clients.page_result import PageResult
from probes.clients.process_tree import kill_tree
from probes.clients.resolve import Addresses, resolve
from probes.clients.traffic import Traffic
from probes.clients.visit import Tab, Visit, open_tab
from probes.safety.guard import Guard

START_TIMEOUT_S = 20.0
"""A backstop: the parent's own patience is shorter."""

CLOSE_TIMEOUT_S = 2.0
LONGEST_LINE = 300
_NOTE = re.compile(r"^\s*(- )?\[pid=\d+\](\[err\])?")

Emit = Callable[[Mapping[str, Any]], None]


class Chrome:
    """A running Chromium behind its gate, with a tab in a fresh profile for the first journey."""

    def __init__(self, browser: Browser, gate: Gate, user_agent: str, addresses: Addresses) -> None:
        self.browser = browser
        self.gate = gate
        self.addresses = addresses
        self._user_agent = user_agent
        self._spare: asyncio.Task[Tab] | None = None
        self.prepare()

    @classmethod
    async def launch(cls, playwright: Playwright, hello: Hello, addresses: Addresses) -> Chrome:
        """Start one. Raises PlaywrightError where it does not start."""
        browser = await playwright.chromium.launch(
            executable_path=hello.chromium,
            args=launch_flags(hello.guard, addresses.reachable, hello.extra_flags),
            ignore_default_args=list(UNWANTED_DEFAULTS),
            chromium_sandbox=sandbox_available(Path(hello.chromium))[0],
            handle_sigint=False,  # our parent decides when we end
            handle_sigterm=False,
            handle_sighup=False,
            timeout=START_TIMEOUT_S * 1000,
        )
        session = await browser.new_browser_cdp_session()
        version = await session.send("Browser.getVersion")
        user_agent = f"{version['userAgent']} {hello.user_agent_suffix}".strip()
        gate = Gate(session, user_agent, addresses.refused)
        await gate.enable()
        return cls(browser, gate, user_agent, addresses)

    def prepare(self) -> None:
        """Begin to open the tab of the next journey, unless it waits already.

        Not while another journey is under way: a page before which another is opened is no longer the one in front, and
        Chromium takes its time with it.
        """
        if self._spare is None:
            self._spare = asyncio.ensure_future(open_tab(self.browser, self._user_agent))

    async def take_tab(self) -> Tab:
        """A tab that nobody has used yet."""
        self.prepare()
        assert self._spare is not None  # noqa: S101 - prepared just now
        spare, self._spare = self._spare, None
        tab = await spare
        return await open_tab(self.browser, self._user_agent) if tab.crashed.is_set() else tab

    async def done_with(self, tab: Tab) -> None:
        """Throw a used profile away."""
        # Until it is closed, its pages could still ask for something, in the name of the next journey. TimeoutError
        # where it cannot be closed: then the browser has to go.
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await tab.context.close()


class Sidecar:
    """Answers the parent's requests, one after the other."""

    def __init__(self, playwright: Playwright, hello: Hello, emit: Emit) -> None:
        self._playwright = playwright
        self._hello = hello
        self._emit = emit
        self._guard = Guard(hello.guard)
        self._chrome: Chrome | None = None
        self._traffic: Traffic | None = None
        self._stopped: dict[int, str] = {}

    async def warm_up(self) -> Chrome:
        """The running Chromium, or one newly started: first, or since names now lead to other addresses.

        Raises PlaywrightError where it does not start.
        """
        known = Addresses() if self._chrome is None else self._chrome.addresses
        addresses = await resolve(self._guard, known)
        if self._chrome is None or addresses != known:
            if self._chrome is not None:
                self._chrome.browser.remove_listener("disconnected", self._on_disconnected)
                await self._chrome.browser.close()
            self._chrome = await Chrome.launch(self._playwright, self._hello, addresses)
            self._chrome.browser.on("disconnected", self._on_disconnected)
        return self._chrome

    async def serve(self, requests: asyncio.Queue[dict[str, Any]]) -> None:
        """Do what is asked, for ever. Raises PlaywrightError where the browser is gone."""
        while True:
            request = await requests.get()
            chrome = await self.warm_up()
            tab = await chrome.take_tab()
            result = await self._visit(chrome, tab, request)
            self._emit({"id": request["id"], "result": result.to_json()})
            await chrome.done_with(tab)

    def prepare(self) -> None:
        """Open a tab for the request that is about to come; a Chromium that is yet to start opens its first anyway."""
        if self._chrome is not None:
            self._chrome.prepare()

    def stop(self, request_id: int, reason: str) -> None:
        """Let no further request of this journey leave, other than a log-out; also where it has yet to begin."""
        self._stopped[request_id] = reason
        if self._traffic is not None:
            self._traffic.stop(reason)

    async def _visit(self, chrome: Chrome, tab: Tab, request: dict[str, Any]) -> PageResult:
        journey, asked_at = Journey.from_json(request["journey"]), request["at"]
        if journey.since is None:
            journey = replace(journey, since=asked_at)
        self._traffic = traffic = Traffic(journey, self._guard, tab.frame, self._emit)
        if reason := self._stopped.get(request["id"]):
            traffic.stop(reason)
        chrome.gate.open(traffic)
        try:
            return await Visit(tab, traffic, asked_at + journey.timeout_s).run()
        finally:
            chrome.gate.shut()
            self._traffic = None
            self._stopped.clear()

    def _on_disconnected(self, _: Browser) -> None:
        self._emit({"event": "gone", "reason": "Chromium crashed, or was killed"})
        end()


def end() -> NoReturn:
    """Leave nothing behind: no process, no profile."""
    kill_tree(os.getpid(), os.environ[MARK], spare_root=True)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os._exit(0)  # at once, whatever threads and event loop are at


async def main() -> None:
    """Read, answer, and end with the parent."""
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with async_playwright() as playwright:  # takes a while, in which our parent finds out what to say
        line = await asyncio.to_thread(_first_line)
        if not line:
            end()  # it has nothing to say, or is gone
        sidecar = Sidecar(playwright, Hello.from_json(json.loads(line)["hello"]), emit)
        threading.Thread(target=_read, args=(loop, requests, sidecar), daemon=True).start()
        try:
            await sidecar.warm_up()
            emit({"event": "ready"})
            await sidecar.serve(requests)
        except PlaywrightError as error:
            emit({"event": "gone", "reason": _summary(error.message)})
        except TimeoutError:
            emit({"event": "gone", "reason": "a page could not be closed"})
        except Exception:  # noqa: BLE001 - a mistake of ours must not leave a browser behind; the parent reads stderr
            traceback.print_exc()
        end()


def _summary(message: str) -> str:
    """Of Playwright's long account of a failed start, its first line and what Chromium itself gave as the cause."""
    lines = [_NOTE.sub("", line).strip() for line in message.splitlines()]
    causes = [line for line in lines if "FATAL" in line or line.startswith("<process did exit")]
    return " ".join(dict.fromkeys(line[:LONGEST_LINE] for line in [*lines[:1], *causes[:1]]))


def emit(message: Mapping[str, Any]) -> None:
    """Write one line to the parent."""
    try:
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()
    except OSError:
        end()  # nobody listens any more


def _first_line() -> bytes:
    try:
        return sys.stdin.buffer.readline()
    except OSError:
        return b""


def _read(loop: asyncio.AbstractEventLoop, requests: asyncio.Queue[dict[str, Any]], sidecar: Sidecar) -> None:
    """In a thread of its own, so that the end of the parent is noticed whatever the event loop is at.

    A parent that was killed with something of ours unread resets the line instead of closing it.
    """
    try:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if message["cmd"] == "run":
                loop.call_soon_threadsafe(requests.put_nowait, message)
            elif message["cmd"] == "prepare":
                loop.call_soon_threadsafe(sidecar.prepare)
            elif message["cmd"] == "stop":
                loop.call_soon_threadsafe(sidecar.stop, message["id"], message["reason"])
    finally:
        end()


if __name__ == "__main__":
    asyncio.run(main())
