"""A notice with everything in it, to be changed by each test, and the configuration that its channels have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from probes.alerts.notice import Affected, Notice, Trouble
from probes.config.channels import Channels, load_channels

SINCE = 1_796_040_000.0  # 2026-11-30 12:00:00 UTC

API = Affected(
    "api",
    ("us-east-1", "eu-west-1"),
    "GET /api/v1/test: status expected 200, got 503",
    "req-5f2c",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    SINCE - 90,
    "118 ms",
)
HEALTH = Affected("health", ("us-east-1",), "database expected healthy, got down")
SUCCESS = Trouble(
    "success", "smoke_test.success", "mean of smoke_test.success at least 0.9 over 5 min", "0.42",
    ("us-east-1", "eu-west-1"), 2, (API, HEALTH),
)  # fmt: skip
FIRING = Notice(
    "production/2026-11-30T12:00:00/7f3a", 1, "firing", "critical", "production", "https://betterprompts.com",
    SINCE, SINCE + 3, (SUCCESS,), "https://ci.example.com/runs/17",
)  # fmt: skip
REMINDER = replace(FIRING, number=2, change="reminder", at=SINCE + 3 * 3600)
RESOLVED = replace(FIRING, number=3, change="resolved", at=SINCE + 7500)


def channels(folder: Path, **keys: Any) -> Channels:
    """A `channels.yaml` with these keys, and links."""
    path = folder / "channels.yaml"
    links = {
        "trace_url": "https://traces.example.com/t/{trace_id}",
        "guide_url": "https://docs.example.com/guide.md",
    }
    path.write_text(json.dumps({**links, **keys}))  # which is YAML too
    return load_channels(path)
