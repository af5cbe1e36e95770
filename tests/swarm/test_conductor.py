"""One check, one run of it at a time, each within its own time; and nothing said that was not seen."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import gevent
import gevent.event
import pytest
from rich.console import Console

import probes.deadline
from probes.deadline import CutOff
from probes.errors import SmokeprobeError
from probes.model import Layer, Outcome, Reason, Step, Verdict
from probes.options import RunOptions
from probes.reports.progress import Progress, live
from probes.starter import starter_configuration
from probes.swarm import conductor as conducting
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.equipment import equip
from tests.clients.raw_server import OK, RawServer, Talk, always


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(always(OK)) as running:
        yield running


@pytest.fixture
def conductor(server: RawServer, tmp_path: Path) -> Conductor:
    config = tmp_path / "c.yaml"
    config.write_text(starter_configuration(server.url))
    equipment = equip(RunOptions(config=str(config), state_dir=str(tmp_path / "state")), {})
    return Conductor(equipment, LedgerDesk(equipment), None, "")


@pytest.fixture
def progress() -> Progress:
    return live(Console(file=StringIO()), ("site",))


def skip_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    monkeypatch.setattr(probes.deadline, "time", later)


def test_a_continuous_check_has_the_runs_time_each_time(
    conductor: Conductor, server: RawServer, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert conductor.run_check("site", progress).outcome is Outcome.PASSED
    skip_time(monkeypatch, 3600)
    assert conductor.run_check("site", progress).outcome is Outcome.PASSED
    assert len(server.requests) == 2


def test_after_the_time_of_a_run_nothing_is_sent_and_nothing_has_failed(
    conductor: Conductor, server: RawServer, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor.begin_run()
    skip_time(monkeypatch, 3600)
    assert conductor.run_check("site", progress).outcome in {Outcome.SKIPPED, Outcome.ERROR}
    assert server.requests == []


def test_waiting_for_room_counts_against_no_checks_time_and_sends_nothing(tmp_path: Path) -> None:
    arrived = []

    def handle(talk: Talk) -> None:
        while talk.request():
            arrived.append(time.monotonic())
            talk.send(OK)

    with RawServer(handle) as server:
        config = tmp_path / "c.yaml"
        config.write_text(ONE_A_SECOND.format(url=server.url))
        equipment = equip(RunOptions(config=str(config), state_dir=str(tmp_path / "state")), {})
        conductor = Conductor(equipment, LedgerDesk(equipment), None, "")
        shown = StringIO()
        progress = live(Console(file=shown, width=200), ("site",))
        verdicts = [conductor.run_check("site", progress) for _ in range(2)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED, Outcome.PASSED]
    assert arrived[1] - arrived[0] > 1.0  # a window of the limit; a check has half of that
    assert verdicts[1].duration_s < 0.5
    assert "site waits for budget: " in shown.getvalue()


ONE_A_SECOND = """
env: test
target: {{ url: {url}, private: true }}
limits: {{ all: {{ allows: 11 per 1s, key: ip, covers: ["* /*"] }} }}
checks: {{ site: {{ kind: http, attempts: 1, timeout: 500ms, every: 1h, requests: {{ page: {{ path: / }} }} }} }}
"""


def test_only_the_newest_screenshots_are_kept(conductor: Conductor) -> None:
    folder = conductor.equipment.options.state / "screenshots"
    folder.mkdir(parents=True)
    for number in range(23):
        (folder / f"{number}.png").touch()
        os.utime(folder / f"{number}.png", (number, number))
    conductor.close()
    assert {path.stem for path in folder.iterdir()} == {str(number) for number in range(3, 23)}


def test_where_nothing_was_sent_nothing_has_failed(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Verdict("site", Outcome.FAILED, steps=(Step("a", Outcome.FAILED), Step("b", Outcome.PASSED)))
    monkeypatch.setattr(conducting, "execute", lambda *_: failed)
    verdict = conductor.run_check("site", progress)
    assert verdict.outcome is Outcome.ERROR
    assert [step.outcome for step in verdict.steps] == [Outcome.ERROR, Outcome.PASSED]


def test_a_continuous_check_that_never_ends_is_cut_off(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> Verdict:
        try:
            gevent.sleep(60)
        except CutOff as cut:
            outcome = Outcome.SKIPPED if cut.interrupted else Outcome.ERROR
            return Verdict("site", outcome, reason=Reason("site", Layer.HTTP, cut.why))
        return Verdict("site", Outcome.PASSED)

    monkeypatch.setattr(conducting, "execute", hang)
    monkeypatch.setattr(conducting, "LAST_ORDERS_S", 29.99)
    verdict = conductor.run_check("site", progress)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.reason is not None
    assert verdict.reason.rule == "not finished within the run's 30 s"


class Checks:
    """Stands in for what a check does: counts, and ends when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.under_way = self.at_once = 0
        self.go_on = gevent.event.Event()
        monkeypatch.setattr(conducting, "execute", self.execute)

    def execute(self, *_: object) -> Verdict:
        self.begun += 1
        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        self.go_on.wait()
        self.under_way -= 1
        return Verdict("site", Outcome.PASSED, attempts=self.begun)


@pytest.mark.parametrize("shared", [False, True])
def test_a_second_start_runs_no_check_twice_at_the_same_time(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    checks = Checks(monkeypatch)
    if shared:
        conductor.begin_run()
    first = gevent.spawn(conductor.run_check, "site", progress)
    gevent.sleep(0)
    gevent.sleep(0)
    first.kill()  # as Locust's Stop does
    second = gevent.spawn(conductor.run_check, "site", progress)
    gevent.sleep(0)
    checks.go_on.set()
    assert second.get(timeout=10).attempts == 1
    assert (checks.begun, checks.at_once) == (1, 1)


def test_what_ended_while_nobody_listened_is_heard_by_the_next_start(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks(monkeypatch)
    first = gevent.spawn(conductor.run_check, "site", progress)
    gevent.sleep(0)
    gevent.sleep(0)
    first.kill()
    checks.go_on.set()
    gevent.sleep(0.01)
    assert conductor.run_check("site", progress).attempts == 1
    assert conductor.run_check("site", progress).attempts == 2


def test_the_end_cuts_off_a_check_that_was_started_before_a_second_start(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks(monkeypatch)
    for _ in range(2):
        start = gevent.spawn(conductor.run_check, "site", progress)
        gevent.sleep(0)
        gevent.sleep(0)
        start.kill()
    conductor.end("interrupted", interrupted=True)
    assert checks.begun == 1
    assert conductor.verdict_of("site").outcome is Outcome.SKIPPED
    assert conductor.run_check("site", progress).outcome is Outcome.SKIPPED  # nothing begins after the end
    assert checks.begun == 1


def test_a_verdict_is_redacted_before_locust_sees_it(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor.equipment.redactor.learn("hunter2-secret", "password")
    reason = Reason("site", Layer.BODY, "said hunter2-secret")
    told = Verdict("site", Outcome.ERROR, reason=reason, steps=(Step("a-step", Outcome.ERROR, reason=reason),))
    monkeypatch.setattr(conducting, "execute", lambda *_: told)
    shown = str(conductor.run_check("site", progress))
    assert "hunter2" not in shown
    assert "[redacted: password]" in shown


def test_a_check_that_breaks_says_so_without_its_text(
    conductor: Conductor, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Verdict:
        raise SmokeprobeError("hunter2-secret")

    monkeypatch.setattr(conducting, "execute", broken)
    verdict = conductor.run_check("site", progress)
    assert verdict.outcome is Outcome.ERROR
    assert "hunter2" not in str(verdict)
