from __future__ import annotations

import math
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from probes.errors import LedgerError, NoBudgetError, PausedError, QuotaError
from probes.safety import ledger_file, ledger_tables
from probes.safety.ledger import HANDOVER_S, KEEP_S, Authority, Ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.limits import CLOCK_RATE, RateLimit
from probes.safety.permits import Meter, Permit
from tests.postgres import PostgresServer
from tests.safety.budget import ENHANCE, EVERYTHING, SPACED, TARGET, FakeClock, OnFakeClock, limit, permit
from tests.safety.ledger_child import HAMMER_LIMITS

CALL = ("POST", "/api/v1/enhance")
OTHER = limit("other", covers="GET /other")
HOLD_S = 60 * CLOCK_RATE
PERMIT_S = 35 * CLOCK_RATE + HANDOVER_S
"""How long a permit of 35 s lasts by the ledger's clock."""

SLACK_S = 0.01
"""What spans of some seconds can be more or less by the ledger's clock than by their holder's."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    return new_ledger()


def file_ledger(path: Path, clock: FakeClock) -> Ledger:
    return Ledger(LedgerFile(path, clock, lambda: "boot-1"), clock)


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_ledger(request: pytest.FixtureRequest, path: Path, clock: FakeClock) -> Iterator[Callable[[], Ledger]]:
    """One more ledger on the same file or database, as another process has it; whose time is the test's."""
    if request.param == "file":
        yield lambda: file_ledger(path, clock)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    backings: list[OnFakeClock] = []

    def on_server() -> Ledger:
        backings.append(OnFakeClock(server.url, clock))
        return Ledger(backings[-1], clock)

    yield on_server
    for backing in backings:
        backing.close()


class OnFile:
    """Tests of what only the file has."""

    @pytest.fixture
    def ledger(self, path: Path, clock: FakeClock) -> Ledger:
        return file_ledger(path, clock)


def reserve(ledger: Ledger, *limits: RateLimit, fraction: float = 1, **rest: object) -> Permit:
    granted = permit(*limits, **rest)  # type: ignore[arg-type]  # checked by permit
    ledger.reserve(granted, share_fraction=fraction)
    return granted


def no_room(ledger: Ledger, *limits: RateLimit, fraction: float = 1, **rest: object) -> NoBudgetError:
    with pytest.raises(NoBudgetError) as caught:
        reserve(ledger, *limits, fraction=fraction, **rest)
    return caught.value


class TestRoom:
    def test_is_the_ceiling_and_no_more(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 4}, cleanup={"enhance": 1})
        reserve(ledger, ENHANCE, quota={"enhance": 4})
        assert "1 needed, 9 of 9 taken" in str(no_room(ledger, ENHANCE, quota={"enhance": 1}))

    def test_is_taken_on_all_limits_or_none(self, ledger: Ledger) -> None:
        tight = limit("tight", 20, covers="GET /tight")
        reserve(ledger, tight, quota={"tight": 1})
        for _ in range(3):
            assert "limit tight" in str(no_room(ledger, ENHANCE, tight, quota={"enhance": 9, "tight": 1}))
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_is_apart_for_each_target(self, ledger: Ledger) -> None:
        elsewhere = Permit.from_json({**permit(ENHANCE, quota={"enhance": 9}).to_json(), "target": "http://else"})
        ledger.reserve(elsewhere, share_fraction=1)
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_of_a_share_is_its_part(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 4}, share="a", fraction=0.5)
        assert "share a of limit enhance" in str(
            no_room(ledger, ENHANCE, quota={"enhance": 1}, share="a", fraction=0.5)
        )
        reserve(ledger, ENHANCE, quota={"enhance": 4}, share="b", fraction=0.5)

    def test_that_can_never_be_is_said_so(self, ledger: Ledger) -> None:
        assert no_room(ledger, ENHANCE, quota={"enhance": 10}).retry_in_s == math.inf
        assert no_room(ledger, ENHANCE, quota={"enhance": 5}, fraction=0.5).retry_in_s == math.inf

    def test_of_a_spaced_limit_is_one_slot_whatever_the_quota(self, ledger: Ledger) -> None:
        reserve(ledger, SPACED, quota={"edge": 20}, fraction=0.1)
        no_room(ledger, SPACED, quota={"edge": 1})

    def test_is_not_needed_where_nothing_is_asked_for(self, ledger: Ledger) -> None:
        reserve(ledger, SPACED, ENHANCE, quota={"enhance": 1})
        reserve(ledger, SPACED, quota={"edge": 1})

    @pytest.mark.parametrize(
        "alias", ["http://localhost:8089", "http://[::1]:8089", "http://127.8.0.1:8089", "https://a.localhost:8089"]
    )
    def test_is_the_same_by_whatever_name_the_target_goes(self, ledger: Ledger, alias: str) -> None:
        ledger.reserve(replace(permit(ENHANCE, quota={"enhance": 7}), target=alias), share_fraction=1)
        no_room(ledger, ENHANCE, quota={"enhance": 3})
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 7}
        ledger.pause(alias, 60, "asked to", "target")
        assert ledger.pauses(TARGET)

    def test_is_apart_for_each_port(self, ledger: Ledger) -> None:
        other = replace(permit(ENHANCE, quota={"enhance": 9}), target="http://localhost:8090")
        ledger.reserve(other, share_fraction=1)
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    @pytest.mark.parametrize("covers", ["POST /api/v1/enhance", "POST /api/v1/%65nhance", "* /api/*", "POST /*"])
    def test_is_the_same_whatever_the_limit_is_called(self, ledger: Ledger, covers: str) -> None:
        reserve(ledger, limit("any-name", covers=covers), quota={"any-name": 7})
        no_room(ledger, ENHANCE, quota={"enhance": 3})
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 7}
        reserve(ledger, ENHANCE, quota={"enhance": 2})

    def test_is_counted_by_calls_where_another_configuration_uses_the_name_for_others(self, ledger: Ledger) -> None:
        reserve(ledger, limit("enhance", covers="GET /other"), quota={"enhance": 9})
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_is_taken_wholly_by_a_permit_of_a_configuration_that_spaces_the_calls(self, ledger: Ledger) -> None:
        spaced = limit("spaced", 10, 1)
        reserve(ledger, spaced, quota={"spaced": 8})
        no_room(ledger, ENHANCE, quota={"enhance": 2})

    def test_of_one_configurations_limits_is_not_taken_twice(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, EVERYTHING, quota={"enhance": 3, "api": 50})
        reserve(ledger, limit("other"), limit("all", 600, 60, "* /api/v1/*"), quota={"other": 6, "all": 9})
        no_room(ledger, ENHANCE, EVERYTHING, quota={"enhance": 1, "api": 1})


