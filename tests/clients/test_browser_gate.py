"""No request leaves the browser past the gate. The judge is a server that writes down whatever arrives."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from probes.clients.browser import Browser
from probes.clients.journey import Action, Expect, Fill, Goto, WaitForPath
from tests.clients import escape_pages
from tests.clients.browser_help import Answer, Recorder, journey, recorder, rules, start
from tests.waiting import until

HEADING = Expect("heading", role="heading")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Recorder, Recorder, Browser]]:
    with recorder() as target, recorder() as other, start(rules(target.origin)) as browser:
        yield target, other, browser


@pytest.fixture
def target(servers: tuple[Recorder, Recorder, Browser]) -> Recorder:
    servers[0].reset()
    return servers[0]


@pytest.fixture
def other(servers: tuple[Recorder, Recorder, Browser]) -> Recorder:
    servers[1].reset()
    return servers[1]


@pytest.fixture
def browser(servers: tuple[Recorder, Recorder, Browser]) -> Browser:
    """For the tests that need no rules of their own."""
    return servers[2]


@pytest.fixture
def datagrams() -> Iterator[tuple[str, list[int]]]:
    """A UDP address, and the lengths of what arrives there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        seen: list[int] = []

        def listen() -> None:
            try:
                while data := listener.recv(4096):
                    seen.append(len(data))
            except OSError:
                return

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", seen


def test_no_way_out(target: Recorder, other: Recorder, datagrams: tuple[str, list[int]]) -> None:
    address, seen = datagrams
    target.pages.update(escape_pages.pages(other.address, address))
    with start(rules(target.origin, exceptions=())) as browser:
        tried = tuple(Expect(who, css=f"#tried-{who}") for who in escape_pages.WHERE)
        actions: tuple[Action, ...] = (Goto("open", "/"), HEADING, *tried, Goto("next", "/next"))
        asked = journey(target.origin, *actions, max_requests=1000, timeout_s=30.0)
        result = browser.run(replace(asked, element_timeout_s=20.0))
        # An answer says what was sent until then; a second journey would show what was sent afterwards.
        arrived = Counter(arrival.method for arrival in target.arrivals)
        after = browser.run(journey(target.origin, Goto("next", "/next")))
    assert [action.name for action in result.actions if not action.ok] == []
    assert set(arrived) == {"GET"}
    assert other.arrivals == []
    assert seen == []
    assert not any("upgrade" in arrival.headers for arrival in target.arrivals)
    # Not one request more has arrived than was admitted. Fewer may: a page that goes away takes its requests along.
    assert len(target.arrivals) <= result.sent + after.sent
    assert result.sent == result.usage.sent
    assert not {"/speculated", "/speculated-late", "/from-header", "/prerender", "/prerendered"} & set(target.paths())
    assert not {"/pay", "/fedcm.json", "/.well-known/web-identity", "/service.js", "/popup"} & set(target.paths())
    # The ways were really tried, in every place.
    refused = {(each.method, urlsplit(each.url).path) for each in result.blocked}
    for who in escape_pages.WHO:
        assert ("POST", f"/{who}-post") in refused, who
    for path in ("/page-keepalive", "/page-later", "/page-beacon", "/form", "/load-at-the-end", "/pagehide-beacon"):
        assert ("POST", path) in refused, path
    assert ("DELETE", "/page-xhr") in refused
    assert ("GET", "/led-away") in refused
    assert ("GET", "/page-socket") in refused
    assert {"/worker-get", "/shared-get", "/nested-get", "/blob-get", "/frame-get"} <= set(target.paths())


def test_a_page_goes_on_when_its_calls_are_refused(target: Recorder, other: Recorder, browser: Browser) -> None:
    calls = f"""<h1 hidden>Home</h1><script>
      Promise.all([fetch('/write', {{ method: 'POST' }}),
                   fetch('{other.origin}/collect',
                         {{ method: 'PUT', credentials: 'include', headers: {{ 'x-a': 'b' }} }})])
      .then(() => {{ document.querySelector('h1').hidden = false; }});</script>"""
    target.pages["/"] = Answer(calls)
    result = browser.run(journey(target.origin, Goto("open", "/"), HEADING))
    assert result.ok, result.actions
    assert (result.console_errors, result.page_errors, result.failed) == ((), (), ())
    assert [(each.method, urlsplit(each.url).path) for each in result.blocked] == [
        ("POST", "/write"),
        ("PUT", "/collect"),
    ]
    assert other.arrivals == []


@pytest.mark.parametrize("hops", [0, 2])
def test_a_page_that_leads_elsewhere_is_refused_at_that_hop(
    target: Recorder, other: Recorder, hops: int, browser: Browser
) -> None:
    target.pages["/"] = Answer(status=302, headers={"Location": "/1" if hops else f"{other.origin}/secret?token=1"})
    target.pages["/1"] = Answer(status=307, headers={"Location": f"{other.origin}/secret?token=1"})
    result = browser.run(journey(target.origin, Goto("open", "/")))
    assert not result.ok
    assert result.refused_navigation is not None
    assert result.refused_navigation.hop == (hops or 1)
    assert result.refused_navigation.url == f"{other.origin}/secret"
    assert "not listed" in result.actions[0].error
    assert other.arrivals == []


def test_an_address_that_a_public_target_must_not_have_is_refused() -> None:
    # a target of its own: what the browser of another test had sent may arrive late
    with recorder() as target, start(rules(target.origin, private=False)) as browser:
        result = browser.run(journey(target.origin, Goto("open", "/")))
    assert "leads to a private address" in result.actions[0].error
    assert target.arrivals == []


