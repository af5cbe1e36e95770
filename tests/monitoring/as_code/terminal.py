"""The commands in this process, on a terminal that is read afterwards."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from probes.as_code import AsCode
from probes.config.load import shipped
from probes.monitoring.as_code.described import Service
from probes.options import RunOptions

CONFIG = """\
env: production
regions: [eu-west-1, us-east-1]
target: { url: "https://shop.example" }
checks:
  health: { kind: http, requests: { page: { path: /health } } }
"""
BOARD = """\
title: Shop
purpose: Whether the shop is up.
sections:
  - title: Up?
    widgets:
      - { title: "%s", why: What pages the on-call., show: value, metrics: [smoke_test.success], as_percent: true }
"""
RULE = """\
  %s:
    metric: smoke_test.success
    statistic: mean
    condition: "< 0.9"
    window: 5m
    samples: 2
    quorum: 2
    environments: [production]
    severity: critical
    notify: [oncall@shop.example]
    evaluator: %s
"""


class Desk:
    """A configuration with dashboards and rules in a folder, and somebody who types commands beside it."""

    def __init__(self, folder: Path, service: Service, environ: Mapping[str, str]) -> None:
        self.folder, self.service, self.environ = folder, service, environ
        (folder / "dashboards").mkdir()
        (folder / "shop.yaml").write_text(CONFIG)
        (folder / "monitoring-integration.yaml").write_text(
            f"tags: {{ service: shop }}\nservices: {{ {service}: {{ environments: [production] }} }}\n"
        )
        self.write_rules("success")

    def write_board(self, key: str, widget: str = "Availability") -> None:
        (self.folder / "dashboards" / f"{key}.yaml").write_text(BOARD % widget)

    def forget_board(self, key: str) -> None:
        (self.folder / "dashboards" / f"{key}.yaml").unlink()

    def write_rules(self, *keys: str) -> None:
        file = self.folder / "alert-rules.yaml"
        file.write_text("rules:\n" + "".join(RULE % (key, self.service) for key in keys))
        if not keys:
            file.unlink()

    def plan(self, *, prune: bool = False) -> tuple[int, str]:
        work, said = self._work()
        return work.plan(prune=prune), said.getvalue()

    def apply(self, *, prune: bool = False) -> tuple[int, str]:
        work, said = self._work()
        return work.apply(prune=prune), said.getvalue()

    def _work(self) -> tuple[AsCode, io.StringIO]:
        said = io.StringIO()
        console = Console(file=said, width=200, soft_wrap=True, highlight=False)
        options = RunOptions(config=str(self.folder / "shop.yaml"))
        return AsCode(self.service, options, self.environ, console, pauses_s=(0.0, 0.0, 0.0, 0.0)), said


def production(service: Service, environ: Mapping[str, str]) -> tuple[AsCode, io.StringIO]:
    """The same for what is shipped."""
    said = io.StringIO()
    options = RunOptions(config=str(shipped("config") / "production.yaml"))
    return AsCode(service, options, environ, Console(file=said, width=200, soft_wrap=True), pauses_s=(0.0,)), said
