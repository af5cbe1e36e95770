"""Whoever is told of a run: when, and how what is wrong with one of them is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from probes.swarm import audience as audience_module
from probes.swarm.audience import Audience
from probes.swarm.equipment import Equipment, equip
from tests.swarm.test_by_the_hour import options_for

Idle = Callable[[], bool]


@pytest.fixture
def equipment(tmp_path: Path) -> Equipment:
    return equip(options_for(tmp_path, "http://127.0.0.1:9", {}), {})


@pytest.mark.parametrize(
    ("ends_by_itself", "nothing_under_way", "sends"),
    [(True, True, False), (True, False, False), (False, True, True), (False, False, False)],
)
def test_a_run_sends_at_its_end_and_whoever_goes_on_when_no_check_is_under_way(
    equipment: Equipment, monkeypatch: pytest.MonkeyPatch, *, ends_by_itself: bool, nothing_under_way: bool, sends: bool
) -> None:
    """What is sent while a check waits for an answer counts into that check's time."""
    idle: list[Idle] = []

    def no_reporter(_equipment: Equipment, _role: str, _mode: str, when: Idle) -> None:
        idle.append(when)

    monkeypatch.setattr(audience_module, "reporter_of", no_reporter)
    Audience(equipment, "run", lambda: nothing_under_way, ends_by_itself=ends_by_itself)
    assert [each() for each in idle] == [sends]
