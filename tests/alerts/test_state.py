"""The state machine, whatever is seen and however the clock goes: what can happen, and what never can."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.alerts.book import Book, decide
from probes.alerts.evaluate import Finding, Watching, Word
from probes.alerts.group import Told, Where
from probes.alerts.seen import Seen
from probes.alerts.state import CALM_WINDOWS, FLAPS, RuleState, step
from probes.config.alert_rules import Rule
from tests.alerts.sample import RULE
from tests.alerts.stories import REGIONS

QUORUM, WINDOW_S, LOOK_S = 2, 300.0, 60.0
rule_of = Rule.model_validate
PLAIN, ALERTING = rule_of(dict(RULE)), rule_of({**RULE, "no_data": "alert"})

WORDS = st.fixed_dictionaries({region: st.sampled_from(Word) for region in REGIONS})
PLENTY = settings(max_examples=60, deadline=None)


def finding(words: dict[str, Word]) -> Finding:
    return Finding(words, {region: 0.5 for region, word in words.items() if word is not Word.SILENT})


@PLENTY
@given(st.lists(WORDS, min_size=1, max_size=40), st.sampled_from([PLAIN, ALERTING]))
def test_what_can_follow_on_what(seen: list[dict[str, Word]], rule: Rule) -> None:
    state = RuleState()
    for number, words in enumerate(seen):
        now, before = number * LOOK_S, state
        state = step(before, rule, finding(words), now, now)
        said = {word: [region for region in REGIONS if words[region] is word] for word in Word}
        silent = len(said[Word.SILENT])
        starves = rule is ALERTING and len(REGIONS) - silent < QUORUM and (before.starved or now >= WINDOW_S)
        holds = len(said[Word.HOLDS]) >= QUORUM
        if before.phase != "firing":
            assert (state.phase == "firing") == (holds or starves)
            assert state.phase == "firing" or (state.phase == "pending") == bool(said[Word.HOLDS])
        elif state.phase != "firing":
            assert not holds
            assert not starves
            left = set(before.held) | set(said[Word.HOLDS])
            assert len(left - set(said[Word.RECOVERED])) < QUORUM
        if holds:
            assert state.phase == "firing"
        if state.phase == "firing":
            assert len(state.held) >= QUORUM or state.starved or state.flapping


@PLENTY
@given(st.lists(WORDS, min_size=1, max_size=40))
def test_silence_ends_nothing(seen: list[dict[str, Word]]) -> None:
    state = RuleState()
    for number, words in enumerate(seen):
        state = step(state, PLAIN, finding(words), number * LOOK_S, 0.0)
    silence = finding(dict.fromkeys(REGIONS, Word.SILENT))
    firing = state.phase == "firing"
    for number in range(len(seen), len(seen) + 60):
        state = step(state, PLAIN, silence, number * LOOK_S, 0.0)
    assert (state.phase == "firing") == firing


@PLENTY
@given(st.lists(WORDS, min_size=1, max_size=60))
def test_nobody_is_told_more_often_than_damping_lets_it(seen: list[dict[str, Word]]) -> None:
    """Once it flaps it fires no oftener than once in the windows that it must have been good for."""
    state, fired = RuleState(), []
    for number, words in enumerate(seen):
        before = state
        state = step(state, PLAIN, finding(words), number * LOOK_S, 0.0)
        if state.phase == "firing" and before.phase != "firing":
            fired.append((number * LOOK_S, state.flapping))
    for earlier, (at, flapping) in zip(fired, fired[FLAPS - 1 :], strict=False):
        assert flapping == (at - earlier[0] < 12 * WINDOW_S) or flapping
    for (first, flapped), (second, _) in pairwise(fired):
        assert not flapped or second - first > CALM_WINDOWS * WINDOW_S


OUTCOMES = st.sampled_from(["passed", "failed", "no data"])
EVENT = st.tuples(st.sampled_from(REGIONS), OUTCOMES, st.sampled_from([1.0, 20.0, 60.0, 400.0, 7200.0, -3.0, -7200.0]))


@pytest.fixture(scope="module")
def told_rules() -> dict[str, Rule]:
    other = {**RULE, "metric": "smoke_test.blind", "condition": "> 0.5", "no_data": "alert", "reminder": "10m"}
    return {"success": PLAIN, "blind": rule_of(other)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENT, min_size=1, max_size=60))
def test_every_incident_is_told_in_order_and_once(
    told_rules: dict[str, Rule], events: list[tuple[str, str, float]]
) -> None:
    """However the clock goes: it begins once, ends once at most, and its notices are numbered without a gap."""
    told = list(play(told_rules, events))
    for key in {each.notice.key for each in told}:
        changes = [each.notice.change for each in told if each.notice.key == key]
        numbers = [each.notice.number for each in told if each.notice.key == key]
        assert numbers == list(range(1, len(numbers) + 1))
        assert changes[0] == "firing"
        assert changes.count("firing") == 1
        assert "resolved" not in changes[:-1]
    firing = 0
    for each in told:
        firing += {"firing": 1, "resolved": -1}.get(each.notice.change, 0)
        assert firing in {0, 1}


def play(rules: dict[str, Rule], events: list[tuple[str, str, float]]) -> list[Told]:
    watching, book, now, told = Watching(rules, REGIONS, ["front"]), Book(), 1e6, []
    for region, outcome, after in events:
        now += after
        if book.went_back(now):
            watching.forget()
        values = {"passed": {"smoke_test.success": (1.0,)}, "failed": {"smoke_test.success": (0.0,)}}.get(outcome, {})
        blind = {"smoke_test.blind": (float(not values),)}
        watching.hear(Seen(now, region, "front", outcome, {**values, **blind}), now)
        book, now_told = decide(book.at(now, 120.0), rules, watching, Where("here", ""))
        told += now_told
    return told


def test_a_jump_forward_by_hours_neither_fires_nor_ends_anything() -> None:
    rules = {
        "success": PLAIN,
        "blind": rule_of({**RULE, "metric": "smoke_test.blind", "condition": "> 0.5", "no_data": "alert"}),
    }
    minute = [(region, "passed", 20.0) for region in REGIONS]
    jump = [("us", "passed", 5 * 3600.0)]
    assert play(rules, minute * 8 + jump + minute * 8) == []
    # while all the same time of nothing but silence would have fired
    assert [each.rules for each in play(rules, minute * 8 + [("us", "passed", 60.0)] * 10)] == [("blind",)]
    down = [(region, "failed", 20.0) for region in REGIONS]
    assert [each.notice.change for each in play(rules, minute * 3 + down * 3 + jump + minute)] == ["firing"]
