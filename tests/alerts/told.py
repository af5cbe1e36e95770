"""An evaluator over a real store, whose channel writes into a file; and the same as a process of its own.

`python -m tests.alerts.told MODE PLACE FILE`: PLACE is a state directory or a URL, FILE is what the channel
writes into. `once` looks and tells once; `race` looks and tells, of ten rules each to somebody else, without a
pause until FILE.stop is there; `die-before` kills itself between deciding and sending, `die-after`
between sending and noting that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path

from probes.alerts.evaluator import Evaluator
from probes.alerts.group import Where
from probes.alerts.look import Looks, Scope
from probes.alerts.notice import Notice, NotTakenError
from probes.alerts.tell import ChannelOf, send
from probes.config.alert_rules import Rule
from probes.store.alert_state import AlertState
from probes.store.database import open_database
from probes.store.record import Record
from probes.store.store import Store
from tests.alerts.sample import RULE

TARGET, ENV = "https://shop.example", "here"
DOWN = {**RULE, "condition": "< 0.5", "recovery": ">= 0.6"}


class FileChannel:
    """Takes what it is given by writing a line, in one call, so that lines of several processes do not mix."""

    def __init__(self, address: str, file: Path) -> None:
        self.address, self._file = address, file
        self.dies = False
        self.refuses: list[NotTakenError] = []

    def send(self, notice: Notice) -> None:
        if self.refuses:
            raise self.refuses.pop(0)
        line = f"{notice.key} {notice.number} {notice.change} {self.address}\n"
        with self._file.open("ab", buffering=0) as out:
            out.write(line.encode())
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)


def evaluator(
    place: str, channel: FileChannel, rule: dict[str, object] | None = None, off: frozenset[str] = frozenset()
) -> Evaluator:
    """As a master has one, over the store in a state directory or at a URL."""
    shared = place.startswith("postgresql:")
    database = open_database(Path() if shared else Path(place), place if shared else "")
    state = AlertState(database, TARGET, ENV)
    return _evaluator(state, {"down": Rule.model_validate(rule or DOWN)}, lambda _: channel, off)


def racing(place: str, file: Path) -> Evaluator:
    """The same of ten rules, each of which tells somebody else."""
    state = AlertState(open_database(Path(), place), TARGET, ENV)
    rules = {f"down-{n}": Rule.model_validate({**DOWN, "notify": [f"{n}@example.com"]}) for n in range(10)}
    return _evaluator(state, rules, lambda address: FileChannel(address, file))


def _evaluator(
    state: AlertState, rules: dict[str, Rule], channel_of: ChannelOf, off: frozenset[str] = frozenset()
) -> Evaluator:
    scope = Scope(rules, ("us", "eu", "ap"), ("front",), Where(ENV, TARGET), 60.0, off)
    return Evaluator(state, Looks(state, scope), channel_of)


def tell(ours: Evaluator) -> None:
    """Try everything that is due once."""
    for due in ours.state.lease(8):
        ours.state.sent([send(due, ours.channel_of)])


def seen(place: str, outcome: str, count: int = 3, ago_s: float = 0.0, regions: tuple[str, ...] = ("us", "eu")) -> None:
    """So many occasions in each of these regions, so long ago."""
    shared = place.startswith("postgresql:")
    store = Store(open_database(Path() if shared else Path(place), place if shared else ""), TARGET)
    at = time.time() - ago_s
    verdict = json.dumps({"check": "front", "outcome": outcome})
    store.add(
        [
            Record(uuid.uuid4().hex, at, region, verified=True, check="front", outcome=outcome, verdict=verdict)
            for region in regions
            for _ in range(count)
        ]
    )
    store.close()


def changes(file: Path) -> list[str]:
    """What was told, in order."""
    return [line.split()[2] for line in file.read_text().splitlines()] if file.exists() else []


def main(mode: str, place: str, file: str) -> None:
    if mode == "race":
        ours = racing(place, Path(file))
        while not Path(f"{file}.stop").exists():
            ours.looks.look()
            tell(ours)
        return
    channel = FileChannel("oncall@example.com", Path(file))
    channel.dies = mode == "die-after"
    ours = evaluator(place, channel)
    ours.looks.look()
    if mode == "die-before":
        os.kill(os.getpid(), signal.SIGKILL)
    tell(ours)


if __name__ == "__main__":
    main(*sys.argv[1:])
