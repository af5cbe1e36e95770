"""The guard: which request may leave at all."""

from __future__ import annotations

import json

import pytest

from probes.errors import RefusedError
from probes.safety.guard import (
    READ_ONLY,
    Endpoint,
    Guard,
    GuardRules,
    check_headers,
    counted_as,
    host_listed,
    parse_url,
    split_host,
)
from tests.safety.guard_help import GUARD, PRIVATE, RULES, TARGET, allows


@pytest.mark.parametrize("method", sorted(READ_ONLY))
@pytest.mark.parametrize("path", ["", "/", "/any", "/api/v1/enhance", "/a?b=c#d", "/a;b/c"])
def test_reading_the_target_is_allowed(method: str, path: str) -> None:
    assert allows(method, TARGET + path)


@pytest.mark.parametrize(
    "method",
    [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "TRACE",
        "CONNECT",
        "PURGE",
        "get",
        "Get",
        "GET ",
        " GET",
        "",
        "GET\r\nX: y",
        "HEADX",
    ],
)
def test_every_other_method_is_refused(method: str) -> None:
    with pytest.raises(RefusedError, match="would write: not among safety"):
        GUARD.check(method, f"{TARGET}/")


def test_an_exception_is_exactly_one_method_and_path() -> None:
    assert GUARD.check("POST", f"{TARGET}/api/v1/enhance") == Endpoint("https", "example.com", 443, "/api/v1/enhance")
    assert allows("POST", "https://EXAMPLE.com:443/api/v1/enhance")
    assert allows("POST", "https://example.com./api/v1/enhance")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/enhance/",
        "//api/v1/enhance",
        "/api//v1/enhance",
        "/api/v1//enhance",
        "/API/v1/enhance",
        "/api/v1/Enhance",
        "/api/v1/%65nhance",
        "/api/v1%2fenhance",
        "/api/v1%2Fenhance",
        "/api/v1/./enhance",
        "/api/v1/x/../enhance",
        "/api/v1/%2e/enhance",
        "/api/v1/x/%2e%2e/enhance",
        "/./api/v1/enhance",
        "/../api/v1/enhance",
        "/api/v1/enhance?x=1",
        "/api/v1/enhance?",
        "/api/v1/enhance;x=1",
        "/api/v1/enhance;",
        "/api/v1;x/enhance",
        "/api/v1/enhance%3Fx=1",
        "/api/v1/enhance%00",
        "/api/v1/enhance%20",
        "/api/v1/enhance.",
        "/api/v1/enhance.json",
        "/api/v1/enhance%",
        "/api/v1/enhanced",
        "/api/v1/enhanc",
        "/api/v1/enhance/x",
        "/api/v1/\u0435nhance",
        "/api/v1/",
        "/",
        "",
    ],
)
def test_a_path_that_is_not_the_exceptions_own_is_no_exception(path: str) -> None:
    assert not allows("POST", TARGET + path)
    assert allows("GET", TARGET + path)


@pytest.mark.parametrize("method", ["post", "Post", "PUT", "PATCH", "DELETE", "POST "])
def test_another_method_is_no_exception(method: str) -> None:
    assert not allows(method, f"{TARGET}/api/v1/enhance")


@pytest.mark.parametrize(
    "origin", ["http://example.com", "https://example.com:8443", "https://cdn.example.net", "https://www.example.com"]
)
def test_an_exception_holds_at_the_targets_own_origin_only(origin: str) -> None:
    assert not allows("POST", f"{origin}/api/v1/enhance")


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X_Method_Override"])
def test_a_header_that_makes_another_method_of_a_request_is_refused(name: str) -> None:
    check_headers(["X-Edge", "Method"])
    with pytest.raises(RefusedError, match=f"{name} makes another method"):
        check_headers(["X-Edge", name])


