"""What a count proves: one-sided bounds at 95 %, exact, by bisection of the distribution itself."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
_HALVINGS = 60
"""After so many a double has no more digits."""


def share_at_most(events: int, of: int) -> float:
    """Clopper-Pearson: the largest share that so few events in so many trials leave possible."""
    if events >= of:
        return 1.0
    return largest(lambda share: _binomial(events, of, share), 1.0)


def largest(at_most: Callable[[float], float], top: float) -> float:
    """The parameter of which so few events have just the probability that is left; with it, that only falls."""
    low, high = 0.0, top
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > 1.0 - CONFIDENCE else (low, middle)
    return high


def _binomial(events: int, of: int, share: float) -> float:
    """The probability of at most so many events."""
    if share <= 0.0 or share >= 1.0:
        return 1.0 - share
    here, away = math.log(share), math.log1p(-share)
    ways = (math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(events + 1))
    return math.fsum(math.exp(way + k * here + (of - k) * away) for k, way in enumerate(ways))