class TestEgress:
    SHARED = limit("tests", key="global", covers="GET /tests")
    BY_ACCOUNT = limit("mine", key="account", covers="GET /mine")
    LIMITS = (ENHANCE, SHARED, BY_ACCOUNT)

    def test_of_its_own_has_a_limit_by_address_for_itself(self, ledger: Ledger) -> None:
        for egress in ("us", "eu"):
            reserve(ledger, ENHANCE, quota={"enhance": 9}, egress=egress)
            no_room(ledger, ENHANCE, quota={"enhance": 1}, egress=egress)

    def test_of_its_own_shares_every_other_limit(self, ledger: Ledger) -> None:
        for one_limit in (self.SHARED, self.BY_ACCOUNT):
            reserve(ledger, *self.LIMITS, quota={one_limit.name: 9}, egress="us")
            no_room(ledger, *self.LIMITS, quota={one_limit.name: 1}, egress="eu")

    @pytest.mark.parametrize(("first", "second"), [("us", ""), ("", "us"), ("", "")])
    def test_that_is_not_known_may_be_any(self, ledger: Ledger, first: str, second: str) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 6}, egress=first)
        no_room(ledger, ENHANCE, quota={"enhance": 4}, egress=second)
        reserve(ledger, ENHANCE, quota={"enhance": 3}, egress=second)

    def test_has_a_share_for_itself(self, ledger: Ledger) -> None:
        for egress in ("us", "eu"):
            reserve(ledger, ENHANCE, quota={"enhance": 4}, fraction=0.5, egress=egress)
            assert "share adhoc" in str(no_room(ledger, ENHANCE, quota={"enhance": 1}, fraction=0.5, egress=egress))

    def test_is_kept_when_settled(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9}, egress="us")
        meter = Meter(granted, clock)
        for _ in range(5):
            meter.over(meter.admit(*CALL), answered=True)
        ledger.settle(granted, meter.usage())
        reserve(ledger, ENHANCE, quota={"enhance": 9}, egress="eu")
        no_room(ledger, ENHANCE, quota={"enhance": 5}, egress="us")

    def test_of_another_takes_no_room_under_a_limit_lowered_meanwhile(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 3}, egress="eu")
        granted = reserve(ledger, ENHANCE, quota={"enhance": 3}, egress="us")
        ledger.observe(TARGET, ENHANCE, 31)
        ledger.check(granted, ["enhance"], lambda _name, _hold_s: 2)
        with pytest.raises(QuotaError, match="no room left"):
            ledger.check(replace(granted, egress=""), ["enhance"], lambda _name, _hold_s: 2)

    def test_has_peaks_of_its_own(self, ledger: Ledger) -> None:
        limits = (ENHANCE, self.SHARED)
        for egress, count in (("us", 4), ("eu", 2), ("", 1)):
            reserve(ledger, *limits, quota={"enhance": count, "tests": count}, egress=egress)
        assert ledger.peaks(TARGET, limits, 60) == {"enhance": 5, "tests": 7}


