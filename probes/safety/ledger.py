"""The ledger: which slots of the target's limits are taken, by all processes that share it. No ledger, no request.

Why no window at the target ever holds more than the ceiling, whatever the delays, clocks and crashes:

1. A slot counts from before its request may be sent (`reserve` is on the disk before the permit exists) until one
   hold, at least a window by the target's clock, after the request is known to be over: its answer was read, the
   peer closed the connection, or the permit that it was sent under ended.
2. So it counts from before the request's arrival at the target until at least a window after that arrival.
3. Take all requests that arrive within one window, and the moment at which the last of them does. Each of the others
   arrived at most a window before, so by 2 all of them hold slots at that one moment.
4. `reserve` never lets more slots be held at one moment than the ceiling. So there are no more requests than that.

A reservation that no settlement ever meets (kill -9, power cut) counts wholly until the permit's end and a hold more.
The argument needs one thing of a permit's holder: that it gives up its last request before the permit's end. Of clocks
it needs only that none runs more than `CLOCK_RATE` faster than another: the ledger's (see its backing), the target's
and those of the holders, who tell how long ago something was, never when.
What a slot counts for is decided by the target's host and port and by the calls that it was taken for, never by what a
configuration calls them (see `slots`); calls that no limit of a process's configuration covers, it does not count.
Of a limit by address the argument holds for each address: what may have come from it, or from who knows where, counts.
Where a limit is spaced, there is one slot, its hold is the spacing, and the holder's meter keeps the spacing within it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from probes.errors import NoBudgetError, PausedError, QuotaError
from probes.safety import slots, stops
from probes.safety.guard import counted_as
from probes.safety.ledger_tables import Backing, Connection
from probes.safety.limits import CLOCK_RATE, RateLimit
from probes.safety.permits import Meter, Permit, Usage, boot_clock
from probes.safety.stops import By, Pause

HANDOVER_S = 1.0
"""How long a permit may take into its holder's hands, who counts its durations from then: a call or a pipe away."""

KEEP_S = 3600.0
"""How long what is past stays in the file, for `peaks`."""


def open_ledger(state_dir: Path, url: str = "") -> Ledger:
    """The ledger in the PostgreSQL database at `url`, for a fleet; without one that of this machine, in `state_dir`.

    Nothing is asked of either before the first use. Raises LedgerError where the URL cannot be read.
    """
    if url:
        from probes.safety.ledger_postgres import LedgerDatabase

        return Ledger(LedgerDatabase(url))
    from probes.safety.ledger_file import LedgerFile

    return Ledger(LedgerFile(state_dir / "ledger.sqlite3"))


