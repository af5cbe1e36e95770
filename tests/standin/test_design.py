"""The persona design, call by call."""

import http.client
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from probes.standin.process import StandIn
from tests.standin.client import call, login


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/api/v1/status"])
def test_health_calls_name_every_service(design: StandIn, path: str) -> None:
    answer = call(design, f"GET {path}")
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/json"
    body = answer.json
    assert body["status"] == "healthy"
    assert body["version"] == "1.2.3"
    assert body["services"] == {"database": "healthy", "redis": "healthy", "ml_service": "healthy"}
    timestamp = datetime.fromisoformat(body["timestamp"])
    assert abs(datetime.now(UTC) - timestamp) < timedelta(seconds=5)
    assert abs(parsedate_to_datetime(answer.header("Date") or "") - timestamp) <= timedelta(seconds=1)


def test_status_measures_itself(design: StandIn) -> None:
    answer = call(design, "GET /api/v1/status")
    assert answer.json["metrics"] == {"database_query_ms": 4.2, "cache_hit_rate": 0.93, "error_rate": 0.001}
    assert answer.header("Server-Timing") == "db;dur=4.2, cache;desc=hit"


def test_api_test_carries_the_limit(design: StandIn) -> None:
    before = time.time()
    first, second = call(design, "GET /api/v1/test"), call(design, "GET /api/v1/test")
    assert first.json == {"status": "ok"}
    names = [name for name, _ in first.headers]
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(names)
    assert first.header("X-RateLimit-Limit") == "100"
    if first.header("X-RateLimit-Reset") == second.header("X-RateLimit-Reset"):
        assert int(second.header("X-RateLimit-Remaining") or 0) == int(first.header("X-RateLimit-Remaining") or 0) - 1
    assert before < int(first.header("X-RateLimit-Reset") or 0) <= time.time() + 60


def test_techniques(design: StandIn) -> None:
    body = call(design, "GET /api/v1/techniques").json
    assert body["total"] == len(body["techniques"]) == 7


def test_every_answer_has_a_request_id_of_its_own(design: StandIn) -> None:
    answers = [call(design, "GET /health"), call(design, "GET /nowhere"), call(design, "GET /static/site.css")]
    ids = [answer.header("X-Request-Id") for answer in answers]
    assert len(set(ids)) == 3
    assert ids == [entry["request_id"] for entry in design.ledger()]


def test_anonymous_enhancement_stores_nothing(design: StandIn) -> None:
    answer = call(design, "POST /api/v1/enhance", {"text": "Explain photosynthesis"})
    body = answer.json
    assert answer.status == 200
    assert body["id"] == ""
    assert body["original_text"] == "Explain photosynthesis"
    assert body["enhanced"] is True
    assert body["enhanced_text"] == body["enhanced_prompt"] != body["original_text"]
    assert {"intent", "complexity", "techniques", "techniques_used", "confidence", "processing_time_ms"} <= set(body)
    state = design.state()
    assert state["history_rows"] == {"basic": 0, "premium": 0}
    assert state["anonymous_rows_stored"] == state["writes"] == 0


def test_authenticated_enhancement_stores_a_row(design: StandIn) -> None:
    token = login(design).json["access_token"]
    stored = call(design, "POST /api/v1/enhance", {"text": "Explain tides"}, token=token).json
    assert stored["id"]
    history = call(design, "GET /api/v1/history", token=token).json
    assert history["pagination"]["total_records"] == 1
    assert [row["id"] for row in history["data"]] == [stored["id"]]
    assert design.state()["history_rows"] == {"basic": 1, "premium": 0}
    assert design.state()["writes"] == 1


@pytest.mark.parametrize("body", [None, [], {}, {"text": ""}, {"text": 1}, {"text": "a" * 5001}])
def test_invalid_text_is_refused_and_counted(design: StandIn, body: object) -> None:
    answer = call(design, "POST /api/v1/enhance", body)
    assert answer.status == 400
    assert answer.header("X-RateLimit-Limit") == "100"
    assert design.ledger()[-1]["limits"] == ["api", "enhance"]


def test_longest_text_is_taken(design: StandIn) -> None:
    assert call(design, "POST /api/v1/enhance", {"text": "a" * 5000}).status == 200


def test_wrong_method_and_unknown_path(design: StandIn) -> None:
    assert call(design, "POST /api/v1/test", {}).status == 405
    assert call(design, "GET /api/v1/ready").status == 404
    assert call(design, "HEAD /health").status == 200


def test_connections_are_kept_alive(design: StandIn) -> None:
    connection = http.client.HTTPConnection(urlsplit(design.url).netloc, timeout=5)
    try:
        connection.connect()
        first = connection.sock
        for path in ("/health", "/api/v1/test", "/", "/static/logo.svg", "/nowhere"):
            connection.request("GET", path)
            with connection.getresponse() as response:
                assert response.version == 11
                response.read()
        assert connection.sock is first
    finally:
        connection.close()


def test_health_is_quick(design: StandIn) -> None:
    connection = http.client.HTTPConnection(urlsplit(design.url).netloc, timeout=5)
    times = []
    try:
        for _ in range(50):
            started = time.perf_counter()
            connection.request("GET", "/health")
            with connection.getresponse() as response:
                response.read()
            times.append(time.perf_counter() - started)
    finally:
        connection.close()
    assert min(times) < 0.002
