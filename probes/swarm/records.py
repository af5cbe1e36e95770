"""A verdict as the history keeps it."""

from __future__ import annotations

from probes.model import Step, Verdict
from probes.pipeline import encode_briefly
from probes.store.record import Record

LONGEST_VERDICT = 1 << 16
"""Characters of a verdict as JSON; of a longer one only what has a column is kept."""


def record_of(
    verdict: Verdict,
    id_: str,
    at: float,
    *,
    region: str,
    verified: bool,
    worker: str = "",
    run: str = "",
    confirms: str = "",
) -> Record:
    """A verdict, which is redacted already."""
    brief = encode_briefly(verdict)
    step = _nearest(verdict)
    return Record(
        id=id_,
        at=at,
        region=region,
        verified=verified,
        check=verdict.check,
        outcome=str(verdict.outcome),
        duration_s=verdict.duration_s,
        reason=str(verdict.reason or ""),
        flaky=verdict.flaky,
        attempts=verdict.attempts,
        verdict=brief if len(brief) <= LONGEST_VERDICT else "",
        worker=worker,
        run=run,
        version=verdict.target_version,
        certificate_days=verdict.certificate_days,
        step=step.name if step else "",
        judged_ms=step.judged_ms if step else None,
        limit_ms=step.limit_ms if step else None,
        confirms=confirms,
    )


def _nearest(verdict: Verdict) -> Step | None:
    """The step whose time came nearest to its limit, or went furthest beyond it; without any limit the slowest."""
    timed = [step for step in verdict.steps if step.judged_ms is not None]
    return max(timed, key=_nearness, default=None)


def _nearness(step: Step) -> tuple[float, float]:
    time = step.judged_ms or 0.0
    return (time / step.limit_ms if step.limit_ms else 0.0, time)
