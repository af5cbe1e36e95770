"""Rules for tests of monitors, and the environment that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from probes.checks.registry import kinds_for
from probes.config.alert_rules import Evaluator, Rule, RuleFile
from probes.config.load import Source, load
from probes.config.models import Settings
from probes.config.monitoring import DatadogOptions
from probes.monitoring.as_code.monitors import monitors_of
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.as_code.watch import Monitors

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
CONFIG = """\
env: here
target: { url: https://example.com }
regions: [us-east-1, us-west-2, eu-west-1]
checks:
  front: { kind: http, requests: { page: { path: /, within: 3s } } }
  back: { kind: http, requests: { page: { path: /b, within: 3s } } }
  off: { kind: http, enabled: false, requests: { page: { path: /c, within: 3s } } }
"""
OPTIONS = DatadogOptions(tags={"service": "shop"})


def rule(**changes: Any) -> Rule:
    """A rule, changed."""
    usual: Mapping[str, Any] = {
        "metric": "smoke_test.success", "statistic": "mean", "condition": "< 0.9", "window": "5m", "samples": 3,
        "quorum": 2, "environments": ["here"], "severity": "critical",
        "notify": ["oncall@example.com", "slack:#alerts"], "evaluator": "datadog",
    }  # fmt: skip
    return Rule.model_validate({**usual, **changes})


def settings(folder: Path) -> Settings:
    """The environment `here`, with three regions and two checks that run."""
    path = folder / "config.yaml"
    path.write_text(CONFIG)
    return load(Source(path), kinds_for)


def rendered(service: Evaluator, folder: Path, prefix: str = "", product: str = "shop", **changes: Any) -> Monitors:
    """What a service shall have for one rule of a product."""
    rules = RuleFile({"success": rule(evaluator=service, **changes)})
    options = OPTIONS.model_copy(update={"prefix": prefix, "tags": {"service": product}})
    return monitors_of(service, rules, settings(folder), options)


def monitor(service: Evaluator, folder: Path, **changes: Any) -> Wanted:
    """The only monitor of a rule."""
    (one,) = rendered(service, folder, **changes).wanted
    return replace(one)
