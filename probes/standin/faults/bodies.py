"""Faults in what the health calls say, and in how they say it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Response, jsonify

from probes.standin.faults.base import (
    HEALTH_CALLS,
    After,
    Fault,
    Layer,
    Outcome,
    Rule,
    edit,
    on,
    one,
    put,
    with_headers,
)
from probes.standin.health import EDGE, READY, SERVICES, STATUS, server_timing
from probes.standin.target import Exchange

_NESTING = 100_000
_STALE = timedelta(minutes=10)
_SLOW_DATABASE_MS = 900.0
_STATUS = on(f"GET {STATUS}")
_HOSTILE = "\x1b[31munhealthy\x1b[0m\r\n::error::forged<script>alert(1)</script>]]>\u202e"


def _fault(name: str, description: str, after: After) -> Fault:
    """A fault of all health calls, which fails their check by its body."""
    return Fault(name, description, one("health", "failed", "body"), (Rule(HEALTH_CALLS, after=after),))


def _metric(name: str, description: str, outcome: Outcome, layer: Layer, after: After) -> Fault:
    return Fault(name, description, one("health", outcome, layer), (Rule(_STATUS, after=after),))


def _down(service: str) -> Fault:
    """One service down: the design's health says so by name, the gateway's deep check answers 503."""

    def act(exchange: Exchange, response: Response) -> Response:
        if exchange.request.path == READY:
            cause = "cache" if service == "redis" else service
            response = jsonify(status="not ready", error=f"{cause} connection failed")
            response.status_code = 503
            return response
        return edit(lambda body: _with_service(body, service))(exchange, response)

    name = service.replace("_", "-")
    return _fault(f"{name}-down", f"health calls name {service} as unhealthy, and still say healthy themselves", act)


def _with_service(body: dict[str, Any], service: str) -> dict[str, Any]:
    return body | {"services": body["services"] | {service: "unhealthy"}} if "services" in body else body


def _without(*fields: str) -> After:
    return edit(lambda body: {name: value for name, value in body.items() if name not in fields})


def _spoil(change: Callable[[bytes], bytes]) -> After:
    """Change the bytes of the body."""

    def act(_exchange: Exchange, response: Response) -> Response:
        if not response.is_streamed:
            response.set_data(change(response.get_data()))
        return response

    return act


def _stale(exchange: Exchange, response: Response) -> Response:
    old = (exchange.target.now() - _STALE).strftime("%Y-%m-%dT%H:%M:%SZ")
    return edit(lambda body: body | {"timestamp": old} if "timestamp" in body else body)(exchange, response)


def _odd_case(_exchange: Exchange, response: Response) -> Response:
    headers = list(response.headers.items())
    response.headers.clear()
    for number, (name, value) in enumerate(headers):
        response.headers.add(name.lower() if number % 2 else name.swapcase(), value)
    return response


def _metrics(**values: float) -> After:
    return edit(lambda body: body | {"metrics": body.get("metrics", {}) | values})


def _slow_database(exchange: Exchange, response: Response) -> Response:
    response = _metrics(database_query_ms=_SLOW_DATABASE_MS)(exchange, response)
    response.headers["Server-Timing"] = server_timing(_SLOW_DATABASE_MS)
    return response


def _nan(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"metrics": body.get("metrics", {}) | {"database_query_ms": float("nan")}}


FAULTS = (
    _fault("health-unhealthy", "health calls answer 200 and say unhealthy", put(status="unhealthy")),
    _fault("health-degraded-word", "health calls answer 200 and say degraded", put(status="degraded")),
    *(_down(service) for service in SERVICES),
    _fault(
        "service-missing",
        "health calls do not mention redis",
        edit(lambda body: body | {"services": {"database": "healthy", "ml_service": "healthy"}}),
    ),
    _fault("stale-timestamp", "health calls carry a timestamp of ten minutes ago", _stale),
    _fault("bad-timestamp", "health calls carry a timestamp that is none", put(timestamp="yesterday, at noon")),
    _fault("missing-fields", "health calls leave out services and timestamp", _without("services", "timestamp")),
    _fault("array-for-object", "health calls answer with an array", edit(lambda body: [body])),
    _fault("object-for-string", "health calls have an object for their status", put(status={"code": "healthy"})),
    _fault("null-body", "health calls answer null", _spoil(lambda _body: b"null")),
    _fault("empty-body", "health calls answer 200 and nothing", _spoil(lambda _body: b"")),
    _fault(
        "truncated-json", "health calls end in the middle of their JSON", _spoil(lambda body: body[: len(body) // 2])
    ),
    _fault("invalid-json", "health calls answer with what is no JSON", _spoil(lambda _body: b"{'status': healthy,}")),
    _fault("nan-json", "health calls carry a NaN, which JSON does not have", edit(_nan)),
    _fault(
        "deep-json",
        "health calls answer with 100,000 nested arrays",
        _spoil(lambda _body: b'{"status":' + b"[" * _NESTING + b"]" * _NESTING + b"}"),
    ),
    _fault(
        "not-utf8", "health calls answer in Latin-1, called UTF-8", _spoil(lambda _body: b'{"status":"h\xe9althy"}')
    ),
    _fault("wrong-content-type", "health calls call their JSON text/html", with_headers({"Content-Type": "text/html"})),
    _fault("hostile-text", "health calls carry control characters, markup and log commands", put(status=_HOSTILE)),
    Fault(
        "header-case",
        "every header of health calls and of GET /api/v1/test is written in odd case",
        (*one("health", "passed"), *one("api", "passed")),
        (Rule(lambda r: HEALTH_CALLS(r) or r.path == "/api/v1/test", after=_odd_case),),
    ),
    _metric("db-slow", "the status call reports 900 ms of database time", "degraded", "body", _slow_database),
    _metric(
        "cache-cold", "the status call reports a hit rate of 0.2", "degraded", "body", _metrics(cache_hit_rate=0.2)
    ),
    _metric(
        "error-rate-high", "the status call reports an error rate of 0.2", "degraded", "body", _metrics(error_rate=0.2)
    ),
    _metric("metrics-missing", "the status call has no metrics", "failed", "body", _without("metrics")),
    Fault(
        "server-timing-garbage",
        "the status call has a Server-Timing header that cannot be read",
        one("health", "passed"),
        (Rule(_STATUS, after=with_headers({"Server-Timing": ";;=,dur==x, db;dur=fast"})),),
    ),
    Fault(
        "version-2",
        "health calls report version 2.0.0",
        one("health", "passed"),
        (Rule(HEALTH_CALLS, after=put(version="2.0.0")),),
    ),
    Fault(
        "health-500",
        "GET /health answers 500 with a healthy body",
        one("health", "failed", "http"),
        (
            Rule(
                on(f"GET {EDGE}"),
                lambda _x: Response(json.dumps({"status": "healthy"}), 500, mimetype="application/json"),
            ),
        ),
    ),
)
