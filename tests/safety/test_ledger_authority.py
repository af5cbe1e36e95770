"""One authority for each share: it draws from the ledger, and hands on to whoever follows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from probes.errors import NoBudgetError, PausedError, QuotaError
from probes.safety.ledger import Authority, Ledger
from tests.safety.budget import ENHANCE, EVERYTHING, TARGET, FakeClock
from tests.safety.ledger_help import CALL


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
        assert (str(paused), paused.retry_in_s) == ("Probing is paused by hand for another 10 min: maintenance", 600)
