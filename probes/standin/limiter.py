"""The target's rate limits: which calls each covers, and how each counts."""

import math
from dataclasses import dataclass
from typing import Literal

Persona = Literal["design", "gateway"]

ENHANCE_PATH = "/api/v1/enhance"
TEST_PATH = "/api/v1/test"
API_PREFIX = "/api/v1/"
GATEWAY_HEALTH_PATH = "/api/v1/health"

RETRY_AFTER_S = 60


@dataclass(frozen=True)
class Tally:
    """Where one request left a limit. reset_at is in seconds of the epoch."""

    name: str
    limit: int
    remaining: int
    reset_at: int
    refused: bool


class FixedWindow:
    """So many requests in each window; windows begin at multiples of their length since the epoch."""

    def __init__(self, name: str, limit: int, window_s: int) -> None:
        self.name = name
        self.limit = limit
        self.window_s = window_s
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, key: str, now: float, *, limit: int | None = None) -> Tally:
        """Count one request of key at now (seconds of the epoch); limit takes the place of the usual one."""
        limit = self.limit if limit is None else limit
        window = int(now // self.window_s)
        last_window, count = self._counts.get(key, (window, 0))
        count = count + 1 if last_window == window else 1
        self._counts[key] = (window, count)
        reset_at = (window + 1) * self.window_s
        return Tally(self.name, limit, max(0, limit - count), reset_at, refused=count > limit)


class LeakyBucket:
    """A steady rate with a burst, as nginx's limit_req with nodelay counts; refused requests do not fill it."""

    def __init__(self, name: str, rate_per_s: int, burst: int) -> None:
        self.name = name
        self.limit = rate_per_s
        self._burst = burst
        self._levels: dict[str, tuple[float, float]] = {}

    def count(self, key: str, now: float, *, limit: int | None = None) -> Tally:
        """Count one request of key at now (seconds); limit takes the place of the usual rate per second."""
        rate = self.limit if limit is None else limit
        last, level = self._levels.get(key, (now, -1.0))
        level = max(0.0, level - max(0.0, now - last) * rate + 1)
        refused = level > self._burst
        if not refused:
            self._levels[key] = (now, level)
        return Tally(self.name, rate, max(0, math.floor(self._burst - level)), math.ceil(now) + 1, refused=refused)


Limits = dict[str, FixedWindow | LeakyBucket]


def limits_of(persona: Persona) -> Limits:
    """All limits of a persona, counted from nothing."""
    limits: Limits = {"enhance": FixedWindow("enhance", 100, 60)}
    if persona == "gateway":
        limits["api"] = LeakyBucket("api", rate_per_s=10, burst=20)
    else:
        limits["test"] = FixedWindow("test", 100, 60)
        limits["api"] = FixedWindow("api", 600, 60)
    return limits


def limits_covering(persona: Persona, method: str, path: str) -> list[str]:
    """The names of the limits that a call counts against, the outermost first."""
    if not path.startswith(API_PREFIX) or (persona == "gateway" and path == GATEWAY_HEALTH_PATH):
        return []
    if method == "POST" and path == ENHANCE_PATH:
        return ["api", "enhance"]
    if persona == "design" and method in {"GET", "HEAD"} and path == TEST_PATH:
        return ["api", "test"]
    return ["api"]