class TestHold:
    def test_of_a_permit_that_is_never_settled_is_until_its_end_and_a_window(
        self, ledger: Ledger, clock: FakeClock
    ) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9}, deadline_s=30, cleanup_s=5)
        clock.now += PERMIT_S + HOLD_S - 0.001
        assert no_room(ledger, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(0.001)
        clock.now += 0.001
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_of_what_was_not_used_ends_at_once(self, ledger: Ledger) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        ledger.settle(granted, Meter(granted).usage())
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_of_what_was_used_is_a_window_from_its_end(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        meter = Meter(granted, clock)
        first, second = meter.admit(*CALL), meter.admit(*CALL)
        clock.now += 1
        meter.over(first, answered=True)
        clock.now += 1
        meter.over(second, answered=True)
        clock.now += 1
        ledger.settle(granted, meter.usage())
        assert no_room(ledger, ENHANCE, quota={"enhance": 8}).retry_in_s == pytest.approx(HOLD_S - 2, abs=SLACK_S)
        assert no_room(ledger, ENHANCE, quota={"enhance": 9}).retry_in_s == pytest.approx(HOLD_S - 1, abs=SLACK_S)
        clock.now += HOLD_S - 2 + SLACK_S
        reserve(ledger, ENHANCE, quota={"enhance": 8})

    @pytest.mark.parametrize("late_s", [3, 35, 60, 90])
    def test_of_what_got_no_answer_is_until_the_permits_end_and_a_window_however_late_it_is_settled(
        self, ledger: Ledger, clock: FakeClock, late_s: float
    ) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9}, deadline_s=30, cleanup_s=5)
        meter = Meter(granted, clock)
        meter.over(meter.admit(*CALL), answered=False)
        meter.admit(*CALL)
        clock.now += late_s
        ledger.settle(granted, meter.usage())
        expected = PERMIT_S + HOLD_S - late_s
        assert no_room(ledger, ENHANCE, quota={"enhance": 8}).retry_in_s == pytest.approx(expected)
        reserve(ledger, ENHANCE, quota={"enhance": 7})

    def test_of_a_spaced_limit_is_the_spacing_after_the_last_request(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, SPACED, quota={"edge": 5})
        meter = Meter(granted, clock)
        for _ in range(3):
            clock.now += meter.wait_s(*CALL)
            meter.over(meter.admit(*CALL), answered=True)
        ledger.settle(granted, meter.usage())
        assert no_room(ledger, SPACED, quota={"edge": 1}).retry_in_s == pytest.approx(SPACED.hold_s * CLOCK_RATE)
        clock.now += SPACED.hold_s * CLOCK_RATE
        reserve(ledger, SPACED, quota={"edge": 1})

    def test_is_not_ended_by_settling_twice(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        meter = Meter(granted, clock)
        meter.admit(*CALL)
        ledger.settle(granted, meter.usage())
        ledger.settle(granted, Meter(granted, clock).usage())
        no_room(ledger, ENHANCE, quota={"enhance": 9})
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 1}

    def test_grows_with_the_limits_window(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        meter = Meter(granted, clock)
        meter.over(meter.admit(*CALL), answered=True)
        ledger.settle(granted, meter.usage())
        clock.now += 100
        no_room(ledger, limit(window_s=120), quota={"enhance": 9})
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_allows_for_a_holder_whose_clock_is_slow_or_fast(self, ledger: Ledger, clock: FakeClock) -> None:
        """What lasts 10,000 s by one clock may last 10 s more or less by another."""
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9}, deadline_s=10_000, cleanup_s=0)
        expected = 10_010 + HANDOVER_S + HOLD_S
        assert ledger.peaks(TARGET, [ENHANCE], 0) == {"enhance": 9}
        clock.now += expected - 0.5
        assert no_room(ledger, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(0.5)
        meter = Meter(granted, clock, since=clock.now)
        ticket = meter.admit(*CALL)
        clock.now += 10
        meter.over(ticket, answered=True)
        clock.now += 5_000
        ledger.settle(granted, meter.usage())
        clock.now -= 5_000 - HOLD_S - 4.9
        no_room(ledger, ENHANCE, quota={"enhance": 9})

    def test_may_end_early_where_a_permit_is_still_open(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        assert no_room(ledger, ENHANCE, quota={"enhance": 1}).retry_in_s == 1


class TestAccount:
    def test_is_used_by_one_permit_at_a_time(self, ledger: Ledger, clock: FakeClock) -> None:
        granted = reserve(ledger, quota={}, account="basic")
        error = no_room(ledger, quota={}, account="basic")
        assert "account basic is in use" in str(error)
        assert 0 < error.retry_in_s <= 1
        reserve(ledger, quota={}, account="premium")
        ledger.settle(granted, Meter(granted, clock).usage())
        reserve(ledger, quota={}, account="basic")

    def test_is_free_after_the_end_of_a_permit_that_was_never_settled(self, ledger: Ledger, clock: FakeClock) -> None:
        reserve(ledger, quota={}, account="basic", deadline_s=30, cleanup_s=5)
        clock.now += PERMIT_S - 0.001
        no_room(ledger, quota={}, account="basic")
        clock.now += 0.001
        reserve(ledger, quota={}, account="basic")

    def test_takes_no_slots_when_it_is_busy(self, ledger: Ledger) -> None:
        reserve(ledger, quota={}, account="basic")
        no_room(ledger, ENHANCE, quota={"enhance": 9}, account="basic")
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_is_not_leased_where_there_is_none(self, ledger: Ledger) -> None:
        reserve(ledger, quota={})
        reserve(ledger, quota={})


class TestPause:
    def test_by_hand_is_until_resumed(self, ledger: Ledger, clock: FakeClock) -> None:
        ledger.pause(None, None, "maintenance", "hand")
        clock.now += 10**6
        with pytest.raises(PausedError, match="by hand until it is resumed: maintenance") as caught:
            reserve(ledger, ENHANCE, quota={"enhance": 1})
        assert caught.value.retry_in_s is None
        assert [pause.why for pause in ledger.resume(None)] == ["maintenance"]
        assert ledger.resume(None) == []
        reserve(ledger, ENHANCE, quota={"enhance": 1})

    def test_may_be_of_one_target(self, ledger: Ledger) -> None:
        ledger.pause("http://else", 60, "maintenance", "hand")
        ledger.pause(None, 60, "all", "hand")
        assert [pause.why for pause in ledger.pauses(TARGET)] == ["all"]
        assert [pause.why for pause in ledger.resume("http://else")] == ["maintenance"]
        assert [pause.why for pause in ledger.pauses("http://else")] == ["all"]
        assert [pause.why for pause in ledger.resume(None)] == ["all"]

    def test_ends_by_itself(self, ledger: Ledger, clock: FakeClock) -> None:
        ledger.pause(TARGET, 60, "short", "hand")
        assert ledger.pauses(TARGET)[0].remaining_s == 60
        clock.now += 60
        assert ledger.pauses(TARGET) == []
        assert ledger.resume(None) == []
        reserve(ledger, ENHANCE, quota={"enhance": 1})

    @pytest.mark.parametrize("by", ["hand", "target"])
    def test_is_never_shortened(self, ledger: Ledger, by: str) -> None:
        ledger.pause(TARGET, 600, "first", by)  # type: ignore[arg-type]  # parametrized
        ledger.pause(TARGET, 60, "second", by)  # type: ignore[arg-type]  # the same
        assert [(pause.why, pause.remaining_s) for pause in ledger.pauses(TARGET)] == [("first", 600)]
        ledger.pause(TARGET, 6000, "third", by)  # type: ignore[arg-type]  # the same
        assert [(pause.why, pause.remaining_s) for pause in ledger.pauses(TARGET)] == [("third", 6000)]

    def test_until_resumed_is_the_longest(self, ledger: Ledger) -> None:
        ledger.pause(TARGET, None, "for good", "hand")
        ledger.pause(TARGET, 60, "short", "hand")
        assert [(pause.why, pause.remaining_s) for pause in ledger.pauses(TARGET)] == [("for good", None)]

    @pytest.mark.parametrize("seconds", [None, 10**9, math.inf, math.nan, -1])
    def test_by_the_target_is_a_day_at_most(self, ledger: Ledger, seconds: float | None) -> None:
        ledger.pause(TARGET, seconds, "asked to", "target")
        assert ledger.pauses(TARGET)[0].remaining_s == 24 * 3600
        assert ledger.resume(None) == ledger.resume(TARGET) == []
        with pytest.raises(PausedError, match="by the target's owner for another 86400 s"):
            reserve(ledger, quota={})

    def test_stops_no_permit_for_cleanup_alone(self, ledger: Ledger) -> None:
        ledger.pause(None, None, "maintenance", "hand")
        ledger.back_off(TARGET, [ENHANCE], 60, "429")
        reserve(ledger, ENHANCE, quota={}, cleanup={"enhance": 9}, deadline_s=0)
        no_room(ledger, ENHANCE, quota={}, cleanup={"enhance": 1}, deadline_s=0)


class TestBackOff:
    def test_is_of_the_limits_named(self, ledger: Ledger, clock: FakeClock) -> None:
        ledger.back_off(TARGET, [ENHANCE], 30, "429")
        ledger.back_off(TARGET, [ENHANCE], 3, "429 again")
        error = no_room(ledger, ENHANCE, quota={"enhance": 1})
        assert (str(error), error.retry_in_s) == ("Nothing is sent on limit enhance for another 30 s: 429", 30)
        reserve(ledger, ENHANCE, EVERYTHING, quota={"api": 1})
        clock.now += 30
        reserve(ledger, ENHANCE, quota={"enhance": 1})

    @pytest.mark.parametrize("seconds", [10**9, math.inf, math.nan, -1])
    def test_is_an_hour_at_most(self, ledger: Ledger, seconds: float) -> None:
        ledger.back_off(TARGET, [ENHANCE], seconds, "429")
        assert no_room(ledger, ENHANCE, quota={"enhance": 1}).retry_in_s == 3600

    def test_is_of_the_calls_by_whatever_name(self, ledger: Ledger) -> None:
        ledger.back_off("http://localhost:8089", [limit("other", 50)], 30, "429")
        no_room(ledger, ENHANCE, quota={"enhance": 1})


class TestObserved:
    def test_limit_is_of_the_calls_by_whatever_name(self, ledger: Ledger) -> None:
        ledger.observe("http://localhost:8089", limit("other"), 50)
        assert ledger.lowered(TARGET, [ENHANCE]) == (limit(requests=50),)

    def test_limit_lowers_the_ceiling(self, ledger: Ledger) -> None:
        ledger.observe(TARGET, ENHANCE, 50)
        assert "room for 4" in str(no_room(ledger, ENHANCE, quota={"enhance": 5}))
        reserve(ledger, ENHANCE, quota={"enhance": 4})
        assert ledger.lowered(TARGET, [ENHANCE, EVERYTHING]) == (limit(requests=50), EVERYTHING)

    def test_limit_never_raises_it(self, ledger: Ledger) -> None:
        ledger.observe(TARGET, ENHANCE, 50)
        ledger.observe(TARGET, ENHANCE, 10_000)
        assert "room for 9" in str(no_room(ledger, ENHANCE, quota={"enhance": 10}))

    def test_limit_counts_what_was_sent_before(self, ledger: Ledger) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 6})
        ledger.observe(TARGET, ENHANCE, 50)
        no_room(ledger, ENHANCE, quota={"enhance": 1})

    def test_limit_may_become_a_spacing(self, ledger: Ledger, clock: FakeClock) -> None:
        ledger.observe(TARGET, ENHANCE, 10)
        assert no_room(ledger, ENHANCE, quota={"enhance": 2}).retry_in_s == 0
        authority = Authority(
            ledger, target=TARGET, share="adhoc", share_fraction=1, limits=(ENHANCE,), region="here", clock=clock
        )
        granted = authority.grant("api", quota={"enhance": 2}, cleanup={}, deadline_s=2000)
        assert granted.limits[0].spaced
        meter = authority.meter(granted)
        meter.over(meter.admit(*CALL), answered=True)
        assert meter.wait_s(*CALL) > 60
        authority.settle(granted, meter)
        clock.now += 60
        no_room(ledger, ENHANCE, quota={"enhance": 1})

    def test_limit_that_is_nonsense_still_leaves_a_spacing(self, ledger: Ledger) -> None:
        ledger.observe(TARGET, ENHANCE, -1)
        assert ledger.lowered(TARGET, [ENHANCE]) == (limit(requests=1),)


