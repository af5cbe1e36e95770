"""A failure is looked at again at once, here and then elsewhere, and what lasts is not looked at again and again."""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.model import Outcome
from probes.plan import CONFIRM_EVERY_S
from probes.swarm.confirm import Confirmations, Judged
from probes.swarm.schedule import Failure, Occasion

REGIONS: Mapping[str, Set[str]] = {"eu": {"api", "health"}, "us": {"api"}, "ap": {"api"}}
PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


@pytest.fixture
def confirmations() -> Confirmations:
    return Confirmations()


def judged(outcome: Outcome, region: str = "eu", check: str = "api", confirms: Failure | None = None) -> Judged:
    return Judged("permit", region, check, outcome, confirms)


def further(confirmations: Confirmations, looked: Occasion, outcome: Outcome, now: float) -> Occasion | None:
    """What a further look asks for in its turn."""
    return confirmations.following(judged(outcome, looked.region, looked.check, looked.confirms), REGIONS, now)


def test_a_failure_is_looked_at_again_where_it_was_seen_and_then_elsewhere(confirmations: Confirmations) -> None:
    here = confirmations.following(judged(FAILED), REGIONS, 10.0)
    assert here == Occasion("eu", "api", 10_000, 30.0, Failure("permit", "eu"))
    elsewhere = further(confirmations, here, FAILED, 11.0)
    assert elsewhere is not None
    assert (elsewhere.region, elsewhere.confirms) == ("us", here.confirms)
    assert further(confirmations, elsewhere, FAILED, 12.0) is None


@pytest.mark.parametrize("outcome", set(Outcome) - {FAILED})
def test_what_has_not_failed_is_not_looked_at_again(confirmations: Confirmations, outcome: Outcome) -> None:
    assert confirmations.following(judged(outcome), REGIONS, 10.0) is None


@pytest.mark.parametrize("outcome", set(Outcome) - {FAILED})
def test_what_is_not_there_at_the_second_look_is_not_looked_for_elsewhere(
    confirmations: Confirmations, outcome: Outcome
) -> None:
    here = confirmations.following(judged(FAILED), REGIONS, 10.0)
    assert here is not None
    assert further(confirmations, here, outcome, 11.0) is None


def test_what_lasts_is_not_looked_at_again_and_again(confirmations: Confirmations) -> None:
    assert confirmations.following(judged(FAILED), REGIONS, 10.0)
    assert confirmations.following(judged(FAILED), REGIONS, 10.0 + 10 * CONFIRM_EVERY_S) is None
    assert confirmations.following(judged(PASSED), REGIONS, 11.0 + 10 * CONFIRM_EVERY_S) is None
    assert confirmations.following(judged(FAILED), REGIONS, 12.0 + 10 * CONFIRM_EVERY_S)


def test_a_region_that_fails_itself_already_is_not_asked_once_more(confirmations: Confirmations) -> None:
    assert confirmations.following(judged(FAILED, "us"), REGIONS, 1.0)
    here = confirmations.following(judged(FAILED, "eu"), REGIONS, 2.0)
    assert here is not None
    elsewhere = further(confirmations, here, FAILED, 3.0)
    assert elsewhere is not None
    assert elsewhere.region == "ap"


def test_only_where_somebody_can_and_may(confirmations: Confirmations) -> None:
    assert confirmations.following(judged(FAILED, check="login"), REGIONS, 1.0) is None
    alone = confirmations.following(judged(FAILED, check="health"), REGIONS, 1.0)
    assert alone is not None
    assert further(confirmations, alone, FAILED, 2.0) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["eu", "us", "ap"]), st.sampled_from(list(Outcome)), st.floats(0.0, 200.0)),
        max_size=60,
    )
)
def test_never_more_looks_than_the_plan_has_counted(story: list[tuple[str, Outcome, float]]) -> None:
    confirmations, now = Confirmations(), 0.0
    looks: dict[str, list[float]] = {}
    for region, outcome, pause_s in story:
        now += pause_s
        following = confirmations.following(judged(outcome, region), REGIONS, now)
        while following is not None:
            looks.setdefault(following.region, []).append(now)
            following = further(confirmations, following, FAILED, now)
    for times in looks.values():
        assert all(later - earlier >= CONFIRM_EVERY_S for earlier, later in pairwise(times))
