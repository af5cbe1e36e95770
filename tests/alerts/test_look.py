"""Looks at a real store, a file: one outage is told once and once over, whatever comes between."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine

from probes.alerts.look import notice_in
from probes.alerts.notice import NotTakenError
from probes.alerts.tell import send
from probes.errors import StoreError
from probes.store.alert_state import LEASE_S
from probes.store.alert_tables import NOTICES
from probes.store.database import open_database
from tests.alerts.told import DOWN, FileChannel, changes, evaluator, seen, tell


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def channel(tmp_path: Path) -> FileChannel:
    return FileChannel("oncall@example.com", tmp_path / "told")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "told"


def turn(place: str, channel: FileChannel) -> None:
    """What a process does that knows nothing of those before it."""
    ours = evaluator(place, channel)
    ours.looks.look()
    tell(ours)


def test_one_outage_is_one_page_and_one_resolve_across_processes(place: str, channel: FileChannel, file: Path) -> None:
    for _ in range(2):
        turn(place, channel)
    seen(place, "failed")
    for _ in range(3):
        turn(place, channel)
    assert changes(file) == ["firing"]
    seen(place, "passed", 6)
    for _ in range(3):
        turn(place, channel)
    assert changes(file) == ["firing", "resolved"]
    first, last = (line.split() for line in file.read_text().splitlines())
    assert (first[:2], last[:2]) == ([first[0], "1"], [first[0], "2"])


def test_within_one_process_too(place: str, channel: FileChannel, file: Path) -> None:
    ours = evaluator(place, channel)
    for outcome, count in (("passed", 3), ("failed", 6), ("passed", 12)):
        seen(place, outcome, count)
        for _ in range(2):
            ours.looks.look()
            tell(ours)
    assert changes(file) == ["firing", "resolved"]


def test_each_channel_is_told_and_tried_until_it_has_taken_it(place: str, channel: FileChannel, file: Path) -> None:
    ours = evaluator(place, channel, {**DOWN, "notify": ["oncall@example.com", "team@example.com"]})
    channel.refuses = [NotTakenError("no room", after_s=7200.0), NotTakenError("not now", after_s=0.0)]
    seen(place, "failed")
    ours.looks.look()
    tell(ours)
    assert changes(file) == []
    assert ours.state.untold().count == 2
    tell(ours)  # one of the two waits, an hour at most
    assert changes(file) == ["firing"]
    assert (ours.state.untold().count, ours.state.untold().problem) == (1, "no room")
    with time_machine.travel(time.time() + 3601):
        tell(ours)
    assert changes(file) == ["firing", "firing"]
    assert ours.state.untold().count == 0


def test_what_is_refused_for_good_is_not_sent_again_and_holds_up_nothing(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel)
    channel.refuses = [NotTakenError("no such address", for_good=True)]
    seen(place, "failed")
    ours.looks.look()
    tell(ours)
    assert ours.state.lease(8) == []
    seen(place, "passed", 6)
    ours.looks.look()
    tell(ours)
    assert changes(file) == ["resolved"]
    with time_machine.travel(time.time() + 3600):
        never = "Notices that were refused and will not be told: 1, as no such address."
        assert ours.state.untold().said("to be told") == never
    with time_machine.travel(time.time() + 90_000):
        assert ours.state.untold().said("to be told") == ""


def test_nobody_hears_that_it_is_over_before_he_heard_that_it_began(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel)
    channel.refuses = [NotTakenError("down", after_s=100.0)]
    seen(place, "failed")
    ours.looks.look()
    tell(ours)
    seen(place, "passed", 6)
    ours.looks.look()
    tell(ours)
    assert changes(file) == []
    with time_machine.travel(time.time() + 101):
        tell(ours)
        tell(ours)
    assert changes(file) == ["firing", "resolved"]


def test_a_lease_is_one_sender_s_until_it_is_over(place: str, channel: FileChannel) -> None:
    ours, other = evaluator(place, channel), evaluator(place, channel)
    seen(place, "failed")
    ours.looks.look()
    (due,) = ours.state.lease(8)
    assert other.state.lease(8) == []
    with time_machine.travel(time.time() + LEASE_S + 1):
        (again,) = other.state.lease(8)
    assert replace(again, lease=due.lease) == due
    with time_machine.travel(time.time() - 7200):  # a clock that is put back does not make anybody wait for hours
        assert len(ours.state.lease(8)) == 1


def test_a_clock_that_is_put_back_by_hours_neither_fires_nor_ends_anything(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel)
    seen(place, "failed", 6)
    seen(place, "passed", 2, ago_s=7200)  # when it was two hours earlier all was well
    ours.looks.look()
    tell(ours)
    assert changes(file) == ["firing"]
    with time_machine.travel(time.time() - 7200):
        for each in (ours, evaluator(place, channel)):
            each.looks.look()
            tell(each)
        assert changes(file) == ["firing"]
        seen(place, "passed", 6, ago_s=-1)
        for each in (ours, evaluator(place, channel)):
            each.looks.look()
            tell(each)
    assert changes(file) == ["firing", "resolved"]


def test_a_clock_that_is_put_forward_by_hours_neither_fires_nor_ends_anything(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel, {**DOWN, "no_data": "alert"})
    seen(place, "passed", 6)
    ours.looks.look()
    with time_machine.travel(time.time() + 7200):
        ours.looks.look()
        assert ours.state.lease(8) == []
        seen(place, "failed", 6)
        ours.looks.look()
        tell(ours)
    assert changes(file) == ["firing"]
    with time_machine.travel(time.time() + 14400):
        ours.looks.look()
        assert ours.state.lease(8) == []


def test_what_a_region_could_not_judge_at_all_is_as_verified_as_its_last_verdict(
    place: str, channel: FileChannel, file: Path
) -> None:
    blind = {**DOWN, "metric": "smoke_test.blind", "condition": "> 0.5", "recovery": "<= 0.5"}
    seen(place, "passed", 1, ago_s=3600)  # before the window
    seen(place, "no data", 5)
    ours = evaluator(place, channel, blind)
    ours.looks.look()
    tell(ours)
    assert changes(file) == ["firing"]


def test_what_is_late_is_heard_too(place: str, channel: FileChannel, file: Path) -> None:
    ours = evaluator(place, channel)
    seen(place, "passed", 2)
    ours.looks.look()
    seen(place, "failed", 6, ago_s=100)  # a master that could not write for a while
    ours.looks.look()
    tell(ours)
    assert changes(file) == ["firing"]


def test_masters_of_old_and_new_rules_do_not_end_each_other_s_incidents(
    place: str, channel: FileChannel, file: Path
) -> None:
    """As while a fleet is brought up to date; the new rules count a minute after the last look with the old ones."""
    old, new = evaluator(place, channel), evaluator(place, channel, {**DOWN, "severity": "warning"})
    seen(place, "failed")
    for _ in range(3):
        old.looks.look()
        with pytest.raises(StoreError, match="with other alert rules"):
            new.looks.look()
        tell(new)
    assert changes(file) == ["firing"]
    with time_machine.travel(time.time() + 61):
        new.looks.look()
        with pytest.raises(StoreError, match="with other alert rules"):
            old.looks.look()
        tell(new)
    assert sorted(changes(file)) == ["firing", "firing", "resolved"]


def test_what_is_old_is_forgotten(place: str, channel: FileChannel) -> None:
    ours = evaluator(place, channel)
    seen(place, "failed")
    ours.looks.look()
    ours.state.forget(60, 100)
    assert ours.state.untold().count == 1
    ours.state.forget(-60, 100)
    with open_database(Path(place), "").transaction(writes=False) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(NOTICES)).scalar() == 0


def test_of_reminders_that_a_channel_has_not_taken_only_the_newest_is_sent(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel, {**DOWN, "no_data": "alert", "reminder": "1h"})
    seen(place, "failed")
    channel.refuses = [NotTakenError("down", after_s=0.0) for _ in range(5)]
    begun = time.time()
    for hours in range(5):
        with time_machine.travel(begun + hours * 3601):
            seen(place, "failed")
            ours.looks.look()
            tell(ours)
    assert changes(file) == []
    with time_machine.travel(begun + 5 * 3601):
        for _ in range(4):
            tell(ours)
    told = [line.split()[1:3] for line in file.read_text().splitlines()]
    assert told == [["1", "firing"], ["5", "reminder"]]
    assert ours.state.untold().count == 0


def test_a_reminder_that_waits_is_not_sent_once_it_is_over_and_no_change_is_lost(
    place: str, channel: FileChannel, file: Path
) -> None:
    ours = evaluator(place, channel, {**DOWN, "reminder": "1h"})
    seen(place, "failed")
    channel.refuses = [NotTakenError("down", after_s=0.0) for _ in range(3)]
    begun = time.time()
    for hours, outcome in enumerate(["failed", "failed", "passed"]):
        with time_machine.travel(begun + hours * 3601):
            seen(place, outcome, 6)
            ours.looks.look()
            tell(ours)
    assert changes(file) == []
    with time_machine.travel(begun + 3 * 3601):
        for _ in range(3):
            tell(ours)
    assert changes(file) == ["firing", "resolved"]


def test_one_whose_checks_are_off_ends_once_all_are_silent_and_not_before(
    place: str, channel: FileChannel, file: Path
) -> None:
    rule = {**DOWN, "no_data": "alert"}
    ours, off = evaluator(place, channel, rule), evaluator(place, channel, rule, off=frozenset({"down"}))
    seen(place, "failed")
    for each in (ours, off, ours):  # whoever measures it still is heard
        each.looks.look()
        tell(each)
    assert changes(file) == ["firing"]
    with time_machine.travel(time.time() + 301):
        for _ in range(3):
            off.looks.look()
            for due in off.state.lease(8):
                notice = notice_in(due.notice)
                assert (notice.change, notice.unwatched) == ("resolved", ("down",))
                off.state.sent([send(due, off.channel_of)])
    assert changes(file) == ["firing", "resolved"]
