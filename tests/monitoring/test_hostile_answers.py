"""What a service, or what has taken its place, may answer: nobody reads on for ever, and no key goes elsewhere."""

from __future__ import annotations

import gzip
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import trustme

from probes.config.monitoring import DatadogOptions, NewRelicOptions, OtlpOptions
from probes.monitoring import datadog, newrelic, otlp
from probes.monitoring.base import Fate, Service
from probes.monitoring.samples import Sample
from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

KEY = "0123456789abcdef0123456789abcdef"
TAGS = (("env", "local"), ("region", "eu-west-1"), ("check", "api"), ("version", ""), ("mode", "run"))
MANY, BYTES = 64, 1_000_000
BOMB = gzip.compress(bytes(MANY * BYTES))

Mode = Literal["flood", "bomb", "redirect"]
Make = Callable[["Hostile"], Service]


class Hostile(Loopback):
    """Answers everything in one way; `sent` has the bytes that somebody read or that lie in between."""

    def __init__(self, mode: Mode, elsewhere: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(_Handler)
        self.mode, self.elsewhere, self.tls = mode, elsewhere, tls
        self.requests = self.sent = 0

    def finish_request(self, request: object, client_address: object) -> None:
        """Speak TLS where that is wanted, in the connection's own thread."""
        spoken = self.tls.wrap_socket(request, server_side=True) if self.tls else request  # type: ignore[arg-type] # a socket
        try:
            super().finish_request(spoken, client_address)  # type: ignore[arg-type] # a socket
        finally:
            if self.tls:
                spoken.close()  # type: ignore[attr-defined] # of TLS

    def handle_error(self, *_: object) -> None:
        """Whoever goes away goes away."""


class _Handler(LoopbackHandler):
    server: Hostile

    def post(self, body: bytes) -> None:  # noqa: ARG002 - it is all one
        self.server.requests += 1
        if self.server.mode == "redirect":
            self.answer(307, b"", {"Location": self.server.elsewhere})
        elif self.server.mode == "bomb":
            self.answer(200, BOMB, {"Content-Encoding": "gzip", "Content-Type": "application/json"})
        else:
            self.send_response(200)
            self.end_headers()
            for _ in range(MANY):
                self.wfile.write(b" " * BYTES)
                self.server.sent += BYTES
        self.close_connection = True


def to_otlp(server: Hostile) -> Service:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}"}
    return otlp.make_service(OtlpOptions(), environ)


def to_datadog(server: Hostile) -> Service:
    return datadog.make_service(DatadogOptions(), {"DD_API_KEY": KEY, "DATADOG_HOST": server.url})


def to_newrelic(server: Hostile, way: int, folder: Path) -> Service:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server.tls)
    environ = {
        "NEW_RELIC_LICENSE_KEY": KEY, "NEW_RELIC_HOST": "localhost", "NEW_RELIC_PORT": str(server.server_address[1]),
        "NEW_RELIC_CA_BUNDLE_PATH": str(folder / "ca.pem"),
    }  # fmt: skip
    return newrelic.make_service(NewRelicOptions(), environ)[way]


@pytest.fixture(params=["otlp", "datadog", "newrelic", "newrelic_metrics"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    ways: dict[str, Make] = {
        "otlp": to_otlp,
        "datadog": to_datadog,
        "newrelic": lambda server: to_newrelic(server, 0, tmp_path),
        "newrelic_metrics": lambda server: to_newrelic(server, 1, tmp_path),
    }
    return ways[request.param]


@pytest.fixture
def elsewhere() -> Iterator[Hostile]:
    with serving(Hostile("flood")) as server:
        yield server


def batch() -> list[Sample]:
    return [Sample("smoke_test.success", 1.0, "gauge", "", TAGS, time.time())]


def test_an_answer_without_end_is_not_read_on(make: Make) -> None:
    with serving(Hostile("flood")) as server:
        make(server).send(batch(), 5.0)
        assert server.requests == 1
        assert server.sent < MANY * BYTES / 2  # what lies in the sockets of both ends is some megabytes


def test_an_answer_that_unpacks_to_much_takes_little_memory(make: Make) -> None:
    with serving(Hostile("bomb")) as server:
        service = make(server)
        service.send(batch(), 5.0)  # what is imported is no part of it
        tracemalloc.start()
        try:
            service.send(batch(), 5.0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert server.requests == 2
    assert peak < 8 * BYTES


def test_nobody_is_followed_elsewhere(make: Make, elsewhere: Hostile) -> None:
    with serving(Hostile("redirect", elsewhere.url)) as server:
        said = make(server).send(batch(), 5.0)
    assert (server.requests, elsewhere.requests) == (1, 0)
    assert said.fate is Fate.LATER
    assert KEY not in said.why


@pytest.mark.parametrize("make", [to_otlp, to_datadog], ids=["otlp", "datadog"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_what_goes_to_this_machine_goes_through_no_proxy(
    make: Make, elsewhere: Hostile, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, elsewhere.url)  # a key may go to the loopback in the clear, and to nobody else
    with serving(Hostile("redirect", elsewhere.url)) as server:
        make(server).send(batch(), 5.0)
    assert (server.requests, elsewhere.requests) == (1, 0)
