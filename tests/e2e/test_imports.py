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
MONITORING = ("datadog", "probes.monitoring.reporter")


def imported_by(runner: Runner, **environ: str) -> set[str]:
    ran = runner.run("--no-browser", "--check", "api", prefix=(sys.executable, "-X", "importtime"), env=environ)
    assert ran.code == 0, ran.story()
    imported = set(re.findall(r"^import time:.*\|\s+(\S+)$", ran.stderr, re.MULTILINE))
    assert "probes.swarm.session" in imported
    return imported


def test_a_run_imports_nothing_that_only_a_fleet_needs(runner: Runner) -> None:
    assert imported_by(runner).isdisjoint(FLEETS)


def test_a_run_imports_of_monitoring_only_what_it_was_told_to_use(runner: Runner) -> None:
    imported = imported_by(runner, DD_API_KEY="k")  # credentials alone are no wish
    assert not {name for name in imported if name.startswith(("probes.monitoring", "datadog"))}
    agent = {"SMOKEPROBE_MONITORING": "datadog", "DD_DOGSTATSD_URL": "udp://127.0.0.1:9"}
    imported = imported_by(runner, **agent)
    assert imported.issuperset(MONITORING)
    assert imported.isdisjoint((*FLEETS, "newrelic"))


def test_of_new_relics_package_a_run_has_the_protocol_and_no_agent(runner: Runner) -> None:
    nobody = {"NEW_RELIC_HOST": "localhost", "NEW_RELIC_PORT": "9"}
    imported = imported_by(runner, SMOKEPROBE_MONITORING="newrelic", NEW_RELIC_LICENSE_KEY="k", **nobody)
    assert imported.issuperset({"newrelic.core.agent_protocol", "probes.monitoring.reporter"})
    assert imported.isdisjoint({"newrelic.core.agent", "newrelic.config", "datadog"})
    assert not {name for name in imported if name.startswith("newrelic.hooks")}
