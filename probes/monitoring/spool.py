"""What a service did not take, on disk until it does: one file a batch, whole or not there, for its owner's eyes only.

Several processes may share a spool: each writes files of its own, and one at a time sends what is there, which a lock
sees to that ends with its holder, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from probes.errors import SmokeprobeError
from probes.files import write_atomically
from probes.monitoring.samples import Sample

MOST_FILES = 200
"""So many batches are kept, some 20 MB; the oldest goes first."""

MOST_BYTES = 16_000_000
"""No batch is larger; nothing larger is read."""

STRAY_S = 60.0
"""Nobody writes on one file for so long."""

_NAME = re.compile(r"[0-9]+-[0-9]+-[0-9]+-[0-9]{1,6}\.json")

_SAMPLES = TypeAdapter(list[Sample])


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch on disk; its name says how many samples there are."""

    path: Path

    @property
    def count(self) -> int:
        """How many samples it holds."""
        return int(self.path.stem.rpartition("-")[2])

    def read(self) -> list[Sample] | None:
        """The samples; None where the file cannot be read, or is none of ours."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
            samples = _SAMPLES.validate_json(raw) if len(raw) <= MOST_BYTES else None
        except (OSError, ValidationError):
            return None
        numbers = all(math.isfinite(sample.value) and math.isfinite(sample.at) for sample in samples or ())
        return samples if numbers else None

    def remove(self) -> None:
        """Be done with it."""
        self.path.unlink(missing_ok=True)


class Spool:
    """The spool of one service, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def write(self, samples: Sequence[Sample]) -> int:
        """Keep a batch; returns how many older samples had to go for it. Raises SmokeprobeError where it cannot."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}-{len(samples)}.json"
        self._make_folder()
        write_atomically(self._folder / name, _SAMPLES.dump_json(list(samples)), mode=0o600)
        self._sweep()
        gone = 0
        for old in self.batches()[:-MOST_FILES]:
            with contextlib.suppress(OSError):  # then it stays
                old.remove()
                gone += old.count
        return gone

    def batches(self) -> list[Spooled]:
        """What is there, oldest first; anything else in the folder is let alone."""
        try:
            with os.scandir(self._folder) as entries:
                ours = (entry for entry in entries if _NAME.fullmatch(entry.name))
                names = sorted(entry.name for entry in ours if entry.is_file(follow_symlinks=False))
        except OSError:
            return []
        return [Spooled(self._folder / name) for name in names]

    @property
    def waiting(self) -> int:
        """How many samples are there."""
        return sum(batch.count for batch in self.batches())

    @contextmanager
    def to_be_sent(self) -> Iterator[list[Spooled]]:
        """What is there, for whoever is the only one to send it; nothing where another process is at it."""
        handle = self._lock() if self.batches() else None
        try:
            yield self.batches() if handle is not None else []
        finally:
            if handle is not None:
                os.close(handle)

    def _lock(self) -> int | None:
        try:
            handle = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return handle

    def _sweep(self) -> None:
        """Take away what somebody had begun to write who was killed then."""
        with contextlib.suppress(OSError):  # whoever shares the folder may be quicker
            for begun in self._folder.glob(".*.json.*"):
                if time.time() - begun.stat().st_mtime > STRAY_S:
                    begun.unlink()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise SmokeprobeError(f"cannot make {self._folder}: {problem.strerror}.") from None
