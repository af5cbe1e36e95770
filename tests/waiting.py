"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], timeout_s: float = 60.0) -> bool:
    """Poll until something holds; whether it came to that. A busy machine may take long to start what is waited for."""
    ends = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True
