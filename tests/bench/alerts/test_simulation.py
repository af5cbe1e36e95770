"""The simulation itself: a quiet world is quiet, what is drawn comes as often as it should, bounds are right."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential_jitter

from probes.checks.registry import load_settings
from probes.config.alert_rules import FILE, Rule, load_rules
from probes.config.load import Source
from probes.config.models import Backoff
from probes.model import Outcome
from tests.bench.alerts.bounds import percentile, rate_at_most
from tests.bench.alerts.looks import Look, Looking, Part, Shape
from tests.bench.alerts.noise import DAY_S, QUIET, YEAR_S, Noise, Spell, seeded, spells
from tests.bench.alerts.ours import incidents, incidents_between, ours
from tests.bench.alerts.outages import KINDS, OURS, outage_seen
from tests.bench.alerts.peers import PEERS, datadog_defaults, first_failure, three_in_a_row
from tests.bench.alerts.runs import runs_of_a_year
from tests.bench.alerts.timeline import Fleet, Grid, Timeline, fleet_of, simulate
from tests.bench.alerts.weather import Weather

CONFIG = Path(__file__).parents[3] / "config"
PROBE = Shape("api", (Part(1, 3),), 6.0, 60.0, 0.0, goes_on=False, backoff=Backoff(), confirmable=False)
HERE = Fleet(("here",), (("here",),), (PROBE,))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return fleet_of(load_settings(Source(CONFIG / "production.yaml", "us-east-1", "")))


@pytest.fixture(scope="module")
def rules() -> dict[str, Rule]:
    return ours(load_rules(CONFIG / FILE), "production")


@pytest.mark.parametrize(("events", "bound"), [(0, 2.9957), (1, 4.7439), (5, 10.5130), (100, 118.079)])
def test_the_bound_of_a_rate_is_that_of_poisson(events: int, bound: float) -> None:
    """Half the 95 % quantile of chi square with 2 (events + 1) degrees of freedom."""
    assert rate_at_most(events, 1.0) == pytest.approx(bound, rel=1e-3)
    assert rate_at_most(events, 4.0) == pytest.approx(bound / 4, rel=1e-3)


def test_percentiles_are_by_nearest_rank() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], each) for each in (50, 95)] == [2.0, 4.0]


def test_in_a_quiet_world_nothing_fails_and_nobody_is_told(fleet: Fleet, rules: dict[str, Rule]) -> None:
    timeline = simulate(fleet, QUIET, (), (0.0, 5 * DAY_S), seeded(1))
    assert timeline.passes == 3 * (3 * 5 * 1440 + 2 * 5 * 48)
    assert timeline.notable == {}
    assert incidents(rules, timeline) == []
    assert incidents_between(rules, timeline, 0.0, DAY_S / 4) == []
    assert all(peer(timeline) == [] for peer in PEERS.values())
    assert runs_of_a_year(fleet, QUIET, 1).bad == 0


def test_what_is_leapt_over_comes_as_often_as_what_is_drawn() -> None:
    """A fifth of all requests is refused: all three tries of 8 in 1,000 passes, whichever way that is found."""
    noise = replace(QUIET, refused=0.2)
    leapt = simulate(HERE, noise, (), (0.0, 25 * DAY_S), seeded(2))
    always = Spell("lossy", 0.0, 25 * DAY_S)
    drawn = simulate(HERE, noise, (always,), (0.0, 25 * DAY_S), seeded(3))
    for timeline in (leapt, drawn):
        looks = timeline.notable.values()
        assert sum(look.first_failed for look in looks) == pytest.approx(7200, rel=0.05)
        assert sum(look.outcome is Outcome.FAILED for look in looks) == pytest.approx(288, rel=0.25)


def test_spells_come_at_their_rates() -> None:
    befell = list(spells(Noise(), ("a", "b"), 0.0, 10 * YEAR_S, seeded(4)))
    kinds = [spell.kind for spell in befell]
    assert kinds.count("deploy") == pytest.approx(10 * 10 * 365 / 7, rel=0.1)
    assert kinds.count("trouble") + kinds.count("own network") == pytest.approx(2 * 24 * 10, rel=0.2)
    deploys = sorted(spell.begins for spell in befell if spell.kind == "deploy")
    assert min(b - a for a, b in itertools.pairwise(deploys)) >= Noise().deploys_apart_s


def test_tries_are_apart_as_those_of_the_checks() -> None:
    backoff = Backoff()
    theirs = wait_exponential_jitter(multiplier=backoff.first, max=backoff.longest, jitter=backoff.first / 2)
    for tries in range(1, 6):
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = tries
        lasting = Spell("outage", 0.0, 100.0, refused=1.0)
        shape = replace(PROBE, parts=(Part(1, tries + 1),), timeout_s=1000.0)
        look = Looking("here", shape, Weather(QUIET, (lasting,), "here", "api"), seeded(5)).look(0, 1.0)
        assert look.tries == tries + 1
        assert look.outcome is Outcome.FAILED
        assert 0 < theirs(state) <= backoff.longest
        expected_s = sum(min(backoff.longest, backoff.first * 2**number) for number in range(tries))
        assert expected_s <= look.ended - look.begun <= expected_s + tries * (backoff.first / 2) + 0.05 * (tries + 1)


def test_after_a_request_that_nobody_answers_there_is_no_time_for_another_try() -> None:
    short = Spell("outage", 0.0, 2.0, silent=1.0)
    look = Looking("here", PROBE, Weather(QUIET, (short,), "here", "api"), seeded(6)).look(0, 1.0)
    assert (look.outcome, look.tries, look.ended) == (Outcome.FAILED, 1, 7.0)


def test_where_our_own_network_is_down_nothing_has_failed() -> None:
    down = Spell("own network", 0.0, 60.0, silent=1.0, own=True)
    looking = Looking("here", PROBE, Weather(QUIET, (down,), "here", "api"), seeded(7))
    assert looking.look(0, 1.0).outcome is Outcome.ERROR


def test_a_further_look_contradicts_what_is_over_and_not_what_lasts(fleet: Fleet) -> None:
    of_reads = replace(fleet, shapes=tuple(shape for shape in fleet.shapes if shape.check == "health"))
    for lasts_s, contradicted in ((6.05, True), (300.0, False)):
        grids = [Grid(region, of_reads.shapes[0], 30.0) for region in of_reads.regions]
        spell = Spell("outage", 29.0, 30.0 + lasts_s, silent=1.0)
        timeline = simulate(of_reads, QUIET, (spell,), (0.0, 600.0), seeded(8), grids)
        failed = {key for key, look in timeline.notable.items() if look.outcome is Outcome.FAILED}
        assert failed
        assert timeline.contradicted == (len(failed) if contradicted else 0)
        assert len(timeline.between(0.0, 600.0)) == 30 + len(timeline.further)


def series(*outcomes: str) -> Timeline:
    """Of one check in one region, a letter for each pass: `p`assed, `f`ailed, or good only at another try (`r`)."""
    grid = Grid("here", PROBE, 0.0)
    timeline = Timeline(0.0, 60.0 * len(outcomes), (grid,))
    for number, outcome in enumerate(outcomes):
        if outcome != "p":
            failed = Outcome.FAILED if outcome == "f" else Outcome.PASSED
            look = Look(
                "here",
                "api",
                number,
                60.0 * number,
                60.0 * number + 1,
                failed,
                first_failed=True,
                tries=3,
                judged_s=0.0,
            )
            timeline.notable["here", "api", number] = look
    return timeline


@pytest.mark.parametrize(
    ("outcomes", "first", "third", "datadog"),
    [
        ("pppp", [], [], []),
        ("prpp", [], [], [61]),
        ("pfpffp", [61, 181], [], [61, 181]),
        ("pfffpp", [61], [181], [61]),
        ("pfrfp", [61, 181], [], [61]),
        ("ffffffff", [1], [121], [1]),
    ],
)
def test_what_others_tell_of_a_series(outcomes: str, first: list[int], third: list[int], datadog: list[int]) -> None:
    timeline = series(*outcomes)
    told = [[each.begins for each in peer(timeline)] for peer in (first_failure, three_in_a_row, datadog_defaults)]
    assert told == [first, third, datadog]


def test_stretches_tell_what_the_whole_tells(fleet: Fleet, rules: dict[str, Rule]) -> None:
    """In two days that are bad enough for alerts, and for times without any."""
    rng = random.Random(9)  # noqa: S311 - no secret
    bad = [Spell("outage", at, at + 90.0, refused=1.0) for at in (20_000.0, 60_000.0, 61_000.0)]
    bad += spells(replace(Noise(), trouble_a_month=60.0, deploys_a_week=40.0), fleet.regions, 0.0, DAY_S, rng)
    timeline = simulate(fleet, Noise(), bad, (0.0, DAY_S), rng)
    whole = incidents_between(rules, timeline, 0.0, DAY_S)
    assert len(whole) >= 2
    assert [round(each.begins, 3) for each in incidents(rules, timeline)] == [round(each.begins, 3) for each in whole]


@pytest.mark.parametrize("kind", KINDS)
def test_outages_are_seen_where_the_quorum_can_see_them(fleet: Fleet, rules: dict[str, Rule], kind: str) -> None:
    seen = outage_seen({name: rules[name] for name in ("success", "pages", "region")}, fleet, QUIET, kind, 0)
    assert seen.after_s[OURS] < (2400.0 if kind == "one region" else 1800.0)
    assert seen.resolved == 1
    assert seen.after_s["alert on first failure"] < 1800.0


def test_twenty_seconds_without_a_target_page_nobody(fleet: Fleet, rules: dict[str, Rule]) -> None:
    """At any second of a minute; with starts less far apart than they are planned, some would."""
    told = []
    for second in range(0, 60, 3):
        gap = Spell("deploy", 7200.0 + second, 7220.0 + second, refused=1.0)
        timeline = simulate(fleet, QUIET, (gap,), (0.0, 14_400.0), seeded(second))
        assert any(look.outcome is Outcome.FAILED for look in timeline.notable.values())
        told += incidents(rules, timeline)
    assert told == []


def test_a_page_that_a_deploy_takes_besides_pages_nobody(fleet: Fleet, rules: dict[str, Rule]) -> None:
    """In each region it takes one check of each minute, and a page that was due: two failures in all."""
    shapes = {shape.check: shape for shape in fleet.shapes}
    phases = {"health": 30.0, "enhancement": 50.0, "api": 10.0, "homepage": 27.0, "login": 900.0}
    grids = [Grid(region, shapes[check], phase) for region in fleet.regions for check, phase in phases.items()]
    deploy = Spell("deploy", 7200.0 + 25.0, 7200.0 + 45.0, refused=1.0)
    timeline = simulate(fleet, QUIET, (deploy,), (0.0, 14_400.0), seeded(1), grids)
    failed = [(look.region, look.check) for look in timeline.notable.values() if look.outcome is Outcome.FAILED]
    assert sorted(failed) == sorted((region, check) for region in fleet.regions for check in ("health", "homepage"))
    assert incidents(rules, timeline) == []


@pytest.mark.parametrize(("minutes", "told"), [(30, 0), (36, 1)])
def test_a_region_alone_is_told_of_where_it_lasts(
    fleet: Fleet, rules: dict[str, Rule], minutes: int, told: int
) -> None:
    here = frozenset(fleet.regions[:1])
    trouble = Spell("trouble", 7200.0, 7200.0 + 60.0 * minutes, here, refused=1.0)
    found = incidents(rules, simulate(fleet, QUIET, (trouble,), (0.0, 21_600.0), seeded(1)))
    assert [(each.rules, each.severity, len(each.resolved)) for each in found] == told * [(("region",), "warning", 1)]
