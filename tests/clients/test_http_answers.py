"""What our HTTP client makes of answers: requests to slow down, bot walls, JSON."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.clients.answers import LONGEST_PAUSE_S, Refusal, retry_after_s
from probes.errors import TransportError
from probes.model import Layer
from tests.clients.http_help import rig
from tests.clients.raw_server import RawServer, always

# --- what answers ask for ---


def answering(**headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, []),
        ({"X_Smokeprobe_Pause": "120"}, [("pause", 120.0)]),
        ({"X_Smokeprobe_Pause": "1e9"}, [("pause", LONGEST_PAUSE_S)]),
        ({"X_Smokeprobe_Pause": "0"}, []),
        ({"X_Smokeprobe_Pause": "-5"}, []),
        ({"X_Smokeprobe_Pause": "nan"}, []),
        ({"X_Smokeprobe_Pause": "soon"}, []),
        ({"X_RateLimit_Limit": "50"}, [("limit", "GET", "/a", 50)]),
        ({"RateLimit_Limit": "50"}, [("limit", "GET", "/a", 50)]),
        ({"X_RateLimit_Limit": "0"}, []),
        ({"X_RateLimit_Limit": "many"}, []),
        ({"X_RateLimit_Limit": "100, 100;w=60"}, []),
        ({"Retry_After": "5"}, []),  # only where we are told to slow down
    ],
)
def test_what_an_answer_asks_for_is_heeded(headers: dict[str, str], asked: list[tuple[Any, ...]]) -> None:
    with RawServer(always(answering(**headers))) as server:
        tested = rig(server.url)
        assert not tested.get("/a").throttled
    assert tested.brakes.asked == asked


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("Retry-After: 5\r\n", 5.0),
        ("Retry-After: 0\r\n", 60.0),
        ("Retry-After: soon\r\n", 60.0),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", LONGEST_PAUSE_S),
        ("", 60.0),
    ],
)
def test_429_means_slow_down(after: str, seconds: float) -> None:
    with RawServer(always(f"HTTP/1.1 429 Too Many\r\n{after}Content-Length: 0\r\n\r\n".encode())) as server:
        tested = rig(server.url)
        assert tested.get("/a").throttled
    assert tested.brakes.asked == [("slow down", "GET", "/a", seconds)]


@pytest.mark.parametrize(
    ("status", "content_type", "throttled"),
    [
        (503, "text/html", True),
        (503, "text/html; charset=utf-8", True),
        (503, "Text/HTML", True),
        (503, "application/json", False),
        (502, "text/html", False),
    ],
)
def test_the_edges_own_refusal_is_configured(status: int, content_type: str, *, throttled: bool) -> None:
    answer = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: 0\r\n\r\n".encode()
    with RawServer(always(answer)) as server:
        assert not rig(server.url).get().throttled
        assert rig(server.url, refusals=(Refusal(503, "text/html"),)).get().throttled is throttled


@pytest.mark.parametrize(
    ("headers", "challenged"),
    [
        ({"cf_mitigated": "challenge"}, True),
        ({"CF_Mitigated": "challenge"}, True),
        ({"cf_mitigated": "other"}, False),
        ({"x_amzn_waf_action": "captcha"}, True),
        ({"X_DataDome": "protected"}, False),  # on good answers too
        ({}, False),
    ],
)
def test_bot_walls_are_known_by_their_headers(headers: dict[str, str], *, challenged: bool) -> None:
    with RawServer(always(answering(**headers))) as server:
        assert rig(server.url).get().challenged is challenged


def test_a_bot_wall_that_is_known_by_header_and_status() -> None:
    answer = answering(X_DataDome="protected").replace(b"200 OK", b"403 Forbidden")
    with RawServer(always(answer)) as server:
        assert rig(server.url).get().challenged


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("", None),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e999", LONGEST_PAUSE_S),
        ("1" + "0" * 400, LONGEST_PAUSE_S),
        ("1" + "0" * 400 + " GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE_S),
        ("Fri, 31 Dec 9999 23:59:59 -2300", LONGEST_PAUSE_S),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 00:00:00 +99999999999999999999", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("2015-10-21T07:28:00Z", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


def test_retry_after_as_a_date_to_come() -> None:
    then = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2)
    assert retry_after_s(format_datetime(then, usegmt=True)) == pytest.approx(120, abs=2)


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{2} (Jan|Feb|Dec) \d{4} \d\d:\d\d:\d\d (GMT|UTC|[A-Z]|[+-]0\d{3})")
)
def test_any_retry_after_is_read_or_passed_over(value: str) -> None:
    seconds = retry_after_s(value)
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE_S


# --- bodies as JSON ---


def answer_of(body: bytes) -> Any:
    with RawServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)) as server:
        return rig(server.url).get()


@pytest.mark.parametrize("body", [b"{}", b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', b"[]", b"1", b'"x"', b" null "])
def test_json(body: bytes) -> None:
    answer_of(body).json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[-Infinity]",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'\xff{"a": 1}',
        b"<html>",
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
    ],
)
def test_what_is_no_json_breaks_the_body(body: bytes) -> None:
    response = answer_of(body)
    with pytest.raises(TransportError, match=r"^the body is not valid JSON$") as caught:
        response.json()
    assert caught.value.layer is Layer.BODY
