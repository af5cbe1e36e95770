"""What the history has seen, as a series for the rules: recorded, it says what it said then."""

from __future__ import annotations

import json
import time
from pathlib import Path

from typer.testing import CliRunner

from probes.cli import app
from probes.store.record import NO_DATA, Record
from probes.store.store import open_store
from tests.alerts.sample import HERE, rules
from tests.config.sample import write

NOW = time.time()
VERDICT = {"check": "front", "steps": [{"name": "page", "outcome": "passed", "judged_ms": 80.0}]}


def seen(region: str, minute: int, outcome: str, *, verified: bool = True, confirms: str = "") -> Record:
    verdict = "" if outcome == NO_DATA else json.dumps({**VERDICT, "outcome": outcome})
    id_ = f"{region}-{minute}{'-again' if confirms else ''}"
    at = NOW - 3600.0 + 60 * minute
    return Record(id_, at, region, verified, "front", outcome, verdict=verdict, confirms=confirms)


def test_a_recorded_outage_is_told_when_it_is_played(tmp_path: Path) -> None:
    state, config = tmp_path / "state", str(write(tmp_path, HERE))
    store = open_store(state, "", "https://example.com")
    for region in ("us", "eu"):
        store.add([seen(region, minute, "failed" if minute in {6, 7} else "passed") for minute in range(15)])
    store.add([seen("ap", 3, "failed", verified=False), seen("ap", 3, "passed", verified=False, confirms="ap-3")])
    store.add([seen("us", 15, NO_DATA)])
    recorded = CliRunner().invoke(app, ["alerts", "series", "--config", config, "--state-dir", str(state)])
    assert recorded.exit_code == 0, recorded.output
    lines = [json.loads(line) for line in recorded.stdout.splitlines()]
    assert len(lines) == 33
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert {line["region"] for line in lines} == {"us", "eu", "ap-unverified"}
    assert {line.get("confirms") for line in lines} == {None, "ap-3"}
    assert lines[-1]["metrics"] == {"smoke_test.blind": [1.0]}

    series = tmp_path / "series.jsonl"
    series.write_text(recorded.stdout)
    rules(tmp_path, one={})
    files = ["--rules", str(tmp_path / "alert-rules.yaml"), "--series", str(series), "--config", config]
    played = CliRunner().invoke(app, ["alerts", "test", *files])
    assert played.exit_code == 0, played.output
    changes = [json.loads(line)["change"] for line in played.stdout.splitlines() if line.startswith("{")]
    assert changes == ["firing", "resolved"]


def test_without_a_history_it_says_so(tmp_path: Path) -> None:
    config = str(write(tmp_path, HERE))
    done = CliRunner().invoke(app, ["alerts", "series", "--config", config, "--state-dir", str(tmp_path / "none")])
    assert (done.exit_code, done.stdout) == (2, "")
