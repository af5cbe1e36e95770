"""Locust's statistics, which it makes for runs of minutes, in a master that runs for months."""

from __future__ import annotations

import json
import subprocess
import sys

from probes.swarm.statistics import ERRORS_KEPT, HISTORY_KEPT, SECONDS_KEPT

# a process of its own, because Locust patches whatever process imports it
DAYS = """
import json
from types import SimpleNamespace
from locust.stats import RequestStats, update_stats_history
from probes.swarm.statistics import ERRORS_KEPT, HISTORY_KEPT, SECONDS_KEPT, forget_old

stats = RequestStats()
runner = SimpleNamespace(stats=stats, user_count=4)
for number in range(3 * HISTORY_KEPT):
    update_stats_history(runner, str(number))
    forget_old(stats)
for number in range(3 * ERRORS_KEPT):
    stats.log_error("health", "GET /health", f"status code [trace {number}]")
    forget_old(stats)
entry = stats.entries["GET /health", "health"]
counted = [stats.total.num_reqs_per_sec, stats.total.num_fail_per_sec, entry.num_reqs_per_sec, entry.num_fail_per_sec]
for counts in counted:
    counts.update((second, 1) for second in range(3 * SECONDS_KEPT))
forget_old(stats)
print(json.dumps({
    "history": [len(stats.history), stats.history[-1]["time"]],
    "errors": [len(stats.errors), list(stats.errors.values())[-1].error],
    "seconds": [[len(counts), max(counts)] for counts in counted],
    "failures": stats.total.num_failures,
}))
"""


def test_what_is_kept_has_an_end_and_the_newest_stays() -> None:
    said = subprocess.run([sys.executable, "-c", DAYS], capture_output=True, text=True, check=True, timeout=30).stdout
    assert json.loads(said) == {
        "history": [HISTORY_KEPT, str(3 * HISTORY_KEPT - 1)],
        "errors": [ERRORS_KEPT, f"status code [trace {3 * ERRORS_KEPT - 1}]"],
        "seconds": [[SECONDS_KEPT, 3 * SECONDS_KEPT - 1]] * 4,
        "failures": 3 * ERRORS_KEPT,
    }
