"""What a ledger has room for, how long it holds it, and what it says of the peaks."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from probes.errors import QuotaError
from probes.safety.ledger import HANDOVER_S, KEEP_S, Ledger
from probes.safety.limits import CLOCK_RATE
from probes.safety.permits import Meter, Permit
from tests.safety.budget import ENHANCE, EVERYTHING, SPACED, TARGET, FakeClock, limit, permit
from tests.safety.ledger_help import CALL, HOLD_S, OTHER, PERMIT_S, SLACK_S, file_ledger, no_room, reserve


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