@pytest.mark.parametrize(
    ("origin", "key"),
    [
        ("https://Example.com", "example.com:443"),
        ("http://example.com:8080", "example.com:8080"),
        ("http://127.0.0.1", "localhost:80"),
        ("http://localhost:8089", "localhost:8089"),
        ("http://api.localhost.:8089", "localhost:8089"),
        ("http://[::ffff:7f00:1]:8089", "localhost:8089"),
        ("http://[2001:db8::1]", "[2001:db8::1]:80"),
        ("http://[::ffff:a00:1]", "10.0.0.1:80"),
        ("", ""),
        ("no url", "no url"),
    ],
)
def test_a_target_is_counted_by_host_and_port(origin: str, key: str) -> None:
    assert counted_as(origin) == key
    assert counted_as(key) in {key, origin}


def test_a_fragment_is_never_sent_and_changes_nothing() -> None:
    assert allows("POST", f"{TARGET}/api/v1/enhance#top")


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.net/x.js",
        "https://CDN.Example.Net/x.js",
        "http://cdn.example.net/x.js",
        "https://fonts.example.net:8443/a",
        "http://fonts.example.net:8443/a",
        "https://any.example.net/",
        "https://any.example.net:1/",
        "http://any.example.net:65535/",
        "https://[2606:4700::1111]:99/",
    ],
)
def test_listed_hosts_may_be_read(url: str) -> None:
    assert allows("GET", url)
    assert not allows("POST", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://www.example.com/",
        "https://example.com.evil.org/",
        "https://notexample.com/",
        "http://example.com/",
        "https://example.com:80/",
        "https://example.com:444/",
        "https://example.com:0/",
        "https://cdn.example.net:8443/",
        "https://fonts.example.net/",
        "https://x.any.example.net/",
        "https://[2606:4700::1112]/",
        "https://example.co/",
        "https://com/",
        "https://xn--exmple-cua.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
    ],
)
def test_other_hosts_and_ports_are_refused(url: str) -> None:
    with pytest.raises(RefusedError, match=r"is not listed under target\.hosts"):
        GUARD.check("GET", url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://www.example.com/", "host www.example.com:443"),
        ("http://example.com/", "host example.com:80"),
        ("https://example.com.:8443/", "host example.com:8443"),
        ("http://www.example.com:81/", "host www.example.com:81"),
        ("https://www.www.example.com/", "another host"),
        ("https://db7.example.com/", "another host"),
        ("http://db7/", "another host"),
        ("https://com/", "another host"),
        ("https://cdn.example.net:8443/", "another host"),
    ],
)
def test_of_other_hosts_only_the_targets_own_is_named(url: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        GUARD.check("GET", url)
    assert refused.value.message == f"{said} is not listed under target.hosts: add it there if it is yours"


def test_a_target_with_www_has_its_bare_name_named() -> None:
    with pytest.raises(RefusedError, match=r"^host example\.com:443 is not"):
        Guard(GuardRules("https://www.example.com")).check("GET", "https://example.com/")


def test_where_a_websocket_leads_is_not_named_either() -> None:
    with pytest.raises(RefusedError, match=r"^a WebSocket to another host: not listed under target\.websockets$"):
        GUARD.check("GET", "wss://db7.corp/")


@pytest.mark.parametrize("url", ["db7.corp:80/", "db7:80", "db7.corp:x"])
def test_a_host_that_reads_as_a_scheme_is_not_named(url: str) -> None:
    with pytest.raises(RefusedError, match=r"^another scheme: only http and https are probed$"):
        GUARD.check("GET", url)


@pytest.mark.parametrize(
    ("method", "url", "listed"),
    [
        ("GET", "wss://live.example.com/feed", True),
        ("GET", "ws://live.example.com/feed", True),
        ("GET", "wss://live.example.com:8443/feed", False),
        ("GET", "wss://example.com/feed", False),  # being the target is not enough: a socket can write
        ("GET", "wss://cdn.example.net/feed", False),
    ],
)
def test_websockets_go_to_listed_hosts_only(method: str, url: str, *, listed: bool) -> None:
    assert allows(method, url) is listed


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("93.184.215.14", True, True),
        ("2606:4700::1111", True, True),
        ("127.0.0.1", False, True),
        ("127.255.255.254", False, True),
        ("10.0.0.1", False, True),
        ("172.16.0.1", False, True),
        ("172.31.255.255", False, True),
        ("172.32.0.1", True, True),
        ("192.168.1.1", False, True),
        ("100.64.0.1", False, True),  # shared address space of carriers (RFC 6598)
        ("100.128.0.1", True, True),
        ("192.0.2.1", False, True),  # documentation
        ("198.18.0.1", False, True),  # benchmarking
        ("198.51.100.1", False, True),
        ("203.0.113.1", False, True),
        ("240.0.0.1", False, True),
        ("255.255.255.255", False, True),
        ("0.0.0.1", False, True),
        ("::1", False, True),
        ("fc00::1", False, True),
        ("fd12:3456::1", False, True),
        ("2001:db8::1", False, True),
        ("::ffff:93.184.215.14", True, True),
        ("::ffff:127.0.0.1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::93.184.215.14", True, True),  # NAT64
        ("64:ff9b::10.0.0.1", False, True),
        ("2002:0a00:0001::1", False, True),  # 6to4 of 10.0.0.1
        ("169.254.169.254", False, False),  # where clouds keep their metadata
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::169.254.169.254", False, False),
        ("2002:a9fe:a9fe::1", False, False),
        ("169.254.0.1", False, False),
        ("fe80::1", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("239.255.255.250", False, False),
        ("ff02::1", False, False),
        ("0.0.0.0", False, False),  # noqa: S104 - an address to refuse
        ("::", False, False),
        ("::ffff:0.0.0.0", False, False),
    ],
)
def test_addresses(address: str, *, public: bool, private: bool) -> None:
    for guard, allowed in ((GUARD, public), (PRIVATE, private)):
        if allowed:
            guard.check_address("name.example", address)
            continue
        with pytest.raises(RefusedError, match=r"^name\.example leads to a ") as refused:
            guard.check_address("name.example", address)
        assert address not in refused.value.message  # an internal address is nobody's business


