"""Windows and buckets: the arithmetic by itself, then as a client meets it."""

from collections import Counter

import pytest

from probes.standin.limiter import FixedWindow, LeakyBucket, limits_covering
from probes.standin.process import StandIn
from tests.standin.client import Answer, call, login


def test_fixed_windows_begin_on_the_epochs_minute() -> None:
    window = FixedWindow("test", 2, 60)
    tallies = [window.count("a", now) for now in (119.0, 119.5, 119.9, 120.0)]
    assert [tally.refused for tally in tallies] == [False, False, True, False]
    assert [tally.remaining for tally in tallies] == [1, 0, 0, 1]
    assert [tally.reset_at for tally in tallies] == [120, 120, 120, 180]


def test_fixed_windows_count_each_key_apart() -> None:
    window = FixedWindow("test", 1, 60)
    assert not window.count("a", 0).refused
    assert not window.count("b", 0).refused
    assert window.count("a", 1).refused


def test_bucket_takes_a_burst_then_its_rate() -> None:
    bucket = LeakyBucket("api", rate_per_s=10, burst=20)
    assert [bucket.count("a", 0.0).refused for _ in range(22)] == [False] * 21 + [True]
    assert not bucket.count("a", 0.1).refused
    assert bucket.count("a", 0.1).refused
    assert not bucket.count("a", 60.0).refused


@pytest.mark.parametrize(
    ("persona", "call_", "names"),
    [
        ("design", "GET /health", []),
        ("design", "GET /api/v1/health", ["api"]),
        ("design", "GET /api/v1/test", ["api", "test"]),
        ("design", "POST /api/v1/enhance", ["api", "enhance"]),
        ("design", "GET /static/site.css", []),
        ("gateway", "GET /api/v1/health", []),
        ("gateway", "GET /api/v1/ready", ["api"]),
        ("gateway", "GET /api/v1/test", ["api"]),
        ("gateway", "POST /api/v1/enhance", ["api", "enhance"]),
    ],
)
def test_which_limits_cover_a_call(
    design: StandIn, gateway: StandIn, persona: str, call_: str, names: list[str]
) -> None:
    target = design if persona == "design" else gateway
    call(target, call_, {} if call_.startswith("POST") else None)
    assert target.ledger()[-1]["limits"] == names
    assert limits_covering("design" if persona == "design" else "gateway", *call_.split()) == names


def _until_refused(target: StandIn, request: str, body: object = None) -> tuple[int, Answer]:
    """How many calls of the window of the first refusal were answered, and that refusal."""
    answered: Counter[str | None] = Counter()
    for _ in range(2000):
        answer = call(target, request, body)
        window = answer.header("X-RateLimit-Reset")
        if answer.status == 429:
            return answered[window], answer
        answered[window] += 1
    raise AssertionError("never refused")


@pytest.mark.parametrize(
    ("request_", "body"), [("GET /api/v1/test", None), ("POST /api/v1/enhance", {"text": "Explain tides"})]
)
def test_a_hundred_calls_a_minute(design: StandIn, request_: str, body: object) -> None:
    answered, refused = _until_refused(design, request_, body)
    assert answered == 100
    assert refused.header("Retry-After") == "60"
    assert refused.header("X-RateLimit-Remaining") == "0"
    assert refused.json["retry_after"] == 60
    assert {"error", "message"} <= set(refused.json)


def test_test_and_enhance_are_counted_apart(design: StandIn) -> None:
    _until_refused(design, "GET /api/v1/test")
    assert call(design, "POST /api/v1/enhance", {"text": "Explain tides"}).status == 200


def test_enhance_counts_by_user_where_there_is_one(design: StandIn) -> None:
    token = login(design).json["access_token"]
    _until_refused(design, "POST /api/v1/enhance", {"text": "Explain tides"})
    assert call(design, "POST /api/v1/enhance", {"text": "Explain tides"}, token=token).status == 200


def test_lowered_limit_is_told_and_enforced(design: StandIn) -> None:
    design.set_faults("ratelimit-lowered")
    assert call(design, "GET /api/v1/test").header("X-RateLimit-Limit") == "50"
    design.reset()
    design.set_faults("ratelimit-lowered")
    assert _until_refused(design, "GET /api/v1/test")[0] == 50
