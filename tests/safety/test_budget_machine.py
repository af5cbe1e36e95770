"""Permits and ledger against the target's own count, by random histories.

Simulated processes share one ledger, and no clock runs quite as another; requests are delayed before they are sent, on
the way and in the answer, time out, are lent to sidecars and repeated; processes are killed and machines are rebooted.
The target writes down when each request really arrived, by a clock that nobody else has, and judges at the end.
"""

from __future__ import annotations

import heapq
import itertools
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from probes.errors import NoBudgetError, QuotaError
from probes.safety.ledger import HANDOVER_S, Authority, Ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.ledger_tables import Backing
from probes.safety.limits import RateLimit
from probes.safety.permits import Meter, Permit, Ticket, Usage
from tests.postgres import PostgresServer
from tests.safety.budget import TARGET, OnFakeClock, limit

LIMITS = (
    limit("enhance", 30, 10, "POST /api/enhance"),  # ceiling 2, by address
    limit("api", 70, 10, "* /api/*", key="global"),  # ceiling 6
    limit("edge", 10, 5, "* /edge/*"),  # one in more than 5 s, by address
)
CALLS = {
    "enhance": (("POST", "/api/enhance"), ("POST", "/api//%65nhance?again")),
    "list": (("GET", "/api/list"), ("GET", "/api/list?page=2")),
    "edge": (("GET", "/edge/page"), ("GET", "/edge/./page")),
}
QUOTAS = {
    "enhance": ("enhance", "api"),
    "list": ("api",),
    "edge": ("edge",),
}
SHARES = {"all": 1.0, "schedule": 0.5, "adhoc": 0.5}  # together more than there is, so that all compete
MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, so that the disk's pace does not matter

anyone = st.integers(0, 99)  # which of those that are there
processes = st.integers(0, 2)
rates = st.sampled_from([1.0, 0.9995, 1.0005])
lengths = st.sampled_from([10.1, 0.0, 5.1, 2.0, 15.0, 40.0])


@dataclass(frozen=True)
class Delays:
    """What happens to a request: held up before it is sent, on the way, in the answer; and when we give up on it."""

    before: float
    way: float
    back: float
    patience: float


delays = st.builds(
    Delays,
    before=st.sampled_from([0.0, 1.0, 8.0]),
    way=st.sampled_from([0.0, 1.0, 4.0, 9.0]),
    back=st.sampled_from([0.0, 2.0]),
    patience=st.sampled_from([60.0, 3.0, 0.5]),
)


@dataclass(frozen=True)
class Wish:
    """What a process asks for: quotas that fit mostly, so that histories get on."""

    process: int
    kind: str
    count: int
    share: str
    account: str
    cleanup: Mapping[str, int]
    deadline_s: float
    cleanup_s: float
    address: str = "one"  # that the target sees
    address_known: bool = False

    @property
    def egress(self) -> str:
        return self.address if self.address_known else ""


wishes = st.builds(
    Wish,
    process=processes,
    kind=st.sampled_from(["enhance", "enhance", "list", "edge"]),
    count=st.sampled_from([2, 1]),
    share=st.sampled_from(["all", "all", "schedule", "adhoc"]),
    account=st.sampled_from(["", "", "", "basic"]),
    cleanup=st.sampled_from([{}, {}, {"api": 1}]),
    deadline_s=st.sampled_from([12.0, 3.0, 3.0, 40.0, 0.0]),
    cleanup_s=st.sampled_from([0.0, 2.0]),
    address=st.sampled_from(["one", "one", "other"]),
    address_known=st.booleans(),
)


@dataclass(frozen=True)
class Arrival:
    """One request at the target: when, in true time; granted as which permit, under which state of its limit."""

    at: float
    granted: int
    limit: RateLimit
    address: str

    @property
    def counter(self) -> tuple[str, str]:
        """What the target counts it in."""
        return self.limit.name, self.address if self.limit.key == "ip" else ""


