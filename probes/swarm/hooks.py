"""The one call of a locustfile: our options into Locust's parser, our session onto Locust's events."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any

import locust
from locust.argument_parser import get_parser

from probes.clients.browser import Browser, BrowserError
from probes.clients.chromium import ChromiumMissingError, find_chromium
from probes.config.rules import user_agent
from probes.errors import ConfigError
from probes.files import refuse_folder
from probes.options import forget_empty
from probes.swarm.arguments import add_arguments, options_from
from probes.swarm.equipment import Equipment, equip
from probes.swarm.prewarm import PREWARMED
from probes.swarm.session import SmokeSession
from probes.swarm.signals import remember
from probes.swarm.silence import guard_output, outlast_output

if TYPE_CHECKING:
    from locust.env import Environment


def install(only_kinds: frozenset[str] = frozenset()) -> SmokeSession:
    """Make the session that a locustfile's users belong to; `only_kinds` leaves out all other kinds of checks.

    A wrong configuration is said on one screen, and ends the process with exit code 2.
    """
    remember()
    outlast_output()
    forget_empty(os.environ)
    locust.events.init_command_line_parser.add_listener(add_arguments)
    parsed, _ = get_parser().parse_known_args()
    options = options_from(parsed)
    try:
        for file in (options.json_file, options.junit_file, options.html_file):
            refuse_folder(file)
        equipment = equip(options)
    except ConfigError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)
    session = SmokeSession(equipment, once=parsed.once, only_kinds=only_kinds)

    def begin(environment: Environment, **_: Any) -> None:
        guard_output(equipment.redactor)
        browser, why_not = start_browser(equipment, session.chosen(environment))
        session.begin(environment, browser, why_not)

    def end(environment: Environment, **_: Any) -> None:
        session.end(environment)

    locust.events.init.add_listener(begin)
    locust.events.quitting.add_listener(end)
    return session


def start_browser(equipment: Equipment, checks: frozenset[str]) -> tuple[Browser | None, str]:
    """A browser that warms up while we go on, or why there is none."""
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
        chromium = find_chromium(os.environ)
        browser = Browser(chromium, equipment.guard.rules, user_agent_suffix=user_agent(equipment.settings))
    except (ChromiumMissingError, BrowserError) as problem:
        return None, str(problem)
    atexit.register(browser.close)  # where the run does not come so far as to close it
    return browser, ""
