"""The browser, started before anything else: it warms up in a process of its own while Locust is imported."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from probes.clients.browser import Browser, BrowserError, discard
from probes.clients.child import EARLY, Child
from probes.clients.chromium import ChromiumMissingError, find_chromium
from probes.config.document import read_document
from probes.config.models import Settings
from probes.config.rules import guard_rules, user_agent
from probes.errors import SmokeprobeError
from probes.options import RunOptions

if TYPE_CHECKING:
    from probes.swarm.equipment import Equipment  # it brings urllib3, which must not come before Locust's patches

PREWARMED: ContextVar[Browser | None] = ContextVar("PREWARMED", default=None)
"""From `drive` to the locustfile's hooks, which Locust's main imports by path, so that nothing can be passed."""


def prewarm(options: RunOptions) -> None:
    """Start the browser where the configuration seems to need one.

    A wrong guess costs a later start, or a browser that is closed unused. Mistakes are not told here: the whole
    configuration is loaded, and judged, once Locust is there.
    """
    early = EARLY.get()
    EARLY.set(None)
    browser = None if options.no_browser else _browser(options, early)
    if browser is not None:
        atexit.register(browser.close)  # where the run does not come so far as to close it
    elif early is not None:
        discard(early)
    PREWARMED.set(browser)


def _browser(options: RunOptions, early: Child | None) -> Browser | None:
    try:
        data = read_document(options.source.path).data
        if not any(_seems_to_need_it(name, raw, options) for name, raw in data["checks"].items()):
            return None
        data["target"]["url"] = options.target_url or data["target"]["url"]
        settings = Settings.model_validate(data)
        chromium = find_chromium(os.environ)
        return Browser(chromium, guard_rules(settings), user_agent_suffix=user_agent(settings), child=early)
    except (SmokeprobeError, ValidationError, KeyError, TypeError, AttributeError):
        return None


def start_browser(equipment: Equipment, checks: Iterable[str], *, at_once: bool) -> tuple[Browser | None, str]:
    """A browser that warms up while we go on, or (not `at_once`) when it is first needed; or why there is none."""
    wanted = [equipment.checks[name] for name in checks if name not in equipment.left_out]
    prewarmed = PREWARMED.get()
    if equipment.options.no_browser:
        return None, "left out by --no-browser"
    if not any(check.uses_browser for check in wanted):
        if prewarmed is not None:
            prewarmed.close()
        return None, ""
    if prewarmed is not None:
        return prewarmed, ""
    try:
        chromium, agent = find_chromium(os.environ), user_agent(equipment.settings)
        browser = Browser(chromium, equipment.guard.rules, user_agent_suffix=agent, at_once=at_once)
    except (ChromiumMissingError, BrowserError) as problem:
        return None, str(problem)
    atexit.register(browser.close)  # where the run does not come so far as to close it
    return browser, ""


def _seems_to_need_it(name: str, raw: Mapping[str, Any], options: RunOptions) -> bool:
    wanted = not options.checks or name in options.checks
    return wanted and (raw.get("kind", name) == "homepage" or bool(raw.get("web")))
