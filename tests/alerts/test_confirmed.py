"""A failure that is not there any more when it is looked at again at once is no ground for an alert."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from probes.store.database import open_database
from probes.store.record import Record
from probes.store.store import Store
from tests.alerts.stories import minutes, story

WELL = {"us": ".....", "eu": ".....", "ap": "....."}


def look(t: float, region: str, outcome: str, id_: str = "", confirms: str = "") -> str:
    line: dict[str, Any] = {"t": t, "region": region, "check": "front", "outcome": outcome}
    return json.dumps({**line, "id": id_, "confirms": confirms})


@pytest.mark.parametrize("passed", ["passed", "degraded"])
def test_what_was_gone_at_the_second_look_tells_nobody(tmp_path: Path, passed: str) -> None:
    blips = [
        look(300, "us", "failed", "one"),
        look(301, "us", passed, "two", confirms="one"),
        look(310, "eu", "failed", "three"),
        look(311, "eu", passed, "four", confirms="three"),
    ]
    assert story(tmp_path, [*minutes(WELL), *blips, '{"t": 1000}'], one={}) == []


@pytest.mark.parametrize("cannot_tell", ["failed", "throttled", "error", "no data"])
def test_what_is_there_still_or_cannot_be_told_counts(tmp_path: Path, cannot_tell: str) -> None:
    outage = [
        look(300, "us", "failed", "one"),
        look(301, "us", cannot_tell, "two", confirms="one"),
        look(302, "eu", "failed", "three"),
    ]
    assert story(tmp_path, [*minutes(WELL), *outage, '{"t": 303}'], one={}) == ["302 firing one"]


def test_a_further_look_is_no_failure_of_its_own(tmp_path: Path) -> None:
    """Else a gap of a second or two, in which both fall, would count twice."""
    short = [
        look(300, "us", "failed", "one"),
        look(301, "us", "failed", "two", confirms="one"),
        look(300, "eu", "failed", "three"),
        look(301, "eu", "failed", "four", confirms="three"),
    ]
    two_of_six = {"condition": "< 0.7", "samples": 5}
    assert story(tmp_path, [*minutes(WELL), *short, '{"t": 303}'], one=two_of_six) == []


def test_what_another_region_does_not_see_is_there_all_the_same(tmp_path: Path) -> None:
    seen_elsewhere = [
        look(300, "us", "failed", "one"),
        look(301, "us", "failed", "two", confirms="one"),
        look(302, "ap", "passed", "three", confirms="one"),
        look(310, "eu", "failed", "four"),
    ]
    assert story(tmp_path, [*minutes(WELL), *seen_elsewhere, '{"t": 311}'], one={}) == ["310 firing one"]


def test_only_success_is_taken_back_and_only_the_failure_that_was_looked_at(tmp_path: Path) -> None:
    others = [
        look(300, "us", "failed", "one"),
        look(301, "eu", "failed", "two"),
        look(302, "us", "passed", "three", confirms="another"),
    ]
    assert story(tmp_path, [*minutes(WELL), *others], one={}) == ["301 firing one"]


def test_the_order_of_values_is_kept_where_the_statistic_needs_it(tmp_path: Path) -> None:
    rule = {"statistic": "min", "condition": "< 1", "samples": 4, "quorum": 1}
    blip = [look(300, "us", "failed", "one")]
    gone = [look(300.5, "us", "passed", "two", confirms="one")]
    assert story(tmp_path, [*minutes(WELL), *blip], one=rule) == ["300 firing one"]
    both = story(tmp_path, [*minutes(WELL), *blip, *gone, '{"t": 400}'], one=rule)
    assert both == ["300 firing one", "300.5 resolved one"]


def test_the_store_keeps_which_failure_was_looked_at_again(tmp_path: Path) -> None:
    store = Store(open_database(tmp_path, ""), "https://example.com")
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    kept = [
        Record(first, 1.0, "us", verified=True, check="front", outcome="failed"),
        Record(second, 2.0, "us", verified=True, check="front", outcome="passed", confirms=first),
    ]
    assert store.add(kept) == []
    assert [each.confirms for each in store.last("us", ["front"], 5)] == ["", first]
