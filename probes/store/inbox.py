"""Runs that wait to be taken into the history's file: what a run leaves there needs no library.

The end of a run is not the time to load what takes longer than all its requests. Whoever reads the history next, or
writes more to it, takes in what waits; a run is one file, whole or not there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probes.errors import SmokeprobeError, StoreError
from probes.files import write_atomically
from probes.store.record import Record, Run

FILE = "history.sqlite3"
"""The history's file in a state directory; the inbox lies beside it."""

FULL = 100
"""When so many runs wait, the run that sees it takes them in: some five milliseconds each."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A run of a target and its verdicts, redacted already."""

    target: str
    run: Run
    records: tuple[Record, ...]


class Inbox:
    """The runs that wait beside a history's file."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "history-inbox"

    def put(self, target: str, run: Run, records: Sequence[Record]) -> None:
        """Let a run wait. Raises StoreError where it cannot be written."""
        letter = {"target": target, "run": asdict(run), "records": [asdict(record) for record in records]}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._folder / f"{run.id}.json", json.dumps(letter), mode=0o600)
        except OSError as problem:
            raise StoreError(f"{self._folder} cannot be written: {problem.strerror}.") from None
        except SmokeprobeError as problem:
            raise StoreError(str(problem), problem.hint) from None

    def waiting(self) -> list[Path]:
        """What waits, the oldest first. What is still being written is not there yet."""
        try:
            found = [(path.stat().st_mtime, path) for path in self._folder.glob("[!.]*.json")]
        except FileNotFoundError:  # somebody else has taken one in
            return self.waiting()
        return [path for _, path in sorted(found)]


def read_letter(path: Path) -> Letter | None:
    """None where somebody else has taken it in. Raises ValueError where it is none; OSError where it cannot be read."""
    try:
        found: Any = json.loads(path.read_bytes())
        return Letter(found["target"], Run(**found["run"]), tuple(Record(**record) for record in found["records"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, RecursionError) as problem:
        raise ValueError(f"not a run: {problem}") from None
