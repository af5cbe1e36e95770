"""A line, and a session on it."""

from __future__ import annotations

import pytest

from tests.swarm.link_help import Line, Pair, opened


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def pair(line: Line) -> Pair:
    master, worker = line.master(), line.worker()
    opened(line, master, worker)
    assert master.sessions == ("a",)
    return Pair(line, master, worker)
