"""The API answers, and its rate limiting is seen to count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from probes.checks.api import Window, still_counting
from probes.model import Verdict
from probes.standin.process import StandIn
from tests.checks.stage import Stage, outcomes, reason
from tests.clients.raw_server import RawServer, Talk

CALL = {"request": {"path": "/api/v1/test", "json": {"status": "ok"}}}


@pytest.mark.parametrize(
    ("first", "second", "counting"),
    [
        ((90, 60), (89, 60), True),
        ((90, 60), (89, 59), True),
        ((90, 60), (10, 60), True),  # others use the limit too
        ((1, 60), (0, 60), True),
        ((90, 60), (90, 60), False),
        ((90, 60), (91, 60), False),
        ((0, 60), (0, 60), False),
        ((90, 60), (99, 120), True),  # a new window: Reset is a time of day, or counts down from anew
        ((90, 1), (99, 60), True),
        ((90, 60), (90, 120), True),
        ((90, 60), (99, 59), False),
        ((None, 60), (89, 60), False),
        ((90, 60), (None, 60), False),
        ((90, None), (89, None), True),
        ((90, None), (99, None), False),
        ((90, None), (99, 60), False),
        ((90, 60), (99, None), False),
    ],
)
def test_whether_a_limiter_counts(
    first: tuple[int | None, int | None], second: tuple[int | None, int | None], *, counting: bool
) -> None:
    assert still_counting(Window(*first), Window(*second)) is counting


def counting_down(*headers: str) -> Callable[[Talk], None]:
    """Answers with one header block after the other."""

    def handle(talk: Talk) -> None:
        while talk.request():
            block = headers[min(len(talk.server.requests), len(headers)) - 1]
            body = '{"status":"ok"}'
            talk.send(f"HTTP/1.1 200 OK\r\n{block}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    return handle


def block(limit: object, remaining: object, reset: object, prefix: str = "X-RateLimit-") -> str:
    return f"{prefix}Limit: {limit}\r\n{prefix}Remaining: {remaining}\r\n{prefix}Reset: {reset}\r\n"


def check(folder: Path, *headers: str) -> Verdict:
    with RawServer(counting_down(*headers)) as server:
        return Stage(folder, server.url).run({**CALL, "attempts": 1}, "api")


@pytest.mark.parametrize("prefix", ["X-RateLimit-", "x-ratelimit-", "X-Ratelimit-", "RateLimit-", "ratelimit-"])
def test_headers_are_known_in_any_case_and_by_both_names(tmp_path: Path, prefix: str) -> None:
    assert check(tmp_path, block(100, 90, 60, prefix), block(100, 89, 60, prefix)).outcome == "passed"


@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ("", "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"),
        (block(100, "many", 60), "X-RateLimit-Remaining"),
        (block("", 90, 60), "X-RateLimit-Limit"),
        (block(100, -1, 60), "X-RateLimit-Remaining"),
        (block(100, 9.5, "soon"), "X-RateLimit-Remaining, X-RateLimit-Reset"),
    ],
)
def test_headers_that_are_missing_or_no_numbers(tmp_path: Path, headers: str, missing: str) -> None:
    verdict = check(tmp_path, headers)
    assert reason(verdict) == f"request (http): rate limiting is not active: {missing} missing or not a number"
    assert outcomes(verdict) == {"request": "failed"}


def test_remaining_that_does_not_fall(tmp_path: Path) -> None:
    verdict = check(tmp_path, block(100, 90, 60))
    assert outcomes(verdict) == {"request": "passed", "rate-limit": "failed"}
    assert (
        reason(verdict) == "rate-limit (http): rate limiting is not active: Remaining does not fall between two calls"
    )


def test_without_rate_limiting_one_call_is_enough(tmp_path: Path) -> None:
    with RawServer(counting_down("")) as server:
        verdict = Stage(tmp_path, server.url).run({**CALL, "rate_limited": False}, "api")
    assert (verdict.outcome, len(server.requests)) == ("passed", 1)


def test_the_stand_in_counts(stage: Stage, design: StandIn) -> None:
    assert stage.run(CALL, "api").outcome == "passed"
    assert [entry["path"] for entry in design.ledger()] == ["/api/v1/test", "/api/v1/test"]
