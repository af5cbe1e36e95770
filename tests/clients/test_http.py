"""The client: nothing leaves but through guard and permit, redirects included, and credentials go nowhere else."""

from __future__ import annotations

import re
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.clients.http import MOST_HOPS, Request
from probes.errors import PausedError, QuotaError, RefusedError, SmokeprobeError
from probes.model import Layer
from tests.clients.http_help import RUN_ID, Brakes, failure, rig
from tests.clients.raw_server import OK, RawServer, Talk, always, redirect, routes
from tests.safety.budget import limit

SECRET = "hunter2-and-more"
GET_PATH = re.compile(rb"^(\S+) (\S+) HTTP")


def paths(server: RawServer) -> list[str]:
    return [request.split(b" ", 2)[1].decode() for request in server.requests]


def header(request: bytes, name: str) -> str | None:
    found = re.search(rb"(?im)^%s: (.*?)\r$" % name.encode(), request)
    return found[1].decode() if found else None


# --- what is sent ---


def test_every_request_says_who_we_are() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url)
        tested.get()
        tested.get()
    for request in server.requests:
        assert header(request, "User-Agent") == "smokeprobe/test (+https://example.com)"
        assert header(request, "X-Smokeprobe-Run") == RUN_ID
        assert header(request, "Accept-Encoding") == "identity"
        assert header(request, "Cookie") is None
    traces = [header(request, "traceparent") or "" for request in server.requests]
    assert all(re.fullmatch(rf"00-{RUN_ID}-[0-9a-f]{{16}}-01", trace) for trace in traces)
    assert traces[0] != traces[1]


