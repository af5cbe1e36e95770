"""`smokeprobe validate`: every mistake of a configuration, then what it costs the target at worst."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.table import Table

from probes.alerts import arithmetic
from probes.alerts.arithmetic import Sums
from probes.alerts.evaluator import shares_a_store
from probes.checks.registry import build_checks, load_timetable
from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import OURS, Rule, load_rules
from probes.config.channels import FILE as CHANNELS
from probes.config.channels import load_channels, unreached
from probes.config.cron_schedule import FILE as SCHEDULE
from probes.config.cron_schedule import load_schedule
from probes.config.dashboards import FOLDER, load_dashboards
from probes.config.maintenance import FILE as MAINTENANCE
from probes.config.maintenance import load_maintenance
from probes.config.mistakes import did_you_mean
from probes.config.monitoring import FILE, load_integration
from probes.config.units import show_duration
from probes.errors import ConfigError
from probes.options import DATABASE_URL, RunOptions
from probes.plan import LimitPlan, Plan, make_plan, problems_of, worst_of
from probes.schedule_rules import schedule_problems


def validate_plan(options: RunOptions) -> Plan:
    """The worst plan of a configuration that is right and fits, over all overrides. Raises ConfigError otherwise.

    What stands beside it, for the monitoring services, as rules, channels, maintenance and schedule, is looked at too.
    """
    source = options.source
    integration = load_integration(source.path.parent / FILE)
    load_dashboards(source.path.parent / FOLDER)
    rules = load_rules(source.path.parent / RULES)
    channels = load_channels(source.path.parent / CHANNELS)
    maintenance = load_maintenance(source.path.parent / MAINTENANCE)
    schedule = load_schedule(source.path.parent / SCHEDULE)
    problems: list[str] = []
    plans: list[Plan] = []
    for name, settings in load_timetable(source).everywhere():
        checks = build_checks(settings, source.path)
        if not name:
            problems += rules.problems_in(settings, integration)
            problems += maintenance.problems_in(settings, rules)
            problems += [
                f"{source.path.parent / RULES}: {why}"
                for why in unreached(channels, rules.addresses(settings.env)).values()
            ]
        found = arithmetic.problems_of(rules, settings, shared=shares_a_store(options, settings))
        found += problems_of(settings, checks, options.share, options.region)
        found += schedule_problems(schedule, settings, checks)
        problems += [f"{line} (with {name})" if name and line not in problems else line for line in found]
        plans.append(make_plan(settings, checks))
    if problems:
        raise ConfigError(f"{source.path} does not hold:", tuple(dict.fromkeys(problems)))
    return worst_of(plans)


def sums_of_rules(options: RunOptions) -> list[tuple[Rule, Sums]]:
    """What each rule of the environment comes to; `validate_plan` has found them right."""
    settings = load_timetable(options.source).base
    rules = load_rules(options.source.path.parent / RULES).rules
    shared = shares_a_store(options, settings)
    return [
        (rule, arithmetic.sums_of(name, rule, settings, shared=shared))
        for name, rule in rules.items()
        if settings.env in rule.environments
    ]


def print_whom_no_rule_tells(options: RunOptions, console: Console | None = None) -> None:
    """Say that nobody is told, where there are rules, but each is about other environments: it may be a slip."""
    env = load_timetable(options.source).base.env
    rules = load_rules(options.source.path.parent / RULES).rules
    if rules and not any(env in rule.environments for rule in rules.values()):
        others = sorted({name for rule in rules.values() for name in rule.environments})
        near = did_you_mean(env, others)
        (console or Console()).print(
            f"Nobody is told of alerts in {env}: the rules of {RULES} are about {', '.join(others)}{near}",
            highlight=False,
        )


def print_what_is_over(options: RunOptions, console: Console | None = None) -> None:
    """Say which mutes and windows have had their time: the file is shorter without them."""
    over = load_maintenance(options.source.path.parent / MAINTENANCE).maintenance.over(time.time())
    if over:
        (console or Console()).print(f"{MAINTENANCE}: {', '.join(over)} had an end, and it is past.", highlight=False)


def print_rules(sums: list[tuple[Rule, Sums]], console: Console | None = None) -> None:
    """What each rule comes to: who tells, on what ground, and how late at worst."""
    if not sums:
        return
    console = console or Console()
    table = Table(
        title="Alert rules: what each region gives a window, and how soon an outage is told", title_justify="left"
    )
    for heading in ("rule", "told by", "window", "samples", "regions", "known within"):
        table.add_column(heading, justify="left" if heading in {"rule", "told by"} else "right")
    for rule, each in sums:
        samples = f"{each.samples} (of {rule.samples})" if each.samples else ""
        alert = show_duration(each.alert_s) if math.isfinite(each.alert_s) else ""
        regions = f"{rule.quorum} of {each.regions}"
        table.add_row(each.rule, rule.evaluator, show_duration(rule.window), samples, regions, alert)
    console.print(table)
    for rule, each in sums:
        if each.rare and not rule.checks:
            rare = ", ".join(each.rare)
            console.print(f"{each.rule}: {rare} come less than twice a window, so they count for little.")
    if alone := [each.rule for rule, each in sums if rule.evaluator == OURS and not each.together]:
        console.print(
            f"{', '.join(alone)}: each master keeps a store of its own, so each tells on its own of an outage that all "
            f"of them see; with {DATABASE_URL} they are told once."
        )


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Worst case of each limit, then what a day costs the target."""
    console = console or Console()
    table = Table(title="Worst case of requests, retries and schedules included", title_justify="left")
    for heading in ("limit", "allows", "ceiling", "one run", "at intervals"):
        table.add_column(heading, justify="left" if heading == "limit" else "right")
    for item in (*plan.limits, *plan.control):
        limit = item.limit
        allows = f"{limit.requests} per {show_duration(limit.window_s)}"
        ceiling = f"1 in {show_duration(limit.hold_s)}" if limit.spaced else str(limit.ceiling)
        table.add_row(limit.name, allows, ceiling, _share(item, item.run), _share(item, item.continuous))
    if table.rows:
        console.print(table)
    if not plan.limits:
        console.print("No limits are configured: nothing holds the number of requests but the intervals.")
    if len(plan.owners) > 1:
        _print_owners(plan, console)
    day = plan.day
    regions = "one region" if day.regions == 1 else f"{day.regions} regions"
    console.print(
        f"A day at these intervals, from {regions}: about {day.requests:,.0f} requests, {day.bytes / 2**20:,.1f} MiB, "
        f"{day.logins:,.0f} logins."
    )


def _print_owners(plan: Plan, console: Console) -> None:
    table = Table(title="Who draws on it, and how many requests in a window each may send", title_justify="left")
    table.add_column("who")
    table.add_column("share")
    table.add_column("part", justify="right")
    table.add_column("own address")
    names = [item.limit.name for item in plan.limits if not item.limit.spaced]
    for name in names:
        table.add_column(name, justify="right")
    for owned in plan.owners:
        own = "yes" if owned.own_address else "no"
        table.add_row(
            owned.owner, owned.share, f"{100 * owned.part:g}%", own, *(str(owned.room[name]) for name in names)
        )
    console.print(table)
    by_address = [item.limit.name for item in plan.limits if item.limit.key == "ip" and not item.limit.spaced]
    if by_address and any(owned.own_address for owned in plan.owners):
        console.print(f"Counted by address: {', '.join(by_address)}; who has an own address has all of their ceiling.")


def _share(item: LimitPlan, requests: int) -> str:
    """Spaced requests count by the time that they are apart: of many, a window holds a part of one."""
    limit = item.limit
    in_a_window = min(requests, limit.window_s / limit.hold_s) if limit.spaced else requests
    return f"{requests} ({item.percent(in_a_window):.1f} %)"
