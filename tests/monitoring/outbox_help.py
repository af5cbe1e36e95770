"""An outbox that loses its patience soon, for tests of every service's way there and back."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest

from probes.monitoring import outbox


def make_impatient(monkeypatch: pytest.MonkeyPatch, *, flush_s: float, pause_s: float) -> None:
    """Let it send after `flush_s`, and leave a service alone for `pause_s` at first and twice that at most."""
    monkeypatch.setattr(outbox, "FLUSH_S", flush_s)
    monkeypatch.setattr(outbox, "FIRST_PAUSE_S", pause_s)
    monkeypatch.setattr(outbox, "LONGEST_PAUSE_S", 2 * pause_s)


def until(holds: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Poll while greenlets work until something holds; whether it came to that."""
    ends = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > ends:
            return False
        gevent.sleep(0.01)
    return True
