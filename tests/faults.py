"""Which of the stand-in's faults are met by what."""

from __future__ import annotations

from probes.standin.faults import FAULTS, Expected

HELD_UP = frozenset({"hang-health", "slow-drip-body", "slow-drip-headers", "login-then-silence"})
"""Faults that last as long as they are let."""

SLOW = frozenset({"slow-health", "slow-api"})
"""Faults of a fraction of a second, over limits that a busy machine breaks by itself."""

PATIENT = frozenset({"slow-page", "page-never-loads", "page-busy", "hang"})
"""Faults that a browser waits for; tested with all that the shipped configuration allows."""

IN_BROWSER = frozenset(
    {"reset-on-accept", "throttled-429", "bot-challenge", "bot-challenge-503"}
    | {"page-500", "page-429", "page-subresource-429", "page-login-429", "page-logout-does-nothing"}
    | {"page-redirect-loop", "page-redirect-other-host", "page-redirect-private"}
)
"""Where a page's trouble is the answer's, the probe names that, and not the browser that met it."""


def layer_of(name: str, expected: Expected) -> str | None:
    """The layer that a check names before a fault."""
    return "http" if expected.layer == "browser" and name in IN_BROWSER else expected.layer


def _of(check: str) -> list[str]:
    """The faults that only this check meets, but for those that take their time."""
    alone = [fault.name for fault in FAULTS.values() if [each.check for each in fault.expected] == [check]]
    return [name for name in alone if name not in HELD_UP | SLOW | PATIENT]


OF_HEALTH, OF_HOMEPAGE = _of("health"), _of("homepage")
