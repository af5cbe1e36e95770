"""Which section of the response guide (`docs/alert-response-guide.md`) is about a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHIPPED: Final = ("success", "pages", "region", "slow", "blind", "certificate")
"""The rules that come with smokeprobe: each has a section by its name."""

_OF_METRICS: Mapping[str, str] = {
    "smoke_test.success": "success",
    "smoke_test.blind": "blind",
    "smoke_test.throttled": "blind",
    "smoke_test.flaky": "flaky",
    "smoke_test.certificate_days": "certificate",
    "smoke_test.budget_used": "budget",
    "smoke_test.error_rate": "what-the-target-says",
    "smoke_test.db_query_time": "what-the-target-says",
    "smoke_test.cache_hit_rate": "what-the-target-says",
    "smoke_test.homepage_load": "pages",
    "smoke_test.web_vitals.": "pages",
    "smoke_test.probe.": "the-probe-itself",
}


def section_of(rule: str, metric: str) -> str:
    """The anchor of the section about a rule: its own, or that of what its metric measures."""
    if rule in SHIPPED:
        return rule
    found = [section for begin, section in _OF_METRICS.items() if metric.startswith(begin)]
    return found[0] if found else "slow"  # all others are times
