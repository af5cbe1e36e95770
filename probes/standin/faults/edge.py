"""Faults in front of the application: refusals, redirects, slowness, limits and the clock."""

from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime

from flask import Request, Response

from probes.standin.faults.base import (
    HEALTH_CALLS,
    Before,
    Expected,
    Fault,
    Rule,
    answer,
    answer_json,
    every_check,
    everything,
    on,
    one,
    redirect_to,
    under,
    wait,
    with_headers,
)
from probes.standin.health import EDGE
from probes.standin.limiter import API_PREFIX, ENHANCE_PATH, TEST_PATH
from probes.standin.target import CLOCK_SKEW, RATELIMIT_LOWERED, Exchange
from probes.standin.web import DASHBOARD, HOME, LOGIN_PAGE

_PAGES = on(f"GET {HOME}", f"GET {LOGIN_PAGE}", f"GET {DASHBOARD}")
_API = under(API_PREFIX)
_TEST = on(f"GET {TEST_PATH}")
_ENHANCE = on(f"POST {ENHANCE_PATH}")
_SLOW_HEALTH_S = 0.15
_SLOW_API_S = 0.3

_CHALLENGE_PAGE = """<!doctype html><html><head><title>Just a moment...</title></head>
<body><h1>Checking your browser before you go on</h1><p>Please enable JavaScript and cookies.</p></body></html>
"""


def _html(status: int, title: str) -> Before:
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\n"
    return answer(status, page, "text/html")


def _throttled(headers: Mapping[str, str]) -> Before:
    body = '{"error":"rate_limit_exceeded","message":"Too many requests","retry_after":60}'
    return lambda _exchange: Response(body, 429, content_type="application/json", headers=dict(headers))


def _throttled_until_date(exchange: Exchange) -> Response | None:
    later = exchange.target.now() + timedelta(minutes=1)
    return _throttled({"Retry-After": format_datetime(later, usegmt=True)})(exchange)


def _of_the_application(request: Request) -> bool:
    return HEALTH_CALLS(request) or _API(request) or _PAGES(request)


def _first_is_503(exchange: Exchange) -> Response | None:
    call = f"{exchange.request.method} {exchange.request.path}"
    seen = exchange.target.seen
    if call in seen:
        return None
    seen.add(call)
    return answer_json(503, error="warming up")(exchange)


def _redirect(name: str, description: str, url: str) -> Fault:
    return Fault(name, description, one("health", "failed", "http"), (Rule(on(f"GET {EDGE}"), redirect_to(url)),))


def _throttled_test(name: str, description: str, before: Before) -> Fault:
    return Fault(name, description, one("api", "throttled", "http"), (Rule(_TEST, before),))


def _ratelimit(name: str, description: str, rule: Rule) -> Fault:
    return Fault(name, description, one("api", "failed", "http"), (rule,))


def _without_ratelimit(_exchange: Exchange, response: Response) -> Response:
    for name in [name for name, _ in response.headers if name.lower().startswith("x-ratelimit-")]:
        del response.headers[name]
    return response


_FLAKY = tuple(Expected(check, "passed", flaky=True) for check in ("health", "homepage", "enhancement", "login", "api"))
_STOPPED = tuple(
    Expected(check, "skipped", "budget") for check in ("health", "homepage", "enhancement", "login", "api")
)

