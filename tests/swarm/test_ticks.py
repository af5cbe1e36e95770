"""A tick is for one worker of its region, gets one permit at most, and comes to one verdict or to `no data`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from probes.errors import LedgerError, NoBudgetError, PausedError, SmokeprobeError
from probes.safety.permits import Permit
from probes.swarm.schedule import Occasion
from probes.swarm.ticks import LATE_S, OFFER_S, NoData, Ticks

CHECKS = frozenset({"health", "login"})


class Fleet:
    """Stands for workers and ledger: writes down what was posted and granted."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, Mapping[str, Any]]] = []
        self.granted: list[tuple[str, str]] = []
        self.egresses: list[str] = []
        self.confirming: list[bool] = []
        self.nothing: list[NoData] = []
        self.trouble: SmokeprobeError | None = None
        self.ticks = Ticks(self.post, self, self.nothing.append)

    def post(self, client: str, kind: str, body: Mapping[str, Any]) -> None:
        self.posted.append((client, kind, body))

    def grant(self, check: str, region: str, *, egress: str, confirms: bool) -> Permit:
        self.confirming.append(confirms)
        self.egresses.append(egress)
        if self.trouble is not None:
            raise self.trouble
        self.granted.append((check, region))
        return Permit("p", check, region, "http://t", "share", (), {}, {}, "", 10.0, 4.0)

    def offers(self) -> list[str]:
        return [client for client, kind, _ in self.posted if kind == "offer"]

    def kinds(self, client: str) -> list[str]:
        return [kind for to, kind, _ in self.posted if to == client]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def occasion(region: str = "us", check: str = "health", number: int = 1, ends: float = 60.0) -> Occasion:
    return Occasion(region, check, number, ends)


TICK = "us/health/1"


