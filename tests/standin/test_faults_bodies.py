"""Faults in what the health calls say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from probes.standin.faults.bodies import FAULTS
from probes.standin.process import StandIn
from tests.standin.client import Answer, call

Check = Callable[[Answer], bool]


def age(answer: Answer) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(answer.json["timestamp"])


def refuses(error: type[Exception]) -> Check:
    def check(answer: Answer) -> bool:
        with pytest.raises(error):
            json.loads(answer.body)
        return answer.status == 200

    return check


def no_constant(name: str) -> float:
    raise ValueError(name)


def has_nan(answer: Answer) -> bool:
    with pytest.raises(ValueError, match="NaN"):
        json.loads(answer.body, parse_constant=no_constant)
    return b'"healthy"' in answer.body


def one_down(service: str) -> Check:
    services = dict.fromkeys(("database", "redis", "ml_service"), "healthy") | {service: "unhealthy"}
    return lambda a: a.json["status"] == "healthy" and a.json["services"] == services


def in_odd_case(answer: Answer) -> bool:
    names = {name for name, _ in answer.headers}
    return "x-request-id" in {name.lower() for name in names} and not names & {"Content-Type", "X-Request-Id", "Date"}


ALL = ("/health", "/api/v1/health", "/api/v1/status")
STATUS = ("/api/v1/status",)

CASES: dict[str, tuple[tuple[str, ...], Check]] = {
    "health-unhealthy": (ALL, lambda a: a.json["status"] == "unhealthy"),
    "health-degraded-word": (ALL, lambda a: a.json["status"] == "degraded"),
    "database-down": (ALL, one_down("database")),
    "redis-down": (ALL, one_down("redis")),
    "ml-service-down": (ALL, one_down("ml_service")),
    "service-missing": (ALL, lambda a: set(a.json["services"]) == {"database", "ml_service"}),
    "stale-timestamp": (ALL, lambda a: timedelta(minutes=9) < age(a) < timedelta(minutes=11)),
    "bad-timestamp": (ALL, lambda a: a.json["timestamp"] == "yesterday, at noon"),
    "missing-fields": (ALL, lambda a: not {"services", "timestamp"} & set(a.json) and a.json["status"] == "healthy"),
    "array-for-object": (ALL, lambda a: isinstance(a.json, list) and a.json[0]["status"] == "healthy"),
    "object-for-string": (ALL, lambda a: a.json["status"] == {"code": "healthy"}),
    "null-body": (ALL, lambda a: a.json is None),
    "empty-body": (ALL, lambda a: a.status == 200 and a.body == b""),
    "truncated-json": (ALL, refuses(json.JSONDecodeError)),
    "invalid-json": (ALL, refuses(json.JSONDecodeError)),
    "nan-json": (ALL, has_nan),
    "deep-json": (ALL, refuses(RecursionError)),
    "not-utf8": (ALL, refuses(UnicodeDecodeError)),
    "wrong-content-type": (ALL, lambda a: a.header("Content-Type") == "text/html" and a.json["status"] == "healthy"),
    "hostile-text": (ALL, lambda a: "<script>" in a.json["status"] and "\x1b" in a.json["status"]),
    "header-case": ((*ALL, "/api/v1/test"), in_odd_case),
    "db-slow": (
        STATUS,
        lambda a: a.json["metrics"]["database_query_ms"] == 900 and "db;dur=900" in (a.header("Server-Timing") or ""),
    ),
    "cache-cold": (STATUS, lambda a: a.json["metrics"]["cache_hit_rate"] == 0.2),
    "error-rate-high": (STATUS, lambda a: a.json["metrics"]["error_rate"] == 0.2),
    "metrics-missing": (STATUS, lambda a: "metrics" not in a.json),
    "server-timing-garbage": (STATUS, lambda a: a.header("Server-Timing") == ";;=,dur==x, db;dur=fast"),
    "version-2": (ALL, lambda a: a.json["version"] == "2.0.0"),
    "health-500": (("/health",), lambda a: a.status == 500 and a.json == {"status": "healthy"}),
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_fault(design: StandIn, name: str) -> None:
    design.set_faults(name)
    paths, check = CASES[name]
    for path in paths:
        assert check(call(design, f"GET {path}")), path
    design.set_faults()
    for path in paths:
        answer = call(design, f"GET {path}")
        assert answer.status == 200
        assert path == "/api/v1/test" or answer.json["services"]["redis"] == "healthy"


def test_faults_compose(design: StandIn) -> None:
    design.set_faults("redis-down", "version-2", "cache-cold")
    body = call(design, "GET /api/v1/status").json
    assert body["services"]["redis"] == "unhealthy"
    assert body["version"] == "2.0.0"
    assert body["metrics"]["cache_hit_rate"] == 0.2
