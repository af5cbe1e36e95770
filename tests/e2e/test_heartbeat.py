"""A run pings after it has come to something, and is no different for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Runner
from tests.monitoring.loopback import serving
from tests.watcher import PATH, Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with serving(Watcher()) as server:
        yield server


@pytest.mark.parametrize(
    ("fault", "mode", "code", "pings"),
    [("", 500, 0, 1), ("health-unhealthy", 200, 1, 1), ("throttled-429", 200, 3, 0)],
)
def test_a_run_pings_once_where_it_was_conclusive(
    runner: Runner, watcher: Watcher, fault: str, mode: int, code: int, pings: int
) -> None:
    if fault:
        runner.target.set_faults(fault)
    watcher.mode = mode
    env = {"SMOKEPROBE_HEARTBEAT_URL": f"{watcher.url}{PATH}"}
    ran = runner.run("--no-browser", "--check", "health", env=env)
    assert ran.code == code, ran.story()
    assert watcher.pings == [PATH] * pings
    said = "heartbeat: HTTP 500: is the environment variable SMOKEPROBE_HEARTBEAT_URL right?"
    assert (said in ran.report["notes"]) == (mode == 500)
    assert PATH not in ran.stdout + ran.stderr + ran.json_file.read_text()
