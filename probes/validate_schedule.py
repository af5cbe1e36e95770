"""What `smokeprobe validate` says of the schedule: all of it against the ceiling, and what holds for each entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from probes.checks.registry import build_checks, load_timetable
from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import load_rules
from probes.config.cron_schedule import FILE, load_schedule
from probes.config.models import Settings
from probes.config.units import show_duration
from probes.options import RunOptions
from probes.safety.limits import RateLimit
from probes.schedule_guarantees import MACHINES, Guarantee, guarantees
from probes.schedule_rules import Whole, entries_of, whole


def print_schedule(options: RunOptions, console: Console | None = None) -> None:
    """The schedule of an environment; `validate_plan` has found it right. Says nothing where nothing is scheduled."""
    source = options.source
    schedule = load_schedule(source.path.parent / FILE).schedule
    timetable = load_timetable(source)
    entries = entries_of(schedule, timetable.base.env)
    if not entries:
        return
    console = console or Console()
    wholes = [whole(schedule, settings, build_checks(settings, source.path)) for _, settings in timetable.everywhere()]
    _print_whole(wholes, console)
    rules = {
        name: rule
        for name, rule in load_rules(source.path.parent / RULES).rules.items()
        if timetable.base.env in rule.environments
    }
    by_what: dict[tuple[str, tuple[Guarantee, ...]], list[str]] = defaultdict(list)
    for name, entry in entries.items():
        found = tuple(guarantees(name, schedule, timetable.base, rules))
        by_what[MACHINES[entry.platform], found].append(name)
    for (machine, found), names in by_what.items():
        _print_guarantees(names, machine, found, console)


def _print_whole(wholes: Iterable[Whole], console: Console) -> None:
    """The worst of all overrides, for everybody who draws on the ceiling."""
    needs: dict[str, dict[str, int]] = defaultdict(dict)
    together: dict[str, int] = {}
    limits: dict[str, RateLimit] = {}
    for each in wholes:
        for limit in _counted(each.settings):
            limits.setdefault(limit.name, limit)
            together[limit.name] = max(together.get(limit.name, 0), each.together(limit))
            for drawn in each.drawn:
                row = needs[drawn.who]
                row[limit.name] = max(row.get(limit.name, 0), drawn.needs[limit])
    if not limits:
        return
    table = Table(title="The whole schedule: requests in the worst window, retries included", title_justify="left")
    table.add_column("who")
    for limit in limits.values():
        table.add_column(f"{limit.name}, in {show_duration(limit.window_s)}", justify="right")
    for who, row in needs.items():
        table.add_row(who, *(str(row[name]) for name in limits))
    table.add_section()
    table.add_row("counted as one", *(f"{together[name]} of {limit.ceiling}" for name, limit in limits.items()))
    console.print(table)
    console.print(
        "Counted as one: what the target may take for one client's; by address, each that has its own counts alone. By "
        "hand counts with all that its share has."
    )


def _counted(settings: Settings) -> list[RateLimit]:
    return [limit for limit in settings.rate_limits if not limit.spaced]


def _print_guarantees(names: list[str], machine: str, found: Iterable[Guarantee], console: Console) -> None:
    console.print(f"{', '.join(names)}: on {machine}, whose disk is a new one each time", highlight=False)
    for each in found:
        sign = "holds " if each.holds else "lapses"
        console.print(f"  {sign}  {each.promise}: {each.why}", highlight=False, soft_wrap=True)
