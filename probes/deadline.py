"""How long something may still take. One object is shared by all who work under it, so that waits can extend it."""

from __future__ import annotations

import time


class Deadline:
    """A duration that runs from now. Time spent waiting for budget is given back with `extend`, up to `last`."""

    def __init__(self, seconds: float, last: Deadline | None = None) -> None:
        self._ends = time.monotonic() + seconds
        self._last = last

    def remaining(self) -> float:
        """Seconds left; zero or less when it is over."""
        own = self._ends - time.monotonic()
        return own if self._last is None else min(own, self._last.remaining())

    def extend(self, seconds: float) -> None:
        """Give back time that counts against nobody."""
        self._ends += seconds


class CutOff(BaseException):
    """Thrown into a check that must end now. Not an Exception, so that no check swallows it.

    `interrupted` is true where a person or a signal ended the run, and false where its time was over.
    """

    def __init__(self, why: str, *, interrupted: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.interrupted = interrupted
