from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from probes.errors import PausedError, QuotaError
from probes.safety.limits import CallPattern
from probes.safety.permits import Meter, Permit, Span, Ticket, Usage
from tests.safety.budget import ENHANCE, EVERYTHING, SPACED, FakeClock, limit, permit

ENHANCE_CALL = ("POST", "/api/v1/enhance")
LIST_CALL = ("GET", "/api/v1/techniques")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def over_json(usage: Usage) -> Usage:
    return Usage.from_json(json.loads(json.dumps(usage.to_json())))


class TestPermit:
    def test_survives_json(self) -> None:
        granted = permit(ENHANCE, SPACED, quota={"enhance": 3, "edge": 2}, cleanup={"edge": 2}, account="basic")
        granted = replace(granted, not_before={"edge": 0.7}, egress="us-east-1")
        assert Permit.from_json(json.loads(json.dumps(granted.to_json()))) == granted

    @pytest.mark.parametrize(
        "wrong",
        [
            {"quota": {"other": 1}},
            {"cleanup": {"enhance": -1}},
            {"deadline_s": float("inf")},
            {"deadline_s": float("nan")},
            {"cleanup_s": -1},
            {"not_before": {"enhance": float("inf")}},
            {"limits": [ENHANCE.to_json(), ENHANCE.to_json()]},
        ],
    )
    def test_is_refused_where_it_makes_no_sense(self, wrong: Mapping[str, object]) -> None:
        data = permit(ENHANCE, quota={"enhance": 1}).to_json()
        with pytest.raises(ValueError, match=r"\S"):
            Permit.from_json({**data, **wrong})


class TestQuota:
    def test_takes_one_from_every_limit_that_covers_the_call(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, EVERYTHING, quota={"enhance": 1, "api": 2}), clock)
        meter.admit(*ENHANCE_CALL)
        meter.admit(*LIST_CALL)
        with pytest.raises(QuotaError, match="limit api, 2, is used up"):
            meter.admit(*LIST_CALL)

    def test_takes_from_all_of_them_or_none(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, EVERYTHING, quota={"enhance": 0, "api": 1}), clock)
        with pytest.raises(QuotaError, match="limit enhance, 0, is used up"):
            meter.admit(*ENHANCE_CALL)
        meter.admit(*LIST_CALL)

    def test_is_not_needed_where_no_limit_covers_the_call_which_counts_all_the_same(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 0}), clock)
        meter.admit("get", "/")
        meter.admit("GET", "/")
        assert meter.wait_s("GET", "/") == 0
        assert meter.usage().sent == 2
        assert meter.usage().by_method == {"GET": 2}
        assert meter.usage().spans == {"enhance": ()}

    def test_that_is_used_up_is_said_before_waiting(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 1}), clock)
        meter.admit(*LIST_CALL)
        with pytest.raises(QuotaError, match="used up"):
            meter.wait_s(*LIST_CALL)


class TestTime:
    def test_is_over_at_the_deadline(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 9}, deadline_s=30), clock)
        clock.now += 29.9
        meter.admit(*ENHANCE_CALL)
        assert meter.left_s() == pytest.approx(0.1)
        clock.now += 0.1
        assert meter.left_s() == 0
        with pytest.raises(QuotaError, match="out of time"):
            meter.admit(*ENHANCE_CALL)
        with pytest.raises(QuotaError, match="out of time"):
            meter.wait_s("GET", "/")

    def test_counts_from_before_the_permit_was_asked_for(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 1}, deadline_s=30), clock, since=clock.now - 29)
        assert meter.left_s() == pytest.approx(1)

    def test_for_cleanup_is_longer(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={}, cleanup={"enhance": 2}, deadline_s=30, cleanup_s=5), clock)
        clock.now += 34.9
        meter.admit(*ENHANCE_CALL, cleanup=True)
        clock.now += 0.1
        with pytest.raises(QuotaError, match="out of time"):
            meter.admit(*ENHANCE_CALL, cleanup=True)

    def test_of_a_permit_for_cleanup_alone_is_for_nothing_else(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 1}, cleanup={"enhance": 1}, deadline_s=0), clock)
        with pytest.raises(QuotaError, match="out of time"):
            meter.admit("GET", "/")
        meter.admit(*ENHANCE_CALL, cleanup=True)


class TestCleanup:
    def test_has_a_quota_of_its_own(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 1}, cleanup={"enhance": 1}), clock)
        meter.admit(*ENHANCE_CALL)
        with pytest.raises(QuotaError):
            meter.admit(*ENHANCE_CALL)
        meter.admit(*ENHANCE_CALL, cleanup=True)

    def test_draws_from_its_own_quota_first_and_then_from_what_is_left(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 2}, cleanup={"enhance": 1}), clock)
        meter.admit(*ENHANCE_CALL, cleanup=True)
        meter.admit(*ENHANCE_CALL)
        meter.admit(*ENHANCE_CALL, cleanup=True)
        with pytest.raises(QuotaError):
            meter.admit(*ENHANCE_CALL, cleanup=True)

    def test_goes_on_after_a_stop(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 1}, cleanup={"enhance": 1}), clock)
        meter.stop("paused by the owner")
        for call in (meter.admit, meter.wait_s):
            with pytest.raises(PausedError, match="paused by the owner"):
                call("GET", "/")
        assert meter.wait_s(*ENHANCE_CALL, cleanup=True) == 0
        meter.admit(*ENHANCE_CALL, cleanup=True)


