"""A rule to be changed, the environment that it is about, and a series in few words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probes.config.alert_rules import FILE, RuleFile, load_rules
from probes.config.models import Settings
from tests.config.sample import as_yaml, read

RULE: Mapping[str, Any] = {
    "metric": "smoke_test.success",
    "statistic": "mean",
    "condition": "< 0.9",
    "window": "5m",
    "samples": 3,
    "quorum": 2,
    "environments": ["here"],
    "severity": "critical",
    "notify": ["oncall@example.com"],
    "evaluator": "smokeprobe",
}

HERE = """\
env: here
target:
  url: https://example.com
regions: [us, eu, ap]
region_proofs: { us: { env: PLACE }, eu: { env: PLACE }, ap: { env: PLACE } }
shares: { adhoc: 25%, us: 25%, eu: 25%, ap: 25% }
masters:
  us: { share: us, regions: [us] }
  eu: { share: eu, regions: [eu] }
  ap: { share: ap, regions: [ap] }
limits:
  site: { allows: 100 per 60s, key: ip, covers: ["* /*"] }
checks:
  front:
    kind: http
    every: 60s
    requests:
      page: { path: /, within: 3s }
  shop:
    kind: http
    every: 30m
    requests:
      page: { path: /shop, within: 3s }
"""


def here(folder: Path, text: str = HERE) -> Settings:
    return read(folder, text)


def rules(folder: Path, **by_name: Mapping[str, Any]) -> RuleFile:
    """Rules by name, each with what it says otherwise than `RULE`."""
    path = folder / FILE
    path.write_text(as_yaml({"rules": {name: {**RULE, **changes} for name, changes in by_name.items()}}))
    return load_rules(path)
