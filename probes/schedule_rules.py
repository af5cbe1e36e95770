"""Whether the schedule may run as it stands: what it names is there, and all of it together fits under the ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from probes.checks.base import Check
from probes.config.cron_schedule import DAY_S, WEEK_S, Entry, Schedule, ScheduleFile
from probes.config.mistakes import Mistakes, did_you_mean
from probes.config.models import SecretSource, Settings
from probes.config.shares import ADHOC
from probes.config.turns import Rota
from probes.config.units import show_duration, shown
from probes.options import DATABASE_URL
from probes.plan import make_plan, needs_all_day
from probes.safety.limits import RateLimit, share_slots
from probes.share_rules import FEWER, more_room

AnyCheck = Check[Any]
Checks = Mapping[str, AnyCheck]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Who draws on a share, and for each limit how many requests his worst window has."""

    who: str
    share: str
    needs: Mapping[RateLimit, int]


@dataclass(frozen=True, slots=True)
class Whole:
    """Everybody who draws on the ceiling of an environment."""

    settings: Settings
    drawn: tuple[Drawn, ...] = field(default=())

    def together(self, limit: RateLimit) -> int:
        """Requests in the worst window that the target may count as one's: by address, those that share one."""
        apart, one = [0], 0
        for each in self.drawn:
            share = self.settings.shares[each.share]
            if limit.key == "ip" and share.own_address:
                apart.append(each.needs[limit])
            else:
                one += each.needs[limit]
        return max(one, *apart)


def entries_of(schedule: Schedule, env: str) -> dict[str, Entry]:
    """The entries of an environment."""
    return {name: entry for name, entry in schedule.entries.items() if entry.env == env}


def keeps_ledger(entry: Entry, settings: Settings) -> bool:
    """Whether its account of what was sent outlives its machine, and is the same as that of others who say so."""
    return DATABASE_URL in entry.secrets or settings.ledger == "database"


def whole(schedule: Schedule, settings: Settings, checks: Checks) -> Whole:
    """All masters at their intervals, all entries of the schedule, and by hand as much as its share has."""
    all_day = needs_all_day(settings, checks)
    drawn = []
    if by_hand := settings.shares.get(ADHOC):
        drawn.append(
            Drawn("by hand", ADHOC, {each: share_slots(each, by_hand.part_of(each)) for each in settings.rate_limits})
        )
    for name, master in settings.masters.items():
        if master.share in settings.shares:
            needs = {limit: n * (1 if limit.key == "ip" else len(master.regions)) for limit, n in all_day.items()}
            drawn.append(Drawn(f"master {name}", master.share, needs))
    for name, entry in entries_of(schedule, settings.env).items():
        if entry.share in settings.shares:
            drawn.append(Drawn(name, entry.share, _needs_of(entry, settings, checks)))
    return Whole(settings, tuple(drawn))


def schedule_problems(file: ScheduleFile, settings: Settings, checks: Checks) -> list[str]:
    """All that keeps the entries of one environment from being run safely, one line each."""
    mistakes = file.mistakes
    if mistakes is None:
        return []
    entries = entries_of(file.schedule, settings.env)
    starts = {name: file.schedule.starts(entry) for name, entry in entries.items()}
    for name, entry in entries.items():
        _look_at(name, entry, mistakes, settings, checks)
        late = file.schedule.late(entry)
        for why in _time_problems(entry, starts[name], late, settings):
            mistakes.say(("entries", name, "cron"), why)
    for one, other in combinations(entries, 2):
        if not all(keeps_ledger(entries[name], settings) for name in (one, other)):
            _look_at_both(one, other, entries, starts, mistakes)
    _look_at_room(entries, mistakes, whole(file.schedule, settings, checks))
    return mistakes.lines()


def run_by(entry: Entry, checks: Checks) -> dict[str, AnyCheck]:
    """The checks that an entry runs."""
    return {name: check for name, check in checks.items() if not entry.checks or name in entry.checks}


def _needs_of(entry: Entry, settings: Settings, checks: Checks) -> dict[RateLimit, int]:
    """One run is the most that a window holds: `_time_problems`, and a wait on machines that may start at any time."""
    return {item.limit: item.run for item in make_plan(settings, run_by(entry, checks)).limits}


def _look_at(name: str, entry: Entry, mistakes: Mistakes, settings: Settings, checks: Checks) -> None:
    where = ("entries", name)
    if entry.region not in settings.regions:
        near = did_you_mean(entry.region, settings.regions)
        mistakes.say((*where, "region"), f"{shown(entry.region)} is no region of {settings.env}{near}")
    for check in entry.checks:
        if check not in checks:
            near = did_you_mean(check, checks)
            mistakes.say((*where, "checks"), f"{shown(check)} is no check of {settings.env}{near}")
    if why := _not_its_own(entry.share, settings):
        mistakes.say((*where, "share"), why)
    for why in _account_problems(entry, settings, checks):
        mistakes.say((*where, "account"), why)
    for variable in _wanted(entry, settings, checks):
        if variable not in entry.secrets:
            mistakes.say((*where, "secrets"), f"{variable} is missing: {settings.env} needs it")