class TestSpacing:
    def test_runs_from_when_the_last_request_was_over(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 3}), clock)
        ticket = meter.admit(*LIST_CALL)
        clock.now += 0.5
        assert 0 < meter.wait_s(*LIST_CALL) <= 0.1  # no telling when it is over: ask again soon
        with pytest.raises(QuotaError, match="is due in"):
            meter.admit(*LIST_CALL)
        meter.over(ticket, answered=True)
        assert meter.wait_s(*LIST_CALL) == pytest.approx(SPACED.hold_s)
        assert meter.wait_s("GET", "/") == 0
        clock.now += SPACED.hold_s + 1e-9
        assert meter.wait_s(*LIST_CALL) == 0
        meter.admit(*LIST_CALL)

    def test_that_would_end_after_the_deadline_is_no_wait_but_a_no(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 2}, deadline_s=1), clock)
        meter.over(meter.admit(*LIST_CALL), answered=True)
        with pytest.raises(QuotaError, match="left"):
            meter.wait_s(*LIST_CALL)

    def test_after_a_request_that_may_still_arrive_is_endless(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 2}), clock)
        meter.over(meter.admit(*LIST_CALL), answered=False)
        with pytest.raises(QuotaError, match="may still arrive"):
            meter.wait_s(*LIST_CALL)

    def test_a_log_out_waits_its_spacing_even_after_a_request_that_may_still_arrive(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 2}, cleanup={"edge": 1}), clock)
        meter.over(meter.admit(*LIST_CALL), answered=False)
        assert meter.wait_s(*LIST_CALL, cleanup=True) == pytest.approx(SPACED.hold_s)
        clock.now += SPACED.hold_s + 1e-9
        meter.admit(*LIST_CALL, cleanup=True)

    def test_a_log_out_waits_its_spacing_after_a_browser_that_died(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 2}, cleanup={"edge": 1}), clock)
        meter.write_off(meter.lend({"edge": 1}))
        assert meter.wait_s(*LIST_CALL, cleanup=True) == pytest.approx(SPACED.hold_s)

    def test_of_two_limits_is_the_longer(self, clock: FakeClock) -> None:
        slow = limit("slow", 1, 1, "* /api/v1/*")
        meter = Meter(permit(SPACED, slow, quota={"edge": 3, "slow": 3}), clock)
        meter.over(meter.admit(*LIST_CALL), answered=True)
        assert meter.wait_s(*LIST_CALL) == pytest.approx(slow.hold_s)

    def test_begins_where_the_permit_says(self, clock: FakeClock) -> None:
        meter = Meter(replace(permit(SPACED, quota={"edge": 1}), not_before={"edge": 2.0}), clock)
        assert meter.wait_s(*LIST_CALL) == pytest.approx(2)


class TestUsage:
    def test_tells_when_each_request_was_under_way(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, EVERYTHING, quota={"enhance": 3, "api": 3}), clock)
        answered, given_up = meter.admit(*ENHANCE_CALL), meter.admit(*LIST_CALL)
        clock.now += 2
        meter.over(answered, answered=True)
        meter.over(given_up, answered=False)
        clock.now += 3
        meter.admit(*LIST_CALL)
        usage = over_json(meter.usage())
        assert usage.sent == 3
        assert usage.by_method == {"POST": 1, "GET": 2}
        assert usage.spans == {"enhance": (Span(5, 3),), "api": (Span(5, 3), Span(5, None), Span(0, None))}

    def test_is_not_changed_by_a_second_end_of_a_request(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 2}), clock)
        answered, given_up = meter.admit(*ENHANCE_CALL), meter.admit(*ENHANCE_CALL)
        meter.over(answered, answered=True)
        meter.over(given_up, answered=False)
        clock.now += 1
        meter.over(answered, answered=False)
        meter.over(given_up, answered=True)
        assert meter.usage().spans == {"enhance": (Span(1, 1), Span(1, None))}

    def test_of_an_unknown_ticket_is_an_error(self, clock: FakeClock) -> None:
        with pytest.raises(KeyError):
            Meter(permit(ENHANCE, quota={}), clock).over(Ticket(7), answered=True)

    @pytest.mark.parametrize("span", [[1, 2], [-1, None], [float("inf"), None], [1, float("nan")]])
    def test_with_impossible_times_is_refused(self, span: list[float]) -> None:
        with pytest.raises(ValueError, match="no such span"):
            Usage.from_json({"permit": "p", "sent": 1, "by_method": {}, "spans": {"enhance": [span]}})


