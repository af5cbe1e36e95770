"""Faults below HTTP: what arrives, byte by byte, and that nobody else has to wait for it."""

import contextlib
import gzip
import http.client
import os
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from probes.standin.faults.wire import BIG_BODY_BYTES, FAULTS
from probes.standin.process import StandIn
from tests.standin.client import call


@contextlib.contextmanager
def asking(target: StandIn, path: str, timeout: float = 5) -> Iterator[socket.socket]:
    """A connection on which a GET has been sent."""
    at = urlsplit(target.url)
    with socket.create_connection((at.hostname, at.port), timeout=timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
        yield connection


def received(connection: socket.socket, most: int = 1 << 20) -> bytes:
    """All that comes until the end of the connection, or most bytes. A reset raises ConnectionResetError."""
    data = b""
    while len(data) < most and (part := connection.recv(65536)):
        data += part
    return data


def silent(path: str) -> Callable[[StandIn], None]:
    def check(target: StandIn) -> None:
        with asking(target, path, timeout=0.1) as connection, pytest.raises(TimeoutError):
            connection.recv(1)
        assert target.ledger()[-1]["status"] is None

    return check


def reset_on_accept(target: StandIn) -> None:
    for path in ("/health", "/", "/api/v1/test"):
        with asking(target, path) as connection, pytest.raises(ConnectionResetError):
            received(connection)


def close_before_answer(target: StandIn) -> None:
    with asking(target, "/health") as connection:
        assert received(connection) == b""


def _half_of_a_body(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    (promised,) = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    return len(body) == promised // 2


def reset_mid_body(target: StandIn) -> None:
    parts: list[bytes] = []
    with asking(target, "/health") as connection, pytest.raises(ConnectionResetError):
        parts.extend(iter(lambda: connection.recv(65536), b""))
    assert _half_of_a_body(b"".join(parts))


def close_mid_body(target: StandIn) -> None:
    with asking(target, "/health") as connection:
        assert _half_of_a_body(received(connection))


def drips(*, after: bytes) -> Callable[[StandIn], None]:
    """What follows these first bytes comes at one byte a second, the first one at once."""

    def check(target: StandIn) -> None:
        with asking(target, "/health") as connection:
            asked = time.monotonic()
            data = b""
            while len(dripped := data.partition(after)[2] if after else data) < 2:
                data += connection.recv(65536)
            seconds = time.monotonic() - asked
        assert seconds >= 0.95
        assert len(dripped) <= 1 + seconds / 0.95

    return check


def big_body(target: StandIn) -> None:
    def memory() -> int:
        status = Path(f"/proc/{target.pid}/status").read_text()
        (resident,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(resident) * 1024

    before = memory()
    with asking(target, "/health") as connection:
        data = received(connection, most=1024)
        assert f"Content-Length: {BIG_BODY_BYTES}\r\n".encode() in data
        read = 0
        while read < 128 * 1024**2:
            read += len(connection.recv(1 << 20))
        assert memory() - before < 8 * 1024**2


def gzip_bomb(target: StandIn) -> None:
    squeezed, unpacked = 0, 0
    inflate = zlib.decompressobj(wbits=31)
    with asking(target, "/health") as connection, connection.makefile("rb") as answer:
        while answer.readline() != b"\r\n":
            pass
        while unpacked < 64 * 1024**2:
            size = int(answer.readline(), 16)
            squeezed += size
            unpacked += len(inflate.decompress(answer.read(size)))
            answer.readline()
    assert unpacked / squeezed > 500


def gzip_broken(target: StandIn) -> None:
    answer = call(target, "GET /health")
    assert answer.header("Content-Encoding") == "gzip"
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(answer.body)


def gzip_body(target: StandIn) -> None:
    assert b'"status": "healthy"' in gzip.decompress(call(target, "GET /health").body)


def chunked_body(target: StandIn) -> None:
    with asking(target, "/health") as connection:
        data = received(connection, most=400)
    assert b"Transfer-Encoding: chunked\r\n" in data
    assert b"\r\n\r\n1\r\n{\r\n1\r\n" in data
    assert call(target, "GET /health").json["status"] == "healthy"


def bad_chunk(target: StandIn) -> None:
    with pytest.raises(http.client.IncompleteRead):
        call(target, "GET /health")


def not_http(target: StandIn) -> None:
    with pytest.raises(http.client.BadStatusLine):
        call(target, "GET /health")


def big_headers(target: StandIn) -> None:
    with asking(target, "/health") as connection:
        data = received(connection, most=512 * 1024)
    assert b"\r\n\r\n" not in data


CASES: dict[str, Callable[[StandIn], None]] = {
    "hang": silent("/static/site.css"),
    "hang-health": silent("/health"),
    "reset-on-accept": reset_on_accept,
    "close-before-answer": close_before_answer,
    "reset-mid-body": reset_mid_body,
    "close-mid-body": close_mid_body,
    "slow-drip-body": drips(after=b"\r\n\r\n"),
    "slow-drip-headers": drips(after=b""),
    "big-body": big_body,
    "gzip-bomb": gzip_bomb,
    "gzip-broken": gzip_broken,
    "gzip-body": gzip_body,
    "chunked-body": chunked_body,
    "bad-chunk": bad_chunk,
    "not-http": not_http,
    "big-headers": big_headers,
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_fault(design: StandIn, name: str) -> None:
    design.set_faults(name)
    CASES[name](design)


@pytest.mark.parametrize("name", ["hang-health", "slow-drip-body", "slow-drip-headers", "big-body"])
def test_others_do_not_wait(design: StandIn, name: str) -> None:
    design.set_faults(name)
    with contextlib.ExitStack() as held:
        for _ in range(20):
            held.enter_context(asking(design, "/health"))
        started = time.monotonic()
        assert call(design, "GET /api/v1/test").status == 200
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("name", ["hang-health", "slow-drip-body", "slow-drip-headers"])
def test_changing_the_faults_ends_what_they_hold_up(design: StandIn, name: str) -> None:
    design.set_faults(name)
    with asking(design, "/health") as connection:
        while not design.ledger():
            pass
        design.set_faults()
        received(connection)  # ends, and does not time out


def test_shutdown_does_not_wait() -> None:
    with StandIn(faults=["big-body"]) as target, asking(target, "/health") as flooded:
        assert flooded.recv(1) == b"H"
        target.set_faults("hang")
        with asking(target, "/health"):
            while len(target.ledger()) < 2:
                pass
            pid, started = target.pid, time.monotonic()
            target.stop()
            assert time.monotonic() - started < 3
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