def _not_its_own(share: str, settings: Settings) -> str:
    if share == ADHOC:
        return f"{share!r} is for what is run by hand: give the entry one of its own"
    if share not in settings.shares:
        return f"{shown(share)} is no share of {settings.env}{did_you_mean(share, settings.shares)}"
    owner = next((name for name, master in settings.masters.items() if master.share == share), "")
    return f"{share!r} is owned by the master {owner}: give the entry one of its own" if owner else ""


def _account_problems(entry: Entry, settings: Settings, checks: Checks) -> Iterator[str]:
    """Turns say whose an account is; without them an entry names the one that it logs in to."""
    logins = _logins(entry, checks)
    for name, rota in logins.items():
        if rota.turns and not rota.of(entry.share):
            yield (
                f"the check {name} of {settings.env} goes by turns, and {entry.share!r} has none: give it one, or name "
                f"the entry's checks without {name}"
            )
        if not rota.turns and entry.account not in rota.accounts:
            of_these = " or ".join(rota.accounts)
            yield f"the check {name} of {settings.env} logs in to {of_these}: write account: {rota.accounts[0]}"
    if entry.account and all(rota.turns for rota in logins.values()):
        yield "no check that it runs logs in to an account that it may name: leave it out"


def _logins(entry: Entry, checks: Checks) -> dict[str, Rota]:
    run = run_by(entry, checks).items()
    return {name: check.rota for name, check in run if check.rota.accounts and check.options.enabled}


def _wanted(entry: Entry, settings: Settings, checks: Checks) -> Iterator[str]:
    """The variables without which its runs could not judge."""
    credentials = settings.credentials
    sources: list[SecretSource | None] = []
    accounts = credentials.accounts if credentials else {}
    for name in sorted({name for rota in _logins(entry, checks).values() for name in rota.of(entry.share)}):
        if name in accounts:
            sources += [accounts[name].password, accounts[name].totp]
    if credentials and credentials.edge_header:
        sources.append(credentials.edge_header.value)
    yield from (source.env for source in sources if source and source.env)
    if settings.ledger == "database":
        yield DATABASE_URL


def _time_problems(entry: Entry, starts: Sequence[float], late: float, settings: Settings) -> Iterator[str]:
    if entry.timeout <= settings.run.timeout:
        run = show_duration(settings.run.timeout)
        yield f"timeout is for the whole job: a run alone has {run} (run.timeout)"
    window = max((limit.hold_s for limit in settings.rate_limits), default=0.0)
    gap = min((later - earlier for earlier, later in pairwise(starts)), default=WEEK_S)
    if gap < late + entry.timeout + window:
        yield (
            f"begins again after {show_duration(gap)}, but a run may be {show_duration(late)} late, take "
            f"{show_duration(entry.timeout)}, and counts for {show_duration(window)} after that"
        )


def _look_at_both(
    one: str, other: str, entries: Mapping[str, Entry], starts: Mapping[str, Sequence[float]], mistakes: Mistakes
) -> None:
    """Two that have no ledger in common."""
    its, others = entries[one], entries[other]
    if its.share == others.share:
        mistakes.say(
            ("entries", other, "share"),
            f"{others.share!r} is that of {one} too, and they have no ledger in common: give each a share of its own, "
            f"or both {DATABASE_URL}",
        )
    if not its.account or its.account != others.account:
        return
    at = _overlap((starts[one], its.timeout), (starts[other], others.timeout))
    if at is not None:
        hour, minute = divmod(int(at % DAY_S) // 60, 60)
        mistakes.say(
            ("entries", other, "cron"),
            f"at {hour:02}:{minute:02} {one} may run too, and both log in to {its.account} without a ledger in common: "
            f"begin apart, or give both {DATABASE_URL}",
        )


def _overlap(one: tuple[Sequence[float], float], other: tuple[Sequence[float], float]) -> float | None:
    """The first moment of the week at which one begins while the other may still run; each by its starts and length."""
    starts = sorted((at, whose) for whose, (its, _) in enumerate((one, other)) for at in its)
    busy_until = [float("-inf"), float("-inf")]
    for at, whose in starts:
        if at < busy_until[1 - whose]:
            return at
        busy_until[whose] = at + (one, other)[whose][1]
    return None


def _look_at_room(entries: Mapping[str, Entry], mistakes: Mistakes, all_of_it: Whole) -> None:
    settings = all_of_it.settings
    for limit in settings.rate_limits:
        if limit.spaced:
            continue  # spaced requests wait for each other
        window = show_duration(limit.window_s)
        for name, entry in entries.items():
            if _not_its_own(entry.share, settings):
                continue  # which is a mistake already
            share = settings.shares[entry.share]
            need = sum(each.needs[limit] for each in all_of_it.drawn if each.share == entry.share)
            if need > (room := share_slots(limit, share.part_of(limit))):
                mistakes.say(
                    ("entries", name, "share"),
                    f"all runs on {entry.share!r} need up to {need} requests of limits.{limit.name} in {window}, "
                    f"retries included; it has {room}: {FEWER}{more_room(entry.share, share, limit)}",
                )
        if (together := all_of_it.together(limit)) > limit.ceiling:
            mistakes.say(
                ("entries",),
                f"with masters and runs by hand they need up to {together} requests of limits.{limit.name} in "
                f"{window}; the ceiling is {limit.ceiling} (strictly less than 10 %): {FEWER}",
            )
