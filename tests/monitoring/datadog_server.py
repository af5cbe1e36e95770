"""A loopback server that takes what Datadog's series API (version 2) is documented to take, and nothing else.

As there, a series keeps one value a second: what comes twice takes the place of what was there.
"""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

KEY = "0123456789abcdef0123456789abcdef"
Mode = Literal["up", "hang", "drip", "cut", "take and cut", 400, 403, 413, 429, 500]

UNITS = {"second", "millisecond", "day", "percent", "fraction"}
_METRIC = re.compile(r"[a-zA-Z][a-zA-Z0-9_.]{0,199}")
_TAG = re.compile(r"[a-z][a-z0-9_]*:[A-Za-z0-9_./+-]{1,200}")
_PAST_S, _FUTURE_S = 3600, 600

Point = tuple[str, frozenset[str], int]


class DatadogServer(Loopback):
    """Set `mode` to let it misbehave; `points` is what it has, `complaints` what was wrong with what it was sent."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.mode: Mode = "up"
        self.points: dict[Point, float] = {}
        self.came: Counter[Point] = Counter()
        self.units: dict[str, str] = {}
        self.complaints: list[str] = []
        self.requests = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given to send here."""
        return {"SMOKEPROBE_MONITORING": "datadog", "DD_API_KEY": KEY, "DATADOG_HOST": self.url}

    def values(self, metric: str, *tags: str) -> list[float]:
        """The values of a metric whose series have these tags, oldest first."""
        found = [(at, value) for (name, its, at), value in self.points.items() if name == metric and its >= set(tags)]
        return [value for _, value in sorted(found)]

    def take(self, body: Any) -> None:
        """Keep what is right, complain of the rest."""
        if not isinstance(body, dict) or set(body) != {"series"} or not body["series"]:
            self.complaints.append(f"not a body: {str(body)[:80]}")
            return
        for series in body["series"]:
            self.complaints += wrong_with(series)
            self.units[series["metric"]] = series.get("unit", "")
            for point in series["points"]:
                key = series["metric"], frozenset(series["tags"]), point["timestamp"]
                self.points[key] = point["value"]
                self.came[key] += 1


def wrong_with(series: dict[str, Any]) -> list[str]:
    """Everything that the API's documentation forbids."""
    counts = series.get("type") == 1
    rules = {
        "unknown keys": set(series) <= {"metric", "type", "points", "tags", "unit", "interval"},
        "metric": isinstance(series["metric"], str) and _METRIC.fullmatch(series["metric"]),
        "type": series["type"] in {1, 3},
        "interval": (isinstance(series.get("interval"), int) and series["interval"] > 0) == counts,
        "unit": series.get("unit", "second") in UNITS,
        "tags": all(_TAG.fullmatch(tag) for tag in series["tags"]),
        "a tag twice": len({tag.partition(":")[0] for tag in series["tags"]}) == len(series["tags"]),
        "points": bool(series["points"]) and all(_right(point) for point in series["points"]),
        "a second twice": len({point["timestamp"] for point in series["points"]}) == len(series["points"]),
    }
    return [f"{rule}: {str(series)[:200]}" for rule, holds in rules.items() if not holds]


def _right(point: dict[str, Any]) -> bool:
    at, value = point["timestamp"], point["value"]
    recent = isinstance(at, int) and time.time() - _PAST_S < at < time.time() + _FUTURE_S
    return set(point) == {"timestamp", "value"} and recent and isinstance(value, int | float) and math.isfinite(value)


class _Handler(LoopbackHandler):
    server: DatadogServer

    def post(self, body: bytes) -> None:
        self.server.requests += 1
        mode = self.server.mode
        if mode == "hang":
            self.server.closing.wait(30)
            return
        if mode == "drip":
            self.drip(202)
            return
        if mode == "take and cut":
            self._take(body)
        if mode in {"cut", "take and cut"}:
            self.cut()
            return
        if mode == "up":
            self._say(*self._take(body))
        elif isinstance(mode, int):
            self._say(mode, ["no"])

    def _take(self, body: bytes) -> tuple[int, list[str]]:
        wanted = {"DD-API-KEY": KEY, "Content-Type": "application/json", "Content-Encoding": "deflate"}
        wrong = [name for name, value in wanted.items() if self.headers.get(name) != value]
        if self.path != "/api/v2/series" or wrong or len(body) > 512_000:
            self.server.complaints.append(f"{self.path}, {wrong}, {len(body)} bytes")
            return 400, ["bad request"]
        self.server.take(json.loads(zlib.decompress(body)))
        return 202, []

    def _say(self, status: int, errors: list[str]) -> None:
        wait = {"X-RateLimit-Reset": "7"} if status == 429 else {}
        self.answer(status, json.dumps({"errors": errors}).encode(), {"Content-Type": "application/json", **wait})


@contextmanager
def datadog_server(port: int = 0) -> Iterator[DatadogServer]:
    """A server in a thread, gone with the context."""
    with serving(DatadogServer(port)) as server:
        yield server
