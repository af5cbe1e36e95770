"""`smokeprobe alerts send-test`: one marked notice to everyone who is told, and what became of it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from probes.alerts.channels import make_channel
from probes.alerts.notice import Affected, Channel, Notice, NotTakenError, Trouble
from probes.checks.registry import load_settings
from probes.config.addresses import kind_of
from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import OURS, load_rules
from probes.config.channels import FILE as CHANNELS
from probes.config.channels import load_channels
from probes.config.models import Settings
from probes.errors import ConfigError
from probes.options import RunOptions

PAGERS = frozenset({"pagerduty", "opsgenie"})


def send_test_notices(
    options: RunOptions,
    addresses: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    console: Console | None = None,
) -> int:
    """Send them and say so; 0 where everyone took theirs, else 1. Raises ConfigError where there is nobody to try."""
    folder = options.source.path.parent
    settings, channels = load_settings(options.source), load_channels(folder / CHANNELS)
    told = tuple(addresses) or tuple(load_rules(folder / RULES).addresses(settings.env))
    if not told:
        raise ConfigError(
            f"Nobody is told of alerts in {settings.env}: no rule of {folder / RULES} has evaluator: {OURS} there.",
            hint="Try anyone with --to ADDRESS.",
        )
    out = console or Console(soft_wrap=True, highlight=False)
    all_taken = True
    for address in dict.fromkeys(told):
        try:
            channel = make_channel(address, channels, environ)
        except ConfigError as problem:
            taken, said = False, problem.message.removeprefix(f"{address} ")
        else:
            taken, said = _tried(channel, settings)
        all_taken = all_taken and taken
        out.print(f"{address}: {said}", markup=False)
    return 0 if all_taken else 1


def _tried(channel: Channel, settings: Settings) -> tuple[bool, str]:
    done: list[str] = []
    for what, notice in _notices(channel, settings):
        try:
            channel.send(notice)
        except NotTakenError as problem:
            so_far = f"{', '.join(done)}, but then " if done else ""
            return False, f"{so_far}not {what}: {problem}"
        done.append(what)
    return True, f"{' and '.join(done)}; look whether it is there"


def _notices(channel: Channel, settings: Settings) -> Iterator[tuple[str, Notice]]:
    notice = _notice(settings)
    if kind_of(channel.address)[0] not in PAGERS:
        yield "handed over", notice
        return
    yield "triggered", notice
    yield "resolved", replace(notice, number=2, change="resolved", at=time.time())


def _notice(settings: Settings) -> Notice:
    now = time.time()
    check = Affected("example", settings.regions or ("local",), "an example: expected this message, got it")
    trouble = Trouble("test message", "smoke_test.test", "that this arrives", "", check.regions, 1, (check,))
    key = f"smokeprobe-test-{uuid.uuid4().hex}"
    return Notice(key, 1, "firing", "info", settings.env, settings.target.url, now, now, (trouble,), test=True)
