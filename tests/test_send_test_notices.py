"""`smokeprobe alerts send-test`, as its user starts it."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import trustme
from rich.console import Console

from probes.config.load import shipped
from probes.options import RunOptions
from probes.send_test_notices import send_test_notices
from tests.alerts.mail_server import PASSWORD, USER, mail_server
from tests.alerts.pager_servers import GENIE_KEY, ROUTING_KEY, TOKEN, WEBHOOK, PagerServer, pager_server
from tests.e2e.harness import SMOKEPROBE

SECRETS = {
    "SMOKEPROBE_SMTP_PASSWORD": PASSWORD, "SMOKEPROBE_SLACK_TOKEN": TOKEN, "SMOKEPROBE_PAGERDUTY_KEY": ROUTING_KEY,
    "SMOKEPROBE_OPSGENIE_KEY": GENIE_KEY,
}  # fmt: skip
TOLD = ["oncall@betterprompts.com", "slack:#alerts", "slack:#hooked", "pagerduty:primary", "opsgenie:ops"]


def here(folder: Path, ways: Mapping[str, Any], told: list[str]) -> None:
    """An environment whose rule is evaluated by ourselves."""
    config = folder / "config"
    config.mkdir()
    shutil.copy(shipped("config") / "staging.yaml", config)
    (config / "channels.yaml").write_text(json.dumps(ways))
    rule = {
        "metric": "smoke_test.success", "statistic": "mean", "condition": "< 0.9", "window": "5m", "samples": 5,
        "quorum": 1, "environments": ["staging"], "severity": "critical", "notify": told, "evaluator": "smokeprobe",
    }  # fmt: skip
    (config / "alert-rules.yaml").write_text(json.dumps({"rules": {"success": rule}}))


def send_test(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SMOKE")}
    line = [SMOKEPROBE, "alerts", "send-test", "--env", "staging", *arguments]
    return subprocess.run(
        line, cwd=folder, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=50
    )


def ways(server: PagerServer) -> dict[str, Any]:
    key = {name: {"env": f"SMOKEPROBE_{name.upper()}_KEY"} for name in ("pagerduty", "opsgenie")}
    return {
        "slack": {
            "token": {"env": "SMOKEPROBE_SLACK_TOKEN"}, "url": f"{server.url}/api",
            "webhooks": {"hooked": {"env": "SMOKEPROBE_SLACK_WEBHOOK"}},
        },
        "pagerduty": {"primary": {"key": key["pagerduty"], "url": server.url}},
        "opsgenie": {"ops": {"key": key["opsgenie"], "url": server.url}},
    }  # fmt: skip


def test_everyone_who_is_told_is_tried(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with mail_server("starttls", context, login=True) as mail, pager_server() as server:
        post = {
            "host": "127.0.0.1", "port": mail.port, "from": "smokeprobe@betterprompts.com", "user": USER,
            "password": {"env": "SMOKEPROBE_SMTP_PASSWORD"},
        }  # fmt: skip
        here(tmp_path, {**ways(server), "mail": post}, TOLD)
        hook = f"{server.url}{WEBHOOK}"
        trusted = str(tmp_path / "authority.pem")
        done = send_test(tmp_path, **SECRETS, SMOKEPROBE_SLACK_WEBHOOK=hook, SSL_CERT_FILE=trusted)
        server.mode = 403
        refused = send_test(tmp_path, "--to", "pagerduty:primary", "--to", "team@betterprompts.com", **SECRETS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.complaints == []
    assert done.stdout.splitlines() == [
        "oncall@betterprompts.com: handed over; look whether it is there",
        "slack:#alerts: handed over; look whether it is there",
        "slack:#hooked: handed over; look whether it is there",
        "pagerduty:primary: triggered and resolved; look whether it is there",
        "opsgenie:ops: triggered and resolved; look whether it is there",
    ]
    assert mail.mails[0]["Subject"] == "TEST Info test message: example - staging"
    assert [said["text"] for said in server.slack] == ["TEST Info test message: example - staging"] * 2
    assert [event["event_action"] for event in server.pagerduty] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in server.pagerduty}) == 1
    assert [what for what, _ in server.opsgenie] == ["create", "close"]
    assert refused.returncode == 1
    assert refused.stdout.splitlines() == [
        (
            "pagerduty:primary: not triggered: HTTP 403: it does not know us: is the environment variable "
            "SMOKEPROBE_PAGERDUTY_KEY right?"
        ),
        "team@betterprompts.com: not handed over: its certificate is not trusted, or it speaks no TLS",
    ]
    said = done.stdout + done.stderr + refused.stdout + refused.stderr
    assert not [secret for secret in (*SECRETS.values(), WEBHOOK) if secret in said]


def test_what_is_missing_is_said_for_each(tmp_path: Path) -> None:
    here(tmp_path, {"slack": {"token": {"env": "SMOKEPROBE_SLACK_TOKEN"}}}, ["slack:#alerts", "team@example.com"])
    said = StringIO()
    options = RunOptions(config=str(tmp_path / "config" / "staging.yaml"))
    assert send_test_notices(options, (), {}, Console(file=said, width=200)) == 1
    assert said.getvalue().splitlines() == [
        (
            "slack:#alerts: cannot be reached: the environment variable SMOKEPROBE_SLACK_TOKEN, which channels.yaml "
            "names for slack.token, is empty."
        ),
        "team@example.com: cannot be reached: channels.yaml says nothing of mail.",
    ]


def test_where_nobody_is_told_it_says_what_to_do(tmp_path: Path) -> None:
    here(tmp_path, {}, ["team@example.com"])
    (tmp_path / "config" / "alert-rules.yaml").unlink()
    done = send_test(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Nobody is told of alerts in staging: no rule of config/alert-rules.yaml has")
    assert done.stderr.endswith("Try anyone with --to ADDRESS.\n")
