"""Where a run says that it was, and whether anything bears that out."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Runner, write_config
from tests.monitoring.datadog_server import datadog_server

QUICK = ("--no-browser", "--check", "api", "--region", "nowhere-1")


@pytest.mark.parametrize("said", ["nowhere-1", "elsewhere-1"])
def test_a_run_says_whether_its_region_is_verified(runner: Runner, said: str) -> None:
    places = {"regions": ["nowhere-1"], "region_proofs": {"nowhere-1": {"env": "NODE_REGION"}}}
    config = write_config(runner.folder / "places.yaml", places)
    with datadog_server() as datadog:
        ran = runner.run(*QUICK, config=config, env={"NODE_REGION": said, **datadog.environment})
    verified = said == "nowhere-1"
    assert ran.code == 0, ran.story()
    assert (ran.report["region"], ran.report["region_verified"]) == ("nowhere-1", verified)
    assert ("nowhere-1 (unverified)" in ran.stdout) is not verified
    tags = {tag for _, tags, _ in datadog.points for tag in tags if tag.startswith("region:")}
    assert tags == {"region:nowhere-1" if verified else "region:nowhere-1-unverified"}


def test_a_metadata_service_that_is_not_there_does_not_hold_a_run_up(runner: Runner) -> None:
    config = write_config(runner.folder / "places.yaml", {"regions": ["nowhere-1"]})
    ran = runner.run(*QUICK, config=config)
    assert ran.code == 0, ran.story()
    assert ran.report["region_verified"] is False
    assert ran.report["duration_s"] < 3
