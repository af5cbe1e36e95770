"""What a fault is, and the small parts that faults are made of."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gevent
from flask import Request, Response, jsonify, redirect

from probes.standin.health import API, EDGE, READY, STATUS
from probes.standin.target import Exchange

Check = Literal["health", "homepage", "enhancement", "login", "api"]
Outcome = Literal["passed", "degraded", "failed", "throttled", "error", "skipped"]
Layer = Literal["dns", "connect", "tls", "http", "body", "browser", "account", "budget"]

Covers = Callable[[Request], bool]
Before = Callable[[Exchange], Response | None]
After = Callable[[Exchange, Response], Response]


@dataclass(frozen=True)
class Expected:
    """What an honest probe of the design persona says of one check; the layer is None where nothing is wrong.

    Whatever only a browser sees has the layer browser.
    """

    check: Check
    outcome: Outcome
    layer: Layer | None = None
    flaky: bool = False


@dataclass(frozen=True)
class Rule:
    """What a fault does to the calls that it covers: answer in the target's place (before), or change its answer."""

    covers: Covers
    before: Before | None = None
    after: After | None = None


@dataclass(frozen=True)
class Fault:
    """One way to misbehave. Checks that expected does not name pass as if nothing were wrong."""

    name: str
    description: str
    expected: tuple[Expected, ...]
    rules: tuple[Rule, ...] = ()
    """Empty for what only changes the state's own arithmetic: its clock, its limits."""


class Unanswered(Response):
    """A response of which no status line is ever sent whole; the ledger shows no status for it."""


# ---- whom a rule covers


def on(*calls: str) -> Covers:
    """Covers exactly these calls, each a method and a path, such as GET /health."""
    wanted = set(calls)
    return lambda request: f"{request.method} {request.path}" in wanted


def under(prefix: str) -> Covers:
    """Covers every call below a path."""
    return lambda request: request.path.startswith(prefix)


def everything(_request: Request) -> bool:
    """Covers every call there is."""
    return True


HEALTH_CALLS = on(f"GET {EDGE}", f"GET {API}", f"GET {STATUS}", f"GET {READY}")


# ---- what it does


def answer(status: int, body: str | bytes, content_type: str = "application/json", **headers: str) -> Before:
    """Answer in the target's place; a header's name is written with underscores: Retry_After="60"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _exchange: Response(body, status, content_type=content_type, headers=named)


def answer_json(status: int, **body: Any) -> Before:
    """Answer in the target's place, with JSON."""
    return answer(status, json.dumps(body))


def redirect_to(url: str, status: int = 302) -> Before:
    """Redirect instead of an answer."""

    def act(_exchange: Exchange) -> Response:
        found = redirect(url, status)
        return Response(found.get_data(), status, headers=found.headers)

    return act


def wait(seconds: float) -> Before:
    """Let the target answer, but later."""

    def act(_exchange: Exchange) -> None:
        gevent.sleep(seconds)

    return act


def edit(change: Callable[[dict[str, Any]], Any]) -> After:
    """Change the JSON object of a good answer: change returns what takes its place. Other answers stay as they are."""

    def act(_exchange: Exchange, response: Response) -> Response:
        body = None if response.is_streamed or response.status_code != 200 else response.get_json(silent=True)
        if isinstance(body, dict):
            response.set_data(jsonify(change(body)).get_data())
        return response

    return act


def put(**fields: Any) -> After:
    """Set fields of the JSON object of a good answer."""
    return edit(lambda body: body | fields)


def with_headers(headers: Mapping[str, str]) -> After:
    """Set headers of the answer."""

    def act(_exchange: Exchange, response: Response) -> Response:
        response.headers.update(headers)
        return response

    return act


# ---- what is expected


def one(check: Check, outcome: Outcome, layer: Layer | None = None, *, flaky: bool = False) -> tuple[Expected, ...]:
    """One check concerned."""
    return (Expected(check, outcome, layer, flaky),)


API_CHECKS: tuple[Check, ...] = ("health", "enhancement", "login", "api")


def every_check(outcome: Outcome) -> tuple[Expected, ...]:
    """All checks concerned: those over HTTP first meet it there, the home page in the browser."""
    over_http = (Expected(check, outcome, "http") for check in API_CHECKS)
    return (*over_http, Expected("homepage", outcome, "browser"))
