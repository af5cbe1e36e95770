"""The first thing that the browser's sidecar is told. Apart, so that the parent need not import Playwright."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from probes.safety.guard import GuardRules


@dataclass(frozen=True, slots=True)
class Hello:
    """Which Chromium to start, and within which bounds."""

    chromium: str
    guard: GuardRules
    user_agent_suffix: str = ""
    extra_flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hello:
        """The inverse of `to_json`."""
        return cls(
            chromium=data["chromium"],
            guard=GuardRules.from_json(data["guard"]),
            user_agent_suffix=data["user_agent_suffix"],
            extra_flags=tuple(data["extra_flags"]),
        )
