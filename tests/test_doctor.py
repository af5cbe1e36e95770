"""The doctor names what is missing and what mends it, and asks nothing of the target."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from probes.clients.chromium import find_chromium, sandbox_available
from probes.config.aws import VARIABLES as AWS_VARIABLES
from probes.doctor import examine
from probes.options import DATABASE_URL, RunOptions
from probes.safety.ledger import open_ledger
from probes.standin.process import StandIn
from tests.alerts.sample import RULE
from tests.config.sample import GOOD, as_yaml


def examined(options: RunOptions, width: int = 200) -> tuple[int, str]:
    console = Console(file=StringIO(), width=width)
    code = examine(options, console)
    assert isinstance(console.file, StringIO)
    return code, console.file.getvalue()


def test_all_is_well_and_nothing_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_TEST_PASSWORD", "invented")
    with StandIn() as target:
        code, shown = examined(RunOptions(target_url=target.url, state_dir=str(tmp_path)))
        assert target.ledger() == []
    assert code == 0, shown
    assert "problem" not in shown
    assert "takes connections" in shown
    on, why_not = sandbox_available(find_chromium(os.environ).path)
    assert f"Chromium's sandbox   {'on' if on else f'off: {why_not}'}" in shown


def test_a_long_path_is_shown_whole(tmp_path: Path) -> None:
    config = tmp_path / "-".join(["long"] * 20) / "c.yaml"
    config.parent.mkdir()
    config.write_text(GOOD)
    options = RunOptions(config=str(config), state_dir=str(config.parent), target_url="http://127.0.0.1:9")
    shown = "".join(examined(options, width=80)[1].split())
    assert f"ledger{config.parent}/ledger.sqlite3" in shown


def test_each_trouble_is_named_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMOKE_TEST_PASSWORD", raising=False)
    monkeypatch.setenv("SMOKEPROBE_CHROMIUM", str(tmp_path / "nowhere"))
    open_ledger(tmp_path).pause(None, None, "a migration", "hand")
    code, shown = examined(RunOptions(target_url="http://127.0.0.1:9", state_dir=str(tmp_path)))
    assert code == 1
    resume = f"smokeprobe resume --state-dir {tmp_path}"
    for part in ("nowhere", "a migration", resume, "SMOKE_TEST_PASSWORD", "no connection"):
        assert part in shown


def test_a_fleets_ledger_that_cannot_be_reached_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_URL, "postgresql://me:hunter2@127.0.0.1:1/smokeprobe")
    code, shown = examined(RunOptions(target_url="http://127.0.0.1:9", state_dir=str(tmp_path)))
    assert code == 1
    assert "PostgreSQL at 127.0.0.1:1/smokeprobe, cannot be used" in shown
    assert "can be reached from here" in shown
    assert "hunter2" not in shown
    assert list(tmp_path.iterdir()) == []


def test_the_region_is_a_note_where_nothing_bears_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(GOOD.replace("us-east-1", "nowhere-1") + "region_proofs: { nowhere-1: { env: NODE_REGION } }\n")
    options = RunOptions(
        config=str(config), state_dir=str(tmp_path), region="nowhere-1", target_url="http://127.0.0.1:9"
    )
    monkeypatch.setenv("NODE_REGION", "elsewhere-1")
    shown = examined(options)[1]
    assert "note" in shown
    assert "unverified: the environment variable NODE_REGION names another region" in shown
    monkeypatch.setenv("NODE_REGION", "nowhere-1")
    assert "verified by the environment variable NODE_REGION" in examined(options)[1]


def test_a_wrong_configuration_is_told_with_all_else(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("env: x\ntarget: { url: ftp://x }\nchecks: {}\n")
    code, shown = examined(RunOptions(config=str(tmp_path / "wrong.yaml"), state_dir=str(tmp_path)))
    assert code == 1
    assert "wrong.yaml:2: target.url" in shown


def test_each_monitoring_service_is_named_with_what_keeps_it_from_being_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "SMOKEPROBE_MONITORING",
        "DD_DOGSTATSD_URL",
        "DD_AGENT_HOST",
        "SMOKEPROBE_PUSHGATEWAY_URL",
        "NEW_RELIC_LICENSE_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DD_API_KEY", "k")
    monkeypatch.setenv("HOME", str(tmp_path))  # no .aws there
    monkeypatch.setattr("probes.config.aws.VENDOR", tmp_path / "sys_vendor")
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    options = RunOptions(env="production", target_url="http://127.0.0.1:9", state_dir=str(tmp_path))

    def lines() -> dict[str, str]:
        shown = examined(options)[1].splitlines()
        return {line.split("monitoring ")[1].split()[0]: line for line in shown if "monitoring " in line}

    found = lines()
    assert found["datadog"].startswith("ok ")
    assert "has none of SMOKEPROBE_PUSHGATEWAY_URL" in found["prometheus"]
    assert "has none of AWS_ACCESS_KEY_ID, AWS_PROFILE" in found["cloudwatch"]
    assert "has none of NEW_RELIC_LICENSE_KEY" in found["newrelic"]
    monkeypatch.setenv("AWS_PROFILE", "probe")
    assert lines()["cloudwatch"].startswith("ok ")


def test_whom_alerts_reach_and_who_would_notice_that_we_are_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(GOOD)
    (tmp_path / "channels.yaml").write_text(
        "slack: { token: { env: SLACK_TOKEN } }\npagerduty: { ops: { key: { env: DUTY_KEY } } }\n"
    )
    notify = ["team@example.com", "slack:#alerts", "pagerduty:ops"]
    (tmp_path / "alert-rules.yaml").write_text(as_yaml({"rules": {"down": {**RULE, "notify": notify}}}))
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-invented")
    monkeypatch.delenv("SMOKEPROBE_HEARTBEAT_URL", raising=False)
    options = RunOptions(config=str(tmp_path / "c.yaml"), state_dir=str(tmp_path), target_url="http://127.0.0.1:9")
    shown = " ".join(examined(options)[1].split())
    assert "problem alerts to team@example.com team@example.com cannot be reached: channels.yaml says nothing" in shown
    assert "ok alerts to slack:#alerts has a channel; try it: smokeprobe alerts send-test" in shown
    assert "the environment variable DUTY_KEY, which channels.yaml names for pagerduty.ops.key, is empty." in shown
    assert "note heartbeat none: the environment variable SMOKEPROBE_HEARTBEAT_URL is empty" in shown
    monkeypatch.setenv("SMOKEPROBE_HEARTBEAT_URL", "https://hc.example.com/ping/invented-uuid")
    shown = " ".join(examined(options)[1].split())
    assert "ok heartbeat goes where the environment variable SMOKEPROBE_HEARTBEAT_URL says" in shown
    assert not [secret for secret in ("xoxb-invented", "invented-uuid") if secret in shown]