FAULTS = (
    _redirect("redirect-loop", "GET /health redirects to itself", EDGE),
    _redirect("redirect-other-host", "GET /health redirects to http://example.org/", "http://example.org/"),
    _redirect("redirect-private", "GET /health redirects to a private address", "http://10.0.0.1/"),
    _redirect("redirect-link-local", "GET /health redirects to a link-local address", "http://169.254.169.254/"),
    _redirect("redirect-other-scheme", "GET /health redirects to a file", "file:///etc/passwd"),
    Fault(
        "throttled-429",
        "everything under /api/v1/ answers 429 with Retry-After: 60",
        every_check("throttled"),
        (Rule(_API, _throttled({"Retry-After": "60"})),),
    ),
    Fault(
        "throttled-enhance",
        "POST /api/v1/enhance answers 429 with Retry-After: 60",
        one("enhancement", "throttled", "http"),
        (Rule(_ENHANCE, _throttled({"Retry-After": "60"})),),
    ),
    _throttled_test("throttled-no-retry-after", "GET /api/v1/test answers 429 without Retry-After", _throttled({})),
    _throttled_test("throttled-until-date", "GET /api/v1/test answers 429 until a time of day", _throttled_until_date),
    _throttled_test(
        "throttled-retry-after-garbage",
        "GET /api/v1/test answers 429 with a Retry-After that cannot be read",
        _throttled({"Retry-After": "soon"}),
    ),
    Fault(
        "edge-503",
        "everything under /api/v1/ answers 503 with an HTML page",
        every_check("failed"),
        (Rule(_API, _html(503, "503 Service Temporarily Unavailable")),),
    ),
    Fault(
        "gateway-502",
        "everything under /api/v1/ answers 502 with an HTML page",
        every_check("failed"),
        (Rule(_API, _html(502, "502 Bad Gateway")),),
    ),
    Fault(
        "first-503",
        "the first answer of each health call, API call and page is a 503, all later ones are right",
        _FLAKY,
        (Rule(_of_the_application, _first_is_503),),
    ),
    Fault(
        "bot-challenge",
        "everything answers 403 with a challenge page and cf-mitigated: challenge",
        every_check("error"),
        (Rule(everything, answer(403, _CHALLENGE_PAGE, "text/html", cf_mitigated="challenge")),),
    ),
    Fault(
        "bot-challenge-503",
        "everything answers 503 with a challenge page and cf-mitigated: challenge",
        every_check("error"),
        (Rule(everything, answer(503, _CHALLENGE_PAGE, "text/html", cf_mitigated="challenge")),),
    ),
    Fault(
        "pause-header",
        "every answer asks for a pause of 120 seconds",
        _STOPPED,
        (Rule(everything, after=with_headers({"X-Smokeprobe-Pause": "120"})),),
    ),
    Fault(
        "connection-close",
        "every answer closes its connection",
        one("health", "passed"),
        (Rule(everything, after=with_headers({"Connection": "close"})),),
    ),
    Fault(
        "slow-health",
        "health calls take 150 ms",
        one("health", "degraded", "http"),
        (Rule(HEALTH_CALLS, wait(_SLOW_HEALTH_S)),),
    ),
    Fault(
        "slow-api",
        "GET /api/v1/test takes 300 ms",
        one("api", "degraded", "http"),
        (Rule(_TEST, wait(_SLOW_API_S)),),
    ),
    Fault(
        "test-500",
        "GET /api/v1/test answers 500",
        one("api", "failed", "http"),
        (Rule(_TEST, answer_json(500, error="internal")),),
    ),
    _ratelimit(
        "ratelimit-headers-missing",
        "no answer carries rate-limit headers, as with the cache down",
        Rule(everything, after=_without_ratelimit),
    ),
    _ratelimit(
        "ratelimit-not-falling",
        "X-RateLimit-Remaining of GET /api/v1/test stays at 90",
        Rule(_TEST, after=with_headers({"X-RateLimit-Remaining": "90"})),
    ),
    _ratelimit(
        "ratelimit-garbage",
        "X-RateLimit-Remaining of GET /api/v1/test is no number",
        Rule(_TEST, after=with_headers({"X-RateLimit-Remaining": "many"})),
    ),
    Fault(RATELIMIT_LOWERED, "the limits of 100 are 50, in headers and in fact", one("api", "passed")),
    Fault(CLOCK_SKEW, "the target's clock is ten minutes ahead, everywhere", one("health", "passed")),
)
