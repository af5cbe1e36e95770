"""Faults in front of the application."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from probes.standin.faults.edge import FAULTS
from probes.standin.process import StandIn
from tests.standin.client import Answer, call, login

TEXT = {"text": "Explain tides"}


def location(url: str) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        answer = call(target, "GET /health")
        assert (answer.status, answer.header("Location")) == (302, url)
        assert call(target, "GET /api/v1/health").status == 200

    return check


def whole_api(status: int, content_type: str) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        for request in ("GET /api/v1/health", "GET /api/v1/test", "POST /api/v1/enhance", "POST /api/v1/auth/login"):
            answer = call(target, request, TEXT if request.startswith("POST") else None)
            assert (answer.status, answer.header("Content-Type")) == (status, content_type)
            assert answer.header("Retry-After") == ("60" if status == 429 else None)
        assert call(target, "GET /health").status == 200
        assert call(target, "GET /").status == 200

    return check


def throttled_enhance(target: StandIn) -> None:
    answer = call(target, "POST /api/v1/enhance", TEXT)
    assert (answer.status, answer.header("Retry-After")) == (429, "60")
    assert call(target, "GET /api/v1/test").status == 200


def retry_after(matches: Callable[[str | None], bool]) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        answer = call(target, "GET /api/v1/test")
        assert answer.status == 429
        assert matches(answer.header("Retry-After"))

    return check


def in_a_minute(value: str | None) -> bool:
    left = parsedate_to_datetime(value or "") - datetime.now(UTC)
    return timedelta(seconds=50) < left <= timedelta(seconds=61)


def first_503(target: StandIn) -> None:
    calls = ("GET /health", "GET /api/v1/test", "POST /api/v1/enhance", "GET /", "GET /login", "GET /api/v1/techniques")
    for request in calls:
        body = TEXT if request.startswith("POST") else None
        assert [call(target, request, body).status for _ in range(3)] == [503, 200, 200]
    assert call(target, "GET /static/site.css").status == 200
    assert call(target, "GET /health?again").status == 200
    target.set_faults("first-503")
    assert call(target, "GET /health").json == {"error": "warming up"}


def challenge(status: int) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        for path in ("/health", "/", "/api/v1/test", "/static/site.css"):
            answer = call(target, f"GET {path}")
            assert (answer.status, answer.header("cf-mitigated")) == (status, "challenge")
            assert b"<html>" in answer.body

    return check


def on_everything(name: str, value: str) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        for path in ("/health", "/", "/api/v1/test", "/nowhere"):
            assert call(target, f"GET {path}").header(name) == value

    return check


def takes(path: str, least: float) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        started = time.monotonic()
        assert call(target, f"GET {path}").status == 200
        assert time.monotonic() - started >= least

    return check


def limit_headers(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("X-RateLimit-")}


def headers_missing(target: StandIn) -> None:
    assert limit_headers(call(target, "GET /api/v1/test")) == {}
    assert limit_headers(call(target, "POST /api/v1/enhance", TEXT)) == {}


def not_falling(target: StandIn) -> None:
    answers = [call(target, "GET /api/v1/test") for _ in range(3)]
    assert [answer.header("X-RateLimit-Remaining") for answer in answers] == ["90"] * 3


def clock_skew(target: StandIn) -> None:
    def ahead(moment: datetime) -> bool:
        return timedelta(minutes=9, seconds=55) < moment - datetime.now(UTC) < timedelta(minutes=10, seconds=5)

    answer = call(target, "GET /health")
    assert ahead(datetime.fromisoformat(answer.json["timestamp"]))
    assert ahead(parsedate_to_datetime(answer.header("Date") or ""))
    login(target)
    assert ahead(datetime.fromisoformat(login(target).json["user"]["last_login_at"]))
    reset = int(call(target, "GET /api/v1/test").header("X-RateLimit-Reset") or 0)
    assert 539 < reset - time.time() <= 660


def broken(target: StandIn) -> None:
    assert call(target, "GET /api/v1/test").status == 500


def garbage(target: StandIn) -> None:
    assert call(target, "GET /api/v1/test").header("X-RateLimit-Remaining") == "many"


def lowered(target: StandIn) -> None:
    for answer in (call(target, "GET /api/v1/test"), call(target, "POST /api/v1/enhance", TEXT)):
        assert (answer.header("X-RateLimit-Limit"), answer.header("X-RateLimit-Remaining")) == ("50", "49")


CASES: dict[str, Callable[[StandIn], None]] = {
    "redirect-loop": location("/health"),
    "redirect-other-host": location("http://example.org/"),
    "redirect-private": location("http://10.0.0.1/"),
    "redirect-link-local": location("http://169.254.169.254/"),
    "redirect-other-scheme": location("file:///etc/passwd"),
    "throttled-429": whole_api(429, "application/json"),
    "throttled-enhance": throttled_enhance,
    "throttled-no-retry-after": retry_after(lambda value: value is None),
    "throttled-until-date": retry_after(in_a_minute),
    "throttled-retry-after-garbage": retry_after(lambda value: value == "soon"),
    "edge-503": whole_api(503, "text/html"),
    "gateway-502": whole_api(502, "text/html"),
    "first-503": first_503,
    "bot-challenge": challenge(403),
    "bot-challenge-503": challenge(503),
    "pause-header": on_everything("X-Smokeprobe-Pause", "120"),
    "connection-close": on_everything("Connection", "close"),
    "slow-health": takes("/health", 0.15),
    "slow-api": takes("/api/v1/test", 0.3),
    "test-500": broken,
    "ratelimit-headers-missing": headers_missing,
    "ratelimit-not-falling": not_falling,
    "ratelimit-garbage": garbage,
    "ratelimit-lowered": lowered,
    "clock-skew": clock_skew,
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_fault(design: StandIn, name: str) -> None:
    design.set_faults(name)
    CASES[name](design)