@dataclass(eq=False)
class Holder:
    """Whoever holds a permit, or a lent part of it, with its meter."""

    process: int
    kind: str
    authority: Authority
    meter: Meter
    granted: int
    ends_at: float
    address: str
    parent: Holder | None = None
    is_sidecar: bool = False  # without a parent, one that was written off

    @property
    def permit(self) -> Permit:
        return self.meter.permit


@dataclass
class World:
    """The truth: true time, the clocks of ledger and processes, what is on its way, and what arrived."""

    ledger_rate: float = 1.0
    rates: tuple[float, ...] = (1.0, 1.0, 1.0)
    now: float = 10_000.0
    booted_at: float = 9_000.0
    ledger_booted_at: float = 9_000.0
    ledger_reboots: bool = True
    boots: int = 1
    arrivals: list[Arrival] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def ledger_clock(self) -> float:
        return (self.now - self.ledger_booted_at) * self.ledger_rate

    def clock(self, process: int) -> float:
        """The boot clock of the machine that this process is on."""
        return (self.now - self.booted_at) * self.rates[process]

    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def true_length(self, seconds: float, process: int) -> float:
        """How long it really takes until the clock of this process has moved by `seconds`."""
        return seconds / self.rates[process]

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), event))

    def advance(self, seconds: float) -> None:
        ends = self.now + seconds
        while self._events and self._events[0][0] <= ends:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = ends

    def reboot(self, seconds: float) -> None:
        """All that was on its way arrives as the machine dies, and is never heard of again."""
        self.arrivals = [replace(arrival, at=min(arrival.at, self.now)) for arrival in self.arrivals]
        self._events.clear()
        self.now += seconds
        self.booted_at = self.now
        if self.ledger_reboots:
            self.ledger_booted_at = self.now
        self.boots += 1


def counters(arrivals: Iterable[Arrival]) -> Iterator[tuple[str, list[Arrival]]]:
    """What the target has in each of its counters, by the name of the limit."""
    by_counter: dict[tuple[str, str], list[Arrival]] = {}
    for arrival in sorted(arrivals, key=lambda arrival: arrival.at):
        by_counter.setdefault(arrival.counter, []).append(arrival)
    for (name, _), counted in by_counter.items():
        yield name, counted


def judge(arrivals: list[Arrival]) -> None:
    """Raise where a window holds more requests than were allowed when the last permit in it was granted.

    What counts is the limit as it was lowered then: requests that were granted before it was lowered cannot be undone,
    but they leave that much less room for later ones.
    """
    for name, of_limit in counters(arrivals):
        for last in of_limit:
            window_s = 10 * last.limit.window_s / last.limit.requests if last.limit.spaced else last.limit.window_s
            times = [arrival.at for arrival in of_limit if arrival.granted <= last.granted]
            for begins in times[bisect_left(times, last.at - window_s) : bisect_right(times, last.at)]:
                held = bisect_right(times, begins + window_s) - bisect_left(times, begins)
                assert held <= last.limit.slots, f"{held} requests of {name} within {window_s} s from {begins}"


