"""The run as JSON, for machines. Its schema is docs/run-report.schema.json; a change is a new `SCHEMA_VERSION`."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from probes.files import write_atomically
from probes.model import LimitUse, Phases, Reason, RunReport, Step, Verdict

SCHEMA_VERSION = "1.1"
"""The second number grows with an added field, the first with any other change."""


def write_json(path: Path, report: RunReport) -> None:
    """Write `report` to `path`.

    Raises:
        SmokeprobeError: the file cannot be written.
    """
    write_atomically(path, json.dumps(to_json(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def to_json(report: RunReport) -> dict[str, Any]:
    """`report` as the schema has it. A number that is not finite becomes null, and is left out of the metrics."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": report.run_id,
        "env": report.env,
        "region": report.region,
        "region_verified": report.region_verified,
        "target": report.target,
        "started_at": report.started_at,
        "duration_s": _number(report.duration_s),
        "outcome": str(report.outcome),
        "exit_code": report.exit_code,
        "checks": [_check(verdict) for verdict in report.verdicts],
        "metrics": {
            f"{verdict.check}.{name}": round(value, 6)
            for verdict in report.verdicts
            for name, value in sorted(verdict.metrics.items())
            if math.isfinite(value)
        },
        "rate_limits": [_limit(use) for use in report.rate_limits],
        "requests": {
            "sent": report.requests.sent,
            "blocked": report.requests.blocked,
            "by_method": dict(report.requests.by_method),
        },
        "sinks": {name: dict(counts) for name, counts in report.sinks.items()},
        "notes": list(report.notes),
    }


def _check(verdict: Verdict) -> dict[str, Any]:
    check: dict[str, Any] = {
        "name": verdict.check,
        "outcome": str(verdict.outcome),
        "flaky": verdict.flaky,
        "attempts": verdict.attempts,
        "reason": _reason(verdict.reason),
        "steps": [_step(step) for step in verdict.steps],
        "version": verdict.target_version or None,
        "certificate_days": _number(verdict.certificate_days),
    }
    if verdict.screenshot:
        check["screenshot"] = verdict.screenshot
    return check


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "outcome": str(step.outcome),
        "duration_ms": _number(step.duration_ms),
        "judged_ms": _number(step.judged_ms),
        "limit_ms": _number(step.limit_ms),
        "phases": {phase.name: _number(getattr(step.phases, phase.name)) for phase in fields(Phases)},
        "reason": _reason(step.reason),
    }


def _reason(reason: Reason | None) -> dict[str, str | None] | None:
    if reason is None:
        return None
    return {
        "step": reason.step,
        "layer": str(reason.layer),
        "rule": reason.rule,
        "expected": reason.expected or None,
        "actual": reason.actual or None,
        "request_id": reason.request_id or None,
        "trace_id": reason.trace_id or None,
        "text": str(reason),
    }


def _limit(use: LimitUse) -> dict[str, Any]:
    return {
        "name": use.name,
        "limit": use.limit,
        "window_s": _number(use.window_s),
        "ceiling": _number(use.ceiling),
        "peak": use.peak,
        "peak_percent": _number(use.peak_percent),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)