class TestLending:
    def test_takes_the_quota_out_of_our_own(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 3}, cleanup={"enhance": 1}, account="basic"), clock)
        clock.now += 10
        with pytest.raises(QuotaError, match="3 are left"):
            meter.lend({"enhance": 4})
        lent = meter.lend({"enhance": 2})
        assert (lent.quota, lent.cleanup, lent.deadline_s, lent.cleanup_s) == ({"enhance": 2}, {}, 20, 0)
        assert lent.id != meter.permit.id
        meter.admit(*ENHANCE_CALL)
        with pytest.raises(QuotaError):
            meter.admit(*ENHANCE_CALL)
        with pytest.raises(QuotaError, match="used up"):
            meter.lend({"enhance": 1})
        meter.admit(*ENHANCE_CALL, cleanup=True)

    def test_is_refused_after_a_stop_and_after_the_deadline(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 3}), clock)
        clock.now += 30
        with pytest.raises(QuotaError, match="out of time"):
            meter.lend({"enhance": 1})
        meter.stop("paused")
        with pytest.raises(PausedError):
            meter.lend({"enhance": 1})

    def test_gives_back_what_was_not_used_and_counts_what_was(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, quota={"enhance": 3}), clock)
        sidecar = Meter(meter.lend({"enhance": 3}), clock)
        sidecar.over(sidecar.admit(*ENHANCE_CALL), answered=True)
        sidecar.over(sidecar.admit(*ENHANCE_CALL), answered=False)
        sidecar.admit("GET", "/")
        clock.now += 1
        for _ in range(2):  # a second time changes nothing
            meter.absorb(over_json(sidecar.usage()))
        assert meter.usage().sent == 3
        assert meter.usage().by_method == {"POST": 2, "GET": 1}
        assert meter.usage().spans == {"enhance": (Span(1, 1), Span(1, None))}
        meter.admit(*ENHANCE_CALL)
        with pytest.raises(QuotaError):
            meter.admit(*ENHANCE_CALL)

    def test_takes_nothing_from_strangers(self, clock: FakeClock) -> None:
        meter, other = (Meter(permit(ENHANCE, quota={"enhance": 3}), clock) for _ in range(2))
        with pytest.raises(ValueError, match="was not lent"):
            meter.absorb(other.usage())

    def test_that_never_comes_back_counts_as_spent_for_as_long_as_the_permit_lasts(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, SPACED, quota={"enhance": 3, "edge": 3}), clock)
        lent = meter.lend({"enhance": 2, "edge": 2})
        clock.now += 4
        expected = {"enhance": (Span(4, None),) * 2, "edge": (Span(4, None),) * 2}
        assert meter.usage().spans == expected
        with pytest.raises(QuotaError, match="is due in"):
            meter.admit(*LIST_CALL)  # the sidecar may be sending on the spaced limit
        meter.write_off(lent)
        assert meter.usage().spans == expected
        with pytest.raises(QuotaError, match="may still arrive"):
            meter.wait_s(*LIST_CALL)

    def test_keeps_the_spacing_both_ways(self, clock: FakeClock) -> None:
        meter = Meter(permit(SPACED, quota={"edge": 3}), clock)
        ticket = meter.admit(*LIST_CALL)
        with pytest.raises(QuotaError, match="under way"):
            meter.lend({"edge": 1})
        meter.over(ticket, answered=True)
        clock.now += 0.25
        sidecar = Meter(meter.lend({"edge": 1}), clock)
        assert 0 < meter.wait_s(*LIST_CALL) <= 0.1
        wait_s = sidecar.wait_s(*LIST_CALL)
        assert wait_s == pytest.approx(SPACED.hold_s - 0.25)
        clock.now += wait_s + 1e-9
        sidecar.over(sidecar.admit(*LIST_CALL), answered=True)
        clock.now += 0.25
        meter.absorb(over_json(sidecar.usage()))
        assert meter.wait_s(*LIST_CALL) == pytest.approx(SPACED.hold_s - 0.25)

    def test_of_other_limits_leaves_a_spaced_one_free(self, clock: FakeClock) -> None:
        meter = Meter(permit(ENHANCE, SPACED, quota={"enhance": 1, "edge": 1}), clock)
        sidecar = Meter(meter.lend({"enhance": 1}), clock)
        with pytest.raises(QuotaError, match="limit edge, 0, is used up"):
            sidecar.admit(*ENHANCE_CALL)  # covered by both limits, lent of one
        meter.admit(*LIST_CALL)


def test_covers_by_pattern_only(clock: FakeClock) -> None:
    odd = replace(ENHANCE, covers=(CallPattern("*", "/api/v1/*"),))
    meter = Meter(permit(odd, quota={"enhance": 1}), clock)
    meter.admit("PUT", "//api/./v1/x?y")
    assert len(meter.usage().spans["enhance"]) == 1
