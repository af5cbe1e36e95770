"""What runs all day goes by the hour: overrides begin and end in masters and workers too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import gevent
import pytest
import time_machine
from rich.console import Console

from probes.errors import ConfigError, NoBudgetError
from probes.model import Outcome
from probes.options import RunOptions
from probes.reports.progress import live
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.equipment import Equipment, equip, equip_master, equip_worker
from probes.swarm.grants import LedgerGrants
from tests.clients.raw_server import OK, RawServer, always
from tests.fleet.harness import write_ledger

NIGHT, DAY = "2026-05-01T03:00:00Z", "2026-05-01T12:00:00Z"


def options_for(folder: Path, url: str, by_day: Mapping[str, object], **more: object) -> RunOptions:
    """Options for a configuration with two checks, of which `by_day` says something else from 08:00 to 18:00."""
    check = {"kind": "http", "attempts": 1, "requests": {"page": {"path": "/"}}}
    config = {
        "env": "test",
        "target": {"url": url, "private": True},
        "limits": {"all": {"allows": "100 per 60s", "key": "ip", "covers": ["* /*"]}},
        "checks": {"site": {**check, "every": "120s"}, "other": {**check, "every": "60s", "enabled": False}},
        "overrides": [{"between": "08:00-18:00", **by_day}],
        **more,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))
    return RunOptions(config=str(path), state_dir=str(folder / "state"))


def test_a_check_is_judged_and_permitted_as_the_hour_has_it(tmp_path: Path) -> None:
    with RawServer(always(OK)) as server, time_machine.travel(NIGHT, tick=True) as traveller:
        by_day = {
            "checks": {"site": {"requests": {"page": {"status": 201}}}},
            "limits": {"all": {"allows": "11 per 60s"}},
        }
        equipment = equip(options_for(tmp_path, server.url, by_day), {})
        conductor = Conductor(equipment, LedgerDesk(equipment), None, "")
        progress = live(Console(file=StringIO()), ("site",))
        assert conductor.run_check("site", progress).outcome is Outcome.PASSED
        traveller.move_to(DAY)
        by_day_it = conductor.run_check("site", progress)  # there is room for one request a minute, and it is taken
        assert (by_day_it.outcome, "ceiling" in str(by_day_it.reason)) == (Outcome.SKIPPED, False)
        assert "limit all" in str(by_day_it.reason)
        traveller.move_to(NIGHT)
        assert conductor.run_check("site", progress).outcome is Outcome.PASSED


def test_a_masters_plan_follows_the_clock(tmp_path: Path) -> None:
    by_day = {"checks": {"site": {"every": "40s"}, "other": {"enabled": True}}}
    with time_machine.travel(NIGHT):
        options = options_for(tmp_path, "http://127.0.0.1:9", by_day)
        assert set(equip_worker(options).ever_planned) == {"site", "other"}
    child = [sys.executable, "-m", "tests.swarm.master_child", options.config, options.state_dir, NIGHT, DAY, NIGHT]
    said = subprocess.run(child, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(said.stdout) == [
        {},
        {"site": "nothing yet", "other": "nothing yet"},
        {"site": "nothing yet", "other": "left out by the configuration (enabled: false)"},
    ]


def test_a_masters_permits_follow_the_clock(tmp_path: Path) -> None:
    with time_machine.travel(NIGHT, tick=True) as traveller:
        regions = equip_master(
            options_for(tmp_path, "http://127.0.0.1:9", {"limits": {"all": {"allows": "11 per 60s"}}})
        )
        write_ledger(tmp_path / "state")
        grants = LedgerGrants(regions)
        grants.grant("site", "local", egress="", confirms=False)
        traveller.move_to(DAY)
        grants.use("local", regions["local"].now())
        with pytest.raises(NoBudgetError):
            grants.grant("site", "local", egress="", confirms=False)


def test_what_does_not_hold_later_in_the_day_is_refused_at_the_start(tmp_path: Path) -> None:
    with time_machine.travel(NIGHT):
        options = options_for(tmp_path, "http://127.0.0.1:9", {"checks": {"site": {"attempts": 10}}})
        with pytest.raises(ConfigError, match=r"the ceiling is 9.*\(with overrides\.0\)|has 9.*\(with overrides\.0\)"):
            equip_worker(options)


def test_an_account_that_is_needed_later_is_asked_for_at_the_start(tmp_path: Path) -> None:
    login = {"kind": "login", "account": "basic", "enabled": False, "attempts": 1, "every": "1h"}
    exceptions = [
        {"call": f"POST /api/v1/auth/{call}", "reason": "tested here", "proof": "tested here"}
        for call in ("login", "logout")
    ]
    with time_machine.travel(NIGHT):
        options = options_for(
            tmp_path, "http://127.0.0.1:9", {"checks": {"login": {"enabled": True}}},
            checks={"login": login},
            credentials={
                "hosts": ["127.0.0.1:*"],
                "accounts": {"basic": {"user": "someone@example.com", "password": {"env": "A_PASSWORD"}}},
            },
            safety={"exceptions": exceptions},
            limits={"all": {"allows": "1000 per 60s", "key": "ip", "covers": ["* /*"]}},
        )  # fmt: skip
        with pytest.raises(ConfigError, match="A_PASSWORD"):
            equip(options, {})


def test_nothing_changes_while_no_override_begins_or_ends(tmp_path: Path) -> None:
    with time_machine.travel(NIGHT, tick=True):
        equipment: Equipment = equip(
            options_for(tmp_path, "http://127.0.0.1:9", {"checks": {"site": {"every": "40s"}}}), {}
        )
        gevent.sleep(0.01)
        assert equipment.now() is equipment
