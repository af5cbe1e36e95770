from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.safety.limits import CallPattern, RateLimit, normal_path, share_slots
from tests.safety.budget import ENHANCE, SPACED, limit


@pytest.mark.parametrize(
    ("spelled", "normal"),
    [
        ("/api/v1/enhance", "/api/v1/enhance"),
        ("/api/v1/%65nhance", "/api/v1/enhance"),
        ("/api/v1/%65nhance?text=a/../b", "/api/v1/enhance"),
        ("/api/v1/enhance#part", "/api/v1/enhance"),
        ("//api///v1/enhance", "/api/v1/enhance"),
        ("/api/v1/./enhance", "/api/v1/enhance"),
        ("/api/v1/x/../enhance", "/api/v1/enhance"),
        ("/api/v1/x/%2e%2E/enhance", "/api/v1/enhance"),
        ("/../../api/v1/enhance", "/api/v1/enhance"),
        ("/api/v1/enhance/", "/api/v1/enhance/"),
        ("/api/v1/enhance/.", "/api/v1/enhance/"),
        ("/api/v1/Enhance", "/api/v1/Enhance"),
        ("/a%2fb", "/a%2Fb"),
        ("/100%25", "/100%25"),
        ("/100%", "/100%"),
        ("/%2565", "/%2565"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/a b", "/a%20b"),
        ("", "/"),
        ("?q=1", "/"),
        ("/", "/"),
        ("/..", "/"),
    ],
)
def test_a_path_has_one_plain_spelling(spelled: str, normal: str) -> None:
    assert normal_path(spelled) == normal


@settings(deadline=None, print_blob=True)
@given(st.text(alphabet="/.%2eE5aA?\\", max_size=20))
def test_the_plain_spelling_is_stable(tail: str) -> None:
    plain = normal_path("/" + tail)
    assert normal_path(plain) == plain
    assert "//" not in plain
    assert not {".", ".."} & set(plain.split("/"))


@pytest.mark.parametrize("path", ["api/v1/enhance", "http://host/api", "*"])
def test_a_path_must_be_absolute(path: str) -> None:
    with pytest.raises(ValueError, match="starts with '/'"):
        ENHANCE.covers_call("POST", path)


@pytest.mark.parametrize(
    ("pattern", "method", "path", "expected"),
    [
        ("POST /api/v1/enhance", "POST", "/api/v1/enhance", True),
        ("POST /api/v1/enhance", "post", "/api/v1/enhance", True),
        ("post /api/v1/enhance", "POST", "/api/v1/enhance", True),
        ("POST /api/v1/enhance", "GET", "/api/v1/enhance", False),
        ("POST /api/v1/enhance", "POST", "/api/v1/enhanced", False),
        ("POST /api/v1/enhance", "POST", "/api/v1/Enhance", False),
        ("* /api/v1/*", "DELETE", "/api/v1/x/y", True),
        ("* /api/v1/*", "GET", "/api/v1/", True),
        ("* /api/v1/*", "GET", "/api/v1", False),
        ("* /api/v1/*", "GET", "/api/v10", False),
        ("* /api/v1*", "GET", "/api/v10", True),
        ("GET *", "GET", "/", True),
        ("GET *", "GET", "/any/thing?x", True),
        ("GET /api//%76*", "GET", "/api/v1", True),
    ],
)
def test_a_pattern_matches_calls(pattern: str, method: str, path: str, expected: bool) -> None:
    assert CallPattern.parse(pattern).matches(method, path) is expected


@pytest.mark.parametrize("text", ["", "POST", "/api", "POST api", "POST /a /b", "PO1T /a", "POST /a*b", "GET /*/*"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        CallPattern.parse(text)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/%65nhance",
        "//api/v1/enhance",
        "/api/v1/./enhance",
        "/api%2Fv1%2fenhance",
        "/api/v1/%2e%2e%2fv1/enhance",
        "/api\\v1\\enhance",
        "/api%5Cv1/enhance",
        "/api/v1/enhance?fresh=1",
    ],
)
def test_no_spelling_slips_past_a_limit(path: str) -> None:
    assert ENHANCE.covers_call("POST", path)


def test_an_exception_counts_only_for_a_plain_spelling() -> None:
    edge = limit("edge", 10, 1, "* /api/v1/*", excepts="GET /api/v1/health")
    assert not edge.covers_call("GET", "/api/v1/health")
    assert not edge.covers_call("GET", "/api/v1/health?deep=1")
    assert edge.covers_call("POST", "/api/v1/health")
    assert edge.covers_call("GET", "/api/v1//health")
    assert edge.covers_call("GET", "/api/v1/%68ealth")
    assert edge.covers_call("GET", "/api/v1%2Fhealth")


@pytest.mark.parametrize(
    ("requests", "ceiling"), [(600, 59), (101, 10), (100, 9), (99, 9), (20, 1), (11, 1), (10, 0), (1, 0)]
)
def test_the_ceiling_is_strictly_below_a_tenth(requests: int, ceiling: int) -> None:
    assert limit(requests=requests).ceiling == ceiling


@settings(deadline=None, print_blob=True)
@given(st.integers(min_value=1, max_value=10**9))
def test_the_ceiling_is_the_largest_such_number(requests: int) -> None:
    ceiling = limit(requests=requests).ceiling
    assert 10 * ceiling < requests <= 10 * (ceiling + 1)


@settings(deadline=None, print_blob=True)
@given(st.integers(min_value=1, max_value=10), st.floats(min_value=0.01, max_value=1e6))
def test_a_limit_too_small_for_one_request_a_window_becomes_a_spacing(requests: int, window_s: float) -> None:
    small = limit(requests=requests, window_s=window_s)
    assert small.spaced
    assert small.slots == 1
    assert small.hold_s > 10 * window_s / requests


def test_ten_a_second_are_one_request_in_a_little_more_than_a_second() -> None:
    assert 1 < SPACED.hold_s < 1.1


def test_other_limits_hold_for_a_window() -> None:
    assert (ENHANCE.spaced, ENHANCE.slots, ENHANCE.hold_s) == (False, 9, 60)


def test_a_live_header_can_only_lower_a_limit() -> None:
    assert ENHANCE.lowered(50).ceiling == 4
    assert ENHANCE.lowered(1000) == ENHANCE
    assert ENHANCE.lowered(10).spaced
    assert ENHANCE.lowered(0).requests == 1
    assert ENHANCE.lowered(-5).requests == 1


@pytest.mark.parametrize(
    ("requests", "fraction", "slots"), [(100, 1, 9), (100, 0.5, 4), (100, 0.1, 0), (1001, 0.57, 57), (10, 0.1, 1)]
)
def test_a_share_is_rounded_down(requests: int, fraction: float, slots: int) -> None:
    assert share_slots(limit(requests=requests), fraction) == slots


@settings(deadline=None, print_blob=True)
@given(st.integers(11, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_shares_never_add_up_to_more_than_the_ceiling(requests: int, percents: list[int]) -> None:
    whole = max(100, sum(percents))
    shares = [share_slots(limit(requests=requests), percent / whole) for percent in percents]
    assert sum(shares) <= limit(requests=requests).ceiling


def test_a_limit_survives_json() -> None:
    edge = limit("edge", 10, 0.5, "* /api/v1/*", excepts="GET /api/v1/health", key="global")
    assert RateLimit.from_json(json.loads(json.dumps(edge.to_json()))) == edge


@pytest.mark.parametrize(
    "wrong",
    [{"requests": 0}, {"window_s": 0}, {"window_s": float("nan")}, {"window_s": "x"}, {"key": "user"}, {"name": ""}],
)
def test_a_wrong_limit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        RateLimit.from_json(ENHANCE.to_json() | wrong)


def test_the_sidecar_can_import_limits_and_permits_alone() -> None:
    program = "import sys, probes.safety.permits; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pydantic", "gevent", "locust", "sqlite3", "requests", "asyncio"} & set(modules)
