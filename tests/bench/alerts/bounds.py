"""What a count of events within a time proves, and percentiles; what it proves of a share, `probes.baseline` knows."""

from __future__ import annotations

import math

from probes.baseline.bounds import largest


def rate_at_most(events: int, span: float) -> float:
    """The largest rate that so few events of a Poisson process within such a span leave possible, at 95 %."""
    most = 10.0 + 3.0 * events + 10.0 * math.sqrt(events)
    return largest(lambda mean: _poisson(events, mean), most) / span


def _poisson(events: int, mean: float) -> float:
    if mean <= 0.0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(events + 1))


def percentile(values: list[float], per_cent: int) -> float:
    """By nearest rank; infinite ones are those that never came."""
    return sorted(values)[max(0, math.ceil(per_cent / 100 * len(values)) - 1)] if values else math.nan
