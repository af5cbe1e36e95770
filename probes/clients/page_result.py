"""What a journey found out: the answer of the browser's sidecar, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from probes.safety.permits import Usage


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What became of one action. `net_error` is Chromium's own name (`ERR_CONNECTION_REFUSED`) where there is one.

    `ours`: what failed is the action itself, as it cannot be done on any page.
    """

    name: str
    ok: bool
    duration_ms: float
    error: str = ""
    net_error: str = ""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """A request of a page that was not sent: a rule of the guard, or no quota left. `url` has no query."""

    method: str
    url: str
    rule: str


@dataclass(frozen=True, slots=True)
class RefusedNavigation:
    """The page itself leads where the guard lets nobody go; `hop` counts the redirects up to there, 0 for none."""

    url: str
    rule: str
    hop: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The page, or a call of it, and what it was answered with."""

    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class SlowDown:
    """An answer asks us to send less of this call for so long."""

    method: str
    path: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A part or call of the page that was answered with an error (`status`), or not at all (`error`)."""

    method: str
    path: str
    kind: str
    status: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of the first page, by the browser's own clocks. None: not measured, e.g. as the page did not finish loading.

    Milliseconds since the navigation began: `load_ms` to the end of the load event, `ttfb_ms` to the first byte of
    the answer, and the paints of https://web.dev/articles/vitals. `cls` is the worst session window of layout shifts.
    """

    load_ms: float | None = None
    ttfb_ms: float | None = None
    fcp_ms: float | None = None
    lcp_ms: float | None = None
    cls: float | None = None


@dataclass(frozen=True, slots=True)
class PageResult:
    """All that a journey found out.

    Actions after the first that failed are missing, other than the rest of a row of expectations. Console and page
    errors that follow from a refused request or a throttle are left out. `document_*` is the page that was open at
    the end. `slow_downs` and `paused_s`: what answers, and the target's owner, asked for. `cookies` holds the session's
    tokens where there are any: secrets, for the log-out only.
    """

    actions: tuple[ActionResult, ...]
    usage: Usage
    sent: int
    by_method: Mapping[str, int]
    timing: Timing = field(default_factory=Timing)
    console_errors: tuple[str, ...] = ()
    page_errors: tuple[str, ...] = ()
    failed: tuple[FailedRequest, ...] = ()
    throttled: tuple[Answered, ...] = ()
    challenged: tuple[Answered, ...] = ()
    slow_downs: tuple[SlowDown, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    over_quota: tuple[Blocked, ...] = ()
    refused_navigation: RefusedNavigation | None = None
    document_status: int | None = None
    document_headers: Mapping[str, str] = field(default_factory=dict)
    paused_s: float | None = None
    final_path: str = ""
    screenshot: bool = False
    crashed: bool = False
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether every action that was tried succeeded."""
        return all(action.ok for action in self.actions)

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them."""
        return {**asdict(self), "usage": self.usage.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PageResult:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        refused = data["refused_navigation"]
        return cls(
            **{
                **data,
                "actions": tuple(ActionResult(**entry) for entry in data["actions"]),
                "usage": Usage.from_json(data["usage"]),
                "timing": Timing(**data["timing"]),
                "console_errors": tuple(data["console_errors"]),
                "page_errors": tuple(data["page_errors"]),
                "failed": tuple(FailedRequest(**entry) for entry in data["failed"]),
                "throttled": tuple(Answered(**entry) for entry in data["throttled"]),
                "challenged": tuple(Answered(**entry) for entry in data["challenged"]),
                "slow_downs": tuple(SlowDown(**entry) for entry in data["slow_downs"]),
                "blocked": tuple(Blocked(**entry) for entry in data["blocked"]),
                "over_quota": tuple(Blocked(**entry) for entry in data["over_quota"]),
                "refused_navigation": refused and RefusedNavigation(**refused),
            }
        )
