"""What stops probing for a while, as the ledger has it: pauses of a target, and back-offs of its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from probes.errors import NoBudgetError, PausedError
from probes.safety.guard import counted_as
from probes.safety.ledger_tables import Connection
from probes.safety.limits import RateLimit, counting
from probes.safety.permits import Permit

By = Literal["hand", "target"]

LONGEST_PAUSE_S = 24 * 3600.0
"""A pause that the target asks for is cut to this, so that one wrong header does not end all probing."""

LONGEST_BACK_OFF_S = 3600.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Probing of `target` ('' for all) is paused; `remaining_s` is None until somebody resumes it."""

    target: str
    by: By
    why: str
    remaining_s: float | None


def pause(db: Connection, target: str | None, seconds: float | None, why: str, by: By, now: float) -> None:
    """As `Ledger.pause`."""
    if by == "target" and (seconds is None or not 0 <= seconds <= LONGEST_PAUSE_S):
        seconds = LONGEST_PAUSE_S
    until = None if seconds is None else now + seconds
    db.execute(
        """INSERT INTO pauses (target, by, why, length_s, until) VALUES (:target, :by, :why, :length_s, :until)
        ON CONFLICT (target, by) DO UPDATE SET why = excluded.why, length_s = excluded.length_s,
        until = excluded.until WHERE excluded.until IS NULL OR excluded.until > pauses.until""",
        {"target": counted_as(target or ""), "by": by, "why": why, "length_s": seconds, "until": until},
    )


def resume(db: Connection, target: str | None, now: float) -> list[Pause]:
    """As `Ledger.resume`."""
    by_hand = "by = 'hand'" if target is None else "by = 'hand' AND target = :target"
    values = {"target": counted_as(target or "")}
    lifted = _select_pauses(db, f"{by_hand} AND (until IS NULL OR until > :now)", {**values, "now": now})
    db.execute(f"DELETE FROM pauses WHERE {by_hand}", values)  # noqa: S608 - constants only
    return lifted


def pauses_of(db: Connection, target: str, now: float) -> list[Pause]:
    """What pauses probing of `target`."""
    where = "target IN ('', :target) AND (until IS NULL OR until > :now)"
    return _select_pauses(db, where, {"now": now, "target": counted_as(target)})


def _select_pauses(db: Connection, where: str, values: Mapping[str, object]) -> list[Pause]:
    rows = db.execute(f"SELECT target, by, why, until - :now FROM pauses WHERE {where} ORDER BY target, by", values)  # noqa: S608 - constants only
    return [Pause(*row) for row in rows]


def paused_error(pauses: list[Pause]) -> PausedError | None:
    """The pause that lasts longest speaks for all."""
    if not pauses:
        return None
    longest = max(pauses, key=lambda pause: math.inf if pause.remaining_s is None else pause.remaining_s)
    whose = "by hand" if longest.by == "hand" else "by the target's owner"
    length = "until it is resumed" if longest.remaining_s is None else f"for another {lasting(longest.remaining_s)}"
    return PausedError(f"Probing is paused {whose} {length}: {longest.why}", longest.remaining_s)


def lasting(seconds: float) -> str:
    """How long a pause lasts, for people: `45 s`, `59 min`, `1 h`, `1 h 30 min`, `24 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 600 and minutes % 60 else f"{round(minutes / 60)} h"


def back_off(db: Connection, target: str, limits: Iterable[RateLimit], seconds: float, why: str, now: float) -> None:
    """As `Ledger.back_off`."""
    length_s = seconds if 0 <= seconds <= LONGEST_BACK_OFF_S else LONGEST_BACK_OFF_S
    for limit in limits:
        db.execute(
            """INSERT INTO back_offs (target, limit_json, why, length_s, until)
            VALUES (:target, :limit_json, :why, :length_s, :until)
            ON CONFLICT (target, limit_json) DO UPDATE SET why = excluded.why, length_s = excluded.length_s,
            until = excluded.until WHERE excluded.until > back_offs.until""",
            {
                "target": counted_as(target), "limit_json": json.dumps(limit.lowered(1).to_json()), "why": why,
                "length_s": length_s, "until": now + length_s,
            },
        )  # fmt: skip


def back_offs_of(db: Connection, permit: Permit, now: float) -> Iterable[tuple[float, str, str]]:
    """What the permit's limits are throttled by, longest first: until when, the limit's name, and why."""
    rows = db.execute(
        "SELECT until, limit_json, why FROM back_offs WHERE target = :target AND until > :now ORDER BY until DESC",
        {"target": counted_as(permit.target), "now": now},
    )
    for until, limit, why in rows:
        for name in sorted(counting(RateLimit.from_json(json.loads(limit)), permit.limits)):
            yield until, name, why


def check_back_off(db: Connection, permit: Permit, now: float) -> None:
    """Whether nothing of what the permit reserves is throttled. Raises NoBudgetError."""
    for until, name, why in back_offs_of(db, permit, now):
        if permit.reserved(name):
            raise NoBudgetError(f"Nothing is sent on limit {name} for another {until - now:.0f} s: {why}", until - now)


def forget_past(db: Connection, now: float) -> None:
    """Remove what stops nothing any more."""
    db.execute("DELETE FROM pauses WHERE until <= :now", {"now": now})
    db.execute("DELETE FROM back_offs WHERE until <= :now", {"now": now})
