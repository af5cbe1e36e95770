"""A small configuration that is right, to be changed by each test, and what it is loaded with."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from probes.checks.registry import kinds_for
from probes.config.load import Source, load
from probes.config.models import Settings

GOOD = """\
env: here
target:
  url: https://example.com
regions: [us-east-1, eu-west-1]
limits:
  site: { allows: 100 per 60s, key: ip, covers: ["* /*"] }
checks:
  front:
    kind: http
    every: 5m
    requests:
      page: { path: /, within: 3s }
"""

LOGIN = """\
credentials:
  hosts: [example.com]
  accounts:
    basic: { user: someone@example.com, password: { env: SITE_PASSWORD } }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, *, region: str = "local", now: dt.datetime | None = None, url: str = "") -> Settings:
    return load(Source(write(folder, text), region, url), kinds_for, now)


def as_yaml(data: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps(data)
