"""A run pays only for what it uses: what belongs to fleets is not even imported."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.e2e.harness import Runner

FLEETS = (
    "psycopg",
    "prometheus_client",
    "probes.swarm.master",
    "probes.swarm.webui",
)
STORE = ("sqlalchemy", "probes.store.store")
MONITORING = ("datadog", "probes.monitoring.reporter")


def imported_by(runner: Runner, state: Path | None = None, /, **environ: str) -> list[str]:
    """In the order in which their imports ended."""
    ran = runner.run(
        "--no-browser", "--check", "api", prefix=(sys.executable, "-X", "importtime"), env=environ, state=state
    )
    assert ran.code == 0, ran.story()
    imported = re.findall(r"^import time:.*\|\s+(\S+)$", ran.stderr, re.MULTILINE)
    assert "probes.swarm.session" in imported
    return imported


def test_a_run_imports_nothing_that_only_a_fleet_needs(runner: Runner) -> None:
    assert set(imported_by(runner)).isdisjoint(FLEETS)


def test_a_run_leaves_its_history_without_the_databases_library(runner: Runner, tmp_path: Path) -> None:
    assert set(imported_by(runner, tmp_path / "state")).isdisjoint((*STORE, "alembic"))
    assert list((tmp_path / "state" / "history-inbox").iterdir())


def test_a_run_imports_of_monitoring_only_what_it_was_told_to_use(runner: Runner) -> None:
    credentials = {"DD_API_KEY": "k", "AWS_ACCESS_KEY_ID": "k"}  # alone they are no wish
    of_services = ("probes.monitoring", "datadog", "boto")
    assert not {name for name in imported_by(runner, **credentials) if name.startswith(of_services)}
    agent = {"SMOKEPROBE_MONITORING": "datadog", "DD_DOGSTATSD_URL": "udp://127.0.0.1:9"}
    imported = set(imported_by(runner, **agent))
    assert imported.issuperset(MONITORING)
    assert imported.isdisjoint((*FLEETS, "newrelic", "boto3"))


def test_of_new_relics_package_a_run_has_the_protocol_and_no_agent(runner: Runner) -> None:
    nobody = {"NEW_RELIC_HOST": "localhost", "NEW_RELIC_PORT": "9"}
    imported = set(imported_by(runner, SMOKEPROBE_MONITORING="newrelic", NEW_RELIC_LICENSE_KEY="k", **nobody))
    assert imported.issuperset({"newrelic.core.agent_protocol", "probes.monitoring.reporter"})
    assert imported.isdisjoint({"newrelic.core.agent", "newrelic.config", "datadog"})
    assert not {name for name in imported if name.startswith("newrelic.hooks")}


def test_boto3_comes_after_locust(runner: Runner) -> None:
    wish = {"SMOKEPROBE_MONITORING": "cloudwatch", "AWS_REGION": "eu-west-1"}
    imported = imported_by(runner, **wish, AWS_ACCESS_KEY_ID="k", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert imported.index("locust") < imported.index("boto3")  # Locust patches what boto3 takes from the library
    assert "datadog" not in imported