@pytest.mark.parametrize(
    ("url", "may"),
    [
        (f"{TARGET}/login", True),
        ("https://example.com:443/", True),
        ("https://example.com:8443/", False),
        ("http://example.com/", False),  # in the clear
        ("ws://example.com/", False),
        ("wss://example.com/", True),
        ("https://127.0.0.1:1234/", True),
        ("https://localhost:1234/", False),
        ("https://cdn.example.net/", False),
        ("https://sub.example.com/", False),
        ("https://example.com.evil.org/", False),
    ],
)
def test_credentials_go_to_their_hosts_only(url: str, *, may: bool) -> None:
    assert GUARD.may_carry_credentials(url) is may


def test_credentials_go_in_the_clear_where_the_target_itself_does() -> None:
    guard = Guard(GuardRules(origin="http://127.0.0.1:8089", private=True, credential_hosts=("127.0.0.1:*",)))
    assert guard.may_carry_credentials("http://127.0.0.1:8089/")


def test_without_credential_hosts_credentials_go_nowhere() -> None:
    assert not PRIVATE.may_carry_credentials("http://127.0.0.1:8089/")


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ("Example.com", ("example.com", "")),
        ("a.b.:8443", ("a.b", "8443")),
        ("a:*", ("a", "*")),
        ("[::1]", ("::1", "")),
        ("[FE80::1]:80", ("fe80::1", "80")),
    ],
)
def test_entries_are_a_host_and_perhaps_a_port(entry: str, parts: tuple[str, str]) -> None:
    assert split_host(entry) == parts


def test_an_entry_without_a_port_means_the_schemes_own() -> None:
    assert host_listed(parse_url("https://a.example/"), ("a.example",))
    assert host_listed(parse_url("ws://a.example/"), ("a.example",))
    assert not host_listed(parse_url("https://a.example:80/"), ("a.example",))


def test_rules_cross_a_pipe_unchanged() -> None:
    assert GuardRules.from_json(json.loads(json.dumps(RULES.to_json()))) == RULES
