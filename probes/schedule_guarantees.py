"""Which promises hold for an entry of the schedule: its machine forgets its disk, and may have a database instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from probes.config.alert_rules import OURS, Rule
from probes.config.cron_schedule import Entry, Schedule
from probes.config.models import Settings
from probes.config.units import show_duration
from probes.options import DATABASE_URL
from probes.schedule_rules import entries_of, keeps_ledger

MACHINES = {"github": "GitHub Actions", "kubernetes": "a CronJob's pod"}
"""What an entry runs on. The disk of each of them is a new one each time."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A promise, whether it holds, and by what or why not."""

    promise: str
    holds: bool
    why: str


def guarantees(name: str, schedule: Schedule, settings: Settings, rules: Mapping[str, Rule]) -> Iterator[Guarantee]:
    """Each promise for one entry; `rules` are all that are about its environment."""
    entry = schedule.entries[name]
    kept = keeps_ledger(entry, settings)
    yield Guarantee("stays under the ceiling", holds=True, why=_under_the_ceiling(entry, settings, kept=kept))
    yield _begins(entry, schedule)
    if entry.account:
        yield _alone_on_its_account(name, schedule, settings, kept=kept)
    yield _heeds(
        "heeds a pause, and what the target last refused", kept=kept, without="each run begins as if nothing had been"
    )
    yield _tells_once(entry, rules, kept=kept)
    yield _heeds("is in the history", kept=kept, without="its record goes with its disk; the reports are kept apart")
    if entry.account:
        yield Guarantee(
            "a session that a killed run left is ended by the next", holds=False, why="its tokens go with its disk"
        )
    yield Guarantee(
        "what a service could not take is sent later", holds=False, why="the spool goes with its disk; it is counted"
    )


def _under_the_ceiling(entry: Entry, settings: Settings, *, kept: bool) -> str:
    if kept:
        return f"the ledger is in the database ({DATABASE_URL})"
    window = show_duration(max((limit.hold_s for limit in settings.rate_limits), default=0.0))
    if entry.platform == "github":
        return f"a share of its own, and each run waits {window} before it sends"
    return f"a share of its own, and runs are more than {window} apart"


def _begins(entry: Entry, schedule: Schedule) -> Guarantee:
    promise = "begins on time"
    if entry.platform == "github":
        return Guarantee(promise, holds=False, why="GitHub may begin it many minutes late, or leave it out")
    late = show_duration(schedule.kubernetes.late) if schedule.kubernetes else "its deadline"
    return Guarantee(promise, holds=True, why=f"at most {late} late, else it is left out")


def _alone_on_its_account(name: str, schedule: Schedule, settings: Settings, *, kept: bool) -> Guarantee:
    """Others are masters whose checks log in all day, and entries that may begin late."""
    promise = "is alone on its account"
    if kept and settings.ledger == "database":
        return Guarantee(promise, holds=True, why="all lease it from one ledger")
    entry = schedule.entries[name]
    masters = len(settings.masters)
    others = sum(
        1
        for other, another in entries_of(schedule, settings.env).items()
        if other != name
        and another.account == entry.account
        and "github" in {entry.platform, another.platform}
        and not (kept and keeps_ledger(another, settings))
    )
    if not masters + others:
        return Guarantee(promise, holds=True, why="nobody else is logged in to it when it runs")
    who = [f"{count} {what}" for count, what in ((masters, "masters"), (others, "other entries")) if count]
    return Guarantee(promise, holds=False, why=f"{' and '.join(who)} may be logged in to {entry.account} too")


def _heeds(promise: str, *, kept: bool, without: str) -> Guarantee:
    return Guarantee(promise, kept, f"by {DATABASE_URL}" if kept else f"{without}: {DATABASE_URL} would keep it")


def _tells_once(entry: Entry, rules: Mapping[str, Rule], *, kept: bool) -> Guarantee:
    promise = "an outage is told once, and its end"
    ours = [name for name, rule in rules.items() if rule.evaluator == OURS]
    if ours and not kept:
        # where a run cannot know that its disk is new, it tells
        what = "is told anew by each run" if entry.platform == "kubernetes" else "is not evaluated"
        why = f"each of {', '.join(ours)} {what}: without {DATABASE_URL} nobody knows what people have been told"
        return Guarantee(promise, holds=False, why=why)
    tellers = sorted({rule.evaluator for rule in rules.values()})
    if not tellers:
        return Guarantee(promise, holds=False, why="no rule is about its environment")
    return Guarantee(promise, holds=True, why=f"by {', '.join(tellers)}")
