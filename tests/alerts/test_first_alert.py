"""The runbook's first alert, word for word: it holds, fires and ends; and slips that would leave it mute are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from probes.cli import app
from probes.starter import starter_configuration

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "smoke-test-runbook.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    section = RUNBOOK.read_text(encoding="utf-8").partition("**A first alert of your own.**")[2]
    regions, rules, channels = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[:3]
    starter = re.sub("^env: .*", "env: mysite", starter_configuration("https://example.com"))
    (tmp_path / "smokeprobe.yaml").write_text(starter + regions, encoding="utf-8")
    (tmp_path / "alert-rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "channels.yaml").write_text(channels, encoding="utf-8")
    return tmp_path


def command(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(folder / "smokeprobe.yaml")])


def play(folder: Path, outcomes: str, *, check: str = "site", region: str = "home") -> Result:
    words = {".": "passed", "x": "failed"}
    lines = [
        json.dumps({"t": 300 * n, "region": region, "check": check, "outcome": words[outcome]})
        for n, outcome in enumerate(outcomes)
    ]
    (folder / "series.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = ("--rules", str(folder / "alert-rules.yaml"), "--series", str(folder / "series.jsonl"))
    return command(folder, "alerts", "test", *files)


def test_it_holds_fires_and_ends(folder: Path) -> None:
    valid = command(folder, "validate")
    assert valid.exit_code == 0, valid.output
    assert "down" in valid.output
    assert "Nobody" not in valid.output
    told = [json.loads(line)["change"] for line in play(folder, "....xxx....").stdout.splitlines()]
    assert told == ["firing", "resolved"]


def test_that_nobody_would_have_been_told_is_said_beside_the_answer(folder: Path) -> None:
    result = play(folder, "....x......")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Nobody would have been told of anything: no rule fires in ")


def test_a_check_that_is_not_there_is_refused_and_a_region_that_is_not_is_named(folder: Path) -> None:
    result = play(folder, "xxxx", check="sit")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'sit' is no check of mysite; did you mean site?" in result.stderr
    result = play(folder, "xxxx", region="hom")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "'hom' is no region of mysite, so it counts for no rule; did you mean home?" in result.stderr
    assert "is no region" not in play(folder, "xxxx", region="home-unverified").stderr


def test_validate_says_where_every_rule_is_about_another_environment(folder: Path) -> None:
    rules = folder / "alert-rules.yaml"
    rules.write_text(rules.read_text().replace("[mysite]", "[mysit]"), encoding="utf-8")
    result = command(folder, "validate")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert (
        "Nobody is told of alerts in mysite: the rules of alert-rules.yaml are about mysit; did you mean mysit?" in said
    )


def test_validate_says_what_is_quiet_no_more(folder: Path) -> None:
    mutes = "mutes:\n  old: { until: 2026-01-01 00:00, reason: known, zone: UTC }\n"
    (folder / "maintenance.yaml").write_text(mutes, encoding="utf-8")
    result = command(folder, "validate")
    assert (result.exit_code, result.output.splitlines()[-1]) == (
        0,
        "maintenance.yaml: old had an end, and it is past.",
    )
