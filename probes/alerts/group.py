"""Rules that are told of to the same people, as loudly, are one incident. Pure.

It begins, gets worse, goes on, is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from probes.alerts.notice import Change, Notice, Severity, Trouble
from probes.alerts.state import RuleState
from probes.config.alert_rules import Rule

Group = tuple[Severity, tuple[str, ...]]
"""A severity, and whom to notify."""


@dataclass(frozen=True, slots=True)
class Where:
    """What all notices of an environment have; `run_url` is that of the run which looks, if there is one.

    `regions` are those that are expected to be heard of here: all, where it names none.
    """

    env: str
    target: str
    run_url: str = ""
    regions: tuple[str, ...] = ()

    def missed(self, silent: Iterable[str]) -> tuple[str, ...]:
        """Of regions that say nothing, those that are expected to."""
        return tuple(region for region in silent if not self.regions or region in self.regions)


@dataclass(frozen=True, slots=True)
class Incident:
    """What is kept of one that is under way. Times are seconds since the epoch by the store's clock.

    `key` is of no other ever; `number` counts its notices; `firing` are the rules that were told and still hold;
    `troubles` are all that ever were part of it.
    """

    key: str
    severity: Severity
    notify: tuple[str, ...]
    since: float
    number: int = 0
    told_at: float = 0.0
    firing: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    flapping: bool = False

    @property
    def group(self) -> Group:
        """What it is the incident of."""
        return self.severity, self.notify


@dataclass(frozen=True, slots=True)
class Told:
    """A notice, to whom it goes, and which rules made it."""

    notice: Notice
    channels: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """What fires at a look: `troubles` has it by rule; `quiet` are those of which nothing is told now."""

    rules: Mapping[str, Rule]
    states: Mapping[str, RuleState]
    troubles: Mapping[str, Trouble]
    quiet: frozenset[str]

    def since(self, names: tuple[str, ...], now: float) -> float:
        """When the first of these began to fire, which is before now where it was quiet then."""
        audible = [name for name in names if name not in self.quiet]
        return min((self.states[name].fired_at[-1] for name in audible if self.states[name].fired_at), default=now)

    def of(self, group: Group) -> tuple[str, ...]:
        """Those of one group."""
        return tuple(name for name in self.troubles if group_of(self.rules[name]) == group)


def group_of(rule: Rule) -> Group:
    """Which incident a rule is part of."""
    return rule.severity, rule.notify


def regroup(
    incidents: tuple[Incident, ...], firing: Firing, now: float, where: Where, new_key: Callable[[], str]
) -> tuple[tuple[Incident, ...], list[Told]]:
    """What becomes of the incidents, and what is to be told of that: one thing of each at most."""
    under_way = {incident.group: incident for incident in incidents}
    groups = dict.fromkeys([*under_way, *(group_of(firing.rules[name]) for name in firing.troubles)])
    kept: list[Incident] = []
    told: list[Told] = []
    for group in groups:
        names = firing.of(group)
        incident = under_way.get(group)
        if incident is None and not set(names) <= firing.quiet:
            incident = Incident(new_key(), *group, since=firing.since(names, now))
        if incident is None:
            continue
        updated, change, rules = _next(incident, names, firing, now)
        if change is not None:
            updated = replace(updated, number=updated.number + 1, told_at=now)
            told.append(Told(_notice(updated, change, firing, now, where), group[1], rules))
        if change != "resolved":
            kept.append(updated)
    return tuple(kept), told


def _next(
    incident: Incident, names: tuple[str, ...], firing: Firing, now: float
) -> tuple[Incident, Change | None, tuple[str, ...]]:
    """An incident as it is by now, what is to be told of it, and which rules are the cause."""
    joined = tuple(name for name in names if name not in incident.firing and name not in firing.quiet)
    known = tuple(name for name in incident.firing if name in names) + joined
    if not known:  # what is quiet, and nobody was told of, keeps nothing open
        return incident, "resolved", incident.firing
    troubles = {trouble.rule: trouble for trouble in incident.troubles}
    for name in known:
        troubles[name] = _remembering(firing.troubles[name], troubles.get(name))
    flapping = any(firing.states[name].flapping for name in known)
    updated = replace(incident, firing=known, troubles=tuple(troubles.values()), flapping=flapping)
    if joined:
        return updated, "worse" if incident.number else "firing", joined
    audible = [name for name in known if name not in firing.quiet]
    reminders = [after for name in audible if (after := firing.rules[name].reminder) is not None]
    if reminders and now - incident.told_at >= min(reminders):
        return updated, "reminder", known
    return updated, None, ()


def _remembering(trouble: Trouble, before: Trouble | None) -> Trouble:
    """A trouble as it is now; where nobody knows any more when a check was last good, what was known stays."""
    if before is None:
        return trouble
    known = {affected.check: affected for affected in before.checks}
    checks = tuple(
        replace(affected, last_good_at=earlier.last_good_at, last_good=earlier.last_good)
        if affected.last_good_at is None and (earlier := known.get(affected.check)) is not None
        else affected
        for affected in trouble.checks
    )
    return replace(trouble, checks=checks or before.checks)


def _notice(incident: Incident, change: Change, firing: Firing, now: float, where: Where) -> Notice:
    over = change == "resolved"
    unwatched = tuple(each.rule for each in incident.troubles if each.rule not in firing.states) if over else ()
    return Notice(
        key=incident.key,
        number=incident.number,
        change=change,
        severity=incident.severity,
        env=where.env,
        target=where.target,
        since=incident.since,
        at=now,
        troubles=tuple(each for each in incident.troubles if over or each.rule in incident.firing),
        run_url=where.run_url,
        flapping=incident.flapping,
        unwatched=unwatched,
    )
