"""What is rendered of two of the rules that are shipped, kept in `golden/`; written anew by `python -m` of this."""

from __future__ import annotations

import json
from pathlib import Path

from probes.checks.registry import load_settings
from probes.config.alert_rules import EVALUATORS, FILE, Evaluator, RuleFile, load_rules
from probes.config.load import Source, shipped
from probes.config.monitoring import DatadogOptions
from probes.monitoring.as_code.monitors import monitors_of
from probes.monitoring.as_code.watch import Monitors

FOLDER = Path(__file__).with_name("golden")
SHOWN = ("success", "blind")
"""One with a recovery of its own, and one that wants data."""


def rendered(service: Evaluator) -> Monitors:
    """These rules as if this service watched for them."""
    found = load_rules(shipped("config") / FILE)
    rules = {key: rule.model_copy(update={"evaluator": service}) for key, rule in found.rules.items() if key in SHOWN}
    settings = load_settings(Source(shipped("config") / "production.yaml"))
    return monitors_of(service, RuleFile(rules, found.document), settings, DatadogOptions(tags={"service": "shop"}))


def path_of(service: Evaluator) -> Path:
    """Where it is kept."""
    return FOLDER / f"monitors-{service}.json"


def text_of(monitors: Monitors) -> str:
    """As it is kept."""
    wanted = [{"kind": one.kind, "key": one.key, "name": one.name, "body": one.body} for one in monitors.wanted]
    return json.dumps({"wanted": wanted, "notes": monitors.notes}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in EVALUATORS:
        path_of(each).write_text(text_of(rendered(each)))
