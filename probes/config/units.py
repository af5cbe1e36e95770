"""Units as people write them: `100ms`, `30s`, `10%`, `1MiB`, `100 per 60s`; pydantic types, strict about all else."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
LONGEST_S = 3660 * 86400.0
"""Ten years: more is a slip of the finger."""

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(ms|s|m|h|d)")
_PERCENT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?%")
_SIZE = re.compile(r"([0-9]{1,9}) ?(B|KiB|MiB|GiB)")
_RATE = re.compile(r"([0-9]{1,9}) per (.+)")


def shown(value: Any) -> str:
    """A wrong value as a message can show it: short, whatever it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def parse_duration(value: Any) -> float:
    """`100ms`, `30s`, `5m`, `2h`, `21d` → seconds. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"{shown(value)} is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d")
    seconds = float(match[1]) * SECONDS[match[2]]
    if seconds > LONGEST_S:
        raise ValueError(f"{shown(value)} is longer than ten years")
    return seconds


def parse_positive_duration(value: Any) -> float:
    """As `parse_duration`, and longer than nothing."""
    if (seconds := parse_duration(value)) <= 0:
        raise ValueError(f"{shown(value)} is no time at all: write 100ms or longer")
    return seconds


def parse_fraction(value: Any) -> float:
    """`10%` → 0.1; a number from 0 to 1 stays. Raises ValueError for anything else."""
    number = value
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        number = float(match[1]) / 100.0
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError(f"{shown(value)} is not a share: write 10% or a number from 0 to 1")
    return float(number)


def parse_size(value: Any) -> int:
    """`1MiB` → bytes. Raises ValueError for anything else."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"{shown(value)} is not a size with its unit: write 512KiB or 1MiB")
    return int(match[1]) * BYTES[match[2]]


def parse_rate(value: Any) -> tuple[int, float]:
    """`100 per 60s` → (100, 60.0). Raises ValueError for anything else."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if not match or int(match[1]) < 1:
        raise ValueError(f"{shown(value)} is not a rate: write 100 per 60s")
    return int(match[1]), parse_positive_duration(match[2])


def show_duration(seconds: float) -> str:
    """Seconds as people read them: `85 ms`, `2.1 s`, `5 min`, `2 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_positive_duration)]
Fraction = Annotated[float, BeforeValidator(parse_fraction)]
Size = Annotated[int, BeforeValidator(parse_size)]
Rate = Annotated[tuple[int, float], BeforeValidator(parse_rate)]
