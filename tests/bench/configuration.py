"""Configurations of the benchmarks: config/local.yaml with another target, and a check or two of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

LOCAL = Path(__file__).parents[2] / "config" / "local.yaml"


def local_with(
    path: Path, url: str, checks: Mapping[str, Any] | None = None, *, every: str = "", unlimited: bool = False
) -> Path:
    """Write config/local.yaml to `path` for the target `url`, with more checks.

    `every` makes all checks run at that interval; `unlimited` lifts the limits, so that nothing waits for budget: the
    target must not send headers of its own limits then.
    """
    yaml = YAML()
    data = yaml.load(LOCAL.read_text())
    data["target"]["url"] = url
    data["credentials"]["hosts"] = [urlsplit(url).netloc]
    if checks:
        data["checks"].update(checks)
        data["run"]["timeout"] = "60s"  # room for their time-outs too
    if every:
        for options in data["checks"].values():
            options["every"] = every
    if unlimited:
        for limit in data["limits"].values():
            limit["allows"] = "1000000 per 60s"
        data["checks"]["api"]["rate_limited"] = False
    with path.open("w") as file:
        yaml.dump(data, file)
    return path


def requests_to(path: str, count: int, **options: Any) -> dict[str, Any]:
    """An `http` check that asks for one path so many times, over one connection."""
    return {"kind": "http", "requests": {f"request-{number}": {"path": path} for number in range(count)}, **options}
