"""The Flask application: every request is counted, limited, perhaps spoilt by a fault, and written down."""

import secrets
from email.utils import format_datetime
from http import HTTPStatus

from flask import Flask, Request, Response, g, jsonify, request

from probes.standin import api, auth, control, health, web
from probes.standin.faults import FAULTS
from probes.standin.faults.base import Rule, Unanswered
from probes.standin.ledger import Entry
from probes.standin.limiter import API_PREFIX, RETRY_AFTER_S, Tally
from probes.standin.target import Exchange, Target, current_exchange
from probes.standin.wire import ENVIRON_KEY

LARGEST_BODY = 1024 * 1024
REFUSAL_PAGE = """<html>
<head><title>503 Service Temporarily Unavailable</title></head>
<body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>nginx</center></body>
</html>
"""


def build_app(target: Target) -> Flask:
    """The WSGI application around one target."""
    app = Flask("probes.standin", template_folder="pages", static_folder="pages/static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider
    app.before_request(lambda: _arrive(target))
    app.after_request(lambda response: _leave(target, response))
    for status in (400, 404, 405, 413, 415, 500):
        app.register_error_handler(status, lambda _error, status=status: _refuse(target, status))
    for subject in (control, health, api, auth, web):
        subject.register(app, target)
    return app


def _arrive(target: Target) -> Response | None:
    """Write the request down, count it, and answer in the target's place where the edge, a limit or a fault does."""
    if request.path.startswith(control.PREFIX):
        return None
    exchange = Exchange(target, _plain_request(), request.environ[ENVIRON_KEY])
    g.exchange = exchange
    g.entry = _entry(target, exchange)
    target.ledger.add(g.entry)
    answer = _edge_answer(target) or _limit_answer(target, exchange) or _fault_answer(target, exchange)
    exchange.answered_early = answer is not None
    target.note_write(exchange)
    return answer or _unknown_method(target)


def _plain_request() -> Request:
    """The request itself, for use beyond Flask's proxy."""
    return request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - Werkzeug's documented way


def _entry(target: Target, exchange: Exchange) -> Entry:
    headers = exchange.request.headers
    return Entry(
        n=target.ledger.next_number(),
        method=request.method,
        path=request.path,
        query=request.query_string.decode("latin-1"),
        user_agent=headers.get("User-Agent", ""),
        run=headers.get("X-Smokeprobe-Run", ""),
        traceparent=headers.get("traceparent", ""),
        authorization="Authorization" in headers,
        cookie="Cookie" in headers,
        body_bytes=request.content_length or 0,
        request_id=secrets.token_hex(8),
        client=exchange.client,
    )


def _edge_answer(target: Target) -> Response | None:
    secret = target.settings.edge_secret
    if secret and not secrets.compare_digest(request.headers.get("X-Edge-Secret", "").encode(), secret.encode()):
        return Response("<html><body><h1>403 Forbidden</h1></body></html>\n", 403, content_type="text/html")
    return None


def _limit_answer(target: Target, exchange: Exchange) -> Response | None:
    exchange.tallies = target.count(exchange)
    g.entry.limits = [tally.name for tally in exchange.tallies]
    refusing = next((tally for tally in exchange.tallies if tally.refused), None)
    if refusing is None:
        return None
    if target.persona == "gateway" and refusing.name == "api":
        return Response(REFUSAL_PAGE, 503, content_type="text/html")
    answer = jsonify(error="rate_limit_exceeded", message="Too many requests", retry_after=RETRY_AFTER_S)
    answer.status_code = 429
    answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    _add_limit_headers(target, answer, refusing)
    return answer


def _fault_answer(target: Target, exchange: Exchange) -> Response | None:
    for rule in _rules(target, exchange):
        answer = rule.before(exchange) if rule.before else None
        if answer is not None:
            return answer
    return None


def _unknown_method(target: Target) -> Response | None:
    """The gateway's router knows no HEAD."""
    if target.persona == "gateway" and request.method == "HEAD" and request.path.startswith(API_PREFIX):
        return Response(status=404)
    return None


def _leave(target: Target, response: Response) -> Response:
    """Add what every answer carries, let the faults spoil it, and complete the ledger."""
    if "entry" not in g:
        return response
    exchange = current_exchange()
    response.headers["X-Request-Id"] = g.entry.request_id
    response.headers["Date"] = format_datetime(target.now(), usegmt=True)
    if not exchange.answered_early and exchange.tallies:
        _add_limit_headers(target, response, exchange.tallies[-1])
    for rule in _rules(target, exchange):
        response = rule.after(exchange, response) if rule.after else response
    if not isinstance(response, Unanswered):
        g.entry.status = response.status_code
    return response


def _add_limit_headers(target: Target, response: Response, tally: Tally) -> None:
    if tally.name == "api":
        return
    prefix = "X-Ratelimit" if target.persona == "gateway" else "X-RateLimit"
    response.headers[f"{prefix}-Limit"] = str(tally.limit)
    response.headers[f"{prefix}-Remaining"] = str(tally.remaining)
    response.headers[f"{prefix}-Reset"] = str(tally.reset_at + int(target.skew.total_seconds()))


def _rules(target: Target, exchange: Exchange) -> list[Rule]:
    return [rule for name in target.faults for rule in FAULTS[name].rules if rule.covers(exchange.request)]


def _refuse(target: Target, status: int) -> Response:
    """Errors in JSON; the gateway's router takes a wrong method for an unknown path."""
    if status == 405 and target.persona == "gateway":
        status = 404
    answer = jsonify(error=HTTPStatus(status).phrase.lower())
    answer.status_code = status
    return answer
