"""What a limit counts of a page's reads is sent once, by ourselves, and the page sees no difference."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from probes.clients.browser import Browser
from probes.clients.direct import NoAnswerError, get_once
from probes.clients.journey import Expect, Goto
from probes.errors import RefusedError
from probes.safety.guard import Guard
from probes.safety.limits import CallPattern, RateLimit
from tests.clients.browser_help import Answer, Recorder, journey, permit, recorder, rules, start
from tests.clients.raw_server import RawServer, Talk, always

API = RateLimit("api", 100, 60.0, "ip", (CallPattern("GET", "/api/*"),))
PAGE = """<link rel='icon' href='data:,'><p id=shown></p><script>
fetch('/api/one?q=1', {headers: {'X-Mine': 'yes'}}).then(async (answer) => {
  const said = [answer.status, answer.headers.get('x-theirs'), await answer.text()];
  document.getElementById('shown').textContent = said.join(' ');
});
</script>"""


def anything(_host: str, _address: str) -> None:
    """Every address may be used."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Recorder, Browser]]:
    with recorder() as target, start(rules(target.origin)) as browser:
        yield target, browser


def test_a_page_gets_its_answer_and_the_target_one_request(servers: tuple[Recorder, Browser]) -> None:
    target, browser = servers
    target.reset()
    target.pages["/"] = Answer(PAGE, headers={"Set-Cookie": "seen=1"})
    target.pages["/api/one"] = Answer(
        "hello", kind="text/plain", headers={"X-Theirs": "theirs", "Set-Cookie": "more=2"}
    )
    asked = replace(journey(target.origin), permit=permit(target.origin, (API,), {"api": 1}))
    look = Expect("answer", text="200 theirs hello")
    result = browser.run(replace(asked, actions=(Goto("open", "/"), look)))
    assert result.ok, result.actions
    (arrival,) = [each for each in target.arrivals if each.path.startswith("/api/")]
    assert arrival.headers["x-mine"] == "yes"
    assert arrival.headers["cookie"] == "seen=1"
    assert "Chrome" in arrival.headers["user-agent"]
    assert arrival.headers["connection"] == "close"
    assert [len(spans) for spans in result.usage.spans.values()] == [1]


def test_without_quota_it_is_not_sent(servers: tuple[Recorder, Browser]) -> None:
    target, browser = servers
    target.reset()
    target.pages["/"] = Answer(PAGE)
    asked = replace(journey(target.origin), permit=permit(target.origin, (API,), {}))
    result = browser.run(replace(asked, actions=(Goto("open", "/"),)))
    assert [each.url for each in result.over_quota] == [f"{target.origin}/api/one"]
    assert not any(path.startswith("/api/") for path in target.paths())


def closing(talk: Talk) -> None:
    talk.request()
    talk.reset()


def silent(talk: Talk) -> None:
    talk.request()
    talk.server.over.wait(5)


@pytest.mark.parametrize(
    ("handler", "reasons"), [(closing, {"ConnectionReset", "ConnectionClosed"}), (silent, {"TimedOut"})]
)
def test_no_answer_is_told_by_its_reason_and_not_asked_again(handler: object, reasons: set[str]) -> None:
    with RawServer(handler) as server:  # type: ignore[arg-type]  # each is one
        with pytest.raises(NoAnswerError) as raised:
            get_once(anything, f"{server.url}/api", {}, 0.5)
        assert raised.value.reason in reasons
    assert len(server.requests) == 1


def test_a_port_that_nobody_listens_on_and_a_forbidden_address() -> None:
    with pytest.raises(NoAnswerError, match="ConnectionRefused"):
        get_once(anything, "http://127.0.0.1:1/", {}, 1.0)
    public = Guard(rules("http://public.example", private=False))
    with pytest.raises(RefusedError, match="private address"):
        get_once(public.check_address, "http://127.0.0.1:1/", {}, 1.0)


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    empty = always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with RawServer(empty, context) as server, pytest.raises(NoAnswerError, match="Failed"):
        get_once(anything, f"{server.url}/", {}, 2.0)
    assert server.requests == []


def test_whom_the_environment_names_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "roots.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    empty = always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with RawServer(empty, context) as server:
        assert get_once(anything, f"{server.url}/", {}, 2.0).status == 200