def test_neither_proxy_nor_netrc_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login someone password {SECRET}\ndefault login someone password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(always(OK)) as proxy, RawServer(always(OK)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert rig(server.url).get().body == b"ok"
    assert (proxy.connections, server.connections) == (0, 1)
    assert header(server.requests[0], "Authorization") is None


def test_cookies_stay_with_their_client() -> None:
    with RawServer(always(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n")) as server:
        tested = rig(server.url)
        tested.get()
        tested.get()
        rig(server.url).get()
    assert [header(request, "Cookie") for request in server.requests] == [None, "session=1", None]


# --- guard and permit ---


def test_what_the_guard_refuses_is_not_sent() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url, exceptions=(("POST", "/named"),))
        for method, path in (("POST", "/"), ("DELETE", "/named"), ("POST", "/named?x"), ("GET", "http://127.0.0.1:1/")):
            with pytest.raises(RefusedError):
                tested.send(method, path)
        assert tested.send("POST", "/named", json={"a": 1}).status == 200
    assert (tested.sent, len(server.requests)) == (1, 1)
    assert server.requests[0].endswith(b'{"a": 1}')


def test_a_header_that_makes_another_method_of_a_request_is_not_sent() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url)
        with pytest.raises(RefusedError, match="makes another method"):
            tested.get(headers={"X-HTTP-Method-Override": "DELETE"})
    assert (tested.sent, server.requests) == (0, [])


def test_a_503_with_retry_after_asks_to_slow_down_too() -> None:
    with RawServer(always(b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")) as server:
        tested = rig(server.url)
        assert not tested.get("/busy").throttled
    assert tested.brakes.asked == [("slow down", "GET", "/busy", 7.0)]


def test_the_quota_holds_for_whatever_is_asked() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url, quota={"all": 2})
        tested.get()
        tested.send("HEAD", "/")
        with pytest.raises(QuotaError, match="is used up"):
            tested.get()
    assert len(server.requests) == 2


def test_a_pause_holds_everything_but_clean_up() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url)
        tested.brakes.pause = PausedError("paused by hand", None)
        with pytest.raises(PausedError, match="paused by hand"):
            tested.get()
        assert tested.get("/log-out", cleanup=True).status == 200
    assert paths(server) == ["/log-out"]


def test_where_requests_are_spaced_the_client_waits_and_the_check_gets_the_time_back() -> None:
    spaced = limit("spaced", 10, 0.01, "* /*")  # one in 60 ms
    with RawServer(always(OK)) as server:
        tested = rig(server.url, limits=(spaced,), deadline_s=20)
        before, begun = tested.client.deadline.remaining(), time.monotonic()
        for _ in range(3):
            tested.get()
        took_s, left = time.monotonic() - begun, tested.client.deadline.remaining()
    assert (slept := sum(tested.slept)) >= 0.1
    assert left >= before - (took_s - slept) - 0.01  # the waits cost the check nothing, whatever else took its time
    assert len(server.requests) == 3


def test_an_exchange_may_not_outlast_its_permit() -> None:
    with RawServer(lambda talk: talk.hang()) as server:
        problem = failure(lambda: rig(server.url, deadline_s=0.9).get(timeout_s=5))
    assert problem.timed_out
    assert problem.message.endswith("within 0.9 s")


# --- redirects ---


def test_redirects_are_followed_hop_by_hop_and_each_hop_counts() -> None:
    hops = {f"GET /{n}": redirect(f"/{n + 1}", status) for n, status in enumerate((301, 302, 303, 307, 308))}
    with RawServer(routes({**hops, "GET /5": OK})) as server:
        tested = rig(server.url)
        response = tested.get("/0")
    assert paths(server) == ["/0", "/1", "/2", "/3", "/4", "/5"]
    assert (response.status, response.body, response.url) == (200, b"ok", f"{server.url}/5")
    assert (tested.sent, server.connections) == (6, 1)


def test_times_are_those_of_all_hops() -> None:
    def handle(talk: Talk) -> None:
        while request := talk.request():
            talk.server.over.wait(0.05)
            talk.send(redirect("/end") if b"GET /start" in request else OK)

    with RawServer(handle) as server:
        response = rig(server.url).get("/start")
    assert response.ttfb_ms >= 99
    assert response.duration_ms >= response.ttfb_ms


def test_a_loop_ends_after_five_hops() -> None:
    with RawServer(always(redirect("/again"))) as server:
        tested = rig(server.url)
        problem = failure(tested.get)
    assert (problem.layer, problem.message) == (Layer.HTTP, "redirected more than 5 times: a loop")
    assert tested.sent == len(server.requests) == MOST_HOPS + 1


def test_a_hop_without_quota_is_not_taken() -> None:
    with RawServer(always(redirect("/again"))) as server, pytest.raises(QuotaError):
        rig(server.url, quota={"all": 2}).get()
    assert len(server.requests) == 2


@dataclass
class _PausedMeanwhile(Brakes):
    """Nothing holds at the first question, and a pause at every later one."""

    questions: int = 0

    def paused(self) -> PausedError | None:
        self.questions += 1
        return PausedError("paused", None) if self.questions > 1 else None


def test_a_pause_between_two_hops_holds_the_second() -> None:
    with RawServer(always(redirect("/again"))) as server:
        tested = rig(server.url)
        tested.client.brakes = _PausedMeanwhile()
        with pytest.raises(PausedError):
            tested.get()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("http://example.org/", "another host is not listed"),
        ("//example.org/", "another host is not listed"),
        ("https://127.0.0.1/", "host 127.0.0.1:443 is not listed"),
        ("http://127.0.0.1:1/", "host 127.0.0.1:1 is not listed"),
        ("http://10.0.0.1/", "another host is not listed"),
        ("http://169.254.169.254/latest/meta-data", "another host is not listed"),
        ("http://2130706433/", "two ways"),
        ("http://[::1]/", "another host is not listed"),
        ("file:///etc/passwd", "another scheme"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "another scheme"),
        ("javascript:alert(1)", "another scheme"),
        ("data:text/plain,x", "another scheme"),
        ("ws://127.0.0.1/", "WebSocket"),
        ("http://user:pw@127.0.0.1/", "user name"),
        ("http:\\\\example.org\\", "backslashes"),
    ],
)
def test_redirects_to_where_we_must_not_go_are_the_targets_failure(location: str, rule: str) -> None:
    with RawServer(always(redirect(location))) as server:
        tested = rig(server.url)
        problem = failure(tested.get)
    assert problem.layer is Layer.HTTP
    assert problem.message.startswith("redirected to where we must not go: ")
    assert rule in problem.message
    for named in ("example.org", "10.0.0.1", "169.254", "::1", "etc", "gopher"):
        assert named not in problem.message
    assert (tested.sent, len(server.requests)) == (1, 1)


