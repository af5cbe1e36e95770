"""The ids of a failed answer, from the verdict in the history to the links in the mail and in Slack."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from probes.model import Layer, Outcome, Reason, Verdict
from probes.options import RunOptions
from probes.store.database import open_database
from probes.store.store import Store
from probes.swarm import alerting
from probes.swarm.alerting import RunAlerting
from probes.swarm.equipment import equip
from probes.swarm.records import record_of
from tests.alerts.mail_server import mail_server
from tests.alerts.pager_servers import TOKEN, pager_server
from tests.alerts.sample import rules

TRACE, REQUEST = "4bf92f3577b34da6a3ce929d0e0e4736", "req-5f2c"
LINK = f"https://traces.example.com/t/{TRACE}"
RULE = {
    "condition": "< 0.3", "quorum": 1, "samples": 2, "environments": ["test"],
    "notify": ["oncall@example.com", "slack:#alerts"],
}  # fmt: skip


def test_the_trace_of_a_failure_is_a_link_in_the_mail_and_in_slack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", "AWS_LAMBDA_FUNCTION_NAME", "SMOKEPROBE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RUN_LOOKS_S", "RUN_TELLS_S"):  # enough for a busy machine
        monkeypatch.setattr(alerting, name, 30.0)
    monkeypatch.setenv("SLACK", TOKEN)
    config = {
        "env": "test",
        "target": {"url": "http://127.0.0.1:9", "private": True},
        "regions": ["eu"],
        "region_proofs": {"eu": {"env": "PLACE"}},
        "limits": {"all": {"allows": "100 per 60s", "key": "ip", "covers": ["* /*"]}},
        "checks": {"one": {"kind": "http", "attempts": 1, "every": "60s", "requests": {"page": {"path": "/"}}}},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    rules(tmp_path, down=RULE)
    with mail_server("none", None, login=False) as mail, pager_server() as pager:
        ways = {
            "trace_url": "https://traces.example.com/t/{trace_id}",
            "run_url": "https://runs.example.com/",
            "mail": {"host": "127.0.0.1", "port": mail.port, "security": "none", "from": "smoke@example.com"},
            "slack": {"token": {"env": "SLACK"}, "url": f"{pager.url}/api"},
        }
        (tmp_path / "channels.yaml").write_text(json.dumps(ways))
        options = RunOptions(config=str(tmp_path / "config.yaml"), state_dir=str(tmp_path / "state"), region="eu")
        equipment = equip(options, {})
        store = Store(open_database(equipment.options.state, ""), equipment.target)
        why = Reason("page", Layer.HTTP, "status", "200", "503", REQUEST, TRACE)
        failed = Verdict("one", Outcome.FAILED, reason=why)
        store.add([record_of(failed, f"id {n}", time.time(), region="eu", verified=True) for n in range(3)])
        store.close()
        assert RunAlerting(equipment, {"SLACK": TOKEN, "PATH": os.environ.get("PATH", "")}).look() == ""
    (sent,) = mail.mails
    for kind in ("plain", "html"):
        body = sent.get_body((kind,))
        assert body is not None
        assert LINK in body.get_content()
        assert REQUEST in body.get_content()
        assert "https://runs.example.com/" in body.get_content()
    (said,) = pager.slack
    assert f"<{LINK}|{TRACE}>" in json.dumps(said)
    assert f"Request: {REQUEST}" in json.dumps(said)
