"""What a master tells its monitoring services, and as whose word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from probes.model import Outcome, Phases, Step, Verdict
from probes.monitoring.reporter import Reporter
from probes.pipeline import encode
from probes.safety.redact import Redactor
from probes.store.database import open_database
from probes.store.reader import Reader, Wanted
from probes.store.record import NO_DATA
from probes.swarm.results import Results
from probes.swarm.schedule import Failure, Occasion
from probes.swarm.ticks import NoData, Tick
from tests.store.sample import record

VERDICT = Verdict("api", Outcome.PASSED, steps=(Step("GET /", Outcome.PASSED, 9.0, 8.0, 100.0, Phases(ttfb_ms=8.0)),))


class Told:
    """A reporter that remembers the regions it was told of."""

    def __init__(self) -> None:
        self.regions: list[str] = []

    def judged(self, region: str, *_: Any) -> None:
        self.regions.append(region)

    requested = not_judged = judged


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def results(tmp_path: Path, told: Told) -> Results:
    options = SimpleNamespace(state=tmp_path, database_url="")
    equipment = SimpleNamespace(options=options, target="https://example.com", redactor=Redactor())
    return Results(cast("Any", equipment), ("api",), cast("Reporter", told))


def judged(results: Results, region: str, permit: str, *, verified: bool) -> None:
    results.judged(encode(VERDICT), permit, tick=None, region=region, verified=verified, client="w")


def test_a_verdict_and_its_requests_are_of_a_region_that_is_verified_or_but_claimed(
    results: Results, told: Told
) -> None:
    judged(results, "eu", "1", verified=True)
    judged(results, "us", "2", verified=False)
    assert told.regions == ["eu", "eu", "us-unverified", "us-unverified"]


def test_a_further_look_is_kept_but_is_no_sample_of_its_own(results: Results, told: Told, tmp_path: Path) -> None:
    tick = Tick(Occasion("eu", "api", 1000, 30.0, Failure("1", "eu")), 0.0)
    results.judged(encode(VERDICT), "2", tick=tick, region="eu", verified=True, client="w")
    assert told.regions == []
    results.history.begin()
    results.history.close(20)
    (kept,) = Reader(open_database(tmp_path, ""), "https://example.com").records(Wanted())
    assert kept.region == "eu"


def test_a_region_that_falls_silent_is_what_it_was(results: Results, told: Told, tmp_path: Path) -> None:
    judged(results, "eu", "1", verified=True)
    judged(results, "us", "2", verified=True)
    judged(results, "us", "3", verified=False)
    told.regions.clear()
    for region in ("eu", "us", "ap"):
        results.not_judged(NoData(region, "api", "no worker", ""))
    assert told.regions == ["eu", "us-unverified", "ap-unverified"]
    results.history.begin()
    results.history.close(20)
    kept = {
        each.region: each
        for each in Reader(open_database(tmp_path, ""), "https://example.com").records(Wanted(outcome=NO_DATA))
    }
    assert {region: each.verified for region, each in kept.items()} == {"eu": True, "us": False, "ap": False}


def test_a_restarted_master_knows_it_from_the_history(results: Results, told: Told) -> None:
    judged(results, "us", "9", verified=False)
    told.regions.clear()
    remembered = [
        replace(record(ago_s=5.0, region="eu"), verified=True),
        replace(record(ago_s=9.0, region="eu", check="health"), verified=False),
        record(NO_DATA, region="eu"),
        record(ago_s=5.0, region="us"),
    ]
    results._remembered(remembered)  # noqa: SLF001 - what the history calls when it has read them
    for region in ("eu", "us"):
        results.not_judged(NoData(region, "api", "no worker", ""))
    assert told.regions == ["eu", "us-unverified"]
