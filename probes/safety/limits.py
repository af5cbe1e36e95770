"""What the target allows, and how little of it we take: calls, limits, ceilings and spacings.

Standard library only, and cheap to import: the browser's sidecar uses it too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote

Key = Literal["ip", "account", "global"]

CLOCK_RATE = 1.001
"""How much faster the target's clock may run than ours. Linux slews a clock by at most 500 ppm, here on both sides."""

SPACING_MARGIN_S = 0.05
"""Added to a spacing: exactly 10 % is not below 10 %, and limiters read clocks that tick as slowly as every 10 ms."""

_QUERY = re.compile(r"[?#]")
_WRITTEN_AS_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "\\")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")  # RFC 3986, 2.3
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")


@lru_cache(maxsize=256)  # every limit asks it of every request
def normal_path(path: str) -> str:
    """The path in its one plain spelling, without query and fragment; case is kept.

    Two spellings that servers take for the same path become equal: escapes of characters that need none (RFC 3986,
    6.2.2.2), dot segments (5.2.4), doubled slashes, an empty path. Escapes of reserved characters stay.

    Raises:
        ValueError: the path is not absolute.
    """
    bare = _QUERY.split(path, maxsplit=1)[0] or "/"
    if not bare.startswith("/"):
        raise ValueError(f"a path starts with '/': {path!r}")
    return _without_dots(_ESCAPE.sub(_plain_escape, quote(bare, safe=_WRITTEN_AS_IS)))


def _plain_escape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if _UNRESERVED.fullmatch(char) else match[0].upper()


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = [segment for segment in path.split("/") if segment]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    is_folder = path.endswith("/") or (bool(segments) and segments[-1] in {".", ".."})
    return "/" + "/".join(kept) + ("/" if is_folder and kept else "")


def _decoded_path(normal: str) -> str:
    """The path as a server sees it that decodes everything before it routes, as Go's and nginx's routers do."""
    return normal_path(quote(unquote(normal).replace("\\", "/"), safe="/:@!$&'()*+,;="))


@dataclass(frozen=True, slots=True)
class CallPattern:
    """Calls of one method (`*` for any) on one path, or on all paths that begin with what stands before a final `*`.

    The path is kept in its plain spelling. Raises ValueError for what is no method or no path.
    """

    method: str
    path: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\*|[A-Z]+", self.method):
            raise ValueError(f"a method is '*' or capital letters: {self.method!r}")
        if "*" in self.path[:-1]:
            raise ValueError(f"'*' may only end a path: {self.path!r}")
        end = "*" if self.path.endswith("*") else ""
        object.__setattr__(self, "path", normal_path(self.path.removesuffix("*")) + end)

    @classmethod
    def parse(cls, text: str) -> CallPattern:
        """Read `POST /api/v1/enhance` or `* /api/v1/*`. Raises ValueError for anything else."""
        words = text.split()
        if len(words) != 2:
            raise ValueError(f"a call is written as METHOD /path, e.g. 'POST /api/v1/enhance': {text!r}")
        return cls(words[0].upper(), words[1])

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def matches(self, method: str, path: str) -> bool:
        """Whether the call is meant, however its path is spelled (see `normal_path`); the query does not matter."""
        return self.matches_normal(method, normal_path(path))

    def matches_normal(self, method: str, normal: str) -> bool:
        """As `matches`, for a path that is in its plain spelling already."""
        if self.method not in {"*", method.upper()}:
            return False
        return normal.startswith(self.path[:-1]) if self.path.endswith("*") else normal == self.path

    def overlaps(self, other: CallPattern) -> bool:
        """Whether there may be a call that both mean; in doubt yes."""
        if "*" not in {self.method, other.method} and self.method != other.method:
            return False
        return any(_paths_meet(own, its) for own in _ways(self.path) for its in _ways(other.path))


def _ways(path: str) -> tuple[str, ...]:
    return (path,) if "%" not in path else (path, _decoded_path(path))


