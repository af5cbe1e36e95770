"""Records to keep."""

from __future__ import annotations

import time
import uuid

from probes.store.record import NO_DATA, Record

TARGET = "https://shop.example"


def record(
    outcome: str = "passed", ago_s: float = 0.0, *, check: str = "api", region: str = "eu", id_: str = ""
) -> Record:
    """What came of an occasion some seconds ago."""
    at, id_ = time.time() - ago_s, id_ or uuid.uuid4().hex
    if outcome == NO_DATA:
        return Record(id_, at, region, verified=False, check=check, outcome=outcome, reason="no worker")
    reason = "" if outcome == "passed" else "wrong"
    verdict = '{"check":"api"}'
    return Record(
        id_, at, region, verified=True, check=check, outcome=outcome, duration_s=0.2, reason=reason, attempts=1,
        verdict=verdict, worker="a worker",
    )  # fmt: skip
