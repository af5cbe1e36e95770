"""`smokeprobe alerts test`: what rules would have told of a series."""

from __future__ import annotations

from pathlib import Path

import typer

from probes.alerts.replay import as_line, read_series, replay
from probes.checks.registry import load_settings
from probes.config.alert_rules import load_rules
from probes.errors import ConfigError
from probes.options import RunOptions


def play(options: RunOptions, rules_file: Path, series: Path) -> None:
    """Print what would have been told, one JSON object a line. Raises ConfigError."""
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
            for told in replay(rules, settings.regions, checks, read_series(lines, str(series)), settings.env):
                typer.echo(as_line(told))
    except (OSError, UnicodeError) as problem:
        raise ConfigError(
            f"{series} cannot be read: {getattr(problem, 'strerror', None) or 'it is no text'}."
        ) from None
