"""A run pays only for what it uses: what belongs to fleets is not even imported."""

from __future__ import annotations

import re
import sys

from tests.e2e.harness import Runner

FLEETS = (
    "sqlalchemy",
    "psycopg",
    "prometheus_client",
    "probes.store.store",
    "probes.swarm.master",
    "probes.swarm.webui",
)


def test_a_run_imports_nothing_that_only_a_fleet_needs(runner: Runner) -> None:
    ran = runner.run("--no-browser", "--check", "api", prefix=(sys.executable, "-X", "importtime"))
    assert ran.code == 0, ran.story()
    imported = set(re.findall(r"^import time:.*\|\s+(\S+)$", ran.stderr, re.MULTILINE))
    assert "probes.swarm.session" in imported
    assert imported.isdisjoint(FLEETS)
