"""What real passes came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.model import Outcome


@dataclass(slots=True)
class Passed:
    """How many by outcome, how many were not good at their first try, and why some have not passed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    flaky: int = 0
    whys: list[str] = field(default_factory=list)

    @property
    def passes(self) -> int:
        """How many there were."""
        return self.outcomes.total()

    @property
    def bad(self) -> int:
        """Those that have not passed."""
        return self.passes - self.outcomes[Outcome.PASSED]

    def add(self, outcome: str, *, flaky: bool, why: str) -> None:
        """One more."""
        self.outcomes[str(outcome)] += 1
        self.flaky += flaky
        if outcome != Outcome.PASSED:
            self.whys.append(why)

    def as_json(self) -> dict[str, Any]:
        """For another process, which is to `take` them."""
        return {"outcomes": dict(self.outcomes), "flaky": self.flaky, "whys": self.whys}

    def take(self, other: Mapping[str, Any]) -> None:
        """Those of another process."""
        self.outcomes.update(other["outcomes"])
        self.flaky += other["flaky"]
        self.whys += other["whys"]
