"""What a measurement comes to, and the ways in which one cannot be made."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


class CannotMeasureError(Exception):
    """The measurement could not be made here. The message is one line, and says what to install or to mend."""


@dataclass(frozen=True, slots=True)
class Result:
    """The values of one measurement, and the goal that their median, or the worst of them, is held against.

    Where `at_most` is infinite there is no goal.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    at_most: float
    method: str
    judged: Literal["median", "worst"] = "median"
    detail: str = ""

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def figure(self) -> float:
        """What is held against the goal."""
        return self.median if self.judged == "median" else max(self.values)

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.figure <= self.at_most


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A measurement that could not be made, and why not."""

    name: str
    why: str


Measurement = Callable[[], Sequence[Result]]
"""Measures, within its own bounds of count and time. Raises CannotMeasureError."""


FEWEST = 5


def rounds(count: int, within_s: float, fewest: int = FEWEST) -> Iterator[int]:
    """Numbers of rounds: 0 is the warm-up, which is not counted, then `count`, or fewer where the time is over.

    Raises CannotMeasureError where it is over before there are `fewest`.
    """
    ends = time.monotonic() + within_s
    for number in range(count + 1):
        if number and time.monotonic() > ends:
            if number > fewest:
                return
            raise CannotMeasureError(f"only {number - 1} rounds in {within_s:.0f} s: this machine is too busy")
        yield number


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """The quotient of each interleaved pair: what slows the machine down for a while slows both of a pair."""
    return tuple(mine / other for mine, other in zip(ours, theirs, strict=True))


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """`median unit (least–most)`, for the detail of a result."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} {unit} ({least:.{digits}f}–{most:.{digits}f})"
