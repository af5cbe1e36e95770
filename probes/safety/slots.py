"""Slots of one limit in the ledger: taking them, and how many requests a window can have held.

A slot is a row of the table `holds`. It counts from `started` until `hold_s` after `over`.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from probes.errors import NoBudgetError
from probes.safety.limits import CLOCK_RATE, RateLimit, share_slots
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


def take(db: sqlite3.Connection, permit: Permit, limit: RateLimit, fraction: float, now: float, ends: float) -> None:
    """Take the permit's slots on one limit, as the target states it now. Raises NoBudgetError where they do not fit."""
    name = limit.name
    row = db.execute("SELECT requests FROM observed WHERE target = ? AND name = ?", (permit.target, name)).fetchone()
    lowered = limit if row is None else limit.lowered(row[0])
    wanted = permit.reserved(name)
    if wanted > 1 and lowered.spaced and lowered.hold_s > limit.hold_s:
        # the holder's meter would keep the spacing of the limit in its permit, not this one
        raise NoBudgetError(f"The target has just lowered limit {name} to {lowered.requests}: ask again.", 0.0)
    needed = 1 if lowered.spaced else wanted
    hold_s = lowered.hold_s * CLOCK_RATE
    held = _held(db, permit.target, name, hold_s, now)
    own = [hold for hold in held if hold.share == permit.share]
    _check_room(f"limit {name}", held, needed, lowered.slots, now)
    _check_room(f"share {permit.share} of limit {name}", own, needed, share_slots(lowered, fraction), now)
    insert(db, permit, name, count=needed, times=(now, ends, hold_s))


def insert(db: sqlite3.Connection, permit: Permit, name: str, *, count: int, times: tuple[float, float, float]) -> None:
    """Note `count` slots as taken; `times` are `started`, `over` and `hold_s`."""
    db.execute(
        "INSERT INTO holds (permit, target, name, share, slots, started, over, hold_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (permit.id, permit.target, name, permit.share, count, *times),
    )


def peak(db: sqlite3.Connection, target: str, limit: RateLimit, since: float) -> int:
    """The most requests that a window of the limit can have held that was not over by `since`, an upper bound.

    A window that ends at t can have held a request that started before t and was over after t less the window: so
    this is the largest number of spans, each made one window longer, that share a moment.
    """
    rows = db.execute("SELECT started, over, slots FROM holds WHERE target = ? AND name = ?", (target, limit.name))
    edges: list[tuple[float, int]] = []
    for started, over, count in rows:
        if over + limit.window_s > since:
            edges += [(max(started, since), count), (over + limit.window_s, -count)]
    most = depth = 0
    for _, change in sorted(edges):  # at one moment ends come before starts: a window holds one of its two ends
        depth += change
        most = max(most, depth)
    return most


def _held(db: sqlite3.Connection, target: str, name: str, hold_s: float, now: float) -> list[_Hold]:
    """What is taken of a limit, the first to go first; a hold that has become longer since counts as the longer one."""
    rows = db.execute(
        """SELECT over + max(hold_s, :hold_s) AS until, slots, holds.share,
            EXISTS (SELECT 1 FROM permits WHERE id = permit AND settled = 0)
        FROM holds WHERE target = :target AND name = :name AND until > :now ORDER BY until""",
        {"hold_s": hold_s, "target": target, "name": name, "now": now},
    )
    return [_Hold(until, slots, share, bool(is_open)) for until, slots, share, is_open in rows]


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
    if any(hold.is_open for hold in held):
        retry_in_s = min(retry_in_s, ASK_AGAIN_S)
    raise NoBudgetError(f"{what}: no room, {needed} needed, {taken} of {slots} taken.", retry_in_s)
