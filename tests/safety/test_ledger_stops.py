"""What stops probing for a while: pauses, back-offs, and limits that the target lowers."""

from __future__ import annotations

import math

import pytest

from probes.errors import PausedError
from probes.safety.ledger import Authority, Ledger
from tests.safety.budget import ENHANCE, EVERYTHING, TARGET, FakeClock, limit
from tests.safety.ledger_help import CALL, no_room, reserve


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
        with pytest.raises(PausedError, match="by the target's owner for another 24 h"):
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
