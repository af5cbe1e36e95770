"""Whether a rule is quiet at a moment, why, and until when.

Nothing is sent of what begins while it is quiet; what still holds afterwards is sent then. That something is over
which people were told of is told at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probes.config.maintenance import Maintenance, Mute, Quieting, Window, moments


@dataclass(frozen=True, slots=True)
class Quiet:
    """`name` is that of the window or mute; `until` is in seconds since the epoch."""

    name: str
    reason: str
    until: float


def quiet(maintenance: Maintenance, *, env: str, rule: str, checks: Sequence[str], at: float) -> Quiet | None:
    """What keeps a rule quiet at a moment, of several what does so longest; None where nothing does.

    `checks` are those for which the rule holds now. What names checks keeps it quiet where it names all of these: a
    rule that holds for one check more is told.
    """
    found = [
        Quiet(name, one.reason, until)
        for name, one in (*maintenance.windows.items(), *maintenance.mutes.items())
        if _is_about(one, env, rule, checks) and (until := _ends(one, at)) > at
    ]
    return max(found, key=lambda each: each.until, default=None)


def _is_about(one: Quieting, env: str, rule: str, checks: Sequence[str]) -> bool:
    return (
        (not one.environments or env in one.environments)
        and (not one.rules or rule in one.rules)
        and (not one.checks or (bool(checks) and set(checks) <= set(one.checks)))
    )


def _ends(one: Quieting, at: float) -> float:
    """When it ends that holds at a moment; anything not after that moment where it does not hold."""
    if isinstance(one, Mute):
        return moments(one.until, one.zone)[1]
    assert isinstance(one, Window)  # noqa: S101 - there are no others
    if one.begin is not None and one.until is not None:
        return moments(one.until, one.zone)[1] if moments(one.begin, one.zone)[0] <= at else at
    return max((begun + one.lasts for begun in _begun(one, at)), default=at) if one.lasts is not None else at


def _begun(window: Window, at: float) -> Iterator[float]:
    """When it has begun that may still hold.

    A time that the clock leaps over counts as the moment after the leap, one that it shows twice as the first.
    """
    from cronsim import CronSim  # only where there are such windows

    if window.cron is None or window.lasts is None:
        return
    # forwards: backwards it misses what begins in the hour that comes twice
    for begun in CronSim(window.cron, dt.datetime.fromtimestamp(at - window.lasts, window.zone)):
        if begun.timestamp() > at:
            return
        yield begun.timestamp()
