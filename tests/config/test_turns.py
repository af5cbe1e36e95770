"""Turns on a test account: whatever the clocks of two machines say, they never have it at one time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.account_rules import hold_s
from probes.config.turns import CLOCK_S, Rota, Turns
from probes.errors import NotOurTurnError

MINUTE = 60.0
NOON = 20_000 * 86400.0 + 12 * 3600.0
HELD = hold_s(10.5)
SHARES = ("a", "b", "c", "adhoc")
THREE = Turns.model_validate(
    {
        "cycle": "60m",
        "accounts": {
            "basic": {"us-east-1": "0m", "us-west-2": "10m", "eu-west-1": "20m", "adhoc": "30m"},
            "premium": {"adhoc": "0m", "us-east-1": "30m", "us-west-2": "40m", "eu-west-1": "50m"},
        },
    }
)
ROTA = Rota(tuple(THREE.accounts), THREE.turns)


def chosen(share: str, at: float, rota: Rota = ROTA, held: float = HELD) -> str:
    """The account, or nothing."""
    try:
        return rota.choose(share, at, held, 1800.0)
    except NotOurTurnError:
        return ""


@st.composite
def rotas(draw: st.DrawFn) -> Rota:
    """Any turns that can be written down."""
    cycle = draw(st.sampled_from(["2m", "10m", "30m", "45m", "60m", "2h", "24h"]))
    minutes = {"2m": 2, "10m": 10, "30m": 30, "45m": 45, "60m": 60, "2h": 120, "24h": 1440}[cycle]
    begins = st.floats(0, minutes - 0.01).map(lambda value: f"{value:.2f}m")
    one = st.dictionaries(st.sampled_from(SHARES), begins, min_size=1)
    accounts = draw(st.dictionaries(st.sampled_from(["basic", "premium"]), one, min_size=1))
    assume(all(len({float(text[:-1]) for text in each.values()}) == len(each) for each in accounts.values()))
    turns = Turns.model_validate({"cycle": cycle, "accounts": accounts})
    return Rota(tuple(turns.accounts), turns.turns)


AROUND = [CLOCK_S * step / 6 for step in range(-13, 14)]
"""Moments around the one at which an account passes from one to the other."""


@dataclass(frozen=True)
class Login:
    """When it has its account, by the right time."""

    share: str
    account: str
    begins: float
    ends: float


def logins(rota: Rota, times: list[float], held: float) -> list[Login]:
    """Who is let in at these times, by a clock that is right, and by those that are as wrong as they may be."""
    tried = [(share, at, wrong) for share in SHARES for at in times for wrong in (-CLOCK_S, 0.0, CLOCK_S)]
    let_in = [(share, chosen(share, at + wrong, rota, held), at) for share, at, wrong in tried]
    return [Login(share, account, at, at + held) for share, account, at in let_in if account]


@settings(max_examples=60)
@given(rotas(), st.integers(0, 7), st.floats(1.0, 600.0), st.floats(1.0, 600.0))
def test_no_two_shares_ever_have_one_account_at_a_time(rota: Rota, turn: int, held: float, later: float) -> None:
    passes_at = NOON + rota.turns[turn % len(rota.turns)].ends
    before = logins(rota, [passes_at - held + near for near in AROUND], held)
    after = logins(rota, [passes_at + near for near in AROUND], later)
    for one, other in product(before, after):
        if one.share != other.share and one.account == other.account:
            assert one.ends <= other.begins + 1e-6 or other.ends <= one.begins + 1e-6


@given(rotas(), st.sampled_from(["a", "b", "adhoc"]), st.floats(NOON, NOON + 86400.0), st.floats(1.0, 120.0))
def test_after_the_wait_that_it_names_a_share_has_its_turn(rota: Rota, share: str, at: float, held: float) -> None:
    assume(not chosen(share, at, rota, held))
    with pytest.raises(NotOurTurnError) as refused:
        rota.choose(share, at, held, 1800.0)
    if math.isfinite(refused.value.retry_in_s):
        assert chosen(share, at + refused.value.retry_in_s + 1e-5, rota, held)


def test_each_turn_begins_late_and_ends_early_enough() -> None:
    begins, ends = NOON + 10 * MINUTE + CLOCK_S, NOON + 20 * MINUTE - CLOCK_S - HELD
    assert [chosen("us-west-2", at) for at in (begins - 0.01, begins, ends - 0.01, ends + 0.01)] == [
        "",
        "basic",
        "basic",
        "",
    ]


def test_within_a_cycle_each_region_has_both_and_one_is_kept_for_what_is_run_by_hand() -> None:
    minutes = [NOON + MINUTE * minute + CLOCK_S for minute in range(60)]
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        assert {chosen(region, at) for at in minutes} == {"", "basic", "premium"}
    by_hand = {minute: chosen("adhoc", NOON + MINUTE * minute) for minute in (5, 15, 25, 35, 45, 55)}
    assert by_hand == dict.fromkeys((5, 15, 25), "premium") | dict.fromkeys((35, 45, 55), "basic")


def test_who_has_no_turn_is_told_so_and_who_has_one_when() -> None:
    with pytest.raises(NotOurTurnError, match=r"stranger has no turn on the test accounts \(basic, premium\)"):
        ROTA.choose("stranger", NOON, HELD, 1800.0)
    with pytest.raises(NotOurTurnError, match=r"us-west-2 has its turn in 5.5 min"):
        ROTA.choose("us-west-2", NOON + 5 * MINUTE, HELD, 1800.0)


def test_an_account_of_ones_own_needs_no_clock() -> None:
    turns = Turns.model_validate({"accounts": {"basic": {"us": "0m"}, "premium": {"eu": "7m"}}}).turns
    rota = Rota(("basic", "premium"), turns)
    assert {chosen("us", NOON + second, rota, 3000.0) for second in range(0, 3600, 60)} == {"basic"}
    assert {chosen("eu", NOON + second, rota, 3000.0) for second in range(0, 3600, 60)} == {"premium"}


@pytest.mark.parametrize("step", range(1, 9))
def test_who_comes_at_any_interval_logs_in_to_all_accounts(step: int) -> None:
    rota = Rota(("basic", "premium"))
    found = [rota.choose("adhoc", NOON + 60.0 * step * number, HELD, 60.0) for number in range(96)]
    assert 30 <= found.count("basic") <= 66


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ({"cycle": "50m", "accounts": {"basic": {"a": "0m"}}}, "50 min does not go into a day"),
        ({"cycle": "48h", "accounts": {"basic": {"a": "0m"}}}, "48 h does not go into a day"),
        ({"accounts": {"basic": {"a": "0m", "b": "0s"}}}, "basic: b begins at 0 ms, and so does a"),
        ({"accounts": {"basic": {"a": "60m"}}}, "basic: a begins at 60 min, but a cycle is over after 60 min"),
        ({"accounts": {"basic": {}}}, "at least 1 item"),
        ({"accounts": {}}, "at least 1 item"),
    ],
)
def test_turns_that_make_no_sense(turns: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Turns.model_validate(turns)