def test_a_redirect_to_a_listed_host_is_followed() -> None:
    with RawServer(always(OK)) as other, RawServer(always(redirect(f"{other.url}/there"))) as server:
        response = rig(server.url, hosts=(f"127.0.0.1:{other.port}",)).get()
    assert (response.body, paths(other)) == (b"ok", ["/there"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_post_is_not_followed(status: int) -> None:
    with RawServer(always(redirect("/elsewhere", status))) as server:
        tested = rig(server.url, exceptions=(("POST", "/named"), ("POST", "/elsewhere")))
        response = tested.send("POST", "/named", json={"password": SECRET}, secret=False)
    assert (response.status, paths(server)) == (status, ["/named"])


@pytest.mark.parametrize("status", [300, 304, 305, 306, 200, 201])
def test_other_statuses_with_a_location_are_answers(status: int) -> None:
    with RawServer(always(redirect("/elsewhere", status))) as server:
        assert rig(server.url).get().status == status


def test_a_redirect_without_a_location_is_an_answer() -> None:
    with RawServer(always(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")) as server:
        assert rig(server.url).get().status == 302


# --- credentials ---


def test_credentials_go_to_their_hosts() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url, credential_hosts=("127.0.0.1:*",), edge=("X-Edge", SECRET))
        tested.get(token="token-1")
        tested.get()
    assert [header(request, "Authorization") for request in server.requests] == ["Bearer token-1", None]
    assert [header(request, "X-Edge") for request in server.requests] == [SECRET, SECRET]


@pytest.mark.parametrize("options", [{"token": "token-1"}, {"secret": True}])
def test_credentials_are_not_sent_where_they_are_not_listed(options: dict[str, Any]) -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url, credential_hosts=("example.com",), edge=("X-Edge", SECRET))
        with pytest.raises(RefusedError, match=r"not listed under credentials\.hosts"):
            tested.get(**options)
        assert server.requests == []
        tested.get()
    assert header(server.requests[0], "X-Edge") is None


def test_no_credential_follows_a_redirect_to_another_host() -> None:
    with RawServer(always(OK)) as other, RawServer(always(redirect(f"{other.url}/there"))) as server:
        tested = rig(
            server.url,
            hosts=(f"127.0.0.1:{other.port}",),
            credential_hosts=(f"127.0.0.1:{server.port}",),
            edge=("X-Edge", SECRET),
        )
        assert failure(lambda: tested.get(token="token-1")).layer is Layer.HTTP
        assert other.requests == []
        assert tested.get().body == b"ok"
    assert header(other.requests[0], "X-Edge") is None
    assert [header(request, "X-Edge") for request in server.requests] == [SECRET, SECRET]


def no_answer(talk: Talk) -> None:
    talk.request()


@pytest.mark.parametrize(
    "handler",
    [no_answer, always(redirect("http://example.org/")), always(b"nonsense\r\n\r\n"), always(redirect("/again"))],
)
def test_no_secret_is_in_what_a_failure_says(handler: Callable[[Talk], None]) -> None:
    with RawServer(handler) as server:
        tested = rig(
            server.url, exceptions=(("POST", "/named"),), credential_hosts=("127.0.0.1:*",), edge=("X-Edge", SECRET)
        )
        try:
            tested.get(f"/?key={SECRET}", token=SECRET)
            tested.send("POST", "/named", json={"password": SECRET}, secret=True, token=SECRET)
        except SmokeprobeError as problem:
            said = "".join(traceback.format_exception(problem)) + repr(problem) + repr(vars(problem))
        else:
            raise AssertionError("it did not fail")
    assert SECRET not in said


def test_no_secret_is_in_a_requests_or_an_identitys_text() -> None:
    tested = rig("http://127.0.0.1:1", edge=("X-Edge", SECRET))
    assert SECRET not in repr(tested.client)


# --- names and addresses ---


def leading_to(address: str, port: int) -> Callable[..., list[Any]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return lambda *_args, **_kwargs: [(family, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "::"])
def test_a_public_name_that_leads_to_a_private_address_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(always(OK)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", leading_to(address, server.port))
        with pytest.raises(RefusedError, match=r"^rebound\.example leads to a "):
            rig("http://rebound.example", private=False).get()
    assert server.connections == 0


def test_a_name_that_leads_elsewhere_at_the_second_look_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: every address is judged when it is used, for each new connection."""
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(close)) as server:
        tested = rig("http://rebound.example", private=True)
        monkeypatch.setattr(socket, "getaddrinfo", leading_to("127.0.0.1", server.port))
        assert tested.get().status == 200
        monkeypatch.setattr(socket, "getaddrinfo", leading_to("169.254.169.254", server.port))
        with pytest.raises(RefusedError, match="link-local"):
            tested.get()
    assert server.connections == 1


def test_a_private_address_among_several_is_refused_where_it_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(always(OK)) as server:
        found = leading_to("127.0.0.1", server.port)() + leading_to("93.184.215.14", server.port)()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        with pytest.raises(RefusedError, match="leads to a private address"):
            rig("http://rebound.example", private=False).get()
    assert server.connections == 0


def test_a_request_is_what_it_was_made_of() -> None:
    request = Request("GET", "http://127.0.0.1/")
    assert (request.token, request.secret, request.cleanup, request.json, dict(request.headers)) == (
        "",
        False,
        False,
        None,
        {},
    )
