"""What the target says of itself: its word, its services, its age, and its numbers."""

from __future__ import annotations

import datetime as dt
import json
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from probes.model import Verdict
from tests.checks.stage import Stage, outcomes, reason, steps
from tests.clients.raw_server import RawServer, always

HEALTHY = {"status": "healthy", "version": "1.2.3", "services": {"database": "healthy", "redis": "healthy"}}
DEEP = {"path": "/health", "json": {"status": "healthy"}, "services": ["database", "redis"], "show": ["status"]}
NOW = dt.datetime(2024, 1, 27, 10, 0, tzinfo=dt.UTC)


def check(folder: Path, body: dict[str, Any] | bytes, headers: str = "", **options: Any) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {len(raw)}\r\n\r\n".encode() + raw
    with RawServer(always(answer)) as server:
        endpoint = {**DEEP, **options}
        return Stage(folder, server.url).run({"attempts": 1, "endpoints": {"edge": endpoint}}, "health")


def why(verdict: Verdict) -> str:
    return reason(verdict) if verdict.reason else verdict.outcome


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "passed"),
        ({"status": "degraded"}, 'edge (body): status is not as expected; expected "healthy", got "degraded"'),
        ({"status": None}, 'edge (body): status is not as expected; expected "healthy", got null'),
        (
            {"services": {"database": "healthy", "redis": "unhealthy"}},
            'edge (body): services.redis is not as expected; expected "healthy", got "unhealthy"',
        ),
        ({"services": {"database": "healthy"}}, 'edge (body): services.redis is missing; expected "healthy"'),
        ({"services": ["database", "redis"]}, 'edge (body): services.database is missing; expected "healthy"'),
        (
            {"services": {"database": {"status": "healthy"}, "redis": "healthy"}},
            'edge (body): services.database is not as expected; expected "healthy", got {"status": "healthy"}',
        ),
    ],
)
def test_the_word_and_every_named_service(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert why(check(tmp_path, {**HEALTHY, **change})) == said


def test_the_version_is_kept(tmp_path: Path) -> None:
    assert check(tmp_path, HEALTHY).target_version == "1.2.3"
    assert check(tmp_path, {**HEALTHY, "version": 5}).target_version == ""


def at(moment: dt.datetime, written: str) -> tuple[dict[str, Any], str]:
    return {**HEALTHY, "timestamp": written}, f"Date: {format_datetime(moment, usegmt=True)}\r\n"


@pytest.mark.parametrize(
    ("timestamp", "fresh"),
    [
        ("2024-01-27T10:00:00Z", True),
        ("2024-01-27T09:56:00Z", True),
        ("2024-01-27T10:04:00Z", True),  # a clock of the target that is ahead of its edge's
        ("2024-01-27T09:54:00Z", False),
        ("2024-01-27T10:06:00Z", False),
        ("2024-01-27T11:00:00+01:00", True),
        ("2024-01-27T11:00:00", False),
        ("2024-01-27T10:00:00.123456Z", True),
        ("2024-01-27T10:00:00", True),  # without a zone it is UTC
        ("2023-01-27T10:00:00Z", False),
    ],
)
def test_a_timestamp_is_held_against_the_targets_own_clock(tmp_path: Path, timestamp: str, *, fresh: bool) -> None:
    verdict = check(tmp_path, *at(NOW, timestamp), max_age="5m")
    if fresh:
        assert why(verdict) == "passed"
    else:
        assert why(verdict).startswith("edge (body): timestamp is not fresh; expected at most 5 min old, got ")


@pytest.mark.parametrize(
    "timestamp", ["", "now", 1706349600, None, "10:00", "27.01.2024", "2024-13-27T10:00:00Z", ["2024"]]
)
def test_a_timestamp_that_is_none(tmp_path: Path, timestamp: Any) -> None:
    verdict = check(tmp_path, {**HEALTHY, "timestamp": timestamp}, max_age="5m")
    assert why(verdict) == "edge (body): timestamp is missing or not a time"


@pytest.mark.parametrize("date", ["", "Date: yesterday\r\n", "Date: \r\n"])
def test_without_a_date_our_own_clock_has_to_do(tmp_path: Path, date: str) -> None:
    now = dt.datetime.now(dt.UTC)
    assert why(check(tmp_path, {**HEALTHY, "timestamp": now.isoformat()}, date, max_age="5m")) == "passed"
    old = (now - dt.timedelta(minutes=10)).isoformat()
    assert "is not fresh" in why(check(tmp_path, {**HEALTHY, "timestamp": old}, date, max_age="5m"))


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        ("0", True),
        ("240", True),
        ("301", False),
        ("600, 0", False),  # of several the first counts
        ("99999999999999999999", False),
        ("-600", True),
        ("600.5", True),
        ("old", True),
        ("", True),
        ("٦٠٠", True),
    ],
)
def test_an_answer_out_of_a_cache_is_as_old_as_the_cache_says(tmp_path: Path, age: str, *, fresh: bool) -> None:
    body, date = at(NOW, "2024-01-27T10:00:00Z")
    said = why(check(tmp_path, body, f"{date}Age: {age}\r\n", max_age="5m"))
    assert said == "passed" if fresh else said.startswith("edge (body): timestamp is not fresh")


