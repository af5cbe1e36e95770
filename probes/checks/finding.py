"""A rule that an answer broke, as a check's judge says it."""

from __future__ import annotations

from dataclasses import dataclass

from probes.model import Layer, Outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that an answer broke, or that none came (`unanswered`).

    `final` means that another try could not help, or would do harm.
    """

    outcome: Outcome
    layer: Layer
    rule: str
    expected: str = ""
    actual: str = ""
    final: bool = False
    unanswered: bool = False


def failed(rule: str, expected: object = "", actual: object = "", layer: Layer = Layer.BODY) -> Finding:
    """A rule about what is right or there."""
    return Finding(Outcome.FAILED, layer, rule, str(expected), str(actual))


def degraded(rule: str, expected: object = "", actual: object = "", layer: Layer = Layer.HTTP) -> Finding:
    """A rule about time or performance."""
    return Finding(Outcome.DEGRADED, layer, rule, str(expected), str(actual))
