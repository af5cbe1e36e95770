"""`smokeprobe baseline` on a real history: a table for people, a change for `patch`, and nothing changed by itself."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from probes.checks.registry import load_settings
from probes.config.load import Source
from probes.store.record import Record
from probes.store.store import open_store
from tests.e2e.harness import ROOT, SMOKEPROBE

TARGET = "https://betterprompts.com"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def fill(state: Path, region: str, times: list[float], outcome: str = "passed") -> None:
    now = time.time()
    records = []
    for number, judged_ms in enumerate(times):
        steps = [
            {"name": "request", "outcome": outcome, "judged_ms": judged_ms, "limit_ms": 200.0},
            {"name": "rate-limit", "outcome": outcome, "judged_ms": 9.0, "limit_ms": 200.0},
        ]
        verdict = json.dumps({"check": "api", "outcome": outcome, "steps": steps})
        records.append(
            Record(uuid.uuid4().hex, now - 60 * number, region, True, "api", outcome, verdict=verdict)  # noqa: FBT003 - it is verified
        )
    assert open_store(state, "", TARGET).add(records) == []


def baseline(config: Path, state: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [SMOKEPROBE, "baseline", "--config", str(config), "--state-dir", str(state), *more]
    return subprocess.run(
        command, cwd=config.parent, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "120"}
    )


def test_what_it_proposes_is_what_patch_makes_of_the_file(tmp_path: Path, state: Path) -> None:
    config = tmp_path / "production.yaml"
    original = (ROOT / "config" / "production.yaml").read_text()
    config.write_text(original)
    fill(state, "us-west-2", [310.0 + number % 30 for number in range(400)])
    fill(state, "eu-west-1", [180.0] * 150)
    fill(state, "eu-west-1", [9000.0] * 50, outcome="failed")  # what has failed is no time to go by
    fill(state, "us-east-1", [80.0] * 99)
    done = baseline(config, state)
    assert (done.returncode, config.read_text()) == (0, original)
    table = [" ".join(line.replace("│", " ").split()) for line in done.stderr.splitlines()]
    (far,) = [line for line in table if "us-west-2" in line]
    assert "400 324 ms 338 ms 200 ms 100% 400 ms 0%, 0.746%" in far
    assert not any("us-east-1" in line or "rate-limit" in line for line in table)
    subprocess.run(["patch", "-p0", str(config)], input=done.stdout, text=True, check=True, capture_output=True)
    limits = {
        region: load_settings(Source(config, region)).checks["api"].request.within
        for region in ("us-west-2", "eu-west-1", "us-east-1")
    }
    assert limits == {"us-west-2": 0.4, "eu-west-1": 0.2, "us-east-1": 0.2}
    assert "eu-west-1" not in done.stdout, "220 ms is near enough to 200 ms"


def test_with_too_little_it_says_so(tmp_path: Path, state: Path) -> None:
    config = tmp_path / "production.yaml"
    config.write_text((ROOT / "config" / "production.yaml").read_text())
    none = baseline(config, state)
    assert (none.returncode, none.stdout) == (2, "")
    assert "There is no history in" in none.stderr
    fill(state, "us-west-2", [310.0] * 99)
    few = baseline(config, state)
    assert (few.returncode, few.stdout) == (0, "")
    assert "no step of no region has 100 samples yet" in " ".join(few.stderr.split())
    old = baseline(config, state, "--since", "soon")
    assert (old.returncode, old.stdout) == (2, "")
    assert "--since" in old.stderr
