"""`smokeprobe alerts test` and `alerts series`: what rules would have told of a series, and one from the history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from probes.alerts.replay import as_line, as_series_line, read_series, replay
from probes.alerts.seen import Seen, seen_in
from probes.checks.registry import load_settings
from probes.config.alert_rules import load_rules
from probes.config.mistakes import did_you_mean
from probes.config.models import Settings
from probes.config.rules import guard_rules
from probes.config.units import shown
from probes.errors import ConfigError
from probes.options import RunOptions
from probes.quorum import UNVERIFIED
from probes.store.database import existing_database
from probes.store.reader import Reader, Wanted

MOST_RECORDED = 1_000_000
"""The newest so many records make a series: some months of three regions."""


def play(options: RunOptions, rules_file: Path, series: Path) -> None:
    """Print what would have been told, one JSON object a line; that it is nothing goes to standard error.

    Raises ConfigError.
    """
    settings = load_settings(options.source)
    if not rules_file.is_file():
        raise ConfigError(f"{rules_file} is no file with rules.")
    found = load_rules(rules_file)
    rules = {name: rule for name, rule in found.rules.items() if settings.env in rule.environments}
    if not rules:
        raise ConfigError(
            f"{rules_file} has no rule for {settings.env}.", hint="Choose another one with --env or --config."
        )
    checks = [name for name, check in settings.checks.items() if check.enabled]
    try:
        with series.open(encoding="utf-8") as lines:
            seen = list(read_series(lines, str(series)))
    except (OSError, UnicodeError) as problem:
        raise ConfigError(
            f"{series} cannot be read: {getattr(problem, 'strerror', None) or 'it is no text'}."
        ) from None
    _look_for_strangers(seen, settings, series)
    told = [as_line(each) for each in replay(rules, settings.regions, checks, seen, settings.env)]
    for line in told:
        typer.echo(line)
    if not told:
        typer.echo(f"Nobody would have been told of anything: no rule fires in {series}.", err=True)


def record(options: RunOptions, since: float) -> None:
    """Print what was seen since a time as a series, the oldest first. Raises ConfigError and StoreError."""
    target = guard_rules(load_settings(options.source)).origin
    reader = Reader(existing_database(options.state, options.database_url), target)
    verified: dict[str, bool] = {}
    for each in reversed(reader.records(Wanted(since=since, limit=MOST_RECORDED))):
        if each.is_verdict:
            verified[each.region] = each.verified
        typer.echo(as_series_line(seen_in(each, verified=verified.get(each.region, False))))


def _look_for_strangers(seen: Sequence[Seen], settings: Settings, series: Path) -> None:
    """Say which regions the environment has not, as they count for nothing.

    Raises ConfigError with its unknown checks: no master would ever hear of them.
    """
    unknown = sorted({each.check for each in seen if each.check} - settings.checks.keys())
    if unknown:
        strangers = (
            f"{shown(name)} is no check of {settings.env}{did_you_mean(name, settings.checks)}" for name in unknown
        )
        raise ConfigError(f"{series} is of no use here:", tuple(strangers))
    for region in sorted({each.region.removesuffix(UNVERIFIED) for each in seen} - {"", *settings.regions}):
        near = did_you_mean(region, settings.regions)
        typer.echo(f"{shown(region)} is no region of {settings.env}, so it counts for no rule{near}", err=True)
