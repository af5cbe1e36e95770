"""Processes whose clocks are not everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.needs import REQUIRED

AN_HOUR_AHEAD = ("unshare", "--time", "--boottime", "3600", "--monotonic", "3600", "--fork", "--kill-child")
"""Starts a process in a time namespace: its boot clock, by which all durations are measured, is an hour ahead."""

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

needs_faketime = pytest.mark.skipif(
    not FAKETIME.exists() and not REQUIRED, reason="no other time of day here: make test-tools (Debian: faketime)"
)


def wall_clock(file: Path, hours: int) -> dict[str, str]:
    """An environment in which the time of day is another one, and another again with each call; no other clock is."""
    file.write_text(f"{hours:+d}h")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
