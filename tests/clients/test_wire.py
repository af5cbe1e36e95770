"""The wire: what breaks on it, on which layer, and how long each part of an exchange takes."""

from __future__ import annotations

import errno
import resource
import socket
import time
import zlib
from typing import Any

import pytest

from probes.clients import line
from probes.clients.http import LARGEST_BODY
from probes.model import Layer
from tests.clients.http_help import WITHIN_S, failure, overran_s, rig, total_ms
from tests.clients.raw_server import OK, Handler, RawServer, Talk, always, once, refusing_port, silent_port

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def talking(act: str, *args: Any) -> Handler:
    """Read a request, then do one thing with the connection."""

    def handle(talk: Talk) -> None:
        talk.request()
        getattr(talk, act)(*args)

    return handle


def half_then(act: str) -> Handler:
    def handle(talk: Talk) -> None:
        talk.request()
        talk.send(JSON_HEAD + b"Content-Length: 1000\r\n\r\nhalf")
        time.sleep(0.02)  # so that the half arrives before the end does
        getattr(talk, act)()

    return handle


def dripping(head: bytes, drips: bytes, every_s: float) -> Handler:
    def handle(talk: Talk) -> None:
        talk.request()
        talk.send(head)
        talk.drip(drips, every_s)

    return handle


BROKEN: dict[str, tuple[Handler, Layer, str]] = {
    "reset before the answer": (talking("reset"), Layer.HTTP, "connection reset by peer"),
    "closed before the answer": (once(b""), Layer.HTTP, "the connection was closed without an answer"),
    "reset in the body": (half_then("reset"), Layer.BODY, "connection reset by peer"),
    "closed in the body": (
        once(JSON_HEAD + b"Content-Length: 1000\r\n\r\nhalf"),
        Layer.BODY,
        "the connection was closed in the middle of the answer",
    ),
    "half a status line": (once(b"HTTP/1.1 2"), Layer.HTTP, "not a valid HTTP answer (BadStatusLine)"),
    "another protocol": (once(b"SSH-2.0-OpenSSH_9.6\r\n"), Layer.HTTP, "not a valid HTTP answer (BadStatusLine)"),
    "a status that is no number": (once(b"HTTP/1.1 OK\r\n\r\n"), Layer.HTTP, "not a valid HTTP answer (BadStatusLine)"),
    "200 headers": (
        once(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n"),
        Layer.HTTP,
        "not a valid HTTP answer (HTTPException)",
    ),
    "a header of 100 KB": (
        once(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n"),
        Layer.HTTP,
        "not a valid HTTP answer (LineTooLong)",
    ),
    "chunks without an end": (
        once(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Layer.BODY,
        "the connection was closed in the middle of the answer",
    ),
    "a chunk that is cut off": (
        once(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhello"),
        Layer.BODY,
        "the connection was closed in the middle of the answer",
    ),
    "gzip that is none": (
        once(JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        Layer.BODY,
        "the body could not be decompressed",
    ),
    "deflate that is none": (
        once(JSON_HEAD + b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n\xff\xff"),
        Layer.BODY,
        "the body could not be decompressed",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_is_told_with_its_layer(name: str) -> None:
    handler, layer, words = BROKEN[name]
    with RawServer(handler) as server:
        problem = failure(rig(server.url).get)
    assert (problem.layer, problem.timed_out) == (layer, False)
    assert problem.message == words


def test_refused() -> None:
    with refusing_port() as port:
        problem = failure(rig(f"http://127.0.0.1:{port}").get)
    assert (problem.layer, problem.message, problem.timed_out) == (Layer.CONNECT, "connection refused", False)


@pytest.mark.parametrize("kind", [ConnectionResetError, BrokenPipeError])
def test_a_connection_that_is_reset_while_it_is_made(kind: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    """No server can be told to do this each time: it has to be between two packets of a handshake."""

    def reset(*_: object) -> socket.socket:
        raise kind(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(line, "_connected", reset)
    error = failure(rig("http://127.0.0.1:9").get)
    assert (error.layer, error.message) == (Layer.CONNECT, "connection reset by peer")


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_args: Any, **_kwargs: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    problem = failure(rig("http://nowhere.example").get)
    assert (problem.layer, problem.message) == (Layer.DNS, "the name is not known")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW: dict[str, tuple[Handler, Layer]] = {
    "silence": (talking("hang"), Layer.HTTP),
    "headers in drips": (dripping(b"HTTP/1.1", OK.removeprefix(b"HTTP/1.1") * 20, 0.1), Layer.HTTP),
    "a header without end in drips": (dripping(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 9999, 0.001), Layer.HTTP),
    "endless 100 Continue": (talking("flood", b"HTTP/1.1 100 Continue\r\n\r\n", 10**9), Layer.HTTP),
    "a body in drips": (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x" * 9999, 0.001), Layer.BODY),
    "chunks in drips": (dripping(CHUNKED, b"1\r\nx\r\n" * 2000, 0.001), Layer.BODY),
    "half a body, then silence": (half_then("hang"), Layer.BODY),
    "trailers without end": (dripping(CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 2000, 0.001), Layer.BODY),
}


@pytest.mark.parametrize("name", SLOW)
def test_the_deadline_binds_whatever_the_server_does(name: str) -> None:
    handler, layer = SLOW[name]

    def slow_body(talk: Talk) -> None:
        handler(talk)
        talk.hang()

    with RawServer(slow_body) as server:
        tested = rig(server.url)
        assert overran_s(lambda: tested.get(timeout_s=0.3), 0.3) < WITHIN_S
        problem = failure(lambda: tested.get(timeout_s=0.9))
    assert (problem.layer, problem.timed_out) == (layer, True)
    assert problem.message.endswith("within 0.9 s")


def test_the_deadline_binds_the_connecting() -> None:
    with silent_port() as port:
        tested = rig(f"http://127.0.0.1:{port}")
        assert overran_s(lambda: tested.get(timeout_s=0.3), 0.3) < WITHIN_S
        problem = failure(lambda: tested.get(timeout_s=0.9))
    assert (problem.layer, problem.message) == (Layer.CONNECT, "no connection within 0.9 s")


@pytest.mark.parametrize(
    "handler", [lambda talk: talk.hang(), lambda talk: talk.drip(b"\x16\x03\x03\x40\x00" + b"\0" * 99, 0.02)]
)
def test_the_deadline_binds_the_tls_handshake(handler: Handler) -> None:
    with RawServer(handler) as server:
        tested = rig(f"https://127.0.0.1:{server.port}")
        assert overran_s(lambda: tested.get(timeout_s=0.3), 0.3) < WITHIN_S
        problem = failure(lambda: tested.get(timeout_s=0.9))
    assert (problem.layer, problem.message) == (Layer.TLS, "TLS was not set up within 0.9 s")


def test_a_silent_connection_and_a_drip_cannot_add_up() -> None:
    """Each wait is within its limit, and all of them together are not: only the whole exchange's time counts."""

    def handle(talk: Talk) -> None:
        talk.request()
        for piece in (b"HTTP/1.1 ", b"200 OK\r\n", b"Content-Length: 4\r\n", b"\r\n", b"a", b"b", b"c", b"d"):
            time.sleep(0.08)
            talk.send(piece)

    with RawServer(handle) as server:
        tested = rig(server.url)
        assert overran_s(lambda: tested.get(timeout_s=0.3), 0.3) < WITHIN_S
        assert rig(server.url).get(timeout_s=5.0).body == b"abcd"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 3 + OK, 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n", 101, b""),
        (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
            200,
            b"abcde",
        ),
        (b"HTTP/1.1 599 Whatever\r\nContent-Length: 1\r\n\r\nx", 599, b"x"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
    ],
)
def test_odd_answers_that_are_right(answer: bytes, status: int, body: bytes) -> None:
    def handle(talk: Talk) -> None:
        talk.request()
        talk.send(answer)

    with RawServer(handle) as server:
        response = rig(server.url).get()
    assert (response.status, response.body) == (status, body)


def test_a_hint_is_not_the_first_byte_of_the_answer() -> None:
    def handle(talk: Talk) -> None:
        while talk.request():
            talk.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            time.sleep(0.1)
            talk.send(OK)

    with RawServer(handle) as server:
        assert rig(server.url).get().ttfb_ms >= 99


def test_a_body_longer_than_its_length_does_not_reach_into_the_next_answer() -> None:
    with RawServer(always(OK + b"HTTP/1.1 500 Smuggled\r\n\r\n")) as server:
        tested = rig(server.url)
        assert [(response.status, response.body) for response in (tested.get() for _ in range(4))] == [(200, b"ok")] * 4


def test_header_names_are_in_lower_case_however_they_are_sent() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-RATELIMIT-limit: 5\r\nSet-cookie: a=1\r\nSET-COOKIE: b=2\r\ncontent-LENGTH: 0\r\n\r\n"
    with RawServer(always(head)) as server:
        headers = rig(server.url).get().headers
    assert headers == {"x-ratelimit-limit": "5", "set-cookie": "a=1, b=2", "content-length": "0"}


def test_the_phases_of_a_first_and_a_second_request() -> None:
    with RawServer(always(OK)) as server:
        tested = rig(server.url)
        first, second = tested.get(), tested.get()
    assert server.connections == 1
    assert first.phases.dns_ms is not None
    assert first.phases.connect_ms is not None
    assert (second.phases.dns_ms, second.phases.connect_ms) == (None, None)
    assert first.phases.tls_ms is second.phases.tls_ms is None
    assert first.facts.rtt_s == second.facts.rtt_s == pytest.approx(first.phases.connect_ms / 1000)


def test_time_to_first_byte_and_download_are_told_apart_and_add_up() -> None:
    def handle(talk: Talk) -> None:
        while talk.request():
            time.sleep(0.1)
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            time.sleep(0.2)
            talk.send(b"k")  # so 100 ms and 200 ms, or what a busy machine makes of them

    with RawServer(handle) as server:
        tested = rig(server.url)
        seen = [tested.get() for _ in range(4)]
    for response in seen:
        phases = response.phases
        assert phases.ttfb_ms is not None
        assert phases.download_ms is not None
        assert phases.ttfb_ms >= 99
        assert phases.ttfb_ms + phases.download_ms >= 299
        assert response.ttfb_ms == phases.ttfb_ms
        assert total_ms(phases) <= response.duration_ms
    # the best of three: a busy machine may stop us between two stamps
    assert min(abs(response.ttfb_ms - 100) for response in seen) < 50
    assert min(response.duration_ms - total_ms(response.phases) for response in seen) < 30


def test_a_connection_that_the_server_has_closed_is_made_anew() -> None:
    with RawServer(once(OK)) as server:
        tested = rig(server.url)
        for number in range(1, 4):
            assert tested.get().phases.connect_ms is not None
            assert server.connections == number
            time.sleep(0.05)  # the FIN must have arrived


def test_connection_close_is_heeded() -> None:
    with RawServer(always(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as server:
        tested = rig(server.url)
        assert tested.get().phases.connect_ms is not None
        assert tested.get().phases.connect_ms is not None
        assert server.connections == 2


def test_after_a_failure_a_connection_is_not_used_again() -> None:
    def handle(talk: Talk) -> None:
        while talk.request():
            if talk.number:
                talk.send(OK)
            else:
                talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    with RawServer(handle) as server:
        tested = rig(server.url)
        assert failure(lambda: tested.get(timeout_s=0.9)).layer is Layer.BODY
        assert tested.get().body == b"ok"
        assert server.connections == 2


def addresses(*found: tuple[str, int]) -> Any:
    def look_up(_host: str, _port: int, *_args: Any, **_kwargs: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in found
        ]

    return look_up


def test_where_the_first_address_refuses_the_next_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(always(OK)) as server, refusing_port() as refusing:
        monkeypatch.setattr(socket, "getaddrinfo", addresses(("127.0.0.1", refusing), ("127.0.0.1", server.port)))
        assert rig("http://several.example").get().body == b"ok"
        monkeypatch.setattr(socket, "getaddrinfo", addresses(("127.0.0.1", refusing), ("127.0.0.2", refusing)))
        assert failure(rig("http://several.example").get).layer is Layer.CONNECT
        monkeypatch.setattr(socket, "getaddrinfo", addresses())
        assert failure(rig("http://several.example").get).layer is Layer.CONNECT


def test_big_bodies_are_cut_at_1_mib_and_their_connection_closed() -> None:
    def handle(talk: Talk) -> None:
        talk.request()
        if talk.number:
            talk.send(OK)
        else:
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**31)
            talk.flood(b"x" * 65536, 2**31)

    with RawServer(handle) as server:
        tested = rig(server.url)
        response = tested.get()
        assert (len(response.body), response.truncated) == (LARGEST_BODY, True)
        assert tested.get().body == b"ok"
        assert server.connections == 2
    assert server.bytes_sent < 16 * 2**20  # what was on its way when the connection was closed


@pytest.mark.parametrize(
    ("size", "truncated"), [(LARGEST_BODY - 1, False), (LARGEST_BODY, False), (LARGEST_BODY + 1, True)]
)
def test_the_cut_is_exact(size: int, *, truncated: bool) -> None:
    with RawServer(once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)) as server:
        response = rig(server.url).get()
    assert (len(response.body), response.truncated) == (min(size, LARGEST_BODY), truncated)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_bomb_is_cut_too(coding: str) -> None:
    squeeze = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    bomb = b"".join(squeeze.compress(b"\0" * 2**20) for _ in range(128)) + squeeze.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with RawServer(once(head + bomb)) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        response = rig(server.url).get()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert b"accept-encoding: identity" in server.requests[0].lower()
    assert (len(response.body), response.truncated) == (LARGEST_BODY, True)
    assert grown_kib < 64 * 1024
