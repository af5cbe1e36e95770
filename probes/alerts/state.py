"""How a rule goes from ok to pending, to firing, and back: what is kept of it, and one step of that. Pure.

- pending: it holds in some region, in fewer than the quorum.
- firing: it holds in a quorum of regions, or too few have any samples for so long that nobody knows (`no_data: alert`).
- It is over when of the regions in which it held so many have recovered that no quorum is left. One that falls silent
  has not recovered: silence ends nothing.
- One that fires for the third time within twelve windows comes and goes: it is over only once it has been good for
  three windows without a break, and it is said so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from probes.alerts.evaluate import Finding, Word
from probes.config.alert_rules import Rule

Phase = Literal["ok", "pending", "firing"]

FLAPS, FLAP_WINDOWS, CALM_WINDOWS = 3, 12, 3


@dataclass(frozen=True, slots=True)
class RuleState:
    """What is kept of a rule. Times are seconds since the epoch by the store's clock.

    `held` are the regions in which it has held, and has not recovered since; `starved` is whether too few have samples;
    `fired_at` has the last times at which it began to fire; `good_since` is since when one that flaps has been good.
    """

    phase: Phase = "ok"
    held: tuple[str, ...] = ()
    starved: bool = False
    fired_at: tuple[float, ...] = ()
    flapping: bool = False
    good_since: float | None = None


def step(state: RuleState, rule: Rule, finding: Finding, now: float, watched_s: float) -> RuleState:
    """What becomes of a rule at a look; `watched_s` is for how long it has been looked at without a break."""
    silent = finding.those(Word.SILENT)
    speaking = len(finding.words) - len(silent)
    starved = rule.no_data == "alert" and speaking < rule.quorum and (state.starved or watched_s >= rule.window)
    if state.phase == "firing":
        return _while_firing(replace(state, starved=starved), rule, finding, now)
    holding = finding.those(Word.HOLDS)
    if len(holding) < rule.quorum and not starved:
        phase: Phase = "pending" if holding else "ok"
        as_before = state.phase == phase and state.held == holding
        return state if as_before else replace(state, phase=phase, held=holding, starved=False)
    lately = tuple(at for at in state.fired_at if now - FLAP_WINDOWS * rule.window < at <= now)
    fired_at = (*lately, now)[-FLAPS:]
    return RuleState("firing", holding, starved, fired_at, flapping=len(fired_at) == FLAPS)


def _while_firing(state: RuleState, rule: Rule, finding: Finding, now: float) -> RuleState:
    held = tuple(
        region
        for region, word in finding.words.items()
        if word is Word.HOLDS or (region in state.held and word is not Word.RECOVERED)
    )
    state = replace(state, held=held)
    if len(held) >= rule.quorum or state.starved:
        return replace(state, good_since=None)
    if state.flapping:
        if len(finding.values) < rule.quorum:  # of what is silent nobody knows that it is good
            return replace(state, good_since=None)
        good_since = now if state.good_since is None else state.good_since
        if now - good_since < CALM_WINDOWS * rule.window:
            return replace(state, good_since=good_since)
    phase: Phase = "pending" if finding.those(Word.HOLDS) else "ok"
    return RuleState(phase, held, fired_at=state.fired_at)


def after_a_jump(state: RuleState, now: float) -> RuleState:
    """The same where the clock was put back to `now`."""
    fired_at = tuple(min(at, now) for at in state.fired_at)
    return replace(state, fired_at=fired_at, good_since=None)
