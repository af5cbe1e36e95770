"""How a master itself is, as metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from probes.config.monitoring import PrometheusOptions
from probes.monitoring.prometheus import Shelf
from probes.monitoring.reporter import Reporter
from probes.monitoring.samples import Sampler
from probes.options import RunOptions
from probes.safety.redact import Redactor
from probes.swarm.board import Snapshot
from probes.swarm.equipment import equip
from probes.swarm.reporting import learn_keys, tell_health
from tests.config.sample import GOOD, write

OWN = {"turned_s": 0.1, "unacknowledged": 2, "unwritten": 3, "lost": 0, "ledger": "", "store": ""}


@pytest.mark.parametrize(("region", "tag"), [("eu-west-1", "eu-west-1"), ("eu-west-1, us-east-1", "_several")])
def test_a_master_tells_how_it_is(tmp_path: Path, region: str, tag: str) -> None:
    shelf = Shelf(PrometheusOptions())
    reporter = Reporter([(shelf, PrometheusOptions())], Sampler("local", "fleet"), tmp_path, lambda: True)
    reporter.start()
    limits = [{"peak_percent": 2.0}, {"peak_percent": 7.0}]
    snapshot: dict[str, Any] = {"region": region, "workers": [{}, {}], "limits": limits, "own_health": OWN}
    tell_health(reporter, lambda: cast("Snapshot", snapshot))
    reporter.close()
    seen = [sample for family in shelf.collect() for sample in family.samples]
    found = {sample.name: sample for sample in seen if "metric" not in sample.labels}  # not when each was measured
    assert {name: sample.value for name, sample in found.items()} == {
        "smoke_test_probe_workers": 2.0,
        "smoke_test_probe_turn_age": pytest.approx(0.1),  # the mean of however many came within the second
        "smoke_test_probe_unacknowledged": 2.0,
        "smoke_test_probe_unwritten": 3.0,
        "smoke_test_budget_used": 7.0,
    }
    assert {sample.labels["region"] for sample in found.values()} == {tag}


def test_no_key_of_a_service_is_shown() -> None:
    redactor = Redactor()
    url = "https://probe:p%3Assw0rd@gateway.example:9091"
    learn_keys(redactor, {"DD_API_KEY": "0a1b2c3d4e5f", "SMOKEPROBE_PUSHGATEWAY_URL": url})
    learn_keys(redactor, {"AWS_SECRET_ACCESS_KEY": "wJalr/invented", "AWS_SESSION_TOKEN": "IQoJ/invented"})
    assert redactor.text("wJalr/invented, IQoJ%2Finvented") == "[redacted: monitoring key], [redacted: monitoring key]"
    learn_keys(redactor, {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=probes,Authorization=Bearer%20key/invented"})
    assert redactor.text("probes had key/invented") == "probes had [redacted: monitoring key]"
    shown = redactor.text("key 0a1b2c3d4e5f, password p:ssw0rd or p%3Assw0rd")
    assert shown == "key [redacted: monitoring key], password [redacted: monitoring key] or [redacted: monitoring key]"


def test_no_key_of_new_relic_is_shown() -> None:
    redactor = Redactor()
    keys = {"NEW_RELIC_LICENSE_KEY": "0123456789abcdef", "NEW_RELIC_API_KEY": "fedcba9876543210"}
    learn_keys(redactor, {**keys, "NEW_RELIC_PROXY_HOST": "http://me:pr0xyword@proxy.example"})
    shown = redactor.text(f"{' '.join(keys.values())} pr0xyword")
    assert shown == " ".join(["[redacted: monitoring key]"] * 3)


def test_no_secret_of_a_channel_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "channels.yaml").write_text("pagerduty: { ops: { key: { env: DUTY_KEY } } }\n")
    monkeypatch.setenv("DUTY_KEY", "0" * 16 + "f" * 16)
    monkeypatch.setenv("SMOKEPROBE_HEARTBEAT_URL", "https://hc.example.com/ping/invented-uuid")
    redactor = equip(RunOptions(config=str(write(tmp_path, GOOD)), state_dir=str(tmp_path))).redactor
    hidden = "[redacted: channel secret]"
    assert redactor.text(f"key {'0' * 16 + 'f' * 16}") == f"key {hidden}"
    assert redactor.text("GET /ping/invented-uuid") == f"GET {hidden}"
