"""The end of an exchange's time: nothing outlasts it, nothing is sent after it, and nothing is left open."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.clients import line
from probes.deadline import CutOff
from probes.model import Layer
from tests.clients.http_help import failure, rig
from tests.clients.raw_server import OK, Handler, HandMadeTLS, RawServer, Talk, always, silent_port

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 0.5
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b"x" * 400


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS that the client trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def slow_tls(context: ssl.SSLContext, drips: str) -> HandMadeTLS:
    """Each drip comes in time; all of them together take some 2 s of a handshake, and 9 s of an answer."""
    every_s, size = (0.2, 200) if drips == "handshake" else (0.02, 1)
    return HandMadeTLS(context, LONG, drips, every_s, size)


DRIPPED = {
    "handshake": (Layer.TLS, "TLS was not set up within 0.5 s", 0),
    "answer": (Layer.HTTP, "no complete answer within 0.5 s", 1),
}


@pytest.mark.parametrize("drips", DRIPPED)
def test_tls_in_drips_cannot_outlast_the_deadline(context: ssl.SSLContext, drips: str) -> None:
    layer, words, requests = DRIPPED[drips]
    with RawServer(slow_tls(context, drips)) as server:
        begun = time.monotonic()
        problem = failure(lambda: rig(f"https://127.0.0.1:{server.port}").get(timeout_s=TIMEOUT_S))
        assert time.monotonic() - begun < 4
    assert (problem.layer, problem.message, problem.timed_out) == (layer, words, True)
    assert len(server.requests) == requests


GEVENT = """
from gevent import monkey
monkey.patch_all()
import json, sys, time
from tests.clients.http_help import failure, rig

said = []
for url in sys.argv[1:]:
    begun = time.monotonic()
    problem = failure(lambda: rig(url).get(timeout_s=0.5))
    said.append([problem.layer, problem.message, time.monotonic() - begun])
print(json.dumps(said))
"""


def test_tls_in_drips_cannot_outlast_the_deadline_under_gevent(context: ssl.SSLContext) -> None:
    """Its sockets give every byte the whole time-out anew."""
    with RawServer(slow_tls(context, "handshake")) as first, RawServer(slow_tls(context, "answer")) as second:
        urls = [f"https://127.0.0.1:{server.port}" for server in (first, second)]
        done = subprocess.run(
            [sys.executable, "-c", GEVENT, *urls],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    for (layer, words, took_s), expected in zip(json.loads(done.stdout), DRIPPED.values(), strict=True):
        assert (layer, words) == expected[:2]
        assert took_s < 4
    assert (len(first.requests), len(second.requests)) == (0, 1)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_nothing_is_sent_when_the_time_is_over(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    """As where the machine has slept between the permit and the sending."""
    with RawServer(always(OK), context if secure else None) as server:
        tested = rig(server.url)
        tested.get()
        clock = itertools.chain([0.0], itertools.repeat(1e6))
        monkeypatch.setattr(line, "boot_clock", lambda: next(clock))
        assert failure(tested.get).timed_out
        assert (len(server.requests), server.connections) == (1, 1)


@pytest.fixture
def silent_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    over = threading.Event()

    def look_up(*_args: Any, **_kwargs: Any) -> list[Any]:
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    over.set()


@pytest.mark.usefixtures("silent_resolver")
def test_the_deadline_binds_the_resolver() -> None:
    problem = failure(lambda: rig("http://slow.example").get(timeout_s=0.1))
    assert (problem.layer, problem.message, problem.timed_out) == (
        Layer.DNS,
        "the name was not resolved within 0.1 s",
        True,
    )


def test_a_silent_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(always(OK)) as server, silent_port() as silent:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (silent, silent, server.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        assert rig("http://several.example").get(timeout_s=1.0).body == b"ok"


def test_an_address_of_a_family_that_we_do_not_have_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(always(OK)) as server:
        found = [(family, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)) for family in (999, socket.AF_INET)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        assert rig("http://several.example").get().body == b"ok"


# --- cut off ---


@pytest.fixture
def _cut_off_by_signal() -> Iterator[None]:
    def cut(*_args: Any) -> None:
        raise CutOff("the run is over")

    before = signal.signal(signal.SIGUSR1, cut)
    yield
    signal.signal(signal.SIGUSR1, before)


def cutting_off_after(data: bytes, *, asked: bool = True) -> Handler:
    """Send this much, let the client wait for more, and cut it off."""

    def handle(talk: Talk) -> None:
        if asked:
            talk.request()
        talk.send(data)
        time.sleep(0.05)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGUSR1)
        talk.sock.settimeout(10)
        with contextlib.suppress(ConnectionResetError):  # so ends a connection whose request was not answered
            while part := talk.sock.recv(65536):
                assert part
        talk.server.requests.append(b"closed")

    return handle


@pytest.mark.usefixtures("_cut_off_by_signal")
@pytest.mark.parametrize(
    ("data", "secure"),
    [
        (b"", False),
        (b"HTTP/1.1 200", False),
        (LONG[:60], False),
        (LONG.replace(b"400", b"999"), False),
        (b"\x16", True),
    ],
    ids=["before the answer", "in the headers", "in the body", "late in the body", "in the TLS handshake"],
)
def test_who_is_cut_off_leaves_no_connection_open(data: bytes, *, secure: bool) -> None:
    with RawServer(cutting_off_after(data, asked=not secure)) as server:
        tested = rig(f"https://127.0.0.1:{server.port}" if secure else server.url)
        with pytest.raises(CutOff) as caught:
            tested.get(timeout_s=10.0)
        assert caught.value.__traceback__ is not None  # all its frames are alive, and with them what they hold
        ended = time.monotonic() + 10
        while b"closed" not in server.requests and time.monotonic() < ended:
            time.sleep(0.01)
        assert server.requests[-1] == b"closed"