class Ledger:
    """The account of all that may have been sent. All methods raise LedgerError where it cannot be read or written.

    `clock` is for lengths of time alone: what time it is by the ledger, its backing says.
    """

    def __init__(self, backing: Backing, clock: Callable[[], float] = boot_clock) -> None:
        self._backing = backing
        self._clock = clock

    @property
    def place(self) -> str:
        """Where it is kept."""
        return self._backing.place

    def reserve(self, permit: Permit, *, share_fraction: float, address_fraction: float | None = None) -> None:
        """Take all slots of the permit, and its account, or nothing. They count from now until `settle`, or its end.

        The permit's share owns `share_fraction` of each ceiling; of limits by address `address_fraction`, where named.
        A permit for clean-up alone is given in a pause and in a back-off too, but never over the ceiling.

        Raises:
            NoBudgetError: no room, or the account is taken; `retry_in_s` is infinite where it can never fit.
            PausedError: probing of the target is paused.
        """
        with self._backing.writing() as (db, now):
            _remove_past(db, now)
            if not permit.cleanup_only:
                if paused := stops.paused_error(stops.pauses_of(db, permit.target, now)):
                    raise paused
                stops.check_back_off(db, permit, now)
            _check_account(db, permit, now)
            ends = now + permit.ends_in_s * CLOCK_RATE + HANDOVER_S
            for limit in permit.limits:
                if permit.reserved(limit.name):
                    fraction = share_fraction if address_fraction is None or limit.key != "ip" else address_fraction
                    slots.take(db, permit, limit, fraction, now, ends)
            db.execute(
                """INSERT INTO permits (id, target, share, account, ends)
                VALUES (:id, :target, :share, :account, :ends)""",
                {
                    "id": permit.id, "target": counted_as(permit.target), "share": permit.share,
                    "account": permit.account, "ends": ends,
                },
            )  # fmt: skip

    def is_empty(self) -> bool:
        """Whether nothing was granted out of it for `KEEP_S`, if ever: it may not be the one that another had."""
        with self._backing.reading() as (db, _):
            return db.execute("SELECT 1 FROM permits LIMIT 1").fetchone() is None

    def knows(self, permit: str) -> bool:
        """Whether a permit was reserved in it within `KEEP_S`; where it should have been, this is another ledger."""
        with self._backing.reading() as (db, _):
            return db.execute("SELECT 1 FROM permits WHERE id = :permit", {"permit": permit}).fetchone() is not None

    def settle(self, permit: Permit, usage: Usage) -> None:
        """The permit's holder is done: free its account and what it did not use.

        What was used counts for a hold after it was over; what got no answer, for a hold after the permit's end.
        A second time changes nothing.
        """
        asked = self._clock()
        this, limits = {"permit": permit.id}, {limit.name: limit for limit in permit.limits}
        with self._backing.writing() as (db, now):
            row = db.execute("SELECT ends FROM permits WHERE id = :permit AND settled = 0", this).fetchone()
            if row is None:
                return
            (ends,) = row
            waited_s = self._clock() - asked
            holds = dict(db.execute("SELECT name, hold_s FROM holds WHERE permit = :permit", this).fetchall())
            db.execute("DELETE FROM holds WHERE permit = :permit", this)
            for name, spans in usage.spans.items():
                hold_s = holds.get(name, limits[name].hold_s * CLOCK_RATE)
                for span in spans:  # whose lengths are by the holder's clock, so by ours they may be more or less
                    started = now - (waited_s + span.started_ago_s) * CLOCK_RATE
                    over = ends if span.over_ago_s is None else now - span.over_ago_s / CLOCK_RATE
                    slots.insert(db, permit, name, count=1, times=(started, over, hold_s))
            db.execute("UPDATE permits SET settled = 1 WHERE id = :permit", this)

    def pause(self, target: str | None, seconds: float | None, why: str, by: By) -> None:
        """Stop probing `target` (None: all) for so many seconds, or (None) until resumed; it never shortens a pause.

        A pause by the target lasts at most `LONGEST_PAUSE_S`, and that long where it names no sensible time.
        """
        with self._backing.writing() as (db, now):
            stops.pause(db, target, seconds, why, by, now)

    def resume(self, target: str | None) -> list[Pause]:
        """Lift what was paused by hand, for `target` or (None) for all, and say what. The target's own pauses stay."""
        with self._backing.writing() as (db, now):
            return stops.resume(db, target, now)

    def pauses(self, target: str) -> list[Pause]:
        """What pauses probing of `target` now."""
        with self._backing.reading() as (db, now):
            return stops.pauses_of(db, target, now)

    def back_off(self, target: str, limits: Iterable[RateLimit], seconds: float, why: str) -> None:
        """Send nothing on these limits for so many seconds, at most `LONGEST_BACK_OFF_S`; never shortens another.

        It holds for permits that are held already too: see `check`.
        """
        with self._backing.writing() as (db, now):
            stops.back_off(db, target, limits, seconds, why, now)

    def observe(self, target: str, limit: RateLimit, requests: int) -> None:
        """Note what the target itself says that the limit is, as last seen in a header."""
        seen = {"target": counted_as(target), "counted_as": limit.counted_as, "requests": requests}
        with self._backing.reading() as (db, _):
            query = "SELECT requests FROM observed WHERE target = :target AND counted_as = :counted_as"
            if db.execute(query, seen).fetchone() == (requests,):
                return  # nearly always; a write would wait for the disk
        with self._backing.writing() as (db, _):
            db.execute(
                """INSERT INTO observed (target, counted_as, requests) VALUES (:target, :counted_as, :requests)
                ON CONFLICT (target, counted_as) DO UPDATE SET requests = excluded.requests""",
                seen,
            )

    def lowered(self, target: str, limits: Iterable[RateLimit]) -> tuple[RateLimit, ...]:
        """The limits as the target itself stated them last, where that is lower."""
        with self._backing.reading() as (db, _):
            return tuple(slots.lowered_limit(db, target, limit) for limit in limits)

    def check(self, permit: Permit, names: Collection[str], own: Callable[[str, float], int]) -> None:
        """Whether a permit that is held may send one more on these of its limits, as things stand now.

        The target may have asked to slow down, or lowered a limit, since it was granted. `own` tells how many requests
        on a limit the permit itself has sent that count still, for a given hold in seconds. Raises QuotaError.
        """
        with self._backing.reading() as (db, now):
            for until, name, why in stops.back_offs_of(db, permit, now):
                if name in names:
                    raise QuotaError(f"Nothing is sent on limit {name} for another {until - now:.0f} s: {why}")
            for limit in permit.limits:
                if limit.name in names:
                    slots.check_ceiling(db, permit, limit, partial(own, limit.name), now)

    def peaks(self, target: str, limits: Iterable[RateLimit], since_s: float) -> dict[str, int]:
        """For each limit, the most requests that any one of its windows of the last `since_s` seconds can have held.

        An upper bound over all processes: a request may have arrived at any time between its start and
        its end, and a permit that is not settled may have been used wholly. Of a limit by address, it is the worst of
        any one address. `KEEP_S` is the longest `since_s`.
        """
        with self._backing.reading() as (db, now):
            return {limit.name: slots.peak(db, target, limit, now - since_s) for limit in limits}