def test_an_age_without_a_date_adds_nothing(tmp_path: Path) -> None:
    body = {**HEALTHY, "timestamp": dt.datetime.now(dt.UTC).isoformat()}
    assert why(check(tmp_path, body, "Age: 600\r\n", max_age="5m")) == "passed"


GOOD_NUMBERS = {"database_query_ms": 4.2, "cache_hit_rate": 0.93, "error_rate": 0.001}
LIMITS: dict[str, Any] = {"performance": {"database_query": "500ms", "cache_hit_rate": 0.5, "error_rate": "5%"}}


def measure(folder: Path, numbers: dict[str, Any], timing: str = "") -> Verdict:
    header = f"Server-Timing: {timing}\r\n" if timing else ""
    return check(folder, {**HEALTHY, "metrics": numbers}, header, **LIMITS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "passed"),
        ({"database_query_ms": 500}, "passed"),
        ({"database_query_ms": 501}, "edge (body): database query time; expected at most 500 ms, got 501 ms"),
        ({"cache_hit_rate": 0.5, "error_rate": 0.05}, "passed"),
        ({"cache_hit_rate": 0.49}, "edge (body): cache hit rate; expected at least 0.5, got 0.49"),
        ({"error_rate": 0.06}, "edge (body): error rate; expected at most 0.05, got 0.06"),
        ({"cache_hit_rate": "0.9"}, "edge (body): metrics.cache_hit_rate is missing"),
        ({"cache_hit_rate": True}, "edge (body): metrics.cache_hit_rate is missing"),
        ({"error_rate": None}, "edge (body): metrics.error_rate is missing"),
        (
            {"database_query_ms": None},
            "edge (body): the database query time is missing (status body and Server-Timing)",
        ),
    ],
)
def test_the_targets_own_numbers(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert why(measure(tmp_path, {**GOOD_NUMBERS, **change})) == said


def test_slow_inside_is_degraded_and_missing_is_failed(tmp_path: Path) -> None:
    assert measure(tmp_path, {**GOOD_NUMBERS, "error_rate": 0.5}).outcome == "degraded"
    assert measure(tmp_path, {}).outcome == "failed"


def test_infinite_numbers_are_none(tmp_path: Path) -> None:
    numbers = b'{"database_query_ms": 1e999, "cache_hit_rate": 0.9, "error_rate": 0}'
    body = json.dumps(HEALTHY)[:-1].encode() + b', "metrics": ' + numbers + b"}"
    assert "database query time is missing" in why(check(tmp_path, body, **LIMITS))


@pytest.mark.parametrize(
    ("timing", "found"),
    [
        ("db;dur=4.2, cache;desc=hit", {"db_server_timing_ms": 4.2, "cache_hit": 1.0}),
        ("cache;desc=miss,db;dur=7", {"db_server_timing_ms": 7.0, "cache_hit": 0.0}),
        ('cache;desc="hit", total;dur=9, db;desc="all of it";dur=5', {"db_server_timing_ms": 5.0, "cache_hit": 1.0}),
        ("db ; dur=6", {"db_server_timing_ms": 6.0}),
        ("db;dur=0", {"db_server_timing_ms": 0.0}),
        ("dbx;dur=4.2, mydb;dur=5, cached;desc=hit", {}),
        ("db, total;dur=9", {}),
        ("db;dur=fast", {}),
        ("db;dur=-5", {}),
        (";;=,dur==x, db;dur=", {}),
        ("cache;desc=hitherto", {}),
        ("total;dur=3", {}),
    ],
)
def test_server_timing(tmp_path: Path, timing: str, found: dict[str, float]) -> None:
    verdict = measure(tmp_path, GOOD_NUMBERS, timing)
    extra = {name: value for name, value in verdict.metrics.items() if name in {"db_server_timing_ms", "cache_hit"}}
    assert extra == found
    assert verdict.metrics["db_query_time_ms"] == pytest.approx(4.2)


def test_where_the_body_is_silent_server_timing_has_to_do(tmp_path: Path) -> None:
    numbers = {name: value for name, value in GOOD_NUMBERS.items() if name != "database_query_ms"}
    assert measure(tmp_path, numbers, "db;dur=8").metrics["db_query_time_ms"] == pytest.approx(8)
    assert measure(tmp_path, numbers, "db;dur=800").outcome == "degraded"


def test_the_slower_of_the_two_database_times_counts(tmp_path: Path) -> None:
    assert measure(tmp_path, GOOD_NUMBERS, "db;dur=800").outcome == "degraded"


def test_the_stand_in_passes_as_it_is_shipped(stage: Stage) -> None:
    services = ["database", "redis", "ml_service"]
    endpoints = {
        "edge": {"path": "/health", "services": services, "max_age": "5m"},
        "status": {"path": "/api/v1/status", "services": services, **LIMITS},
    }
    verdict = stage.run({"endpoints": endpoints}, "health")
    assert outcomes(verdict) == {"edge": "passed", "status": "passed"}
    assert set(verdict.metrics) == {
        "db_query_time_ms",
        "db_server_timing_ms",
        "cache_hit_rate",
        "error_rate",
        "cache_hit",
    }
    assert steps(verdict)["edge"].bytes_received > 0