class BudgetMachine(RuleBasedStateMachine):
    """Three processes, their permits, and the target."""

    ledger_class: type[Ledger] = Ledger

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.ledgers = [self.new_ledger(process) for process in range(3)]
        self.holders: list[Holder] = []  # alive only
        self.granted = 0
        self.account_free_at = 0.0
        self.patch = mock.patch("time.time", return_value=0.0)
        self.time_of_day = self.patch.start()

    def clock(self, process: int) -> Callable[[], float]:
        return lambda: self.world.clock(process)

    def new_ledger(self, process: int) -> Ledger:
        return self.ledger_class(self.backing(process), self.clock(process))

    def backing(self, process: int) -> Backing:
        path = Path(self.folder.name) / self.file_name(process)
        return LedgerFile(path, self.world.ledger_clock, self.world.boot_id)

    def file_name(self, process: int) -> str:  # noqa: ARG002 - a wrong machine has one for each
        return "ledger.sqlite"

    def teardown(self) -> None:
        self.patch.stop()
        try:
            judge(self.world.arrivals)
            self.check_peaks()
        finally:
            self.folder.cleanup()

    def check_peaks(self) -> None:
        """What the ledger reports as the peak is never less than what a window since the boot really held."""
        peaks = self.ledgers[0].peaks(TARGET, LIMITS, since_s=3600)
        since = max(self.world.booted_at, self.world.now - 3500)
        for name, counted in counters(a for a in self.world.arrivals if since < a.at <= self.world.now):
            times = [arrival.at for arrival in counted]
            window_s = counted[0].limit.window_s * 0.999  # the ledger's window is by our clock, which may be slow
            most = max(bisect_right(times, at + window_s) - i for i, at in enumerate(times))
            assert most <= peaks[name], f"peak of {name}"

    def one_of(self, holders: list[Holder], which: int) -> Holder:
        return holders[which % len(holders)]

    def parents(self) -> list[Holder]:
        return [holder for holder in self.holders if not holder.is_sidecar]

    def sidecars(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.parent in self.holders]

    @initialize(ledger_rate=rates, rates=st.tuples(rates, rates, rates))
    def begin(self, ledger_rate: float, rates: tuple[float, float, float]) -> None:
        self.world.ledger_rate, self.world.rates = ledger_rate, rates

    @rule(later_s=lengths, wish=wishes, sends=st.integers(0, 3), delays=delays, settles=st.booleans())
    def run_check_later(self, *, later_s: float, wish: Wish, sends: int, delays: Delays, settles: bool) -> None:
        """The usual course of things, so that histories are full of it."""
        self.world.advance(later_s)
        if holder := self.grant(wish):
            self.send_calls(holder, sends, delays, cleanup=False, waits=True)
            if settles:
                self.settle_holder(holder)

    @rule(wish=wishes, sends=st.integers(1, 3), delays=delays, settles=st.booleans())
    def run_check(self, *, wish: Wish, sends: int, delays: Delays, settles: bool) -> None:
        self.run_check_later(later_s=0.0, wish=wish, sends=sends, delays=delays, settles=settles)

    def grant(self, wish: Wish) -> Holder | None:
        authority = Authority(
            self.ledgers[wish.process],
            target=TARGET,
            share=wish.share,
            share_fraction=SHARES[wish.share],
            limits=LIMITS,
            region="here",
            clock=self.clock(wish.process),
        )
        asked_at = self.world.now
        try:
            permit = authority.grant(
                "api",
                quota=dict.fromkeys(QUOTAS[wish.kind], wish.count),
                cleanup=wish.cleanup,
                account=wish.account,
                deadline_s=wish.deadline_s,
                cleanup_s=wish.cleanup_s,
                egress=wish.egress,
            )
        except NoBudgetError:
            return None
        ends_at = asked_at + self.world.true_length(permit.ends_in_s, wish.process)
        if permit.account:
            assert self.account_free_at <= self.world.now, "two permits on one account"
            self.account_free_at = ends_at
        self.granted += 1
        meter = authority.meter(permit)
        holder = Holder(wish.process, wish.kind, authority, meter, self.granted, ends_at, wish.address)
        self.holders.append(holder)
        return holder

    @precondition(lambda self: self.holders)
    @rule(which=anyone, times=st.integers(1, 3), delays=delays, cleanup=st.booleans(), waits=st.booleans())
    def send(self, *, which: int, times: int, delays: Delays, cleanup: bool, waits: bool) -> None:
        holder = self.one_of(self.holders, which)
        # a log-out on a spaced limit follows even what was given up, so there it trusts a closed connection
        self.send_calls(holder, times, delays, cleanup=cleanup and holder.kind != "edge", waits=waits)

    def send_calls(self, holder: Holder, times: int, delays: Delays, *, cleanup: bool, waits: bool) -> None:
        """Send a call, and repeat it in another spelling, each time with the same delays."""
        with suppress(QuotaError):
            for _, call in zip(range(times), itertools.cycle(CALLS[holder.kind]), strict=False):
                wait_s = holder.meter.wait_s(*call, cleanup=cleanup)
                if wait_s and not waits:
                    return
                while wait_s:
                    self.world.advance(max(0.5, self.world.true_length(wait_s, holder.process) + 1e-6))
                    wait_s = holder.meter.wait_s(*call, cleanup=cleanup)
                self.travel(holder, call, holder.meter.admit(*call, cleanup=cleanup), delays)

    def travel(self, holder: Holder, call: tuple[str, str], ticket: Ticket, delays: Delays) -> None:
        """A request on its way: it arrives before its permit ends, even when we give up on it sooner."""
        arrives = min(self.world.now + delays.before + delays.way, holder.ends_at)
        self.world.arrivals += [
            Arrival(arrives, holder.granted, one, holder.address)
            for one in holder.permit.limits
            if one.covers_call(*call)
        ]
        gives_up = min(self.world.now + delays.patience, holder.ends_at)
        answered = arrives + delays.back <= gives_up
        over_at = arrives + delays.back if answered else gives_up
        self.world.at(over_at, lambda: holder.meter.over(ticket, answered=answered))

    @precondition(lambda self: self.parents())
    @rule(which=anyone, count=st.integers(1, 3), pipe=st.sampled_from([0.0, HANDOVER_S]))
    def lend(self, which: int, count: int, pipe: float) -> None:
        parent = self.one_of(self.parents(), which)
        with suppress(QuotaError):
            permit = parent.meter.lend(dict.fromkeys(QUOTAS[parent.kind], count))
            self.world.advance(self.world.true_length(pipe, parent.process))
            ends_at = self.world.now + self.world.true_length(permit.ends_in_s, parent.process)
            meter = Meter(permit, self.clock(parent.process))
            self.holders.append(replace(parent, meter=meter, ends_at=ends_at, parent=parent, is_sidecar=True))

    @precondition(lambda self: self.sidecars())
    @rule(which=anyone, lost=st.booleans())
    def take_back(self, which: int, lost: bool) -> None:
        sidecar = self.one_of(self.sidecars(), which)
        assert sidecar.parent
        self.holders.remove(sidecar)
        if lost:
            sidecar.parent.meter.write_off(sidecar.permit)
            self.holders.append(replace(sidecar, parent=None))  # and goes on, unknown to us
        else:
            sidecar.parent.meter.absorb(Usage.from_json(sidecar.meter.usage().to_json()))

    @precondition(lambda self: self.parents())
    @rule(which=anyone)
    def settle(self, which: int) -> None:
        self.settle_holder(self.one_of(self.parents(), which))

    def settle_holder(self, holder: Holder) -> None:
        """A sidecar that was not taken back goes on, unknown to us."""
        holder.authority.settle(holder.permit, holder.meter)
        self.holders.remove(holder)
        if holder.permit.account and self.account_free_at == holder.ends_at:
            self.account_free_at = self.world.now

    @precondition(lambda self: self.world.arrivals)
    @rule(process=processes, sidecars_too=st.booleans(), reboot_s=st.sampled_from([None, None, None, None, 1.0, 9.0]))
    def disaster(self, process: int, sidecars_too: bool, reboot_s: float | None) -> None:
        """A process is killed and started again, or the machine is."""
        if reboot_s is None:
            self.holders = [
                holder
                for holder in self.holders
                if holder.process != process or (holder.is_sidecar and not sidecars_too)
            ]
            self.ledgers[process] = self.new_ledger(process)
        else:
            self.holders.clear()
            self.account_free_at = 0.0
            self.world.reboot(reboot_s)
            self.ledgers = [self.new_ledger(process) for process in range(3)]

    @rule(seconds=lengths, time_of_day=st.floats(0, 4e9))
    def time_passes(self, seconds: float, time_of_day: float) -> None:
        """And the clock on the wall jumps, which nothing here may depend on."""
        self.world.advance(seconds)
        self.time_of_day.return_value = time_of_day

    @rule(
        process=processes,
        name=st.sampled_from([one.name for one in LIMITS]),
        percent=st.sampled_from([100, 100, 50, 20]),
    )
    def target_states_its_limit(self, process: int, name: str, percent: int) -> None:
        (one_limit,) = (one for one in LIMITS if one.name == name)
        self.ledgers[process].observe(TARGET, one_limit, one_limit.requests * percent // 100)


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=70,  # short histories hardly ever fill a window
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def test_no_window_is_ever_over_the_ceiling() -> None:
    run_state_machine_as_test(BudgetMachine, settings=SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_window_is_ever_over_the_ceiling_with_a_ledger_on_a_server(postgres: PostgresServer) -> None:
    class Fleet(BudgetMachine):
        """Its machines reboot, but not the server."""

        def __init__(self) -> None:
            postgres.forget()
            self.databases: list[OnFakeClock] = []
            super().__init__()
            self.world.ledger_reboots = False

        def backing(self, process: int) -> Backing:  # noqa: ARG002 - one for all
            self.databases.append(OnFakeClock(postgres.url, self.world.ledger_clock))
            return self.databases[-1]

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                for database in self.databases:
                    database.close()

    run_state_machine_as_test(Fleet, settings=settings(SETTINGS, max_examples=20))


class CountsFromSending(Ledger):
    """Wrong: a request counts for a window from when it was sent."""

    def settle(self, permit: Permit, usage: Usage) -> None:
        spans = {
            name: tuple(replace(span, over_ago_s=span.started_ago_s) for span in spans)
            for name, spans in usage.spans.items()
        }
        super().settle(permit, replace(usage, spans=spans))


class ForgetsTheUnanswered(Ledger):
    """Wrong: a request that we gave up on is over at once."""

    def settle(self, permit: Permit, usage: Usage) -> None:
        spans = {
            name: tuple(replace(span, over_ago_s=span.over_ago_s or 0.0) for span in spans)
            for name, spans in usage.spans.items()
        }
        super().settle(permit, replace(usage, spans=spans))


class ForgetsTheKilled(Ledger):
    """Wrong: a permit counts only for as long as it is in somebody's hands."""

    def reserve(self, permit: Permit, *, share_fraction: float, address_fraction: float | None = None) -> None:
        with self._backing.writing() as (db, now):
            db.execute(
                "DELETE FROM holds WHERE permit IN (SELECT id FROM permits WHERE settled = 0 AND ends <= :now)",
                {"now": now},
            )
        super().reserve(permit, share_fraction=share_fraction, address_fraction=address_fraction)


class TakesTheUnknownForAnother(Ledger):
    """Wrong: what may have come from any address counts as if it came from one that nobody else has."""

    def reserve(self, permit: Permit, *, share_fraction: float, address_fraction: float | None = None) -> None:
        known = replace(permit, egress=permit.egress or "unknown")
        super().reserve(known, share_fraction=share_fraction, address_fraction=address_fraction)


class DividesWhatAllShare(Ledger):
    """Wrong: each address has every limit for itself."""

    def reserve(self, permit: Permit, *, share_fraction: float, address_fraction: float | None = None) -> None:
        limits = tuple(replace(one, key="ip") for one in permit.limits)
        divided = replace(permit, limits=limits)
        super().reserve(divided, share_fraction=share_fraction, address_fraction=address_fraction)


class WrongMachine(BudgetMachine):
    def check_peaks(self) -> None:
        """The target alone shall judge."""


def wrong_machine(wrong: type[Ledger]) -> type[BudgetMachine]:
    class WithWrongLedger(WrongMachine):
        ledger_class = wrong

    return WithWrongLedger


class ForgetsAtReboot(WrongMachine):
    """Wrong: what was sent before a reboot is no longer known."""

    def file_name(self, process: int) -> str:  # noqa: ARG002 - one for all
        return self.world.boot_id()


class IgnoresOthers(WrongMachine):
    """Wrong: each process has a ledger of its own."""

    def file_name(self, process: int) -> str:
        return f"ledger-{process}"


@pytest.mark.timeout(300)
def test_the_search_finds_a_wrong_ledger() -> None:
    search = settings(
        SETTINGS, max_examples=3000, derandomize=True, database=None, phases=[Phase.generate], print_blob=False
    )
    with pytest.raises(AssertionError, match="requests of"):
        run_state_machine_as_test(wrong_machine(CountsFromSending), settings=search)


BOTH = Wish(0, "enhance", count=2, share="all", account="", cleanup={}, deadline_s=12.0, cleanup_s=0.0)
"""Both requests that the ceiling allows."""


def sending(machine: BudgetMachine, wish: Wish = BOTH, *, settles: bool, delays: Delays | None = None) -> None:
    machine.run_check(wish=wish, sends=2, delays=delays or Delays(0.0, 0.0, 0.0, 60.0), settles=settles)


def late_arrival(machine: BudgetMachine) -> None:
    sending(machine, settles=False, delays=Delays(before=8.0, way=1.0, back=0.0, patience=60.0))
    machine.time_passes(9.5, 0.0)
    machine.settle(0)
    machine.time_passes(1.0, 0.0)
    sending(machine, settles=True)


def no_answer(machine: BudgetMachine) -> None:
    sending(machine, settles=False, delays=Delays(before=0.0, way=9.0, back=0.0, patience=0.5))
    machine.time_passes(1.0, 0.0)
    machine.settle(0)
    machine.time_passes(10.5, 0.0)
    sending(machine, settles=True)


def kill(machine: BudgetMachine) -> None:
    sending(machine, settles=False, delays=Delays(before=0.0, way=9.0, back=0.0, patience=60.0))
    machine.disaster(0, sidecars_too=True, reboot_s=None)
    machine.time_passes(14.0, 0.0)
    sending(machine, settles=True)


def quick_reboot(machine: BudgetMachine) -> None:
    sending(machine, settles=True)
    machine.disaster(0, sidecars_too=True, reboot_s=1.0)
    sending(machine, settles=True)


def two_processes(machine: BudgetMachine) -> None:
    for process in (0, 1):
        sending(machine, replace(BOTH, process=process), settles=False)


def known_after_unknown(machine: BudgetMachine) -> None:
    for known in (False, True):
        sending(machine, replace(BOTH, address_known=known), settles=False)


def two_addresses(machine: BudgetMachine) -> None:
    for address in ("one", "one", "other", "other"):
        wish = replace(BOTH, kind="list", address=address, address_known=True)
        sending(machine, wish, settles=False)


@pytest.mark.parametrize(
    ("wrong", "history", "verdict"),
    [
        (wrong_machine(CountsFromSending), late_arrival, "4 requests of enhance"),
        (wrong_machine(ForgetsTheUnanswered), no_answer, "4 requests of enhance"),
        (wrong_machine(ForgetsTheKilled), kill, "4 requests of enhance"),
        (ForgetsAtReboot, quick_reboot, "4 requests of enhance"),
        (IgnoresOthers, two_processes, "4 requests of enhance"),
        (wrong_machine(TakesTheUnknownForAnother), known_after_unknown, "4 requests of enhance"),
        (wrong_machine(DividesWhatAllShare), two_addresses, "8 requests of api"),
    ],
)
def test_the_target_judges(wrong: type[BudgetMachine], history: Callable[[BudgetMachine], None], verdict: str) -> None:
    machine = wrong()
    history(machine)
    with pytest.raises(AssertionError, match=f"{verdict} within 10"):
        machine.teardown()
    right = BudgetMachine()
    history(right)
    right.teardown()
    on_api = [arrival for arrival in right.world.arrivals if arrival.limit.name == "api"]
    assert len(on_api) == (2 if "enhance" in verdict else 6)  # and the last two never left


def test_each_address_has_a_limit_by_address_for_itself() -> None:
    machine = BudgetMachine()
    for address in ("one", "other"):
        sending(machine, replace(BOTH, address=address, address_known=True), settles=False)
    machine.teardown()
    assert len(machine.world.arrivals) == 8  # four, each on two limits