def test_a_name_is_resolved_once_and_its_other_ports_lead_nowhere(target: Recorder, other: Recorder) -> None:
    port, other_port = (server.address.rpartition(":")[2] for server in (target, other))
    target.pages["/"] = Answer(f"<h1>Home</h1><link rel=preconnect href='http://localhost:{other_port}'>")
    with start(rules(f"http://localhost:{port}")) as browser:
        assert browser.run(journey(f"http://localhost:{port}", Goto("open", "/"), HEADING)).ok
    assert other.arrivals == []


def test_an_unknown_name_is_said_so() -> None:
    with start(rules("http://no-such-host.invalid")) as browser:
        result = browser.run(journey("http://no-such-host.invalid", Goto("open", "/")))
    assert result.actions[0].net_error == "ERR_NAME_NOT_RESOLVED"


def test_other_hosts_get_neither_marks_nor_secrets(target: Recorder, other: Recorder) -> None:
    target.pages["/"] = Answer(
        f"<h1>Home</h1><img src='{other.origin}/picture.png'>"
        f"<script>fetch('{other.origin}/data', {{ headers: {{ a: 'b' }} }})</script>"
    )
    with start(rules(target.origin, hosts=(other.address,))) as browser:
        asked = replace(journey(target.origin, Goto("open", "/"), HEADING), credential_headers={"X-Edge": "s3cret"})
        result = browser.run(asked)
    assert result.ok
    assert set(other.paths()) == {"/picture.png", "/data"}
    assert "OPTIONS" in {arrival.method for arrival in other.arrivals}
    assert not any({"x-edge", "x-smokeprobe-run"} & set(arrival.headers) for arrival in other.arrivals)
    assert all(arrival.headers["x-edge"] == "s3cret" for arrival in target.arrivals)
    assert result.sent == len(target.arrivals) + len(other.arrivals)


def test_a_secret_is_not_typed_where_credentials_may_not_go(target: Recorder) -> None:
    target.pages["/"] = Answer("<input data-testid='password'>")
    with start(replace(rules(target.origin), credential_hosts=())) as browser:
        result = browser.run(journey(target.origin, Goto("open", "/"), Fill("type", "password", "s3cret", secret=True)))
    assert "not listed for credentials" in result.actions[1].error


def test_a_listed_websocket_is_let_through(target: Recorder) -> None:
    target.pages["/"] = Answer("<h1>Home</h1><script>new WebSocket(`ws://${location.host}/socket`)</script>")
    with start(rules(target.origin, websockets=(target.address,))) as browser:
        result = browser.run(journey(target.origin, Goto("open", "/"), HEADING))
        assert until(lambda: "/socket" in target.paths())
    assert result.blocked == ()


def test_nothing_of_one_journey_reaches_the_next(target: Recorder, browser: Browser) -> None:
    kept = {"Set-Cookie": "seen=1; Max-Age=3600", "Cache-Control": "max-age=3600"}
    target.pages["/"] = Answer("<h1>Home</h1><script>localStorage.seen = 1</script>", headers=kept)
    target.pages["/again"] = Answer(
        "<h1 hidden>Fresh</h1><script>if (!localStorage.seen) document.querySelector('h1').hidden = 0</script>"
    )
    browser.run(journey(target.origin, Goto("open", "/")))
    first = len(target.arrivals)
    result = browser.run(journey(target.origin, Goto("again", "/again"), HEADING, Goto("open", "/")))
    assert result.ok, result.actions
    assert not any("cookie" in arrival.headers for arrival in target.arrivals[first : first + 2])
    assert target.paths().count("/") == 2


def test_the_targets_owner_can_stop_a_journey() -> None:
    # a target of its own, as above
    with recorder() as target, start(rules(target.origin)) as browser:
        target.pages["/"] = Answer("<h1>Home</h1><img src='/late.png'>", headers={"X-Smokeprobe-Pause": "60"})
        result = browser.run(journey(target.origin, Goto("open", "/"), HEADING, Goto("next", "/next")))
    assert result.paused_s == 60.0
    assert target.paths() == ["/"]
    assert "/late.png" in {urlsplit(each.url).path for each in result.over_quota}
    assert "pause" in result.actions[-1].error


def test_a_pause_stops_a_journey_but_not_its_log_out(target: Recorder, browser: Browser) -> None:
    target.pages["/"] = Answer(
        "<script>fetch('/held')"
        ".then(() => Promise.all([fetch('/more'), fetch('/api/v1/auth/logout', { method: 'POST' })]))"
        ".then(() => location.assign('/after'))</script>"
    )
    target.holds["/held"] = threading.Event()

    def pause() -> None:
        until(lambda: "/held" in target.paths(), 20)
        browser.stop("paused by hand")
        # What was said on the one channel is heard in its order, so a round of the loop is enough.
        threading.Timer(0.2, target.holds["/held"].set).start()

    helper = threading.Thread(target=pause)
    helper.start()
    result = browser.run(journey(target.origin, Goto("open", "/"), WaitForPath("after", "/after")))
    helper.join()
    assert not result.ok
    assert ("POST", "/api/v1/auth/logout") in {(arrival.method, arrival.path) for arrival in target.arrivals}
    assert not {"/more", "/after"} & set(target.paths())


def test_https_with_a_certificate_that_only_this_test_trusts() -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    with recorder(context) as server:
        server.pages["/"] = Answer("<h1>Home</h1>")
        asked = journey(server.origin, Goto("open", "/"), HEADING)
        with start(rules(server.origin)) as browser:
            assert browser.run(asked).actions[0].net_error == "ERR_CERT_AUTHORITY_INVALID"
        with start(rules(server.origin), f"--ignore-certificate-errors-spki-list={fingerprint(issued)}") as browser:
            assert browser.run(asked).ok


def fingerprint(issued: trustme.LeafCert) -> str:
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key)
    return base64.b64encode(digest.finalize()).decode()
