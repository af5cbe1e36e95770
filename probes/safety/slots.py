"""Slots of one limit in the ledger: taking them, and how many requests a window can have held.

A slot is a row of the table `holds`. It counts from `started` until `hold_s` after `over`, for whatever limit covers
its calls, in all configurations: a limit's name says nothing to the target, nor to another configuration. Of a limit
that the target counts by address, it counts for those alone who may send from the same one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from probes.errors import NoBudgetError, QuotaError
from probes.safety.guard import counted_as
from probes.safety.ledger_tables import Connection
from probes.safety.limits import CLOCK_RATE, RateLimit, counting, share_slots
from probes.safety.permits import Permit

ASK_AGAIN_S = 1.0
"""When to ask again for what another permit holds: it may be settled at any moment."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """Slots that are taken until `until`; `is_open` while their permit is not settled, so that they may go earlier."""

    until: float
    slots: int
    share: str
    is_open: bool


def take(db: Connection, permit: Permit, limit: RateLimit, fraction: float, now: float, ends: float) -> None:
    """Take the permit's slots on one limit, as the target states it now. Raises NoBudgetError where they do not fit."""
    name = limit.name
    lowered = lowered_limit(db, permit.target, limit)
    wanted = permit.reserved(name)
    if wanted > 1 and lowered.spaced and lowered.hold_s > limit.hold_s:
        # the holder's meter would keep the spacing of the limit in its permit, not this one
        raise NoBudgetError(f"The target has just lowered limit {name} to {lowered.requests}: ask again.", 0.0)
    needed = 1 if lowered.spaced else wanted
    hold_s = lowered.hold_s * CLOCK_RATE
    held = _held(db, permit, lowered, now)
    own = [hold for hold in held if hold.share == permit.share]
    _check_room(f"limit {name}", held, needed, lowered.slots, now)
    _check_room(f"share {permit.share} of limit {name}", own, needed, share_slots(lowered, fraction), now)
    # on a spaced limit there is one slot for all, but another configuration may know another limit for these calls
    insert(db, permit, name, count=wanted, times=(now, ends, hold_s))


def check_ceiling(db: Connection, permit: Permit, limit: RateLimit, own: Callable[[float], int], now: float) -> None:
    """Whether a permit that is held may send one more on a limit that the target has lowered since it was granted.

    `own` tells how many requests of the permit itself count still, for a given hold in seconds. Raises QuotaError.
    """
    lowered = lowered_limit(db, permit.target, limit)
    if lowered == limit:
        return
    others = sum(hold.slots for hold in _held(db, permit, lowered, now))
    if others + own(lowered.hold_s * CLOCK_RATE) >= lowered.slots:
        raise QuotaError(f"The target has lowered limit {limit.name} to {lowered.requests}, and there is no room left.")


def lowered_limit(db: Connection, target: str, limit: RateLimit) -> RateLimit:
    """The limit as the target stated it last, where that is lower."""
    query = "SELECT requests FROM observed WHERE target = :target AND counted_as = :counted_as"
    row = db.execute(query, {"target": counted_as(target), "counted_as": limit.counted_as}).fetchone()
    return limit if row is None else limit.lowered(row[0])


def insert(db: Connection, permit: Permit, name: str, *, count: int, times: tuple[float, float, float]) -> None:
    """Note `count` slots as taken; `times` are `started`, `over` and `hold_s`."""
    limits = json.dumps([limit.lowered(1).to_json() for limit in permit.limits])  # how much they allow is of the day
    db.execute(
        """INSERT INTO configurations (id, limits) SELECT (SELECT coalesce(max(id), 0) + 1 FROM configurations), :limits
        WHERE NOT EXISTS (SELECT 1 FROM configurations WHERE limits = :limits)""",
        {"limits": limits},
    )
    started, over, hold_s = times
    db.execute(
        """INSERT INTO holds (permit, target, configuration, name, share, slots, started, over, hold_s, egress)
        SELECT :permit, :target, id, :name, :share, :slots, :started, :over, :hold_s, :egress
        FROM configurations WHERE limits = :limits""",
        {
            "permit": permit.id, "target": counted_as(permit.target), "name": name, "share": permit.share,
            "slots": count, "started": started, "over": over, "hold_s": hold_s, "egress": permit.egress,
            "limits": limits,
        },
    )  # fmt: skip