class TestReboot(OnFile):
    @pytest.fixture
    def rebooted(self, path: Path) -> tuple[Ledger, FakeClock]:
        clock = FakeClock(5.0)
        return Ledger(LedgerFile(path, clock, lambda: "boot-2"), clock), clock

    def test_begins_every_hold_anew(self, ledger: Ledger, rebooted: tuple[Ledger, FakeClock]) -> None:
        after, clock = rebooted
        reserve(ledger, ENHANCE, quota={"enhance": 9}, deadline_s=1000)
        assert no_room(after, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(HOLD_S)
        clock.now += 30
        assert no_room(after, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(HOLD_S - 30)
        assert after.peaks(TARGET, [ENHANCE], 60) == {"enhance": 9}
        clock.now += HOLD_S - 30
        reserve(after, ENHANCE, quota={"enhance": 9})

    def test_forgets_what_was_past(self, ledger: Ledger, clock: FakeClock, rebooted: tuple[Ledger, FakeClock]) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        meter = Meter(granted, clock)
        meter.over(meter.admit(*CALL), answered=True)
        ledger.settle(granted, meter.usage())
        clock.now += HOLD_S + 0.001
        ledger.back_off(TARGET, [ENHANCE], 0, "a write, so that the file knows the time")
        after, _ = rebooted
        reserve(after, ENHANCE, quota={"enhance": 9})

    def test_ends_leases_but_frees_no_slots(self, ledger: Ledger, rebooted: tuple[Ledger, FakeClock]) -> None:
        after, _ = rebooted
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9}, account="basic")
        reserve(after, quota={}, account="basic")
        after.settle(granted, Meter(granted).usage())
        no_room(after, ENHANCE, quota={"enhance": 1})

    def test_begins_pauses_and_back_offs_anew(
        self, ledger: Ledger, clock: FakeClock, rebooted: tuple[Ledger, FakeClock]
    ) -> None:
        ledger.pause(None, None, "for good", "hand")
        ledger.pause(TARGET, 600, "asked to", "target")
        ledger.pause("http://else", 5, "short", "hand")
        clock.now += 50
        ledger.back_off(TARGET, [ENHANCE], 30, "429")
        after, _ = rebooted
        assert [pause.remaining_s for pause in after.pauses(TARGET)] == [None, 600]
        assert [pause.why for pause in after.pauses("http://else")] == ["for good"]
        after.resume(None)
        with pytest.raises(PausedError, match="another 600 s"):
            reserve(after, quota={})


