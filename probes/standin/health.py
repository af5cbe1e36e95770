"""Health calls of both personas."""

from typing import Any

from flask import Flask, Response, jsonify

from probes.standin.target import Target

VERSION = "1.2.3"
SERVICES = ("database", "redis", "ml_service")
DATABASE_MS = 4.2
CACHE_HIT_RATE = 0.93
ERROR_RATE = 0.001

EDGE = "/health"
API = "/api/v1/health"
STATUS = "/api/v1/status"
READY = "/api/v1/ready"


def register(app: Flask, target: Target) -> None:
    """Add the health calls of the target's persona."""
    if target.persona == "gateway":
        app.add_url_rule(EDGE, "edge_health", lambda: Response("healthy\n", content_type="text/plain"))
        app.add_url_rule(API, "api_health", lambda: jsonify(status="healthy", service="api-gateway"))
        app.add_url_rule(READY, "ready", lambda: jsonify(status="ready"))
    else:
        app.add_url_rule(EDGE, "edge_health", lambda: jsonify(health_body(target)))
        app.add_url_rule(API, "api_health", lambda: jsonify(health_body(target)))
        app.add_url_rule(STATUS, "status", lambda: _status(target))


def health_body(target: Target) -> dict[str, Any]:
    """What a healthy target says of itself."""
    return {
        "status": "healthy",
        "version": VERSION,
        "timestamp": target.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "services": dict.fromkeys(SERVICES, "healthy"),
    }


def server_timing(database_ms: float) -> str:
    """The Server-Timing header of the status call."""
    return f"db;dur={database_ms}, cache;desc=hit"


def _status(target: Target) -> Response:
    metrics = {"database_query_ms": DATABASE_MS, "cache_hit_rate": CACHE_HIT_RATE, "error_rate": ERROR_RATE}
    answer = jsonify(health_body(target) | {"metrics": metrics})
    answer.headers["Server-Timing"] = server_timing(DATABASE_MS)
    return answer
