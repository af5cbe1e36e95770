"""Proposed limits as a change of a file: what was there stays, and what comes of it is what was proposed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from probes.baseline.changes import difference, overrides, with_overrides, worth_a_change, written_limit
from probes.baseline.proposals import Proposal
from probes.checks.registry import build_checks, load_settings
from probes.config.load import Source
from tests.e2e.harness import ROOT

LIMIT = Proposal("api", "request", "us-west-2", 900, 80.0, 95.0, 200.0, 140.0, 0.0, 0.0, 0.003)
BUSY = replace(LIMIT, limit_ms=340.0, begin=22, end=2)
GATEWAY = replace(LIMIT, check="health", step="gateway", limit_ms=1500.0)
NONE = "env: local\n"
SOME = """overrides: # by the hour
    # the far one
    - regions: [eu-west-1]
      checks:
        api: { request: { within: 300ms } }

# who
checks: {}
"""


def keys_of(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    checks = build_checks(load_settings(Source(path)), path)
    return {name: dict(check.limits()) for name, check in checks.items()}


@pytest.mark.parametrize("env", ["production", "staging"])
def test_what_comes_of_it_is_what_was_proposed(env: str, tmp_path: Path) -> None:
    path = tmp_path / "changed.yaml"
    original = ROOT / "config" / f"{env}.yaml"
    lines = overrides([GATEWAY, LIMIT], keys_of(original))
    path.write_text(with_overrides(original.read_text(), lines))
    there, elsewhere = (load_settings(Source(path, region)) for region in ("us-west-2", "eu-west-1"))
    assert (there.checks["api"].request.within, there.checks["health"].endpoints["gateway"].within) == (0.14, 1.5)
    assert there.checks["health"].endpoints["edge"].within == 0.1
    assert elsewhere.checks == load_settings(Source(original, "eu-west-1")).checks


def test_busy_hours_come_after_the_whole_day_so_that_they_hold() -> None:
    keys = {"api": {"request": ("request", "within")}}
    assert overrides([BUSY, LIMIT], keys) == [
        "  - regions: [us-west-2]",
        "    checks:",
        "      api: { request: { within: 140ms } }",
        "  - regions: [us-west-2]",
        '    between: "22:00-02:00" # UTC',
        "    checks:",
        "      api: { request: { within: 340ms } }",
    ]


def test_what_is_there_stays_and_new_ones_follow_it_as_they_are_indented() -> None:
    lines = ["  - regions: [us]", "    checks: {}"]
    assert with_overrides(NONE, lines) == "env: local\n\noverrides:\n  - regions: [us]\n    checks: {}\n"
    before, after = SOME.split("\n# who")
    assert with_overrides(SOME, lines) == (f"{before}    - regions: [us]\n      checks: {{}}\n\n# who{after}")


def test_overrides_in_one_line_are_not_changed() -> None:
    with pytest.raises(ValueError, match="in one line"):
        with_overrides("overrides: []\n", [])


def test_the_difference_is_one_that_patch_takes(tmp_path: Path) -> None:
    if shutil.which("patch") is None:
        pytest.fail("patch is not installed, and is part of every Debian that builds things")
    path = tmp_path / "some.yaml"
    path.write_text(SOME)
    after = with_overrides(SOME, ["  - regions: [us]", "    checks: {}"])
    said = difference(SOME, after, "some.yaml")
    subprocess.run(["patch", "-p0"], cwd=tmp_path, input=said, text=True, check=True, capture_output=True)
    assert path.read_text() == after


@pytest.mark.parametrize(("now", "worth"), [(None, True), (200.0, True), (150.0, False), (140.0, False), (100.0, True)])
def test_what_is_near_enough_is_left(now: float | None, worth: bool) -> None:
    assert worth_a_change(replace(LIMIT, limit_now_ms=now)) is worth


@pytest.mark.parametrize(("ms", "text"), [(85.0, "85ms"), (5.1, "5.1ms"), (2500.0, "2.5s"), (14000.0, "14s")])
def test_limits_are_written_as_people_do(ms: float, text: str) -> None:
    assert written_limit(ms) == text


def test_every_limit_of_a_shipped_check_has_its_place() -> None:
    """Else a limit could never be proposed."""
    settings = load_settings(Source(ROOT / "config" / "production.yaml"))
    for name, check in build_checks(settings, ROOT / "config" / "production.yaml").items():
        for step, way in check.limits().items():
            value = settings.checks[name]
            for key in way:
                value = value[key] if isinstance(value, dict) else getattr(value, key)
            assert value is None or value > 0, (name, step)
