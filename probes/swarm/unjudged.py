"""What is to be said of a check where the target has not been judged."""

from __future__ import annotations

from dataclasses import replace

import gevent

from probes.model import Layer, Outcome, Reason, Verdict


def unjudged(name: str, outcome: Outcome, layer: Layer, rule: str, *, configured_out: bool = False) -> Verdict:
    """The verdict of a check that was not tried, and why."""
    reason = Reason(name, layer, rule)
    return Verdict(name, outcome, attempts=0, reason=reason, configured_out=configured_out)


def of_nothing_sent(verdict: Verdict) -> Verdict:
    """The target has not failed at what it was never asked."""
    if verdict.outcome is not Outcome.FAILED:
        return verdict
    steps = [replace(step, outcome=Outcome.ERROR) if step.outcome is Outcome.FAILED else step for step in verdict.steps]
    return replace(verdict, outcome=Outcome.ERROR, steps=tuple(steps))


def heard_from(greenlet: gevent.Greenlet[..., Verdict] | None, name: str, silent: str) -> Verdict:
    """What a check's greenlet has come to: its verdict; that it broke; or `silent`, why nothing was heard from it."""
    if greenlet is not None and isinstance(greenlet.value, Verdict):
        return greenlet.value
    if greenlet is not None and greenlet.dead and greenlet.exception is not None:
        return unjudged(name, Outcome.ERROR, Layer.HTTP, f"the probe broke: {type(greenlet.exception).__name__}")
    return unjudged(name, Outcome.SKIPPED, Layer.BUDGET, silent)