def test_a_tick_goes_to_a_worker_of_its_region_that_knows_the_check(fleet: Fleet) -> None:
    fleet.ticks.join("eu-1", "eu", CHECKS)
    fleet.ticks.join("us-1", "us", frozenset({"login"}))
    fleet.ticks.join("us-2", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    assert fleet.offers() == ["us-2"]


def test_ticks_are_spread_over_the_workers_and_a_busy_one_is_left_alone(fleet: Fleet) -> None:
    for client in ("us-1", "us-2"):
        fleet.ticks.join(client, "us", CHECKS)
    for number in (1, 2, 3):
        fleet.ticks.begin(occasion(number=number), float(number))
    assert sorted(fleet.offers()) == ["us-1", "us-2"]
    fleet.ticks.asked("us-1", TICK, 4.0)
    assert fleet.ticks.done("us-1", TICK) is not None
    fleet.ticks.turn(5.0)
    assert fleet.offers()[2:] == ["us-1"]


def test_without_a_worker_an_occasion_passes_as_no_data(fleet: Fleet) -> None:
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.turn(59.0)
    assert fleet.nothing == []
    fleet.ticks.turn(60.0)
    assert [(each.region, each.check, each.why) for each in fleet.nothing] == [("us", "health", "no worker")]
    assert fleet.ticks.under_way == ()


def test_a_worker_that_comes_later_gets_what_waits(fleet: Fleet) -> None:
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.turn(1.0)
    assert fleet.offers() == ["us-1"]


def test_one_tick_gets_one_permit_however_often_it_is_asked_for(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    for _ in range(3):
        fleet.ticks.asked("us-1", TICK, 1.0)
    assert fleet.granted == [("health", "us")]
    assert fleet.kinds("us-1") == ["offer", "permit", "denied", "denied"]


def test_only_a_verified_region_has_an_address_of_its_own(fleet: Fleet) -> None:
    for number, verified in ((1, True), (2, False)):
        fleet.ticks.join("us-1", "us", CHECKS, verified=verified)
        fleet.ticks.begin(occasion(number=number), 0.0)
        fleet.ticks.asked("us-1", f"us/health/{number}", 1.0)
        fleet.ticks.done("us-1", f"us/health/{number}")
    assert fleet.egresses == ["us", ""]


def test_another_worker_cannot_have_it(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.join("us-2", "us", CHECKS)
    fleet.ticks.asked("us-2", TICK, 1.0)
    assert fleet.granted == []
    assert fleet.ticks.done("us-2", TICK) is None


def test_an_offer_that_nobody_takes_goes_to_another_and_a_late_asker_gets_nothing(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.join("us-2", "us", CHECKS)
    fleet.ticks.turn(OFFER_S + 0.1)
    fleet.ticks.turn(OFFER_S + 0.2)
    assert fleet.offers() == ["us-1", "us-2"]
    fleet.ticks.asked("us-1", TICK, OFFER_S + 1.0)
    assert fleet.granted == []
    fleet.ticks.asked("us-2", TICK, OFFER_S + 1.0)
    assert len(fleet.granted) == 1


def test_an_offer_that_nobody_took_is_no_answer_whatever_it_waited_for_before(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(check="login", ends=4.0), 0.0)
    fleet.ticks.begin(occasion(ends=4.0), 0.0)  # the only worker is busy
    fleet.ticks.asked("us-1", "us/login/1", 0.0)
    fleet.ticks.done("us-1", "us/login/1")
    fleet.ticks.turn(1.0)
    assert fleet.offers() == ["us-1", "us-1"]
    fleet.ticks.turn(4.0)
    assert [each.why for each in fleet.nothing] == ["no answer"]


def test_a_worker_lost_before_it_asked_costs_nothing(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.join("us-2", "us", CHECKS)
    fleet.ticks.lost("us-1", 1.0)
    fleet.ticks.turn(2.0)
    assert fleet.offers() == ["us-1", "us-2"]


def test_what_a_lost_worker_had_is_never_run_again(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.asked("us-1", TICK, 1.0)
    fleet.ticks.join("us-2", "us", CHECKS)
    fleet.ticks.lost("us-1", 2.0)
    for now in range(3, 59):
        fleet.ticks.turn(float(now))
    assert fleet.offers() == ["us-1"]
    assert [each.why for each in fleet.nothing] == ["worker lost"]


def test_a_worker_that_says_nothing_more_keeps_nobody_waiting_for_ever(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.asked("us-1", TICK, 1.0)
    fleet.ticks.turn(1.0 + 14.0 + LATE_S)
    assert fleet.nothing == []
    fleet.ticks.turn(1.0 + 14.0 + LATE_S + 0.1)
    assert [each.why for each in fleet.nothing] == ["no answer"]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (NoBudgetError("no room", 2.0), "no budget"),
        (NoBudgetError("it can never fit", float("inf")), "no budget"),
        (PausedError("paused by hand", None), "paused"),
        (LedgerError("its disk is full"), "no ledger"),
    ],
)
def test_where_nothing_is_granted_the_occasion_passes_and_says_why(
    fleet: Fleet, trouble: SmokeprobeError, why: str
) -> None:
    fleet.trouble = trouble
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    asked = 0
    for now in range(1, 62):
        if len(fleet.offers()) > asked:
            asked += 1
            fleet.ticks.asked("us-1", TICK, float(now))
        fleet.ticks.turn(float(now))
    assert [each.why for each in fleet.nothing] == [why]
    assert trouble.message in fleet.nothing[0].detail
    assert fleet.granted == []


def test_room_that_comes_later_is_used(fleet: Fleet) -> None:
    fleet.trouble = NoBudgetError("no room", 3.0)
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.asked("us-1", TICK, 1.0)
    fleet.trouble = None
    fleet.ticks.turn(3.9)
    assert len(fleet.offers()) == 1
    fleet.ticks.turn(4.1)
    fleet.ticks.asked("us-1", TICK, 4.2)
    assert len(fleet.granted) == 1


def test_a_verdict_is_taken_once(fleet: Fleet) -> None:
    fleet.ticks.join("us-1", "us", CHECKS)
    fleet.ticks.begin(occasion(), 0.0)
    fleet.ticks.asked("us-1", TICK, 1.0)
    assert fleet.ticks.done("us-1", TICK) is not None
    assert fleet.ticks.done("us-1", TICK) is None


@settings(max_examples=60, stateful_step_count=40, deadline=None)
class TicksMachine(RuleBasedStateMachine):
    """Workers come, go, ask late, twice and for others' ticks; occasions come; time passes."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet()
        self.now = 0.0
        self.number = 0
        self.done: Counter[str] = Counter()

    @rule(target=clients, number=st.integers(1, 4), region=st.sampled_from(["us", "eu"]))
    def join(self, number: int, region: str) -> str:
        client = f"{region}-{number}"
        self.fleet.ticks.join(client, region, CHECKS)
        return client

    @rule(client=clients)
    def lose(self, client: str) -> None:
        self.fleet.ticks.lost(client, self.now)

    @rule(region=st.sampled_from(["us", "eu", "nowhere"]), check=st.sampled_from(sorted(CHECKS)))
    def begin(self, region: str, check: str) -> None:
        self.number += 1
        self.fleet.ticks.begin(occasion(region, check, self.number, self.now + 30.0), self.now)

    @rule(seconds=st.floats(0.1, 12.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.fleet.ticks.turn(self.now)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        offers = [(client, body["tick"]) for client, kind, body in self.fleet.posted if kind == "offer"]
        if offers:
            client, tick = data.draw(st.sampled_from(offers))
            self.fleet.ticks.asked(client, tick, self.now)

    @rule(data=st.data())
    def judge(self, data: st.DataObject) -> None:
        permits = [(client, body["tick"]) for client, kind, body in self.fleet.posted if kind == "permit"]
        if permits:
            client, tick = data.draw(st.sampled_from(permits))
            self.done[tick] += self.fleet.ticks.done(client, tick) is not None

    @rule(trouble=st.sampled_from([None, NoBudgetError("no room", 2.0), PausedError("paused", None)]))
    def change_room(self, trouble: SmokeprobeError | None) -> None:
        self.fleet.trouble = trouble

    @invariant()
    def no_tick_has_two_permits(self) -> None:
        permits = Counter(body["tick"] for _, kind, body in self.fleet.posted if kind == "permit")
        assert max(permits.values(), default=0) <= 1
        assert len(self.fleet.granted) == permits.total()

    @invariant()
    def a_worker_has_one_tick_at_a_time(self) -> None:
        assert all(len(worker.ticks) <= 1 for worker in self.fleet.ticks.workers)

    def teardown(self) -> None:
        """In the end every occasion has come to one verdict, or to no data."""
        for _ in range(100):
            self.now += 5.0
            self.fleet.ticks.turn(self.now)
        assert self.fleet.ticks.under_way == ()
        assert max(self.done.values(), default=0) <= 1
        assert self.done.total() + len(self.fleet.nothing) == self.number


TestTicksMachine = TicksMachine.TestCase


def test_what_is_not_planned_any_more_is_asked_of_nobody_and_is_no_trouble(fleet: Fleet) -> None:
    """An override has begun in the middle of a tick."""
    fleet.ticks.join("us-1", "us", CHECKS)
    for check in ("health", "login"):
        fleet.ticks.begin(occasion(check=check), 0.0)
    fleet.ticks.begin(occasion("eu", "login"), 0.0)
    fleet.ticks.asked("us-1", TICK, 1.0)
    fleet.ticks.keep("us", ())
    assert {tick.id for tick in fleet.ticks.under_way} == {TICK, "eu/login/1"}  # what has its permit is run
    fleet.ticks.asked("us-1", "us/login/1", 2.0)
    assert fleet.kinds("us-1")[-1] == "denied"
    assert fleet.ticks.done("us-1", TICK) is not None
    assert fleet.nothing == []
    fleet.ticks.begin(occasion(number=2), 3.0)
    assert fleet.kinds("us-1")[-1] == "offer"  # it is free
