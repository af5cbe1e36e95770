"""The evaluator that is our own: which rules of an environment are ours, where they can be evaluated, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import OURS, Rule, load_rules
from probes.config.channels import FILE as CHANNELS
from probes.config.channels import load_channels
from probes.config.maintenance import FILE as MAINTENANCE
from probes.config.maintenance import Maintenance, load_maintenance
from probes.config.models import Settings
from probes.options import DATABASE_URL, RunOptions

if TYPE_CHECKING:
    from probes.alerts.look import Looks
    from probes.alerts.tell import ChannelOf
    from probes.store.alert_state import AlertState

BREAK_S = 60.0
"""A master looks every few seconds: after so long nobody has watched meanwhile, or the clock was put forward."""

_FORGETFUL = {"AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda", "GITHUB_ACTIONS": "GitHub Actions"}
"""Where the disk is a new one each time, and the variable that says so."""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """What looking and telling need; each of them is used by one thread at a time."""

    state: AlertState
    looks: Looks
    channel_of: ChannelOf


def our_rules(options: RunOptions, settings: Settings) -> dict[str, Rule]:
    """The rules of the environment that we evaluate. Raises ConfigError with every mistake of the file."""
    return load_rules(options.source.path.parent / RULES).of(settings.env, OURS)


def shares_a_store(options: RunOptions, settings: Settings) -> bool:
    """Whether the masters of all regions write into one database."""
    return bool(options.database_url) or settings.ledger == "database"


def never_fire(options: RunOptions, settings: Settings) -> str:
    """Which of our rules do not hold, as `smokeprobe validate` says in full; empty where all do."""
    from probes.alerts.arithmetic import problems_of

    rules = load_rules(options.source.path.parent / RULES)
    shared = shares_a_store(options, settings)
    wrong = [
        name
        for name, rule in rules.of(settings.env, OURS).items()
        if rule.misfits(settings) or problems_of(replace(rules, rules={name: rule}), settings, shared=shared)
    ]
    return f"Alert rules that do not hold: {', '.join(wrong)}; `smokeprobe validate` says why." if wrong else ""


def why_off(rules: Mapping[str, Rule], database_url: str, environ: Mapping[str, str]) -> str:
    """Why rules cannot be evaluated here, in one sentence; empty where they can."""
    where = next((name for variable, name in _FORGETFUL.items() if environ.get(variable, "").strip()), "")
    if not rules or database_url or not where:
        return ""
    return (
        f"Alert rules were not evaluated ({', '.join(rules)}): {where} keeps no disk, and {DATABASE_URL} is not set, "
        "so nobody would know what people have been told. Set it, or name a service as evaluator."
    )


def own_regions(settings: Settings, region: str) -> tuple[str, ...]:
    """The regions whose records are in the same file as those of one: its master's."""
    return next((master.regions for master in settings.masters.values() if region in master.regions), (region,))


def make_evaluator(
    options: RunOptions,
    settings: Settings,
    rules: Mapping[str, Rule],
    regions: tuple[str, ...],
    *,
    target: str,
    break_s: float,
    environ: Mapping[str, str],
    run_url: str = "",
) -> Evaluator:
    """What evaluates these rules; `regions` are those whose records are here where no database is shared.

    Raises ConfigError and StoreError. Nothing is asked of the store, or of a channel, before the first use.
    """
    from probes.alerts.channels import Ways
    from probes.alerts.group import Where
    from probes.alerts.look import Looks, Scope
    from probes.store.alert_state import AlertState
    from probes.store.database import open_database

    folder = options.source.path.parent
    channels = load_channels(folder / CHANNELS)
    maintenance = load_maintenance(folder / MAINTENANCE).maintenance
    here = tuple(name for name in settings.regions if options.database_url or name in regions)
    # All who look at one store must see the same in it: whatever their region and hour, all regions and checks count.
    where = Where(settings.env, target, run_url or channels.run_url or "", here)
    off = frozenset(name for name, rule in rules.items() if not _is_on(rule, settings))
    scope = Scope(rules, settings.regions, tuple(settings.checks), where, break_s, off)
    state = AlertState(open_database(options.state, options.database_url), target, settings.env)
    return Evaluator(
        state,
        Looks(state, scope, partial(_is_quiet, maintenance, settings.env)),
        Ways(channels, environ, {address for rule in rules.values() for address in rule.notify}),
    )


def _is_on(rule: Rule, settings: Settings) -> bool:
    """Whether a check that it is about runs at all."""
    return any(check.enabled for name, check in settings.checks.items() if name in (rule.checks or settings.checks))


def _is_quiet(maintenance: Maintenance, env: str, rule: str, checks: tuple[str, ...], at: float) -> bool:
    from probes.alerts.quiet import quiet

    return quiet(maintenance, env=env, rule=rule, checks=checks, at=at) is not None
