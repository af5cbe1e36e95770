"""The guard that the tests ask."""

from __future__ import annotations

from probes.errors import RefusedError
from probes.safety.guard import Guard, GuardRules

TARGET = "https://example.com"
RULES = GuardRules(
    origin=TARGET,
    hosts=("cdn.example.net", "fonts.example.net:8443", "any.example.net:*", "[2606:4700::1111]:*"),
    exceptions=(("POST", "/api/v1/enhance"), ("POST", "/api/v1/auth/login")),
    websockets=("live.example.com",),
    credential_hosts=("example.com", "127.0.0.1:*"),
)
GUARD = Guard(RULES)
PRIVATE = Guard(GuardRules(origin="http://127.0.0.1:8089", private=True))


def allows(method: str, url: str, guard: Guard = GUARD) -> bool:
    try:
        guard.check(method, url)
    except RefusedError:
        return False
    return True
