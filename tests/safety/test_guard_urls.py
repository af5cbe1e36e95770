"""URLs that two parsers could read in two ways, and any other that Hypothesis thinks of."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url as urllib3_parse

from probes.errors import RefusedError
from probes.safety.guard import parse_url
from probes.safety.limits import normal_path
from tests.safety.guard_help import GUARD, allows


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://user@example.com/", "user name"),
        ("https://user:pw@example.com/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://:@example.com/", "user name"),
        ("https://example.com@evil.org/", "user name"),
        ("https://evil.org#@example.com/", "not listed"),
        ("https://evil.org/@example.com/", "not listed"),
        ("https://evil.org?@example.com/", "not listed"),
        ("https://evil.org\\@example.com/", "backslashes"),
        ("https://example.com\\@evil.org/", "backslashes"),
        ("https:\\\\example.com/", "backslashes"),
        ("https://example.com/\\..\\x", "backslashes"),
        ("https://example.com /", "blanks"),
        (" https://example.com/", "blanks"),
        ("https://example.com/\n", "blanks"),
        ("https://exam\tple.com/", "blanks"),
        ("https://example.com/a b", "blanks"),
        ("https://example.com/\r\nHost: evil.org", "blanks"),
        ("https://example.com/\x00", "blanks"),
        ("https://example.com/\x7f", "blanks"),
        ("https://exämple.com/", "two ways"),
        ("https://\u0435xample.com/", "two ways"),  # a Cyrillic letter
        ("https://ｅxample.com/", "two ways"),  # noqa: RUF001 - fullwidth, which one parser folds and another does not
        ("https://example。com/", "two ways"),  # the ideographic full stop, which IDNA takes for a dot
        ("https://exa\u00admple.com/", "two ways"),  # a soft hyphen, which IDNA drops
        ("https://example.com%2eevil.org/", "two ways"),
        ("https://ex%61mple.com/", "two ways"),
        ("https://example..com/", "two ways"),
        ("https://example.com../", "two ways"),
        ("https://.example.com/", "two ways"),
        ("https://./", "without a host"),
        ("https://-example.com/", "two ways"),
        ("https://*.example.com/", "two ways"),
        ("https://example.com,evil.org/", "two ways"),
        ("https://exam<ple.com/", "two ways"),
        (f"https://{'a.' * 130}com/", "two ways"),
        ("http://2130706433/", "two ways"),  # 127.0.0.1 as one number
        ("http://0x7f000001/", "two ways"),
        ("http://0x7f.1/", "two ways"),
        ("http://0177.0.0.1/", "two ways"),
        ("http://127.1/", "two ways"),
        ("http://127.0.0.1.1/", "two ways"),
        ("http://127.0.0.0x1/", "two ways"),
        ("http://256.0.0.1/", "two ways"),
        ("http://example.123/", "two ways"),
        ("http://0/", "two ways"),
        ("http://[0:0:0:0:0:0:0:1]/", "two ways"),
        ("http://[fe80::1%25eth0]/", "two ways"),
        ("http://[::1/", "cannot be read"),
        ("http://[::1]1/", "cannot be read"),
        ("http://[::1]example.com/", "cannot be read"),
        ("http://x[::1]/", "cannot be read"),
        ("http://[::gg]/", "cannot be read|two ways"),
        ("http://::1/", "cannot be read|two ways"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://example.com:-1/", "cannot be read"),
        ("https://example.com:port/", "cannot be read"),
        ("https://example.com:4٣/", "cannot be read"),
        ("https:///path", "without a host"),
        ("https:example.com", "without a host"),
        ("https://", "without a host"),
        ("https://:443/", "without a host"),
        ("//example.com/", "scheme missing"),
        ("/path", "scheme missing"),
        ("example.com", "scheme missing"),
        ("", "scheme missing"),
        ("file:///etc/passwd", "another scheme"),
        ("ftp://example.com/", "another scheme"),
        ("gopher://example.com/", "another scheme"),
        ("javascript:alert(1)", "another scheme"),
        ("data:text/html,x", "another scheme"),
        ("blob:https://example.com/1", "another scheme"),
        ("view-source:https://example.com/", "another scheme"),
        ("chrome://settings", "another scheme"),
        ("unix:///run/docker.sock", "another scheme"),
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(url: str, rule: str) -> None:
    with pytest.raises(RefusedError, match=rule):
        GUARD.check("GET", url)


HOSTS = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.com",
        "example.com.",
        "evil.org",
        "cdn.example.net",
        "example.com.evil.org",
        "127.1",
        "[::1]",
        "any.example.net",
        "",
        "exämple.com",
        "example。com",
        "0x7f.1",
        "[2606:4700::1111]",
    ]
)
ODD = st.text(st.sampled_from("/\\?#@:;.%[]!*,=&~ \t\n\x00aA1é。"), max_size=4)
PIECES = st.lists(
    st.sampled_from(
        [
            "",
            "api",
            "v1",
            "enhance",
            "auth",
            "login",
            "..",
            ".",
            "%2e",
            "%2E%2e",
            "%2f",
            "%65nhance",
            "é",
            "a b",
            ";x",
            "%",
        ]
    ),
    max_size=5,
)
URLS = st.builds(
    lambda scheme, odd1, host, odd2, port, pieces, *ends: "".join(
        [scheme, odd1, host, odd2, port, "/", "/".join(pieces), *ends]
    ),
    st.sampled_from(["https://", "http://", "HTTPS://", "https:", "//", "https:///", "ws://"]),
    ODD | st.just(""),
    HOSTS,
    ODD | st.just(""),
    st.sampled_from(["", ":", ":443", ":0443", ":8443", ":99", ":443x"]),
    PIECES,
    st.sampled_from(["", "/", "?x=1", "#y", ";z", "?", "#"]),
    ODD | st.just(""),
)


@settings(deadline=None, max_examples=600)
@given(url=URLS, method=st.sampled_from(["GET", "POST"]))
def test_what_the_guard_allows_all_parsers_read_the_same(url: str, method: str) -> None:
    """urllib3 and requests are what sends it; the guard must have seen the same scheme, host, port and path."""
    try:
        endpoint = GUARD.check(method, url)
    except RefusedError:
        return
    assume(endpoint.scheme in {"http", "https"})
    prepared = requests.Request(method, url).prepare().url
    assert prepared is not None
    for seen in (urllib3_parse(url), urllib3_parse(prepared)):
        assert seen.scheme == endpoint.scheme
        assert (seen.host or "").strip("[]").removesuffix(".") == endpoint.host
        assert (seen.port or {"http": 80, "https": 443}[endpoint.scheme]) == endpoint.port
        if method == "POST":
            assert (seen.path, seen.query) == (endpoint.path, None)
        elif "%/" not in endpoint.path and not endpoint.path.endswith("%"):
            assert normal_path(seen.path or "/") == normal_path(urllib3_path(endpoint.path))


def urllib3_path(path: str) -> str:
    return urllib3_parse(f"https://example.com{path}").path or "/"


@settings(deadline=None, max_examples=400)
@given(st.text(max_size=40) | URLS)
def test_any_text_is_allowed_or_refused(url: str) -> None:
    allows("GET", url)


@settings(deadline=None, max_examples=300)
@given(host=st.text(st.characters(min_codepoint=33, exclude_characters="/\\?#@:[]"), min_size=1, max_size=12))
def test_no_other_name_reads_as_a_listed_one(host: str) -> None:
    """Whatever urllib3 would connect to as `any.example.net` has been that for the guard too."""
    url = f"https://{host}.example.net/"
    try:
        seen = urllib3_parse(url).host
    except LocationParseError:
        return
    if allows("GET", url):
        assert seen == parse_url(url).host == urlsplit(url).hostname
