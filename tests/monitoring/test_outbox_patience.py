"""How long a service is left alone that does not take a batch, and that none, whatever it does, keeps an outbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gevent
import pytest

from probes.delivery import LONGEST_WAIT_S, seconds_asked
from probes.monitoring import outbox as outbox_module
from probes.monitoring.base import DELIVERED, Fate, Said
from probes.monitoring.outbox import Outbox
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.monitoring.outbox_help import make_impatient, until

NAME = "smoke_test.success"


class Scripted:
    """A service that answers as it is told, and keeps in `at` when it was asked."""

    name = "scripted"
    longest_past_s = 3600.0

    def __init__(self, answer: Callable[[], Said]) -> None:
        self._answer = answer
        self.at: list[float] = []

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:  # noqa: ARG002 - the protocol's
        self.at.append(time.monotonic())
        return self._answer()

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        return None

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.at, self.at[1:], strict=False)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch, flush_s=0.01, pause_s=0.1)


def one() -> list[Sample]:
    return [Sample(NAME, 1.0, "gauge", "", (("env", "local"),), time.time())]


def started(service: Scripted, folder: Path, idle: Callable[[], bool] = lambda: True) -> Outbox:
    outbox = Outbox(service, Spool(folder), {NAME}, idle)
    outbox.start()
    outbox.add(one())
    return outbox


def test_one_that_asks_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    service = Scripted(lambda: Said(Fate.LATER, "not now", 0.5))
    outbox = started(service, tmp_path)
    assert until(lambda: len(service.at) == 3)
    assert min(service.pauses) >= 0.5
    outbox.close(time.monotonic() + 2.0)


def test_pauses_grow_to_a_bound(tmp_path: Path) -> None:
    service = Scripted(lambda: Said(Fate.LATER, "no"))
    outbox = started(service, tmp_path)
    assert until(lambda: len(service.at) == 10, 20)  # without a bound it would be 51 s
    assert service.pauses[0] >= 0.1
    assert min(service.pauses[1:]) >= 0.2
    outbox.close(time.monotonic() + 2.0)


def test_pauses_are_short_again_after_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(outbox_module, "LONGEST_PAUSE_S", 60.0)
    refusal = Said(Fate.LATER, "no")
    left = iter([*[refusal] * 6, DELIVERED, refusal])
    service = Scripted(lambda: next(left, DELIVERED))
    outbox = started(service, tmp_path)
    assert until(lambda: len(service.at) == 7, 20)
    outbox.add(one())
    assert until(lambda: len(service.at) == 9, 20)
    assert service.pauses[5] >= 1.6
    assert service.pauses[7] < 1.6  # it would be 3.2
    assert outbox.trouble == ""
    outbox.close(time.monotonic() + 2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("9" * 400, LONGEST_WAIT_S), ("601", LONGEST_WAIT_S), ("-1", 0.0), ("1.5", 0.0), ("²", 0.0),
        ("", 0.0), ("inf", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_what_a_header_asks_for_is_bounded(text: str, seconds: float) -> None:
    assert seconds_asked(text) == seconds


def test_one_that_answers_for_ever_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that sends a byte now and then, which no client's own time-out ends."""
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 0.2)

    def drip() -> Said:
        gevent.sleep(60)
        return DELIVERED

    outbox = started(Scripted(drip), tmp_path)
    assert until(lambda: outbox.counts()["spooled"] == 1)
    assert outbox.trouble == "it does not answer in time"
    outbox.close(time.monotonic() + 1.0)


def test_whatever_a_library_raises_is_said_by_its_kind_alone(tmp_path: Path) -> None:
    def fail() -> Said:
        raise LookupError("its text may show a key")

    outbox = started(Scripted(fail), tmp_path)
    assert until(lambda: outbox.counts()["spooled"] == 1)
    assert outbox.trouble == "LookupError while sending"
    outbox.close(time.monotonic() + 1.0)


def test_what_waits_on_disk_is_not_sent_on_while_a_check_runs(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(3):
        spool.write(one())
    service = Scripted(lambda: DELIVERED)
    outbox = started(service, tmp_path, lambda: len(service.at) < 2)  # a check begins as the second batch goes
    assert until(lambda: len(service.at) == 2)
    gevent.sleep(0.1)
    assert (len(service.at), spool.waiting) == (2, 2)
    outbox.close(time.monotonic() + 2.0)
    assert outbox.counts() == {"sent": 4, "spooled": 0, "dropped": 0}
