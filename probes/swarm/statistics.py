"""An end to what Locust's statistics keep: it makes them for runs of minutes, and a master runs for months."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locust.stats import RequestStats

HISTORY_KEPT = 720
"""Points of its charts; there is one every 5 s."""

ERRORS_KEPT = 256
"""Kinds of failures; one whose text names a request is a kind of its own."""

SECONDS_KEPT = 3600
"""Seconds in which something was counted, for each name."""


def forget_old(stats: RequestStats) -> None:
    """Remove what is older; sums stay as they are."""
    del stats.history[:-HISTORY_KEPT]
    _keep_newest(stats.errors, ERRORS_KEPT)
    for entry in (stats.total, *stats.entries.values()):
        _keep_newest(entry.num_reqs_per_sec, SECONDS_KEPT)
        _keep_newest(entry.num_fail_per_sec, SECONDS_KEPT)


def _keep_newest(entries: dict[Any, Any], most: int) -> None:
    for key in list(islice(entries, max(0, len(entries) - most))):
        del entries[key]
