"""All that is kept of an environment's rules between two looks, and what one look makes of it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from probes.alerts.evaluate import Watching
from probes.alerts.group import Firing, Incident, Told, Where, regroup
from probes.alerts.state import RuleState, after_a_jump, step
from probes.config.alert_rules import Rule

Quiet = Callable[[str, tuple[str, ...], float], bool]
"""Whether nothing is to be told of a rule, by its name, that holds for some checks, at a moment."""

JUMP_S = 2.0
"""So far back a clock may go without having been put back: servers keep time by small steps."""


OTHERS_S = 60.0
"""For so long after a look nobody looks with other rules: while masters are brought up to date one after the other,
those of old rules and of new ones would by turns end each other's incidents, and tell of them anew."""


@dataclass(frozen=True, slots=True)
class Book:
    """The states of the rules, the incidents under way, and the clock. Times are seconds since the epoch, the store's.

    `rules` stands for the rules of whoever looked last. `watched_from` is since when there was no break; what is older
    than `counts_from` was measured before the clock was put back, and counts for nothing.
    """

    looked_at: float | None = None
    watched_from: float = 0.0
    counts_from: float = 0.0
    states: Mapping[str, RuleState] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    rules: str = ""

    @property
    def now(self) -> float:
        """The time of the look that it is of."""
        return self.looked_at or 0.0

    def at(self, now: float, break_s: float) -> Book:
        """The same, looked at now. After more than `break_s` since the last look nobody has watched meanwhile."""
        if self.went_back(now):
            states = {name: after_a_jump(state, now) for name, state in self.states.items()}
            incidents = tuple(replace(each, told_at=min(each.told_at, now)) for each in self.incidents)
            return replace(self, looked_at=now, watched_from=now, counts_from=now, states=states, incidents=incidents)
        watched = self.looked_at is not None and now - self.looked_at <= break_s
        return replace(
            self, looked_at=max(now, self.looked_at or now), watched_from=self.watched_from if watched else now
        )

    def went_back(self, now: float) -> bool:
        """Whether the clock has been put back since the last look."""
        return self.looked_at is not None and now < self.looked_at - JUMP_S

    def is_others(self, rules: str, now: float) -> bool:
        """Whether somebody looks with other rules: has done so within `OTHERS_S`."""
        return self.rules not in {"", rules} and 0 <= now - self.now < OTHERS_S


def decide(
    book: Book,
    rules: Mapping[str, Rule],
    watching: Watching,
    where: Where,
    quiet: Quiet = lambda _name, _checks, _at: False,
    new_key: Callable[[], str] = lambda: uuid.uuid4().hex,
    *,
    off: frozenset[str] = frozenset(),
) -> tuple[Book, list[Told]]:
    """What a look at the book's time makes of what was seen, and what is to be told of it.

    `off` are the rules of which no check is on. Once all regions are silent about one it has no state any more, and
    ends: else it would fire for ever, as silence alone ends nothing.
    """
    now = book.now
    states: dict[str, RuleState] = {}
    troubles = {}
    for name, finding in watching.findings(now).items():
        if name in off and not finding.values:
            continue
        state = step(book.states.get(name, RuleState()), rules[name], finding, now, now - book.watched_from)
        states[name] = state
        if state.phase == "firing":
            regions = state.held or where.missed(region for region in finding.words if region not in finding.values)
            troubles[name] = watching.trouble(name, regions, now)
    if not troubles and not book.incidents:
        return replace(book, states=states), []
    silent = frozenset(
        name
        for name, trouble in troubles.items()
        if any(span.holds(now) for span in rules[name].mute)
        or quiet(name, tuple(affected.check for affected in trouble.checks), now)
    )
    incidents, told = regroup(book.incidents, Firing(rules, states, troubles, silent), now, where, new_key)
    return replace(book, states=states, incidents=incidents), told
