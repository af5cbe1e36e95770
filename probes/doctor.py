"""`smokeprobe doctor`: what is installed, configured and reachable, and for what is not, the one thing that mends it.

Nothing is asked of the target: whether it can be reached is seen from name and connection alone.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probes.accounts.secrets import account_secrets, edge_header
from probes.checks.registry import build_checks, load_settings
from probes.clients.chromium import ChromiumMissingError, find_chromium, sandbox_available
from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import load_rules
from probes.config.channels import FILE as CHANNELS
from probes.config.channels import load_channels, unreached
from probes.config.models import Settings
from probes.config.monitoring import CREDENTIALS, FILE, chosen, load_integration
from probes.config.secrets import read_secret
from probes.errors import ConfigError, SmokeprobeError
from probes.model import LOCAL
from probes.options import RunOptions, resume_command
from probes.plan import problems_of
from probes.regions import verify_region
from probes.safety.guard import parse_url
from probes.safety.ledger import open_ledger

State = Literal["ok", "note", "problem"]
CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at; `mend` is what to do about it where it is a problem."""

    name: str
    state: State
    detail: str
    mend: str = ""


def examine(options: RunOptions, console: Console | None = None) -> int:
    """Look at everything and show it; 0 where a run would find what it needs, else 1."""
    diagnoses = list(_diagnoses(options))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path may be longer than a line, and all of it is needed
    styles = {"ok": "green", "note": "yellow", "problem": "bold red"}
    for item in diagnoses:
        table.add_row(Text(item.state, styles[item.state]), item.name, Text(item.detail))
        if item.mend:
            table.add_row("", "", Text(f"→ {item.mend}"))
    (console or Console()).print(table)
    return 1 if any(item.state == "problem" for item in diagnoses) else 0


def _diagnoses(options: RunOptions) -> Iterator[Diagnosis]:
    installed = f"{platform.python_version()}, locust {version('locust')}"
    yield Diagnosis("Python", "ok", installed)
    yield _driver()
    yield from _chromium()
    yield from _state(options)
    try:
        settings = load_settings(options.source)
    except ConfigError as problem:
        yield Diagnosis("configuration", "problem", str(problem), "smokeprobe validate")
        return
    yield from _configuration(options, settings)
    yield from _region(options, settings)
    yield from _monitoring(options, settings)
    yield from _alerts(options, settings)
    yield _reachable(settings)