class Authority:
    """Hands out the permits of one share of one target, and can stop all that it handed out within this process."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        target: str,
        share: str,
        share_fraction: float,
        address_fraction: float | None = None,
        limits: tuple[RateLimit, ...],
        region: str,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.ledger = ledger
        self.target = target
        self.region = region
        self._share = share
        self._share_fraction = share_fraction
        self._address_fraction = address_fraction
        self.limits = limits
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._meters: dict[str, Meter] = {}

    def grant(
        self,
        check: str,
        *,
        quota: Mapping[str, int],
        cleanup: Mapping[str, int],
        account: str = "",
        deadline_s: float,
        cleanup_s: float = 0.0,
        region: str | None = None,
        egress: str = "",
    ) -> Permit:
        """Leave to run `check` once, reserved in the ledger, for a holder in another `region` than ours where named.

        `egress` is as in `Permit`. Raises what `Ledger.reserve` raises.
        """
        asked = self._clock()
        permit = Permit(
            id=uuid.uuid4().hex,
            check=check,
            region=self.region if region is None else region,
            target=self.target,
            share=self._share,
            limits=self.ledger.lowered(self.target, self.limits),
            quota=quota,
            cleanup=cleanup,
            account=account,
            deadline_s=deadline_s,
            cleanup_s=cleanup_s,
            egress=egress,
        )
        self.ledger.reserve(permit, share_fraction=self._share_fraction, address_fraction=self._address_fraction)
        # a permit that a master hands on is never settled here
        self._asked = {id_: at for id_, at in self._asked.items() if at > asked - KEEP_S} | {permit.id: asked}
        return permit

    def meter(self, permit: Permit) -> Meter:
        """The meter for a permit of ours whose holder is in this process; `stop_all` reaches it until it is settled."""
        since = self._asked[permit.id]
        meter = self._meters[permit.id] = Meter(permit, self._clock, since=since, check=self.ledger.check)
        return meter

    def settle(self, permit: Permit, meter: Meter) -> None:
        """The holder is done; see `Ledger.settle`."""
        self._asked.pop(permit.id, None)
        self._meters.pop(permit.id, None)
        self.ledger.settle(permit, meter.usage())

    def stop_all(self, reason: str) -> None:
        """Let every holder in this process send nothing but clean-up from now on."""
        for meter in self._meters.values():
            meter.stop(reason)

    def paused(self) -> PausedError | None:
        """Why nothing may be sent just now, if so. Ask before every request: another process may have paused us."""
        return stops.paused_error(self.ledger.pauses(self.target))


def _remove_past(db: Connection, now: float) -> None:
    past = {"past": now - KEEP_S}
    db.execute("DELETE FROM holds WHERE over + hold_s < :past", past)
    db.execute("DELETE FROM permits WHERE ends < :past", past)
    stops.forget_past(db, now)


def _check_account(db: Connection, permit: Permit, now: float) -> None:
    (until,) = db.execute(
        """SELECT max(ends) FROM permits
        WHERE account = :account AND account != '' AND target = :target AND settled = 0 AND ends > :now""",
        {"account": permit.account, "target": counted_as(permit.target), "now": now},
    ).fetchone()
    if until is not None:
        raise NoBudgetError(
            f"Test account {permit.account} is in use by another run, for at most {until - now:.0f} s.",
            min(until - now, slots.ASK_AGAIN_S),
        )
