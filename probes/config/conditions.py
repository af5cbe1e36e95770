"""A rule's condition: a comparison with a value that has its metric's unit."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from probes.config.metrics import METRICS, Unit
from probes.config.units import parse_duration, parse_fraction, shown

Operator = Literal["<", "<=", ">", ">="]

_NEGATED: Mapping[Operator, Operator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_COMPARES: Mapping[Operator, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CONDITION = re.compile(r"(<=?|>=?) ?(\S.*)")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_EXAMPLES: Mapping[Unit, str] = {
    "": "0.9", "fraction": "50%", "percent": "80%", "millisecond": "500ms", "second": "20s", "day": "14d",
}  # fmt: skip
_SECONDS: Mapping[Unit, float] = {"millisecond": 0.001, "second": 1.0, "day": 86400.0}
_WRITTEN: Mapping[Unit, str] = {"millisecond": " ms", "second": " s", "day": " days", "percent": " %"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison with a value, in the metric's own unit."""

    operator: Operator
    value: float

    def holds(self, value: float) -> bool:
        """Whether it is so of a value."""
        return _COMPARES[self.operator](value, self.value)

    @property
    def negated(self) -> Condition:
        """What holds exactly where this one does not."""
        return Condition(_NEGATED[self.operator], self.value)

    @property
    def upwards(self) -> bool:
        """Whether it speaks of what is too much."""
        return self.operator in {">", ">="}


def parse_condition(text: Any, metric: str) -> Condition:
    """`< 0.9` → a condition in the metric's unit. Raises ValueError; without a metric only for what never is one."""
    unit: Unit = METRICS[metric].unit if metric else ""
    match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{shown(text)} is no condition: write "< {_EXAMPLES[unit]}", or with <=, > or >=')
    compares: Any = match[1]
    return Condition(compares, _value(match[2], metric, unit) if metric else 0.0)


def _value(text: str, metric: str, unit: Unit) -> float:
    if unit in _SECONDS:
        try:
            return round(parse_duration(text) / _SECONDS[unit], 9)
        except ValueError:
            raise ValueError(f"{metric} is a time, with its unit: write {_EXAMPLES[unit]}, not {shown(text)}") from None
    if unit in {"fraction", "percent"}:
        try:
            share = parse_fraction(text if text.endswith("%") else float(text))
        except ValueError:
            raise ValueError(f"{metric} is a share: write {_EXAMPLES[unit]}, not {shown(text)}") from None
        return share if unit == "fraction" else 100.0 * share
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f"{metric} has no unit: write a number such as {_EXAMPLES[unit]}, not {shown(text)}")
    return float(text)


def show_value(value: float, metric: str) -> str:
    """A value of a metric as people read it, in four digits: `0.4286`, `612 ms`, `12.5 days`."""
    number = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number}{_WRITTEN.get(METRICS[metric].unit, '')}"
