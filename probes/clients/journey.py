"""What the browser is to do: a journey through the target's pages, as plain data for both sides of the sidecar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from probes.clients.answers import Refusal
from probes.safety.limits import CallPattern
from probes.safety.permits import Permit

ELEMENT_TIMEOUT_S = 3.0
"""How long an element or a path may take to appear once its page is loaded: the limit that a page itself is held to."""


@dataclass(frozen=True, slots=True)
class Goto:
    """Open a path of the target and wait until it is loaded; a document that is not 2xx fails it."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Expect:
    """At least one element, named by exactly one of `role`, `test_id`, `css` or `text`, is visible (or none is)."""

    name: str
    role: str = ""
    test_id: str = ""
    css: str = ""
    text: str = ""
    visible: bool = True

    def __post_init__(self) -> None:
        if sum(map(bool, (self.role, self.test_id, self.css, self.text))) != 1:
            raise ValueError(f"{self.name}: an element is named by one of role, test_id, css or text")


@dataclass(frozen=True, slots=True)
class Fill:
    """Type `value` into a form field. A `secret` one is only typed into pages of hosts that may have credentials."""

    name: str
    test_id: str
    value: str = field(repr=False)
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Click:
    """Press a button, or follow a link."""

    name: str
    test_id: str


@dataclass(frozen=True, slots=True)
class WaitForPath:
    """Wait until the page at this path is loaded; a document that is not 2xx fails it."""

    name: str
    path: str


Action = Goto | Expect | Fill | Click | WaitForPath

_ACTIONS: Mapping[str, type[Action]] = {kind.__name__: kind for kind in (Goto, Expect, Fill, Click, WaitForPath)}


@dataclass(frozen=True, slots=True)
class Journey:
    """One visit with a fresh browser profile.

    `permit` is leave for all requests of the visit together, its time counting from `since` (a reading of
    `permits.boot_clock` from before it was asked for; None: from the call of `Browser.run`). `max_requests` bounds
    everything that is sent, also what no limit covers. `headers` go to the target's own origin only,
    `credential_headers` only where credentials may go too. The answer to a POST to one of `login_paths` opens a
    session; POSTs to `logout_paths` are sent even when probing is paused. `calls` are what the pages are declared to
    ask for: one that is asked for and not answered fails. `measured`: wait for the first page to come to rest, and take
    its times. `refusals` mean `slow down` besides 429. `screenshot_path`:
    where to write a picture of a failure, or empty for none.
    """

    permit: Permit
    actions: tuple[Action, ...]
    max_requests: int
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    credential_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login_paths: tuple[str, ...] = ()
    logout_paths: tuple[str, ...] = ()
    calls: tuple[CallPattern, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    screenshot_path: str = ""
    element_timeout_s: float = ELEMENT_TIMEOUT_S
    since: float | None = None
    measured: bool = True

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them. Holds passwords, so it goes nowhere but to the sidecar."""
        return {
            "permit": self.permit.to_json(),
            "actions": [{"do": type(action).__name__, **asdict(action)} for action in self.actions],
            "max_requests": self.max_requests,
            "timeout_s": self.timeout_s,
            "headers": dict(self.headers),
            "credential_headers": dict(self.credential_headers),
            "login_paths": list(self.login_paths),
            "logout_paths": list(self.logout_paths),
            "calls": [str(call) for call in self.calls],
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "screenshot_path": self.screenshot_path,
            "element_timeout_s": self.element_timeout_s,
            "since": self.since,
            "measured": self.measured,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Journey:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            permit=Permit.from_json(data["permit"]),
            actions=tuple(_action(entry) for entry in data["actions"]),
            max_requests=int(data["max_requests"]),
            timeout_s=float(data["timeout_s"]),
            headers=dict(data["headers"]),
            credential_headers=dict(data["credential_headers"]),
            login_paths=tuple(data["login_paths"]),
            logout_paths=tuple(data["logout_paths"]),
            calls=tuple(map(CallPattern.parse, data["calls"])),
            refusals=tuple(Refusal(**entry) for entry in data["refusals"]),
            screenshot_path=str(data["screenshot_path"]),
            element_timeout_s=float(data["element_timeout_s"]),
            since=None if data["since"] is None else float(data["since"]),
            measured=bool(data["measured"]),
        )


def _action(entry: Mapping[str, Any]) -> Action:
    fields = dict(entry)
    return _ACTIONS[fields.pop("do")](**fields)
