"""Looking and telling within a master and at the end of a run, to a real Slack on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
import time_machine

from probes.alerts.evaluator import why_off
from probes.alerts.notice import Notice
from probes.errors import ConfigError, StoreError
from probes.options import RunOptions
from probes.store.database import open_database
from probes.store.record import Record
from probes.store.store import Store
from probes.swarm import alerting
from probes.swarm.alerting import RunAlerting, Station, alerting_of_master
from probes.swarm.equipment import Equipment, equip
from tests.alerts.pager_servers import WEBHOOK, PagerServer, pager_server
from tests.alerts.sample import RULE, rules
from tests.alerts.told import FileChannel, changes, evaluator
from tests.alerts.told import seen as seen_there
from tests.clients.raw_server import OK, RawServer, Talk, always

DOWN = {
    **RULE, "condition": "< 0.3", "quorum": 1, "samples": 2, "environments": ["test"], "notify": ["slack:#hooked"],
    "window": "5m",
}  # fmt: skip
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[PagerServer]:
    for name in ("GITHUB_ACTIONS", "AWS_LAMBDA_FUNCTION_NAME", "SMOKEPROBE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RUN_LOOKS_S", "RUN_TELLS_S"):  # enough for a busy machine
        monkeypatch.setattr(alerting, name, 30.0)
    with pager_server() as server:
        monkeypatch.setenv("HOOK", f"{server.url}{WEBHOOK}")
        yield server


def options_for(folder: Path, url: str = "http://127.0.0.1:9", **changes: Any) -> RunOptions:
    """Two checks in one region, a rule about them, and a channel."""
    check = {"kind": "http", "attempts": 1, "every": "60s", "requests": {"page": {"path": "/"}}}
    config = {
        "env": "test",
        "target": {"url": url, "private": True},
        "regions": ["eu"],
        "region_proofs": {"eu": {"env": "PLACE"}},
        "limits": {"all": {"allows": "100 per 60s", "key": "ip", "covers": ["* /*"]}},
        "checks": {"one": check, "two": check},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "channels.yaml").write_text(json.dumps({"slack": {"webhooks": {"hooked": {"env": "HOOK"}}}}))
    rules(folder, down={**DOWN, **changes})
    return RunOptions(config=str(folder / "config.yaml"), state_dir=str(folder / "state"), region="eu")


def seen(equipment: Equipment, outcome: str, count: int) -> None:
    store = Store(open_database(equipment.options.state, ""), equipment.target)
    verdict = json.dumps({"check": "one", "outcome": outcome})
    for number in range(count):
        id_ = f"{outcome} {number}"
        store.add([Record(id_, time.time(), "eu", verified=True, check="one", outcome=outcome, verdict=verdict)])
    store.close()


def until(holds: Callable[[], object], timeout_s: float = 60.0) -> bool:
    ends = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < ends:
        gevent.sleep(0.02)
    return bool(holds())


def test_runs_tell_of_one_outage_once_and_once_that_it_is_over(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    assert RunAlerting(equipment, os.environ).look() == ""
    seen(equipment, "failed", 3)
    for _ in range(2):
        assert RunAlerting(equipment, os.environ).look() == ""
    assert (len(slack.slack), slack.complaints) == (1, [])
    seen(equipment, "passed", 3)
    for _ in range(2):
        assert RunAlerting(equipment, os.environ).look() == ""
    assert (len(slack.slack), slack.complaints) == (2, [])


def test_a_run_that_claims_no_region_leaves_an_outage_as_it_is(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    by_hand = replace(equipment, options=replace(equipment.options, region="local"))
    for each in (equipment, by_hand, equipment):
        assert RunAlerting(each, os.environ).look() == ""
    assert len(slack.slack) == 1


def test_whoever_begins_while_a_check_is_off_counts_it_all_the_same(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    checks = equipment.settings.checks
    off = {**checks, "one": checks["one"].model_copy(update={"enabled": False})}
    at_night = replace(equipment, settings=equipment.settings.model_copy(update={"checks": off}))
    assert RunAlerting(at_night, os.environ).look() == ""
    assert len(slack.slack) == 1


def test_what_a_channel_does_not_take_is_told_by_the_next_run(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    slack.mode = 503
    said = RunAlerting(equipment, os.environ).look()
    assert said == "Notices that wait for the next run: 1, as HTTP 503: it takes nothing now."
    slack.mode = "up"
    with time_machine.travel(time.time() + 6, tick=True):
        assert RunAlerting(equipment, os.environ).look() == ""
    assert len(slack.slack) == 1


def test_a_channel_that_hangs_keeps_no_run_for_long(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    slack.mode = "hang"
    said = RunAlerting(equipment, os.environ).look()
    assert said == "Notices that wait for the next run: 1, as it does not answer in time."
    assert slack.requests == 1
    slack.mode = "up"
    with time_machine.travel(time.time() + 6, tick=True):
        assert RunAlerting(equipment, os.environ).look() == ""
    assert len(slack.slack) == 1


def test_what_a_slow_channel_has_taken_is_not_told_again_by_the_next_run(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    slack.mode = "slow"
    assert RunAlerting(equipment, os.environ).look() == ""
    with time_machine.travel(time.time() + 31, tick=True):
        assert RunAlerting(equipment, os.environ).look() == ""
    assert len(slack.slack) == 1


def test_a_run_tells_everybody_however_many(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    many = {f"down-{n}": {**DOWN, "severity": severity} for n, severity in enumerate(["critical", "warning", "info"])}
    hooks = [f"hooked-{n}" for n in range(4)]
    (tmp_path / "channels.yaml").write_text(
        json.dumps({"slack": {"webhooks": {hook: {"env": "HOOK"} for hook in hooks}}})
    )
    rules(tmp_path, **{name: {**rule, "notify": [f"slack:#{hook}" for hook in hooks]} for name, rule in many.items()})
    seen(equipment, "failed", 3)
    assert RunAlerting(equipment, os.environ).look() == ""
    assert len(slack.slack) == 12


def test_what_was_taken_while_the_store_is_locked_is_noted_once_it_is_not(tmp_path: Path) -> None:
    place = str(tmp_path)
    lock = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None, check_same_thread=False)
    channel = FileChannel("oncall@example.com", tmp_path / "told")

    class Locking(FileChannel):
        def send(self, notice: Notice) -> None:
            lock.execute("BEGIN IMMEDIATE")
            channel.send(notice)

    station = Station(evaluator(place, Locking("oncall@example.com", tmp_path / "told")))
    seen_there(place, "failed")
    station.look()
    with contextlib.closing(lock):
        with pytest.raises(StoreError, match="locked"):
            station.tell()
        lock.execute("ROLLBACK")
    with time_machine.travel(time.time() + 31, tick=True):
        assert station.tell().count == 0
    assert changes(tmp_path / "told") == ["firing"]


@pytest.mark.parametrize(
    ("environ", "database", "off"),
    [
        ({}, "", ""),
        ({"GITHUB_ACTIONS": "true"}, "postgresql://db.invalid/x", ""),
        ({"GITHUB_ACTIONS": "true"}, "", "GitHub Actions keeps no disk, and SMOKEPROBE_DATABASE_URL is not set"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "probe"}, "", "AWS Lambda keeps no disk, and SMOKEPROBE_DATABASE_URL is not set"),
    ],
)
def test_where_the_disk_does_not_last_it_is_off_and_says_so(
    tmp_path: Path, slack: PagerServer, environ: Mapping[str, str], database: str, off: str
) -> None:
    equipment = equip(options_for(tmp_path), {})
    found = why_off(rules(tmp_path, down=DOWN).rules, database, environ)
    assert off in found if off else not found
    assert not why_off({}, database, environ)
    if off:
        seen(equipment, "failed", 3)
        assert off in RunAlerting(equipment, environ).look()
        assert slack.requests == 0


def test_a_mistake_in_the_rules_ends_a_run_before_it_begins(tmp_path: Path) -> None:
    equipment = equip(options_for(tmp_path), {})
    (tmp_path / "alert-rules.yaml").write_text("rules: {}")
    with pytest.raises(ConfigError):
        RunAlerting(equipment, {})


def test_a_master_looks_and_tells_and_says_what_is_wrong_with_a_channel(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    alerting = alerting_of_master({"eu": equipment})
    assert alerting is not None
    slack.mode = 503
    seen(equipment, "failed", 3)
    alerting.begin()
    try:
        assert until(lambda: alerting.trouble)
        assert alerting.trouble == "Notices that wait to be told: 1, as HTTP 503: it takes nothing now."
        slack.mode = "up"
        assert until(lambda: slack.slack and not alerting.trouble)
        assert len(slack.slack) == 1
    finally:
        alerting.close(10.0)


def test_what_former_rules_have_left_open_is_ended(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path), {})
    seen(equipment, "failed", 3)
    assert RunAlerting(equipment, os.environ).look() == ""
    options_for(tmp_path, evaluator="datadog")
    with time_machine.travel(time.time() + 61, tick=True):
        for _ in range(2):
            assert RunAlerting(equipment, os.environ).look() == ""
    assert len(slack.slack) == 2
    assert slack.slack[1]["text"].startswith("UNWATCHED")


def test_where_no_rule_is_ours_nobody_looks(tmp_path: Path, slack: PagerServer) -> None:
    equipment = equip(options_for(tmp_path, evaluator="datadog"), {})
    assert alerting_of_master({"eu": equipment}) is None
    assert RunAlerting(equipment, {}).look() == ""
    assert slack.requests == 0


@pytest.mark.slow
def test_whole_runs_page_once_for_an_outage_and_once_for_its_end(tmp_path: Path, slack: PagerServer) -> None:
    environ = {**os.environ, "PLACE": "eu"}

    answers = [FAILED]

    def as_it_is_now(talk: Talk) -> None:
        always(answers[0])(talk)

    with RawServer(as_it_is_now) as server:
        options = options_for(tmp_path, server.url)
        args = ["run", "--config", options.config, "--state-dir", options.state_dir, "--region", "eu"]
        command = [str(Path(sys.executable).with_name("smokeprobe")), *args]
        for answer, code, told in ((FAILED, 1, 1), (FAILED, 1, 1), (OK, 0, 2)):
            answers[0] = answer
            done = subprocess.run(command, env=environ, check=False, timeout=90, capture_output=True, text=True)
            assert (done.returncode, len(slack.slack)) == (code, told), done.stdout + done.stderr
    assert slack.complaints == []


@pytest.mark.parametrize("wrong", [{"window": "1m"}, {"checks": ["three"]}, {"quorum": 2}])
def test_a_rule_that_can_never_fire_is_no_silent_one(
    tmp_path: Path, slack: PagerServer, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    equipment = equip(options_for(tmp_path, **wrong), {})
    said = "Alert rules that do not hold: down; `smokeprobe validate` says why."
    assert RunAlerting(equipment, os.environ).look() == said
    assert alerting_of_master({"eu": equipment}) is not None
    assert said in caplog.messages
    assert slack.requests == 0