class TestPeaks:
    def send(self, ledger: Ledger, clock: FakeClock, *, lasting_s: float, answered: bool = True) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 1}, deadline_s=30, cleanup_s=0)
        meter = Meter(granted, clock)
        ticket = meter.admit(*CALL)
        clock.now += lasting_s
        meter.over(ticket, answered=answered)
        ledger.settle(granted, meter.usage())

    def test_count_what_one_window_can_hold(self, ledger: Ledger, clock: FakeClock) -> None:
        for _ in range(3):
            self.send(ledger, clock, lasting_s=1)
        clock.now += 59
        self.send(ledger, clock, lasting_s=1)  # starts 59 s after the third was over, 60 s after the second
        assert ledger.peaks(TARGET, [ENHANCE, OTHER], KEEP_S) == {"enhance": 3, "other": 0}

    def test_count_a_slow_request_in_every_window_that_it_may_have_arrived_in(
        self, ledger: Ledger, clock: FakeClock
    ) -> None:
        self.send(ledger, clock, lasting_s=20)
        clock.now += 50
        self.send(ledger, clock, lasting_s=1)
        assert ledger.peaks(TARGET, [ENHANCE], KEEP_S) == {"enhance": 2}

    def test_count_one_without_an_answer_until_its_permits_end(self, ledger: Ledger, clock: FakeClock) -> None:
        self.send(ledger, clock, lasting_s=1, answered=False)
        clock.now += 80
        self.send(ledger, clock, lasting_s=1)
        assert ledger.peaks(TARGET, [ENHANCE], KEEP_S) == {"enhance": 2}

    def test_are_those_since(self, ledger: Ledger, clock: FakeClock) -> None:
        for _ in range(3):
            self.send(ledger, clock, lasting_s=1)
        clock.now += 100
        self.send(ledger, clock, lasting_s=1)
        assert ledger.peaks(TARGET, [ENHANCE], 40) == {"enhance": 1}
        assert ledger.peaks(TARGET, [ENHANCE], 110) == {"enhance": 3}

    def test_forget_after_an_hour_so_that_a_file_stays_small(self, path: Path, clock: FakeClock) -> None:
        ledger = file_ledger(path, clock)
        for _ in range(200):
            self.send(ledger, clock, lasting_s=10)
            clock.now += 50
        assert ledger.peaks(TARGET, [ENHANCE], KEEP_S) == {"enhance": 2}
        with closing(sqlite3.connect(path)) as db:
            for table in ("holds", "permits"):
                (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a constant name
                assert 55 < rows < 70


class TestAuthority:
    @pytest.fixture
    def authority(self, ledger: Ledger, clock: FakeClock) -> Authority:
        limits = (ENHANCE, EVERYTHING)
        return Authority(
            ledger, target=TARGET, share="adhoc", share_fraction=1, limits=limits, region="here", clock=clock
        )

    def test_grants_and_settles(self, authority: Authority) -> None:
        granted = authority.grant("api", quota={"enhance": 9}, cleanup={}, deadline_s=30)
        assert (granted.check, granted.region, granted.share, granted.target) == ("api", "here", "adhoc", TARGET)
        with pytest.raises(NoBudgetError):
            authority.grant("api", quota={"enhance": 1}, cleanup={}, deadline_s=30)
        authority.settle(granted, authority.meter(granted))
        authority.grant("api", quota={"enhance": 9}, cleanup={}, deadline_s=30)

    def test_grants_for_another_region_and_its_egress(self, authority: Authority) -> None:
        for region in ("us", "eu"):
            quota = {"enhance": 9}
            granted = authority.grant("api", quota=quota, cleanup={}, deadline_s=30, region=region, egress=region)
            assert (granted.region, granted.egress) == (region, region)

    def test_counts_a_permits_time_from_before_it_was_asked_for(self, authority: Authority, clock: FakeClock) -> None:
        granted = authority.grant("api", quota={"enhance": 9}, cleanup={}, deadline_s=30)
        clock.now += 2
        assert authority.meter(granted).left_s() == 28

    def test_stops_all_holders_but_not_their_cleanup(self, authority: Authority) -> None:
        first, second = (
            authority.meter(authority.grant("api", quota={"api": 2}, cleanup={"api": 1}, deadline_s=30))
            for _ in range(2)
        )
        authority.stop_all("the target asked us to")
        for meter in (first, second):
            with pytest.raises(PausedError, match="asked us to"):
                meter.admit("GET", "/api/v1/test")
            meter.admit("GET", "/api/v1/test", cleanup=True)

    def test_lets_a_held_permit_send_no_more_than_a_limit_lowered_meanwhile(
        self, authority: Authority, clock: FakeClock
    ) -> None:
        one = {"enhance": 1, "api": 1}
        granted = authority.grant("api", quota={"enhance": 5, "api": 5}, cleanup=one, deadline_s=99)
        authority.grant("api", quota=one, cleanup={}, deadline_s=99)
        meter = authority.meter(granted)
        meter.over(meter.admit(*CALL), answered=True)
        authority.ledger.observe(TARGET, ENHANCE, 41)  # 4, of which one is another's, and one kept for clean-up
        meter.over(meter.admit(*CALL), answered=True)
        with pytest.raises(QuotaError, match="lowered limit enhance to 41"):
            meter.admit(*CALL)
        with pytest.raises(QuotaError, match="lowered limit enhance to 41"):
            meter.lend({"enhance": 1})
        meter.admit(*CALL, cleanup=True)
        meter.admit("GET", "/api/v1/test")
        clock.now += 61
        meter.admit(*CALL)

    def test_stops_held_permits_on_a_throttled_limit_until_it_is_over(
        self, authority: Authority, new_ledger: Callable[[], Ledger], clock: FakeClock
    ) -> None:
        quota = {"enhance": 2, "api": 4}
        meter = authority.meter(authority.grant("api", quota=quota, cleanup=quota, deadline_s=99))
        new_ledger().back_off(TARGET, [ENHANCE], 30, "429")
        for attempt in (partial(meter.admit, *CALL), partial(meter.lend, {"enhance": 1})):
            with pytest.raises(QuotaError, match="Nothing is sent on limit enhance for another 30 s: 429"):
                attempt()
        meter.admit("GET", "/api/v1/test")
        meter.admit(*CALL, cleanup=True)
        clock.now += 30
        meter.admit(*CALL)

    def test_sees_the_pause_of_another_process(self, authority: Authority, new_ledger: Callable[[], Ledger]) -> None:
        assert authority.paused() is None
        other = new_ledger()
        other.pause(TARGET, 60, "asked to", "target")
        other.pause(None, 600, "maintenance", "hand")
        paused = authority.paused()
        assert paused is not None
        assert (str(paused), paused.retry_in_s) == ("Probing is paused by hand for another 600 s: maintenance", 600)


class TestFile(OnFile):
    def test_is_its_owners_alone(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}

    def test_does_not_depend_on_the_time_of_day(self, ledger: Ledger, clock: FakeClock) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        for time_of_day in (0.0, 4e9):
            with mock.patch("time.time", return_value=time_of_day):
                no_room(ledger, ENHANCE, quota={"enhance": 1})
        clock.now += PERMIT_S + HOLD_S
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_takes_the_machines_own_clock_and_boot(self, path: Path) -> None:
        reserve(Ledger(LedgerFile(path)), ENHANCE, quota={"enhance": 9})
        no_room(Ledger(LedgerFile(path)), ENHANCE, quota={"enhance": 1})

    @pytest.mark.parametrize("content", [b"no database at all\n" * 400, b"\0" * 8192])
    def test_that_is_no_database_is_refused_and_left_alone(self, ledger: Ledger, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(LedgerError, match=f"(?s){path} cannot be used.*It is not replaced"):
            reserve(ledger, quota={})
        assert path.read_bytes() == content

    def test_that_is_damaged_is_refused_and_left_alone(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        content = path.read_bytes()
        damaged = content[:4096] + b"\xa5" * (len(content) - 4096)
        path.write_bytes(damaged)
        for attempt in (lambda: reserve(ledger, ENHANCE, quota={"enhance": 1}), lambda: ledger.pauses(TARGET)):
            with pytest.raises(LedgerError, match="It is not replaced"):
                attempt()
        assert path.read_bytes() == damaged

    def test_of_another_program_is_refused(self, ledger: Ledger, path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (x)")
        with pytest.raises(LedgerError, match="another program's database"):
            reserve(ledger, quota={})

    def test_of_a_newer_version_is_refused(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {ledger_tables.VERSION + 1}")
        with pytest.raises(LedgerError, match=r"is of version 4, this program knows version 3.*newer version"):
            reserve(ledger, quota={})

    def test_of_the_version_before_is_carried_on(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        with closing(sqlite3.connect(path)) as db:
            db.execute("ALTER TABLE holds DROP COLUMN egress")
            db.execute("PRAGMA user_version = 2")
        no_room(ledger, ENHANCE, quota={"enhance": 1}, egress="us")
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 9}
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (3,)

    def test_of_version_1_is_refused(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 1")
        with pytest.raises(LedgerError, match=r"is of version 1.*It is not replaced"):
            reserve(ledger, quota={})

    def test_that_is_a_directory_is_refused(self, ledger: Ledger, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(LedgerError, match="cannot be used"):
            reserve(ledger, quota={})

    def test_whose_directory_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LedgerError, match="Make the state directory writable"):
            Ledger(LedgerFile(tmp_path / "file" / "ledger.sqlite")).pauses(TARGET)

    def test_that_stays_locked_is_an_error_that_says_so(
        self, ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger_file, "BUSY_S", 0.05)
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="Another process has held it"):
                reserve(ledger, ENHANCE, quota={"enhance": 9})
            assert ledger.pauses(TARGET) == []
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_that_stays_locked_keeps_nobody_else_waiting(self, path: Path) -> None:
        """Other greenlets go on; and whoever asks after a wait in vain is told at once."""
        script = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sqlite3, sys, time
from pathlib import Path
from probes.errors import LedgerError
from probes.safety import ledger_file
from probes.safety.ledger import Ledger
from probes.safety.ledger_file import LedgerFile
from tests.safety.budget import ENHANCE, permit
ledger_file.BUSY_S = 0.5
ledger, ticks, waits = Ledger(LedgerFile(Path(sys.argv[1]))), [], []
ledger.pauses("")
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN IMMEDIATE")
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)
for _ in range(20):
    begun = time.monotonic()
    try:
        ledger.reserve(permit(ENHANCE, quota={"enhance": 1}), share_fraction=1)
    except LedgerError:
        waits.append(time.monotonic() - begun)
print(len(ticks), len(waits), max(waits) > 0.4, sum(wait > 0.4 for wait in waits) < 10)
"""
        command = [sys.executable, "-c", script, str(path)]
        ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        ticks, *rest = ran.stdout.split()
        assert int(ticks) >= 3
        assert rest == ["20", "True", "True"]


def child(*args: object) -> str:
    command = [sys.executable, "-m", "tests.safety.ledger_child", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class TestUnwritable:
    def test_directory_of_another_user(self, open_dir: Path) -> None:
        open_dir.chmod(0o555)
        answer = child("other-user", open_dir / "ledger.sqlite")
        assert answer.startswith("LedgerError")
        assert "Make the state directory writable" in answer

    def test_file_in_a_directory_of_another_user(self, open_dir: Path) -> None:
        path = open_dir / "ledger.sqlite"
        reserve(Ledger(LedgerFile(path)), quota={})
        for mode in (0o400, 0o444, 0o666 if os.geteuid() == 0 else 0o444):
            path.chmod(mode)
            open_dir.chmod(0o555)
            answer = child("other-user", path)
            assert answer.startswith("LedgerError")
            assert "Make the state directory writable" in answer

    def test_for_want_of_space(self, path: Path) -> None:
        assert child("full", path).startswith("LedgerError")
        reserve(Ledger(LedgerFile(path)), quota={})  # what was begun does no harm once there is space again
        before = path.read_bytes()
        answer = child("full", path)
        assert answer.startswith("LedgerError")
        assert "disk" in answer
        assert path.read_bytes() == before


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, path: Path) -> str:
    if request.param == "file":
        return str(path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url


def test_four_processes_on_one_ledger_stay_below_the_ceiling_when_one_of_them_is_killed(
    place: str, tmp_path: Path
) -> None:
    log = tmp_path / "arrivals"
    log.touch()
    command = [sys.executable, "-m", "tests.safety.ledger_child", "hammer", place, str(log)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    try:
        wait_for_arrivals(log, more=3)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        wait_for_arrivals(log, more=3)
        assert [process.poll() for process in processes[1:]] == [None] * 3
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
    sent = arrivals(log)
    assert len(Counter(pid for pid, _, _ in sent)) >= 2
    for one_limit in HAMMER_LIMITS:
        times = sorted(at for _, name, at in sent if name == one_limit.name)
        assert len(times) >= 6
        window_s = 10 * one_limit.window_s / one_limit.requests if one_limit.spaced else one_limit.window_s
        for first, beyond in zip(times, times[one_limit.slots :], strict=False):
            assert beyond - first > window_s


def arrivals(log: Path) -> list[tuple[str, str, float]]:
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(pid, name, float(at)) for pid, name, at in lines]


def wait_for_arrivals(log: Path, more: int) -> None:
    """Until so many more requests have arrived on each limit."""
    before = Counter(name for _, name, _ in arrivals(log))
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        now = Counter(name for _, name, _ in arrivals(log))
        if all(now[one_limit.name] >= before[one_limit.name] + more for one_limit in HAMMER_LIMITS):
            return
        time.sleep(0.02)
    raise AssertionError("the processes do not get on")