def _driver() -> Diagnosis:
    """Playwright's Node, without which no browser is driven; it wants a library that a minimal Debian has not."""
    command = [sys.executable, "-m", "playwright", "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return Diagnosis("Playwright's driver", "problem", "does not start", "apt-get install libatomic1")
    return Diagnosis("Playwright's driver", "ok", answer.stdout.strip())


def _chromium() -> Iterator[Diagnosis]:
    try:
        chromium = find_chromium(os.environ)
        answer = subprocess.run([chromium.path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except ChromiumMissingError as missing:
        yield Diagnosis("Chromium", "problem", missing.message, missing.hint)
        return
    except (OSError, subprocess.SubprocessError) as problem:
        yield Diagnosis("Chromium", "problem", f"does not run: {type(problem).__name__}", "make setup")
        return
    yield Diagnosis("Chromium", "ok", f"{answer.stdout.strip()} ({chromium.source}: {chromium.path})")
    on, why_not = sandbox_available(chromium.path)
    yield Diagnosis("Chromium's sandbox", "ok" if on else "note", "on" if on else f"off: {why_not}")


def _state(options: RunOptions) -> Iterator[Diagnosis]:
    try:
        ledger = open_ledger(options.state, options.database_url)
        pauses = ledger.pauses("")
    except SmokeprobeError as problem:
        mend = "name a writable folder with --state-dir or SMOKEPROBE_STATE_DIR"
        yield Diagnosis("ledger", "problem", problem.message, problem.hint or mend)
        return
    yield Diagnosis("ledger", "ok", ledger.place)
    if pauses:
        yield Diagnosis("pause", "problem", f"probing is paused: {pauses[0].why}", resume_command(options.state_dir))


def _configuration(options: RunOptions, settings: Settings) -> Iterator[Diagnosis]:
    checks = build_checks(settings, options.source.path)
    problems = list(problems_of(settings, checks, options.share, options.region))
    if problems:
        yield Diagnosis("configuration", "problem", "\n".join(problems), "smokeprobe validate")
    else:
        yield Diagnosis("configuration", "ok", f"{options.source.path}: {', '.join(checks)}")
    if settings.credentials is None:
        return
    credentials = settings.credentials
    for alias in sorted(
        {one for check in checks.values() for one in check.rota.of(options.share)} & set(credentials.accounts)
    ):
        yield _present(f"account {alias}", partial(account_secrets, credentials, alias, os.environ))
    if credentials.edge_header:
        yield _present("edge header", partial(edge_header, settings, os.environ))


def _present(name: str, read: Callable[[], object]) -> Diagnosis:
    try:
        read()
    except ConfigError as problem:
        return Diagnosis(name, "problem", problem.message)
    return Diagnosis(name, "ok", "its secrets are there")


def _region(options: RunOptions, settings: Settings) -> Iterator[Diagnosis]:
    if options.region == LOCAL:
        return
    region = verify_region(options.region, settings, os.environ)
    name = f"region {region.name}"
    if region.verified:
        yield Diagnosis(name, "ok", f"verified by {region.by}")
    else:
        mend = f"run it there, or name what proves it: region_proofs: {{ {region.name}: {{ env: VARIABLE }} }}"
        yield Diagnosis(name, "note", f"unverified: {region.by}", mend)


def _monitoring(options: RunOptions, settings: Settings) -> Iterator[Diagnosis]:
    """Which services a run of this environment would tell."""
    try:
        integration = load_integration(options.source.path.parent / FILE)
        used = chosen(integration, settings.env, "run", os.environ)
    except ConfigError as problem:
        yield Diagnosis("monitoring", "problem", str(problem), "smokeprobe validate")
        return
    for name, variables in CREDENTIALS.items():
        of_it = integration.of(name)
        if name in used:
            yield Diagnosis(f"monitoring {name}", "ok", "is told of each run; try it: smokeprobe monitoring send-test")
        elif of_it is not None and settings.env in of_it.environments:
            detail = f"is not told of a run: the environment has none of {', '.join(variables)}"
            yield Diagnosis(f"monitoring {name}", "note", detail)


def _alerts(options: RunOptions, settings: Settings) -> Iterator[Diagnosis]:
    """Whether those can be told whom our own rules name, and who would notice that we are silent."""
    folder = options.source.path.parent
    try:
        channels, rules = load_channels(folder / CHANNELS), load_rules(folder / RULES)
        ping = read_secret(channels.heartbeat, os.environ)
    except ConfigError as problem:
        yield Diagnosis("alerts", "problem", str(problem), "smokeprobe validate")
        return
    addresses = rules.addresses(settings.env)
    why = unreached(channels, addresses, os.environ)
    for address, rule in addresses.items():
        if address in why:
            mend = f"set that variable, or mend {CHANNELS}; it is rule {rule} that tells them"
            yield Diagnosis(f"alerts to {address}", "problem", why[address], mend)
        else:
            yield Diagnosis(f"alerts to {address}", "ok", "has a channel; try it: smokeprobe alerts send-test")
    if ping is not None:
        yield Diagnosis("heartbeat", "ok", f"goes where {channels.heartbeat} says, after each conclusive run")
    elif addresses:
        detail = f"none: {channels.heartbeat} is empty, and nobody would notice that we are silent"
        yield Diagnosis("heartbeat", "note", detail)


def _reachable(settings: Settings) -> Diagnosis:
    endpoint = parse_url(settings.target.url)
    origin = endpoint.origin
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=CONNECT_S):
            return Diagnosis("target", "ok", f"{origin} takes connections (nothing was asked of it)")
    except socket.gaierror:
        mend = "look at target.url and at this machine's DNS"
        return Diagnosis("target", "problem", f"{origin}: its name is not known", mend)
    except OSError as problem:
        mend = "smokeprobe standin" if settings.env == "local" else "look at target.url and at this machine's network"
        return Diagnosis("target", "problem", f"{origin}: no connection: {problem.strerror or 'timed out'}", mend)
