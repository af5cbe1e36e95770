"""What happens, and what people are told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probes.alerts.evaluate import Watching, Word
from probes.alerts.replay import as_line, replay
from tests.alerts.sample import rules
from tests.alerts.stories import CHECKS, REGIONS, minutes, seen, story

BLIND = {"metric": "smoke_test.blind", "condition": "> 0.5", "no_data": "alert"}


@pytest.mark.parametrize(
    ("regions", "changes", "told"),
    [
        # all is well
        ({"us": "........", "eu": "........", "ap": "........"}, {}, []),
        # an outage: of five samples one is enough, in two of three regions; it ends where all but one are good again
        (
            {"us": ".....xxx........", "eu": ".....xxx........", "ap": ".....xxx........"},
            {},
            ["300 firing one", "720 resolved one"],
        ),
        # a recovery condition of its own holds it longer or not at all
        (
            {"us": ".....x........", "eu": ".....xx.......", "ap": ".............."},
            {"condition": "< 0.8", "recovery": ">= 0.95"},
            [],
        ),
        (
            {"us": ".....xx.......", "eu": ".....xx.......", "ap": ".............."},
            {"condition": "< 0.8", "recovery": ">= 0.95"},
            ["360 firing one", "660 resolved one"],
        ),
        # in one region alone: no quorum
        ({"us": ".....xxxxxxxxx", "eu": "..............", "ap": ".............."}, {}, []),
        # in one after the other, never in two at once
        ({"us": "....xx..............", "eu": "...........xx.......", "ap": "...................."}, {}, []),
        # slow is not down
        ({"us": ".....~~~~~~~", "eu": ".....~~~~~~~", "ap": "............"}, {}, []),
        # what the probe cannot judge says nothing: the samples left are too few
        ({"us": ".....eeeexee", "eu": ".....ttttxtt", "ap": "............"}, {}, []),
        # silence neither fires nor ends anything
        ({"us": ".....xxx", "eu": ".....xxx", "ap": "." * 30}, {}, ["300 firing one"]),
        # and of what fell silent the end is told when it speaks again
        (
            {"us": ".....xxx" + " " * 10 + "......", "eu": ".....xxx" + " " * 30, "ap": "." * 30},
            {},
            ["300 firing one", "1200 resolved one"],
        ),
        # a region that only claims to be one counts for none
        ({"us": ".....xxx", "eu-unverified": ".....xxx", "nowhere": ".....xxx"}, {}, []),
        # too few samples at the beginning
        ({"us": "xx", "eu": "xx", "ap": "xx"}, {}, []),
        ({"us": "xxx", "eu": "xxx", "ap": "..."}, {}, ["120 firing one"]),
        # blind
        ({"us": ".....eeeeeee", "eu": ".....ttttttt", "ap": "............"}, BLIND, ["420 firing one"]),
        (
            {"us": ".....nnnn......", "eu": ".....nnnn......", "ap": "..............."},
            BLIND,
            ["420 firing one", "660 resolved one"],
        ),
        # no data at all: too few samples are left at nine minutes, or there never were any
        ({"us": "......", "eu": "......", "ap": "." * 30}, BLIND, ["480 firing one"]),
        ({"us": "", "eu": "", "ap": "." * 10}, BLIND, ["300 firing one"]),
        ({"us": "", "eu": "", "ap": "." * 10}, {**BLIND, "no_data": "ok"}, []),
        ({"us": " " * 8 + "......", "eu": "", "ap": "." * 14}, BLIND, ["300 firing one", "600 resolved one"]),
        # reminders
        (
            {"us": "..." + "x" * 20 + "." * 6, "eu": "..." + "x" * 20 + "." * 6, "ap": "x"},
            {"reminder": "8m"},
            ["180 firing one", "660 reminder one", "1140 reminder one", "1620 resolved one"],
        ),
    ],
)
def test_one_rule(tmp_path: Path, regions: dict[str, str], changes: dict[str, Any], told: list[str]) -> None:
    assert story(tmp_path, minutes(regions), one=changes) == told


def everywhere(letters: str, begin: int = 0, check: str = "front") -> list[str]:
    return minutes(dict.fromkeys(REGIONS, letters), begin, check)


def test_a_target_that_is_down_is_one_alert_that_lists_the_checks(tmp_path: Path) -> None:
    series = sorted(everywhere(".....xxx......") + everywhere("....xxx.......", check="shop"), key=at)
    both = rules(tmp_path, front={"checks": ["front"]}, shop={"checks": ["shop"], "samples": 2})
    told = list(replay(both.rules, REGIONS, CHECKS, seen(series), "here"))
    assert [json.loads(as_line(each)) for each in told] == [
        {"t": 240, "rule": "shop", "change": "firing", "channels": ["oncall@example.com"]},
        {"t": 300, "rule": "front", "change": "worse", "channels": ["oncall@example.com"]},
        {"t": 720, "rule": "front", "change": "resolved", "channels": ["oncall@example.com"]},
    ]
    first, worse, over = (each.notice for each in told)
    assert {first.key, worse.key, over.key} == {"incident-1"}
    assert [first.number, worse.number, over.number] == [1, 2, 3]
    assert [first.since, worse.since, over.since] == [240, 240, 240]
    assert [trouble.rule for trouble in worse.troubles] == ["shop", "front"]
    assert [check.check for trouble in worse.troubles for check in trouble.checks] == ["shop", "front"]
    assert [trouble.rule for trouble in over.troubles] == ["shop", "front"]


def test_one_rule_about_all_checks_lists_those_that_are_down(tmp_path: Path) -> None:
    series = sorted(everywhere(".....xx") + everywhere(".......", check="shop"), key=at)
    (told,) = replay(rules(tmp_path, one={}).rules, REGIONS, CHECKS, seen(series), "here")
    (trouble,) = told.notice.troubles
    assert (trouble.expected, trouble.actual) == ("mean of smoke_test.success at least 0.9 over 5 min", "0.8")
    (front,) = trouble.checks
    assert (front.check, front.regions, front.last_good_at, front.last_good) == ("front", ("ap", "eu", "us"), 240, "1")


def at(line: str) -> float:
    found: float = json.loads(line)["t"]
    return found


def test_who_is_told_of_less_is_told_apart(tmp_path: Path) -> None:
    warning = {"severity": "warning", "notify": ["team@example.com"], "condition": "< 0.5"}
    assert story(tmp_path, everywhere(".....xxxxx......"), one={}, two=warning) == [
        "300 firing one",
        "420 firing two",
        "720 resolved two",
        "840 resolved one",
    ]


def test_what_comes_and_goes_is_told_of_three_times_and_then_is_over_only_when_it_stays_so(tmp_path: Path) -> None:
    once = ".....xx......"
    series = everywhere(once * 6 + "." * 20)
    told = list(replay(rules(tmp_path, one={}).rules, REGIONS, CHECKS, seen(series), "here"))
    assert [(each.notice.at // 60, each.notice.change, each.notice.flapping) for each in told] == [
        (5, "firing", False),
        (11, "resolved", False),
        (18, "firing", False),
        (24, "resolved", False),
        (31, "firing", True),
        (91, "resolved", True),  # the last bad one was at minute 71; its window, and then three
    ]


def test_it_is_quiet_while_it_is_mute_and_told_after_that_if_it_goes_on(tmp_path: Path) -> None:
    assert story(tmp_path, everywhere(".....xxxx" + "." * 8), one={"mute": ["00:00-00:15"]}) == []
    mute = {"mute": ["00:00-00:10"]}
    assert story(tmp_path, everywhere(".....xxxxxxx" + "." * 8), one=mute) == ["600 firing one", "960 resolved one"]
    # of an end people are told all the same
    ends = {"mute": ["00:09-00:20"]}
    assert story(tmp_path, everywhere(".....xxxx" + "." * 8), one=ends) == ["300 firing one", "780 resolved one"]


def test_who_is_told_after_a_quiet_time_hears_since_when_it_is(tmp_path: Path) -> None:
    mute = rules(tmp_path, one={"mute": ["00:00-00:10"]}).rules
    (told,) = replay(mute, REGIONS, CHECKS, seen(everywhere(".....xxxxxxx")), "here")
    assert (told.notice.at, told.notice.since) == (600, 300)


def test_what_is_mute_keeps_nothing_open(tmp_path: Path) -> None:
    """The shop is known to be down and mute; an outage of the front page is over all the same."""
    series = sorted(everywhere(".....xxx" + "." * 12) + everywhere("x" * 20, check="shop"), key=at)
    front, shop = {"checks": ["front"]}, {"checks": ["shop"], "mute": ["00:00-00:18"]}
    assert story(tmp_path, series, front=front, shop=shop) == [
        "300 firing front",
        "720 resolved front",
        "1080 firing shop",
    ]


def test_a_clock_that_is_put_back_neither_fires_nor_ends_anything(tmp_path: Path) -> None:
    """By three hours, in the middle of an outage and when all is well: nothing until there are samples again."""
    hours = 180
    well = everywhere("." * 10, hours)
    assert story(tmp_path, well + everywhere("." * 10), one={**BLIND}) == []
    down = everywhere(".....xxxxx", hours)
    assert story(tmp_path, down + everywhere("xxxxxx....."), one={}) == ["11100 firing one", "600 resolved one"]
    # with one sample of each region it could not have been said that it is over
    assert story(tmp_path, down + everywhere(".."), one={}) == ["11100 firing one"]
    assert story(tmp_path, down + everywhere("..."), one={}) == ["11100 firing one", "120 resolved one"]


def test_what_comes_from_the_future_is_not_believed(tmp_path: Path) -> None:
    """A master whose clock is ahead: by what it says an outage would have been over before it began."""
    watching = Watching(rules(tmp_path, one={}).rules, REGIONS, CHECKS)
    for each in seen(everywhere("xxxx") + everywhere("......", 180)):
        watching.hear(each, 180.0)
    assert set(watching.findings(180.0)["one"].words.values()) == {Word.HOLDS}
    assert set(watching.findings(10800.0 + 300)["one"].words.values()) == {Word.SILENT}


def test_samples_that_come_late_are_counted_by_their_own_time(tmp_path: Path) -> None:
    watching = Watching(rules(tmp_path, one={}).rules, REGIONS, CHECKS)
    for each in seen(everywhere(".....") + everywhere("xx", 1)):
        watching.hear(each, 240.0)
    assert watching.findings(240.0)["one"].values["us"] == pytest.approx(5 / 7)
    assert watching.findings(360.0)["one"].values["us"] == pytest.approx(3 / 4)  # 0, 60 (twice) have left
    assert watching.findings(420.0)["one"].words["us"] == Word.SILENT