def _paths_meet(one: str, other: str) -> bool:
    if one.endswith("*") and other.endswith("*"):
        return one.startswith(other[:-1]) or other.startswith(one[:-1])
    if one.endswith("*"):
        return other.startswith(one[:-1])
    return one.startswith(other[:-1]) if other.endswith("*") else one == other


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the target allows: `requests` in any `window_s` seconds, for the calls of `covers` without `excepts`.

    `key` is what the target counts by. Raises ValueError where the numbers make no limit.
    """

    name: str
    requests: int
    window_s: float
    key: Key
    covers: tuple[CallPattern, ...]
    excepts: tuple[CallPattern, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a limit needs a name")
        if self.requests < 1:
            raise ValueError(f"limit {self.name}: it must allow at least 1 request, not {self.requests}")
        if not 0 < self.window_s < math.inf:
            raise ValueError(f"limit {self.name}: its window must be longer than 0 s, not {self.window_s}")
        if self.key not in get_args(Key):
            raise ValueError(f"limit {self.name}: its key must be one of {', '.join(get_args(Key))}, not {self.key!r}")

    def covers_call(self, method: str, path: str) -> bool:
        """Whether the target may count this call against the limit.

        In doubt yes: a path is tried as it stands and wholly decoded, but an exception only counts for a path that
        is spelled plainly. Raises ValueError for a path that is not absolute.
        """
        normal = normal_path(path)
        spelled_plainly = normal == _QUERY.split(path, maxsplit=1)[0]
        if spelled_plainly and any(pattern.matches_normal(method, normal) for pattern in self.excepts):
            return False
        return any(pattern.matches_normal(method, way) for way in _ways(normal) for pattern in self.covers)

    @property
    def ceiling(self) -> int:
        """The most requests in a window that stay strictly below 10 % of the limit; 0 where not even one does."""
        return (self.requests - 1) // 10

    @property
    def spaced(self) -> bool:
        """Whether the limit is too small for one request a window, so that requests are spaced out instead."""
        return self.ceiling == 0

    @property
    def slots(self) -> int:
        """How many requests may be held at one moment."""
        return max(1, self.ceiling)

    @property
    def hold_s(self) -> float:
        """How long a request counts after it is over, in seconds: a window, or the spacing to the next request."""
        if not self.spaced:
            return self.window_s
        return 10 * self.window_s / self.requests * CLOCK_RATE + SPACING_MARGIN_S

    @property
    def counted_as(self) -> str:
        """What the target counts, whatever the limit is called and however much it allows: its calls and its window."""
        covers, excepts = (sorted(map(str, patterns)) for patterns in (self.covers, self.excepts))
        return f"{', '.join(covers)} without {', '.join(excepts) or 'none'} in {self.window_s:g} s"

    def same_calls(self, other: RateLimit) -> bool:
        """Whether both count exactly the same calls."""
        return set(self.covers) == set(other.covers) and set(self.excepts) == set(other.excepts)

    def shares_calls(self, other: RateLimit) -> bool:
        """Whether there may be a call that both count; in doubt yes, so exceptions do not matter."""
        return any(own.overlaps(its) for own in self.covers for its in other.covers)

    def lowered(self, requests: int) -> RateLimit:
        """The same limit as the target states it just now; that can only lower it."""
        return replace(self, requests=max(1, min(requests, self.requests)))

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them."""
        return {
            "name": self.name,
            "requests": self.requests,
            "window_s": self.window_s,
            "key": self.key,
            "covers": [str(pattern) for pattern in self.covers],
            "excepts": [str(pattern) for pattern in self.excepts],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RateLimit:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            name=str(data["name"]),
            requests=int(data["requests"]),
            window_s=float(data["window_s"]),
            key=data["key"],
            covers=tuple(map(CallPattern.parse, data["covers"])),
            excepts=tuple(map(CallPattern.parse, data["excepts"])),
        )


def covering(limits: Iterable[RateLimit], method: str, path: str) -> tuple[RateLimit, ...]:
    """Those of the limits that the target may count this call against."""
    return tuple(limit for limit in limits if limit.covers_call(method, path))


def counting(limit: RateLimit, known: Iterable[RateLimit]) -> frozenset[str]:
    """The names of those of a configuration's limits by which it has counted the calls of `limit`, one of any other's.

    Where none counts exactly these calls, all count that may have some of them: rather a call twice than not at all.
    """
    limits = tuple(known)
    same = [one for one in limits if one.same_calls(limit)]
    if same:  # each counts all; of several the one of the same name, or whose slots are kept for longest
        return frozenset({max(same, key=lambda one: (one.name == limit.name, one.window_s)).name})
    return frozenset(one.name for one in limits if one.shares_calls(limit))


def share_slots(limit: RateLimit, fraction: float) -> int:
    """The slots of a share that owns `fraction` of the limit's ceiling, rounded down; a spacing cannot be divided."""
    if limit.spaced:
        return 1
    return math.floor(limit.slots * fraction + 1e-9)  # 100 × 0.57 is 56.999…, and means 57