def peak(db: Connection, target: str, limit: RateLimit, since: float) -> int:
    """The most requests that a window of the limit can have held that was not over by `since`, an upper bound.

    A window that ends at t can have held a request that started before t and was over after t less the window: so
    this is the largest number of spans, each made one window longer, that share a moment. Where the target counts by
    address, it is the worst of any one address, each with all that may have come from it.
    """
    names = _names(db, limit)
    rows = db.execute(
        "SELECT configuration, name, started, over, slots, egress FROM holds WHERE target = :target",
        {"target": counted_as(target)},
    )
    edges: list[tuple[float, int, str]] = []
    for configuration, name, started, over, count, egress in rows:
        if name in names[configuration] and over + limit.window_s > since:
            edges += [(max(started, since), count, egress), (over + limit.window_s, -count, egress)]
    edges.sort()  # at one moment ends come before starts: a window holds one of its two ends
    known = {egress for _, _, egress in edges} - {""}
    if limit.key != "ip" or not known:
        return _deepest(count for _, count, _ in edges)
    return max(_deepest(count for _, count, egress in edges if egress in {"", one}) for one in known)


def _deepest(changes: Iterable[int]) -> int:
    return max(accumulate(changes), default=0)


def _names(db: Connection, limit: RateLimit) -> Mapping[int, frozenset[str]]:
    """For each configuration that has made a hold, the names by which it counts the calls of this limit."""
    rows = db.execute("SELECT id, limits FROM configurations")
    return {id_: counting(limit, map(RateLimit.from_json, json.loads(limits))) for id_, limits in rows}


def _held(db: Connection, permit: Permit, limit: RateLimit, now: float) -> list[_Hold]:
    """What others than the permit have taken of a limit, as far as it counts for the permit; the first to go first.

    A hold that has become longer since, or that another configuration made for less, counts as the longer one. Where
    the target counts by address, it does not count when both addresses are known and are not the same.
    """
    names = _names(db, limit)
    rows = db.execute(
        """SELECT configuration, name, until, slots, share,
            EXISTS (SELECT 1 FROM permits WHERE id = permit AND settled = 0)
        FROM (SELECT *, over + CASE WHEN hold_s > :hold_s THEN hold_s ELSE :hold_s END AS until FROM holds) AS held
        WHERE target = :target AND until > :now AND permit != :permit
            AND (:egress = '' OR egress IN ('', :egress)) ORDER BY until""",
        {
            "hold_s": limit.hold_s * CLOCK_RATE,
            "target": counted_as(permit.target),
            "now": now,
            "permit": permit.id,
            "egress": permit.egress if limit.key == "ip" else "",
        },
    )
    return [
        _Hold(until, slots, share, bool(is_open))
        for configuration, name, until, slots, share, is_open in rows
        if name in names[configuration]
    ]


def _check_room(what: str, held: list[_Hold], needed: int, slots: int, now: float) -> None:
    if needed > slots:
        raise NoBudgetError(f"{what}: {needed} requests at once can never fit, it has room for {slots}.", math.inf)
    taken = sum(hold.slots for hold in held)
    excess = taken + needed - slots
    if excess <= 0:
        return
    retry_in_s = 0.0
    for hold in held:
        if excess > 0:
            excess -= hold.slots
            retry_in_s = hold.until - now
    some = f"{needed} needed, {min(taken, slots)} of {slots} taken, and room in {math.ceil(retry_in_s)} s at the latest"
    if any(hold.is_open for hold in held):
        retry_in_s = min(retry_in_s, ASK_AGAIN_S)
    raise NoBudgetError(f"{what}: no room, {some}.", retry_in_s)
