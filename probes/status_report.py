"""`smokeprobe report`: the history of a target as a status page."""

from __future__ import annotations

import time
from pathlib import Path

from probes.checks.registry import load_settings
from probes.config.rules import guard_rules
from probes.options import RunOptions
from probes.reports.status_numbers import WINDOWS, last_hours, of_cells
from probes.reports.status_page import StatusFacts, write_status
from probes.store.database import existing_database
from probes.store.status import StatusReader
from probes.store.sums import HOUR_S, hour_of


def write_report(options: RunOptions, path: Path) -> None:
    """Write the page. Raises ConfigError, StoreError where it cannot be read, SmokeprobeError where not written."""
    settings = load_settings(options.source)
    target = guard_rules(settings).origin
    database = existing_database(options.state, options.database_url)
    write_status(path, facts_of(StatusReader(database, target), target, settings.env, time.time()))


def facts_of(reader: StatusReader, target: str, env: str, at: float) -> StatusFacts:
    """What a page of a moment is made from. Raises StoreError."""
    first = hour_of(at) - max(WINDOWS.values())
    hours = reader.hours(first)
    return StatusFacts(
        target=target,
        env=env,
        at=at,
        hours=hours,
        times=reader.times(first),
        failures=reader.failures(first * HOUR_S),
        versions=reader.versions(first),
        budget=reader.budget(first * HOUR_S),
        latest=reader.latest(last_hours(of_cells(hours))),
    )
