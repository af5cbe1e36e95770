"""Judging an answer by configuration alone, and saying no more of it than the configuration lets us."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.checks.expect import MISSING, json_finding, lookup, number_at, text_at
from probes.model import Outcome
from tests.checks.stage import Stage, reason
from tests.clients.raw_server import RawServer, always

BODY = {"a": {"b": [{"c": 1}, "x"], "": "empty", "0": "zero"}, "t": True, "n": None, "s": "1", "f": 1.0, "i": 1}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b.0.c", 1),
        ("a.b.1", "x"),
        ("a.", "empty"),
        ("a.0", "zero"),
        ("t", True),
        ("n", None),
        ("i", 1),
        ("a.b.2", MISSING),
        ("a.b.-1", MISSING),
        ("a.b.0.d", MISSING),
        ("a.b.c", MISSING),
        ("x", MISSING),
        ("", MISSING),
        ("i.0", MISSING),
        ("s.0", MISSING),
        ("n.a", MISSING),
        ("a.b.\u0660", "a digit"),
        ("a.b.1.5", MISSING),
        ("a..b", MISSING),
    ],
)
def test_lookup(path: str, found: object) -> None:
    if found == "a digit":
        assert lookup(BODY, path) in ({"c": 1}, MISSING)  # a digit of another script, read or not, and never an error
    else:
        assert lookup(BODY, path) == found


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_lookup_in_what_is_no_object(body: Any) -> None:
    assert lookup(body, "a") is MISSING


@pytest.mark.parametrize(
    ("path", "expected", "same"),
    [
        ("i", 1, True),
        ("i", 1.0, True),
        ("f", 1, True),
        ("i", True, False),
        ("t", 1, False),
        ("t", True, True),
        ("s", 1, False),
        ("s", "1", True),
        ("n", None, True),
        ("n", False, False),
        ("n", 0, False),
        ("a.b.1", "x", True),
        ("a.b", [{"c": 1}, "x"], True),
        ("a.b", [{"c": 2}, "x"], False),
        ("x", None, False),
    ],
)
def test_a_value_is_as_expected_or_not(path: str, expected: Any, *, same: bool) -> None:
    assert (list(json_finding(BODY, path, expected, show=False)) == []) is same


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda x: st.lists(x, max_size=3), max_leaves=5
)


@settings(deadline=None)
@given(actual=JSON, expected=JSON, show=st.booleans())
def test_a_value_that_may_not_be_shown_is_never_in_a_finding(actual: Any, expected: Any, *, show: bool) -> None:
    for finding in json_finding({"at": actual}, "at", expected, show=show):
        if show:
            assert finding.actual == json.dumps(actual)
        else:
            assert finding.actual == "another value (not listed under show)"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (0, 0.0),
        (True, None),
        (None, None),
        ("1", None),
        (float("inf"), None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_numbers_are_finite_and_no_booleans(value: Any, number: float | None) -> None:
    assert number_at({"at": value}, "at") == number


def test_texts_are_whole_or_nothing() -> None:
    assert text_at({"at": "x" * 1000}, "at") == "x" * 1000
    assert text_at({"at": "x" * 5000}, "at") == ""
    assert text_at({"at": 5}, "at") == text_at({}, "at") == ""


def verdict_on(folder: Path, answer: bytes, **expected: Any) -> tuple[str, str]:
    """The outcome, and why, of one request that is answered so."""
    with RawServer(always(answer)) as server:
        verdict = Stage(folder, server.url).run({"attempts": 1, "requests": {"page": {"path": "/", **expected}}})
    return verdict.outcome, reason(verdict) if verdict.reason else ""


def answer(body: bytes = b"{}", status: int = 200, content_type: str = "application/json", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("sent", "expected", "outcome", "why"),
    [
        (answer(), {}, "passed", ""),
        (answer(status=204), {"status": [200, 204]}, "passed", ""),
        (
            answer(status=500),
            {"status": [200, 204]},
            "failed",
            "page (http): wrong status; expected 200 or 204, got 500",
        ),
        (answer(status=404), {"status": 404}, "passed", ""),
        (answer(content_type="application/json; charset=utf-8"), {"content_type": "application/json"}, "passed", ""),
        (
            answer(content_type="text/html"),
            {"content_type": "application/json"},
            "failed",
            "page (body): wrong content type; expected application/json, got text/html",
        ),
        (answer(headers="X-A: one, two\r\n"), {"headers": {"x-A": "two", "Content-type": "*"}}, "passed", ""),
        (
            answer(headers=f"X-A: {SECRET}\r\n"),
            {"headers": {"X-A": "two"}},
            "failed",
            "page (http): the header X-A is not as expected; expected two",
        ),
        (answer(), {"headers": {"X-A": ""}}, "failed", "page (http): the header X-A is missing"),
        (answer(b"<h1>Welcome</h1>"), {"text": "Welcome"}, "passed", ""),
        (answer(b"\xff\xfe Welcome"), {"text": "Welcome"}, "passed", ""),
        (answer(b"hunter2"), {"text": "Welcome"}, "failed", "page (body): the text 'Welcome' is missing"),
        (answer(b'{"a":{"b":1}}'), {"json": {"a.b": 1}}, "passed", ""),
        (
            answer(b'{"a":"hunter2"}'),
            {"json": {"a": "x"}},
            "failed",
            'page (body): a is not as expected; expected "x", got another value (not listed under show)',
        ),
        (
            answer(b'{"a":"y"}'),
            {"json": {"a": "x"}, "show": ["a"]},
            "failed",
            'page (body): a is not as expected; expected "x", got "y"',
        ),
        (
            answer(b'{"a":"hunter2"}'),
            {"json": {"a": "x"}, "show": ["b"]},
            "failed",
            'page (body): a is not as expected; expected "x", got another value (not listed under show)',
        ),
        (
            answer(b'{"b":"hunter2"}'),
            {"json": {"a": "x"}, "show": ["a"]},
            "failed",
            'page (body): a is missing; expected "x"',
        ),
        (answer(b"[]"), {"json": {"a": 1}}, "failed", "page (body): the body is an array, not a JSON object"),
        (answer(b'"hunter2"'), {"json": {"a": 1}}, "failed", "page (body): the body is a string, not a JSON object"),
        (answer(b"null"), {"json": {"a": 1}}, "failed", "page (body): the body is null, not a JSON object"),
        (
            answer(b"17"),
            {"json": {"a": 1}},
            "failed",
            "page (body): the body is a number or boolean, not a JSON object",
        ),
        (answer(b'{"a":NaN}'), {"json": {"a": 1}}, "failed", "page (body): the body is not valid JSON"),
        (answer(b'{"a":'), {"json": {"a": 1}}, "failed", "page (body): the body is not valid JSON"),
        (answer(b'{"a":' * 9000), {"json": {"a": 1}}, "failed", "page (body): the body is not valid JSON"),
        (
            answer(b'{"a":"hunter2"}', 500),
            {"json": {"a": 1}},
            "failed",
            "page (http): wrong status; expected 200, got 500",
        ),
        (answer(b"x" * (2**20 + 1)), {}, "failed", "page (body): the body is larger than 1 MiB and was cut off"),
    ],
)
def test_http_checks_judge_by_their_configuration(
    tmp_path: Path, sent: bytes, expected: dict[str, Any], outcome: str, why: str
) -> None:
    assert verdict_on(tmp_path, sent, **expected) == (outcome, why)
    assert SECRET not in why


@pytest.mark.parametrize(
    ("days", "at_least", "outcome", "why"),
    [
        (21.1, "1.2", "passed", ""),
        (20.9, "1.2", "degraded", "page (tls): certificate expires soon; expected 21 days, got 20.9 days"),
        (7.1, "1.2", "degraded", "page (tls): certificate expires soon; expected 21 days, got 7.1 days"),
        (6.9, "1.2", "failed", "page (tls): certificate about to expire; expected 7 days, got 6.9 days"),
        (90, "1.3", "failed", "page (tls): TLS version too old; expected 1.3, got 1.2"),
    ],
)
def test_certificate_and_tls_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, at_least: str, outcome: str, why: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days, seconds=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    with RawServer(always(answer()), context) as server:
        target = {"url": server.url, "private": True, "certificate": {"tls_at_least": at_least}}
        page = {"attempts": 1, "requests": {"page": {"path": "/"}}}
        verdict = Stage(tmp_path, server.url).run(page, target=target)
    assert (verdict.outcome, reason(verdict) if verdict.reason else "") == (outcome, why)
    assert verdict.certificate_days == pytest.approx(days, abs=0.01)


def test_head_and_options_may_be_asked_too(tmp_path: Path) -> None:
    with RawServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        requests = {method: {"path": "/", "method": method} for method in ("GET", "HEAD", "OPTIONS")}
        verdict = Stage(tmp_path, server.url).run({"requests": requests})
    assert verdict.outcome is Outcome.PASSED
    assert [request.split(b" ")[0] for request in server.requests] == [b"GET", b"HEAD", b"OPTIONS"]
