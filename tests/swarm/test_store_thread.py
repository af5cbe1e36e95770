"""Whoever asks the store waits as long as it wants to, and hears what went wrong."""

from __future__ import annotations

import threading
import time

import pytest

from probes.errors import StoreError
from probes.swarm.store_thread import StoreThread


def test_an_answer_is_handed_over_and_so_is_an_error() -> None:
    thread = StoreThread()
    assert thread.ask(lambda: 7) == 7
    assert thread.ask(threading.get_ident) != threading.get_ident()

    def broken() -> None:
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        thread.ask(broken)


def test_nobody_waits_longer_than_he_wants_to() -> None:
    thread = StoreThread()
    go_on = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        thread.ask(lambda: go_on.wait(60), 0.1)
    assert time.monotonic() - began < 30
    go_on.set()
